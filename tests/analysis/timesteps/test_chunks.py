"""An analysis that reads a chunk of steps at a time says what it would say of all of them at once."""

import numpy as np
import pandas as pd
import pytest

from graddiag import schema
from graddiag.analysis import Selection, depth, heat, heat_ratio, profile, reach
from graddiag.analysis.timesteps import chunks
from graddiag.analysis.timesteps.chunks import _AT_ONCE
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
    monkeypatch.setattr("graddiag.analysis.timesteps.chunks._AT_ONCE", at_once)
    parts = reach(run, layer)
    assert whole.length == 9
    for name in (each for each, value in vars(whole).items() if isinstance(value, np.ndarray)):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-12, err_msg=name)
    for name in ("length", "n_steps", "n_gains", "zero_gains", "nonfinite_gains", "touched_share", "ratio", "missing"):
        assert getattr(parts, name) == getattr(whole, name), name
    assert parts.exponent == pytest.approx(whole.exponent, rel=1e-12)


def test_the_stretches_are_all_steps_in_their_order(layer: Selection, monkeypatch: pytest.MonkeyPatch) -> None:
    run = long_run(layer)
    monkeypatch.setattr("graddiag.analysis.timesteps.chunks._AT_ONCE", 6)
    found = list(chunks.chunks(run, layer, SIGNALS))
    assert [len(grid.steps) for grid in found] == [6, 6, 6, 2]
    np.testing.assert_array_equal(np.concatenate([grid.steps for grid in found]), np.arange(0, 60, 3))
    assert {len(grid.timesteps) for grid in found} == {9}


def test_of_nothing_there_is_one_empty_stretch(layer: Selection) -> None:
    [grid] = chunks.chunks(Run.from_frames(manifest()), layer, SIGNALS)
    assert grid.empty
    assert _AT_ONCE == 1_000


def test_a_stretch_has_the_length_of_its_own_longest_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Selection("lstm", 0, "forward")
    short = timesteps_frame(travelled(np.ones((2, 3)), np.ones((2, 3))))
    long = timesteps_frame(travelled(np.ones((2, 5)), np.ones((2, 5))), steps=[2, 3])
    run = Run.from_frames(manifest(), timesteps=pd.concat([short, long], ignore_index=True))
    monkeypatch.setattr("graddiag.analysis.timesteps.chunks._AT_ONCE", 2)
    assert [len(grid.timesteps) for grid in chunks.chunks(run, layer, SIGNALS)] == [3, 5]
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
    monkeypatch.setattr("graddiag.analysis.timesteps.chunks._AT_ONCE", at_once)
    for look, found in zip(looks, whole, strict=True):
        assert sum(found.counts.values()) == found.states.size or max_cells < 100
        same(heat(run, schema.GRAD_H, LAYER, max_cells=max_cells, reduce=reduce, **look), found)


@pytest.mark.parametrize("reduce", ["max", "geomean"])
@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_a_ratio_is_the_same_in_stretches(reduce: Reduce, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [ragged(), ragged((3, 5, 7, 5, 8, 9, 4))]
    looks = ({}, {"max_cells": 4}, {"steps": (1, 5)}, {"timesteps": (2, 6)})
    whole = [heat_ratio(runs, schema.GRAD_H, LAYER, reduce=reduce, **look) for look in looks]
    monkeypatch.setattr("graddiag.analysis.timesteps.chunks._AT_ONCE", at_once)
    for look, found in zip(looks, whole, strict=True):
        assert found.missing is None
        same(heat_ratio(runs, schema.GRAD_H, LAYER, reduce=reduce, **look), found)


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_a_profile_and_the_depth_are_the_same_in_stretches(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ragged()
    whole, deep = profile(run, (0, 6), LAYER), depth(run)
    assert len(whole.timesteps) == 9
    monkeypatch.setattr("graddiag.analysis.timesteps.chunks._AT_ONCE", at_once)
    parts = profile(run, (0, 6), LAYER)
    np.testing.assert_array_equal(parts.timesteps, whole.timesteps)
    same(parts.series[0], whole.series[0])
    (layer,), (all_of_it,) = depth(run).layers, deep.layers
    same(layer.norm, all_of_it.norm)
    assert (layer.typical, layer.bounded.tolist()) == (all_of_it.typical, all_of_it.bounded.tolist())
