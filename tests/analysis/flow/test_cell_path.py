"""The cell path against all of dL/dc."""

from pathlib import Path

import numpy as np
import pytest
import torch

import graddiag
from graddiag import schema
from graddiag.analysis import CellState, Selection, cell_path
from graddiag.run import Run
from tests.analysis.runs import LAYER, NAN, manifest, timesteps_frame


def run_of(total: object, path: object, layer: Selection = LAYER) -> Run:
    return Run.from_frames(
        manifest(), timesteps=timesteps_frame({schema.GRAD_C: total, schema.GRAD_C_PATH: path}, layer)
    )  # fmt: skip


def test_by_hand_and_without_the_last_timestep() -> None:
    found = cell_path(run_of([[1.0, 2.0, 4.0]] * 3, [[0.5, 3.0, 0.0]] * 3), LAYER)
    np.testing.assert_allclose(found.by_timestep.values, [0.5, 1.5, np.nan])
    assert found.by_timestep.states.tolist()[-1] == CellState.MISSING
    np.testing.assert_allclose(found.by_step.values, [1.0] * 3)
    assert (found.ratio, found.opposed) == (1.0, 0.5)
    assert "median 1; rest 0 to 2." in found.caption


def test_a_reverse_direction_ends_at_its_first_timestep() -> None:
    layer = Selection("lstm", 0, "reverse")
    found = cell_path(run_of([[4.0, 2.0]], [[0.0, 1.0]], layer), layer)
    np.testing.assert_allclose(found.by_timestep.values, [np.nan, 0.5])


def test_zero_nan_and_missing_are_no_ratio() -> None:
    total = np.array([[0.0, NAN, None, 2.0, 1.0]], dtype=object)
    found = cell_path(run_of(total, np.ones((1, 5))), LAYER)
    assert found.by_timestep.states.tolist() == [
        CellState.NAN, CellState.NAN, CellState.MISSING, CellState.VALUE, CellState.MISSING
    ]  # fmt: skip
    assert found.ratio == 0.5


def test_what_is_no_lstm_is_said() -> None:
    found = cell_path(Run.from_frames(manifest(), timesteps=timesteps_frame({schema.GRAD_H: [[1.0]]})), LAYER)
    assert "it is no LSTM, or none reached it" in (found.missing or "")
    assert (found.ratio, found.opposed) == (None, None)


@pytest.mark.parametrize(("bias", "ratio"), [(40.0, 1.0), (float(np.log(9)), None)])
def test_with_nothing_but_the_cell_the_path_is_all_there_is(bias: float, ratio: float | None, tmp_path: Path) -> None:
    """W_hh = 0: dL/dc_t = f dL/dc_{t+1} exactly, all of it along the cell (a loss at the last timestep)."""
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(2, 4).double()
    with torch.no_grad():
        for parameter in lstm.parameters():
            parameter.zero_()
        lstm.weight_ih_l0.normal_()
        lstm.weight_ih_l0[4:8] = 0
        lstm.bias_hh_l0[4:8] = bias
    optimizer = torch.optim.SGD(lstm.parameters(), lr=0.0)
    with graddiag.watch(lstm, optimizer, run="run", root=tmp_path) as recorder:
        lstm(torch.randn(7, 3, 2).double())[0][-1].square().sum().backward()
        optimizer.step()
    run = graddiag.load_run(recorder.path)
    found = cell_path(run, Selection("", 0, "forward"))
    np.testing.assert_allclose(found.by_timestep.values[:-1], 1.0, rtol=1e-6)
    total = run.timesteps[schema.GRAD_C].to_numpy(dtype=float)
    np.testing.assert_allclose(total[:-1] / total[1:], ratio or 0.9, rtol=1e-6)
