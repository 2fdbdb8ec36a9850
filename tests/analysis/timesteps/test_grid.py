"""Grids read a chunk of steps at a time, and quantiles over steps in bounded memory."""

import numpy as np
import pandas as pd
import pytest

from graddiag import schema
from graddiag.analysis import Selection, cell_path, depth, heat, heat_ratio, profile, reach
from graddiag.analysis.timesteps import grid
from graddiag.analysis.timesteps.grid import _AT_ONCE
from graddiag.analysis.timesteps.heat import Reduce
from graddiag.run import Run
from tests.analysis.runs import INF, LAYER, NAN, manifest, timesteps_frame, travelled

SIGNALS = (schema.GRAD_H, schema.TRANSPORT_GAIN)


def long_run(selection: Selection, steps: int = 20) -> Run:
    """Steps 0, 3, 6, ...; every other sequence is shorter, and some numbers are NaN, inf or 0."""
    random = np.random.default_rng(5)
    gains, direct = random.uniform(0.2, 1.5, (steps, 9)), random.uniform(0, 1, (steps, 9))
    signals = travelled(gains, direct)
    signals[schema.TRANSPORT_GAIN][[3, 7, 11], [2, 4, 6]] = [NAN, INF, 0.0]
    signals[schema.GRAD_H][13, 3] = NAN
    frame = timesteps_frame(signals, selection, steps=list(range(0, 3 * steps, 3)))
    short = (frame[schema.STEP] % 2 == 1) & (frame[schema.TIMESTEP] > 5)
    return Run.from_frames(manifest(), timesteps=frame[~short])


@pytest.fixture(params=["forward", "reverse"])
def layer(request: pytest.FixtureRequest) -> Selection:
    return Selection("lstm", 0, request.param)


@pytest.mark.parametrize("at_once", [1, 3, 7])
def test_the_reach_is_the_same_in_stretches(layer: Selection, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    run = long_run(layer)
    whole = reach(run, layer)
    monkeypatch.setattr("graddiag.analysis.timesteps.grid._AT_ONCE", at_once)
    parts = reach(run, layer)
    assert whole.length == 9
    for name in (each for each, value in vars(whole).items() if isinstance(value, np.ndarray)):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-12, err_msg=name)
    for name in ("length", "n_steps", "n_gains", "zero_gains", "nonfinite_gains", "touched_share", "ratio", "missing"):
        assert getattr(parts, name) == getattr(whole, name), name
    assert parts.exponent == pytest.approx(whole.exponent, rel=1e-12)


def test_the_stretches_are_all_steps_in_their_order(layer: Selection, monkeypatch: pytest.MonkeyPatch) -> None:
    run = long_run(layer)
    monkeypatch.setattr("graddiag.analysis.timesteps.grid._AT_ONCE", 6)
    found = list(grid.chunks(run, layer, SIGNALS))
    assert [len(grid.steps) for grid in found] == [6, 6, 6, 2]
    np.testing.assert_array_equal(np.concatenate([grid.steps for grid in found]), np.arange(0, 60, 3))
    assert {len(grid.timesteps) for grid in found} == {9}


def test_of_nothing_there_is_one_empty_stretch(layer: Selection) -> None:
    [found] = grid.chunks(Run.from_frames(manifest()), layer, SIGNALS)
    assert found.empty
    assert _AT_ONCE == 1_000


def test_a_stretch_has_the_length_of_its_own_longest_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Selection("lstm", 0, "forward")
    short = timesteps_frame(travelled(np.ones((2, 3)), np.ones((2, 3))))
    long = timesteps_frame(travelled(np.ones((2, 5)), np.ones((2, 5))), steps=[2, 3])
    run = Run.from_frames(manifest(), timesteps=pd.concat([short, long], ignore_index=True))
    monkeypatch.setattr("graddiag.analysis.timesteps.grid._AT_ONCE", 2)
    assert [len(grid.timesteps) for grid in grid.chunks(run, layer, SIGNALS)] == [3, 5]
    assert len(reach(run, layer).gain_by_timestep) == 5


def ragged(lengths: tuple[int, ...] = (3, 3, 7, 5, 9, 9, 2)) -> Run:
    """A step of each of these lengths, with NaN, inf, 0 and a null among the numbers."""
    random = np.random.default_rng(6)
    frames = []
    for step, length in enumerate(lengths):
        values = random.lognormal(0, 3, (1, length)).astype(object)
        values[0, 1] = [NAN, 0.0, INF, None, 2.0, 1e30, 0.0][step]
        frames.append(timesteps_frame({schema.GRAD_H: values}, LAYER, steps=[step]))
    return Run.from_frames(manifest(), timesteps=pd.concat(frames, ignore_index=True))


def same(parts: object, whole: object) -> None:
    for name, value in vars(whole).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_allclose(getattr(parts, name), value, rtol=1e-12, err_msg=name)
        elif hasattr(value, "states"):
            same(getattr(parts, name), value)
        else:
            assert getattr(parts, name) == value, name


