"""An analysis that reads a stretch of steps at a time says what it would say of all of them at once."""

import numpy as np
import pandas as pd
import pytest

from graddiag import schema
from graddiag.analysis import Selection, reach, stretches
from graddiag.analysis.stretches import _AT_ONCE
from graddiag.run import Run
from tests.analysis.runs import INF, NAN, manifest, timesteps_frame, travelled

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
    monkeypatch.setattr("graddiag.analysis.stretches._AT_ONCE", at_once)
    parts = reach(run, layer)
    assert whole.length == 9
    for name in (each for each, value in vars(whole).items() if isinstance(value, np.ndarray)):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-12, err_msg=name)
    for name in ("length", "n_steps", "n_gains", "zero_gains", "nonfinite_gains", "touched_share", "ratio", "missing"):
        assert getattr(parts, name) == getattr(whole, name), name
    assert parts.exponent == pytest.approx(whole.exponent, rel=1e-12)


def test_the_stretches_are_all_steps_in_their_order(layer: Selection, monkeypatch: pytest.MonkeyPatch) -> None:
    run = long_run(layer)
    monkeypatch.setattr("graddiag.analysis.stretches._AT_ONCE", 6)
    found = list(stretches.stretches(run, layer, SIGNALS))
    assert [len(grid.steps) for grid in found] == [6, 6, 6, 2]
    np.testing.assert_array_equal(np.concatenate([grid.steps for grid in found]), np.arange(0, 60, 3))
    assert {len(grid.timesteps) for grid in found} == {9}


def test_of_nothing_there_is_one_empty_stretch(layer: Selection) -> None:
    [grid] = stretches.stretches(Run.from_frames(manifest()), layer, SIGNALS)
    assert grid.empty
    assert _AT_ONCE == 1_000


def test_a_stretch_has_the_length_of_its_own_longest_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Selection("lstm", 0, "forward")
    short = timesteps_frame(travelled(np.ones((2, 3)), np.ones((2, 3))))
    long = timesteps_frame(travelled(np.ones((2, 5)), np.ones((2, 5))), steps=[2, 3])
    run = Run.from_frames(manifest(), timesteps=pd.concat([short, long], ignore_index=True))
    monkeypatch.setattr("graddiag.analysis.stretches._AT_ONCE", 2)
    assert [len(grid.timesteps) for grid in stretches.stretches(run, layer, SIGNALS)] == [3, 5]
    assert len(reach(run, layer).gain_by_timestep) == 5
