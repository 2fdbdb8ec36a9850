"""What is read of snapshots: units through the sequence, credit and spectra, by value; and of runs without."""

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from graddiag import schema
from graddiag.analysis import (
    CellState,
    Result,
    Selection,
    credit_matrix,
    lyapunov_history,
    snapshot_columns,
    snapshot_steps,
    spectrum_history,
    unit_heat,
    weight_spectra,
)
from graddiag.errors import SettingError
from graddiag.run import Run
from tests.analysis.runs import INF, LAYER, NAN, manifest
from tests.analysis.snapped import (
    EMPTY,
    PLAIN,
    credit_frame,
    lyapunov_frame,
    parameters_frame,
    snapped,
    spectra_frame,
    units_frame,
)

ANALYSES: dict[str, Callable[[Run], Result]] = {
    "credit": lambda run: credit_matrix(run, 0, LAYER),
    "units": lambda run: unit_heat(run, 0, LAYER),
    "units of a gate": lambda run: unit_heat(run, 7, LAYER, "activation_f", max_cells=4),
    "units of a gate it does not have": lambda run: unit_heat(run, 0, LAYER, "activation_z"),
    "weights": lambda run: weight_spectra(run, 0)[0],
    "history": spectrum_history,
    "exponents": lambda run: lyapunov_history(run, LAYER),
}


@pytest.mark.parametrize("case", snapped())
@pytest.mark.parametrize("analysis", ANALYSES)
def test_a_result_comes_back(analysis: str, case: str) -> None:
    found = ANALYSES[analysis](snapped()[case])
    json.dumps(found.to_dict(), allow_nan=False)
    assert found.caption.endswith(".")
    if case in (EMPTY, "no snapshots"):
        assert found.missing
        assert "watch(..., snapshot_every=100)" in found.missing or analysis == "history"


def test_the_credit_matrix_by_value() -> None:
    found = credit_matrix(snapped()[PLAIN], 99, LAYER)
    assert (found.step, found.fading) == (0, None)
    np.testing.assert_allclose(found.values[5], 0.5 ** np.arange(5, -1, -1.0))
    assert (found.states[0] == [CellState.VALUE, *[CellState.MISSING] * 5]).all()
    assert "of what timestep 5 sends, 0.0312 is left at timestep 0." in found.caption


def test_credit_of_a_loss_at_the_last_timestep_alone_and_in_reverse() -> None:
    last = np.zeros((9, 9))
    last[8] = 0.5 ** np.arange(8, -1, -1.0)
    found = credit_matrix(Run.from_frames(manifest(), credit=credit_frame(last)), 0, LAYER)
    assert (found.states[3, :4] == CellState.ZERO).all()
    assert found.fading == 7
    reverse = Selection("lstm", 0, "reverse")
    found = credit_matrix(Run.from_frames(manifest(), credit=credit_frame(last[::-1, ::-1], 4, reverse)), 0, reverse)
    assert (found.step, found.fading) == (4, 7)
    assert "of what timestep 0 sends, 0.00391 is left at timestep 8" in found.caption
    earlier = np.zeros((9, 9))
    earlier[5, :6] = 2.0
    found = credit_matrix(Run.from_frames(manifest(), credit=credit_frame(earlier)), 0, LAYER)
    assert "of what timestep 5 sends, 1 is left at timestep 0." in found.caption


def test_units_by_value_and_by_the_nearest_snapshot() -> None:
    T, U = 4, 3
    grad = np.arange(T * U, dtype=float).reshape(T, U)
    frames = [units_frame({schema.GRAD_H: grad + step}, step) for step in (0, 10)]
    run = Run.from_frames(manifest(), snapshots=pd.concat(frames, ignore_index=True))
    assert snapshot_steps(run, LAYER).tolist() == [0, 10]
    assert snapshot_columns(run, LAYER) == (schema.GRAD_H,)
    found = unit_heat(run, 7, LAYER)
    assert found.step == 10
    np.testing.assert_array_equal(found.values, grad + 10)
    assert found.caption.endswith("from 10 to 21.")
    zero = unit_heat(run, 0, LAYER)
    assert (zero.states == CellState.ZERO).sum() == 1
    assert "1 cell exactly zero" in zero.caption
    coarse = unit_heat(run, 0, LAYER, max_cells=4)
    assert coarse.values.size <= 6
    assert np.nanmax(coarse.values) == 11
    with pytest.raises(SettingError, match=r"unit_heat\(column='unit'\): the table snapshots measures grad_h, activ"):
        unit_heat(run, 0, LAYER, "unit")