@pytest.mark.parametrize("reduce", ["max", "geomean"])
@pytest.mark.parametrize("max_cells", [1, 4, 9, 100])
@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_a_heatmap_is_the_same_in_stretches(
    reduce: Reduce, max_cells: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ragged()
    looks = ({}, {"steps": (1, 5)}, {"timesteps": (2, 6)})
    whole = [heat(run, schema.GRAD_H, LAYER, max_cells=max_cells, reduce=reduce, **look) for look in looks]
    monkeypatch.setattr("graddiag.analysis.timesteps.grid._AT_ONCE", at_once)
    for look, found in zip(looks, whole, strict=True):
        assert sum(found.counts.values()) == found.states.size or max_cells < 100
        same(heat(run, schema.GRAD_H, LAYER, max_cells=max_cells, reduce=reduce, **look), found)


@pytest.mark.parametrize("reduce", ["max", "geomean"])
@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_a_ratio_is_the_same_in_stretches(reduce: Reduce, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [ragged(), ragged((3, 5, 7, 5, 8, 9, 4))]
    looks = ({}, {"max_cells": 4}, {"steps": (1, 5)}, {"timesteps": (2, 6)})
    whole = [heat_ratio(runs, schema.GRAD_H, LAYER, reduce=reduce, **look) for look in looks]
    monkeypatch.setattr("graddiag.analysis.timesteps.grid._AT_ONCE", at_once)
    for look, found in zip(looks, whole, strict=True):
        assert found.missing is None
        same(heat_ratio(runs, schema.GRAD_H, LAYER, reduce=reduce, **look), found)


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_a_profile_and_the_depth_are_the_same_in_stretches(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ragged()
    whole, deep = profile(run, (0, 6), LAYER), depth(run)
    assert len(whole.timesteps) == 9
    monkeypatch.setattr("graddiag.analysis.timesteps.grid._AT_ONCE", at_once)
    parts = profile(run, (0, 6), LAYER)
    np.testing.assert_array_equal(parts.timesteps, whole.timesteps)
    same(parts.series[0], whole.series[0])
    (layer,), (all_of_it,) = depth(run).layers, deep.layers
    same(layer.norm, all_of_it.norm)
    assert (layer.typical, layer.bounded.tolist()) == (all_of_it.typical, all_of_it.bounded.tolist())


def rows_of(steps: int, at_once: int) -> np.ndarray:
    some = grid.StepReservoir()
    values = np.arange(steps, dtype=float)[:, None]
    for start in range(0, steps, at_once):
        some.add(values[start : start + at_once])
    return some.rows().ravel()


@pytest.mark.parametrize("at_once", [1, 3, 7, 100])
def test_rows_that_are_kept_stay_evenly_spaced_however_they_come(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "KEPT", 4)
    assert rows_of(8, at_once).tolist() == list(range(8))
    assert rows_of(9, at_once).tolist() == [0, 2, 4, 6, 8]
    assert rows_of(100, at_once).tolist() == list(range(0, 100, 16))


def test_a_shorter_stretch_ends_in_nan() -> None:
    some = grid.StepReservoir()
    some.add(np.ones((1, 2)))
    some.add(np.ones((2, 3)))
    np.testing.assert_array_equal(some.rows(), [[1, 1, np.nan], [1, 1, 1], [1, 1, 1]])
    assert grid.StepReservoir().rows().shape == (0, 0)


def test_of_many_steps_means_are_of_all_and_quantiles_of_some(monkeypatch: pytest.MonkeyPatch) -> None:
    gains = np.exp(np.random.default_rng(0).normal(-0.1, 0.3, (2000, 4)))
    columns = travelled(gains, np.eye(1, 4, 3).repeat(2000, axis=0)) | {
        "grad_c": np.ones((2000, 4)),
        "grad_c_path": gains,
    }
    run = Run.from_frames(manifest(), timesteps=timesteps_frame(columns))
    whole, path = reach(run, LAYER), cell_path(run, LAYER)
    np.testing.assert_allclose(whole.gain_low[1:], np.quantile(gains[:, 1:], 0.1, axis=0), rtol=1e-6)
    np.testing.assert_allclose(path.by_timestep.values[:3], np.median(gains[:, :3], axis=0), rtol=1e-6)
    monkeypatch.setattr(grid, "KEPT", 200)
    some, some_path = reach(run, LAYER), cell_path(run, LAYER)
    np.testing.assert_allclose(some.gain_by_timestep, whole.gain_by_timestep, rtol=1e-12)
    np.testing.assert_allclose(some.gain_by_timestep[1:], np.exp(np.log(gains[:, 1:]).mean(axis=0)), rtol=1e-12)
    np.testing.assert_allclose(some.gain_low, whole.gain_low, rtol=0.1)
    np.testing.assert_array_equal(some_path.by_step.values, path.by_step.values)
    assert (some_path.ratio, some_path.missing) == (path.ratio, None)
    assert 0 < np.abs(some_path.by_timestep.values[:3] - path.by_timestep.values[:3]).max() < 0.1
