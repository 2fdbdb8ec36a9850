"""For how long the cells keep what they hold."""

import math

import numpy as np
import pytest

from graddiag import schema
from graddiag.analysis import CellState, time_constants
from graddiag.run import Run
from tests.analysis.runs import LAYER, NAN, gates_frame, manifest, snapshots_frame


def run_of(gate: str, means: object, **tables: object) -> Run:
    zeros = np.zeros(np.shape(means))
    columns = {schema.MEAN: means, schema.STD: zeros, schema.SATURATED_LOW: zeros, schema.SATURATED_HIGH: zeros}
    return Run.from_frames(manifest(), gates=gates_frame({gate: columns}), **tables)


@pytest.mark.parametrize(("mean", "constant"), [(0.9, 9.4912), (0.99, 99.4992), (math.exp(-1), 1.0), (0.5, 1.4427)])
def test_known_values(mean: float, constant: float) -> None:
    found = time_constants(run_of("f", [[mean] * 3] * 2), LAYER)
    assert found.usual == pytest.approx(constant, abs=1e-3)
    np.testing.assert_allclose(found.by_timestep.values, [constant] * 3, atol=1e-3)
    np.testing.assert_allclose(found.by_step.values, [constant] * 2, atol=1e-3)


def test_it_is_of_the_mean_and_not_the_mean_of_it() -> None:
    found = time_constants(run_of("f", [[0.5, 0.9]]), LAYER)
    assert found.usual == pytest.approx(-1 / math.log(0.7))
    np.testing.assert_allclose(found.by_timestep.values, [-1 / math.log(0.5), -1 / math.log(0.9)])


def test_a_gru_keeps_by_its_update_gate_and_an_rnn_by_none() -> None:
    assert time_constants(run_of("z", [[0.9]]), LAYER).gate == "z"
    found = time_constants(run_of("h", [[0.9]]), LAYER)
    assert (found.gate, found.usual) == (None, None)
    assert "No gate that keeps a state" in (found.missing or "")


def test_shut_open_nan_and_missing_stay_apart() -> None:
    means = np.array([[0.0, 1.0, NAN, None, 0.5]], dtype=object)
    found = time_constants(run_of("f", means), LAYER)
    expected = [CellState.ZERO, CellState.INF, CellState.NAN, CellState.MISSING, CellState.VALUE]
    assert found.by_timestep.states.tolist() == expected


def test_units_have_their_own_from_snapshots() -> None:
    column = schema.gate_column(schema.ACTIVATION, "f")
    frame = snapshots_frame({column: [[[0.8, 0.5, NAN], [1.0, 0.5, NAN]]]})
    found = time_constants(run_of("f", [[0.7]], snapshots=frame), LAYER)
    np.testing.assert_allclose(found.by_unit, [-1 / math.log(0.9), -1 / math.log(0.5), np.nan])
    assert found.caption.endswith("2.8 timesteps, over all recorded steps; longest of 2 units 9.49.")
    assert len(time_constants(run_of("f", [[0.7]]), LAYER).by_unit) == 0