def test_spectra_by_value() -> None:
    (found,) = weight_spectra(snapped()[PLAIN], 3)
    (block,) = found.blocks
    assert (found.step, block.norm, block.radius) == (0, 5.157, 0.9)
    (rectangular,) = weight_spectra(Run.from_frames(manifest(), spectra=spectra_frame(square=False)), 0)
    assert rectangular.blocks[0].radius is None
    assert "and not known." in rectangular.caption


def test_the_course_of_a_spectrum() -> None:
    found = spectrum_history(snapped()[PLAIN])
    (weight,) = found.weights
    assert found.steps.tolist() == [0, 1]
    assert weight.norm.values.tolist() == pytest.approx([1.1, 1.2])
    assert weight.radius.values.tolist() == pytest.approx([0.8, 0.9])
    run = Run.from_frames(manifest(), parameters=parameters_frame([None, None], [1.0, 2.0]))
    (projected,) = spectrum_history(run).weights
    assert (projected.radius.states == CellState.MISSING).all()
    assert "spectral radius not known" in spectrum_history(run).caption


def test_the_course_of_the_exponents() -> None:
    steps = {
        0: np.array([[-0.5, -1.0], [-0.3, -INF]]),
        10: np.array([[0.1, -0.25], [0.3, -0.75]]),
        20: np.full((1, 2), NAN),
    }
    run = Run.from_frames(manifest(), lyapunov=pd.concat([lyapunov_frame(v, step) for step, v in steps.items()]))
    found = lyapunov_history(run, LAYER)
    largest, second = found.exponents
    assert found.steps.tolist() == [0, 10, 20]
    assert (found.samples.tolist(), found.timesteps.tolist(), found.growing) == ([2, 2, 1], [9, 9, 9], 1)
    np.testing.assert_allclose(largest.mean.values, [-0.4, 0.2, NAN])
    np.testing.assert_allclose(largest.low.values, [-0.5, 0.1, NAN])
    np.testing.assert_allclose(largest.high.values, [-0.3, 0.3, NAN])
    assert largest.mean.states.tolist() == [CellState.VALUE, CellState.VALUE, CellState.NAN]
    assert second.mean.states.tolist() == [CellState.INF, CellState.VALUE, CellState.NAN]
    assert found.caption.endswith(
        "steps 0 to 20 (clip off, seed 0): -0.4 at first, 0.2 at last; at last over 2 samples 0.1 to 0.3; "
        "above 0 at 1 of 3 snapshots; NaN or inf at 1. In nats per timestep."
    )
    assert lyapunov_history(run, Selection("lstm", 1, "forward")).missing


def test_snapshots_without_exponents_say_why() -> None:
    run = Run.from_frames(manifest(), snapshots=units_frame({schema.GRAD_H: np.ones((2, 2))}))
    why = lyapunov_history(run, LAYER).missing
    assert why is not None
    assert "hold no Lyapunov exponent: an earlier graddiag took them, or the layer's weights were changed" in why


def test_the_course_of_a_weight_takes_in_the_snapshots_between() -> None:
    tables = {"parameters": parameters_frame([0.8], [1.1]), "spectra": pd.concat(map(spectra_frame, (0, 20)))}
    found = spectrum_history(Run.from_frames(manifest(), **tables))
    (weight,) = found.weights
    assert found.steps.tolist() == [0, 20]
    np.testing.assert_allclose(weight.norm.values, [1.1, 5.157])
    np.testing.assert_allclose(weight.radius.values, [0.8, 0.9])
    assert "largest singular value 1.1 to 5.16" in found.caption
    alone = spectrum_history(Run.from_frames(manifest(), parameters=parameters_frame([0.8], [1.1])))
    told = "lstm.weight_hh_l0 largest singular value 1.1; lstm.weight_hh_l0 spectral radius 0.8."
    assert alone.caption == f"Recurrent weights, step 0 alone (clip off, seed 0): {told}"


def test_a_weight_that_is_not_square_has_no_radius_in_its_course() -> None:
    (weight,) = spectrum_history(Run.from_frames(manifest(), spectra=spectra_frame(square=False))).weights
    assert weight.radius.states.tolist() == [CellState.MISSING]
    assert weight.norm.values.tolist() == [5.157]
