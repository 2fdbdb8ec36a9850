"""The heatmap's numbers: binning keeps peaks, and zero, missing and non-finite stay apart."""

import numpy as np
import pytest

from graddiag import schema
from graddiag.analysis import CellState, heat
from graddiag.analysis.timesteps.heat import Reduce
from graddiag.errors import SettingError
from graddiag.run import Run
from tests.analysis.runs import INF, LAYER, NAN, manifest, timesteps_frame

VALUE, ZERO, MISSING, NAN_CELL, INF_CELL = CellState


def run_of(values: object, signal: str = schema.GRAD_H) -> Run:
    return Run.from_frames(manifest(), timesteps=timesteps_frame({signal: np.asarray(values, dtype=object)}))


def test_cells_are_value_zero_missing_nan_or_inf() -> None:
    found = heat(run_of([[1.0, 0.0, None, NAN], [2.0, INF, 0.5, -INF]]), schema.GRAD_H, LAYER)
    assert found.states.tolist() == [[VALUE, ZERO, MISSING, NAN_CELL], [VALUE, INF_CELL, VALUE, INF_CELL]]
    np.testing.assert_array_equal(found.values, np.float32([[1, 0, np.nan, np.nan], [2, np.nan, 0.5, np.nan]]))
    assert found.counts == {"value": 3, "zero": 1, "missing": 1, "nan": 1, "inf": 2}
    assert (found.low, found.high) == (0.5, 2.0)
    assert "1 cell exactly zero; 1 cell NaN; 2 cells inf." in found.caption


def test_a_bin_with_inf_and_nan_is_inf_for_that_came_first() -> None:
    found = heat(run_of([[1.0], [INF], [NAN], [NAN]]), schema.GRAD_H, LAYER, max_cells=1)
    assert found.states.tolist() == [[INF_CELL]]


def test_a_timestep_that_a_shorter_sequence_has_not_is_missing() -> None:
    frame = timesteps_frame({schema.GRAD_H: np.ones((2, 3))})[:-1]
    found = heat(Run.from_frames(manifest(), timesteps=frame), schema.GRAD_H, LAYER)
    assert found.states.tolist() == [[VALUE, VALUE, VALUE], [VALUE, VALUE, MISSING]]


def test_binning_keeps_every_peak_and_every_nan() -> None:
    values = np.ones((1000, 40))
    values[617, 3], values[998, 39], values[20, 0] = 1e6, NAN, 0.0
    found = heat(run_of(values), schema.GRAD_H, LAYER, max_cells=4000)
    assert found.values.shape == (100, 40)
    assert (found.step_bin, found.timestep_bin) == (10, 1)
    assert found.steps[[0, 61]].tolist() == [0, 610]
    assert found.values[61, 3] == np.float32(1e6)
    assert found.states[99, 39] == NAN_CELL
    assert found.states[2, 0] == VALUE
    assert found.high == 1e6


def test_the_geometric_mean_is_that_of_the_positive_cells() -> None:
    found = heat(run_of([[1.0], [100.0], [0.0], [0.0]]), schema.GRAD_H, LAYER, max_cells=2, reduce="geomean")
    assert found.values.tolist() == [[10.0], [0.0]]
    assert found.states.tolist() == [[VALUE], [ZERO]]


def test_of_a_signed_signal_the_largest_size_is_kept_with_its_sign() -> None:
    run = run_of([[0.5], [-0.9], [0.0], [0.0]], schema.GRAD_W_HH_COSINE)
    found = heat(run, schema.GRAD_W_HH_COSINE, LAYER, max_cells=2)
    assert found.values.tolist() == [[np.float32(-0.9)], [0.0]]
    assert found.signed


def test_long_sequences_are_binned_too() -> None:
    values = np.ones((2, 5000))
    values[1, 4321] = 7.0
    found = heat(run_of(values), schema.GRAD_H, LAYER, max_cells=600)
    assert found.values.size <= 600
    assert found.values.max() == 7.0


def test_what_float32_cannot_hold_is_never_zero_nor_infinite() -> None:
    found = heat(run_of([[1e-60, 1e60]]), schema.GRAD_H, LAYER)
    assert found.states.tolist() == [[VALUE, VALUE]]
    assert found.values[0, 0] > 0
    assert np.isfinite(found.values[0, 1])


def test_a_closer_look_takes_the_steps_asked_for() -> None:
    run = Run.from_frames(
        manifest(), timesteps=timesteps_frame({schema.GRAD_H: np.ones((4, 2))}, steps=[0, 10, 20, 30])
    )
    assert heat(run, schema.GRAD_H, LAYER, steps=(5, 20)).steps.tolist() == [10, 20]
    assert heat(run, schema.GRAD_H, LAYER, steps=(5, 6)).missing is not None


def test_no_cell_is_refused() -> None:
    with pytest.raises(SettingError, match="max_cells 0: a heatmap needs at least one cell"):
        heat(run_of([[1.0]]), schema.GRAD_H, LAYER, max_cells=0)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("reduce", ["max", "geomean"])
def test_no_exploding_cell_is_lost_at_any_zoom(seed: int, reduce: Reduce) -> None:
    random = np.random.default_rng(seed)
    shape = random.integers(1, 400), random.integers(1, 60)
    values = np.exp(random.standard_normal(shape))
    step, timestep = random.integers(shape[0]), random.integers(shape[1])
    values[step, timestep] = 1e9
    ends = sorted(random.integers(0, shape[0], 2).tolist())
    zoom = (min(ends[0], int(step)), max(ends[1], int(step)))
    for steps in (None, zoom):
        cells = int(random.integers(1, 3000))
        found = heat(run_of(values), schema.GRAD_H, LAYER, max_cells=cells, reduce=reduce, steps=steps)
        assert found.values.size <= cells
        row, column = np.unravel_index(np.nanargmax(found.values), found.values.shape)
        assert found.values[row, column] == np.float32(1e9)
        assert found.steps[row] <= step < found.steps[row] + found.step_bin
        assert found.timesteps[column] <= timestep < found.timesteps[column] + found.timestep_bin


def test_a_closer_look_takes_the_timesteps_asked_for() -> None:
    found = heat(run_of(np.arange(1, 13).reshape(2, 6)), schema.GRAD_H, LAYER, timesteps=(2, 3))
    assert found.timesteps.tolist() == [2, 3]
    assert found.values.tolist() == [[3, 4], [9, 10]]


def test_the_caption_says_what_a_bin_is() -> None:
    found = heat(run_of(np.ones((100, 4))), schema.GRAD_H, LAYER, max_cells=40)
    assert found.caption.endswith("Each cell is the largest of 10 steps.")
    assert "Each cell" not in heat(run_of(np.ones((10, 4))), schema.GRAD_H, LAYER).caption
