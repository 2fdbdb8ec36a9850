"""The state of a layer over the last recorded steps: what the whole run's analyses give of these steps alone."""

import math

import numpy as np
import pandas as pd
import pytest

from graddiag import schema
from graddiag.analysis import Selection, layer_status
from graddiag.run import Run
from tests.analysis.runs import LAYER, NAN, gates_frame, manifest, net, steps_frame, timesteps_frame, travelled


def changing(early: float, late: float, *, steps: int = 40, timesteps: int = 30, last: int = 10) -> Run:
    """A run whose gain is ``early``, and ``late`` in its last steps; 30% of the forget gate is saturated then."""
    gains = np.full((steps, timesteps), early)
    gains[-last:] = late
    direct = np.eye(1, timesteps, timesteps - 1).repeat(steps, axis=0)
    saturated = np.zeros((steps, timesteps))
    saturated[-last:] = 0.25
    forget = {schema.MEAN: saturated, schema.STD: saturated, schema.SATURATED_LOW: saturated / 5}
    gates = gates_frame({"forget": {**forget, schema.SATURATED_HIGH: saturated}})
    return Run.from_frames(manifest(), timesteps=timesteps_frame(travelled(gains, direct)), gates=gates)


def test_it_is_about_the_last_recorded_steps_alone() -> None:
    found = layer_status(changing(0.5, 0.9), LAYER, last=10)
    assert (found.steps[0], found.steps[-1], len(found.steps), found.length) == (30, 39, 10, 30)
    assert found.gain == pytest.approx(0.9)
    assert found.share == pytest.approx(0.9**29)
    assert found.horizon == pytest.approx(-1 / math.log(0.9))
    np.testing.assert_allclose(found.norms, 0.9 ** np.arange(29, -1, -1))
    assert found.saturated == {"forget": pytest.approx(0.3)}


def test_fewer_steps_than_asked_for_are_all_there_are() -> None:
    found = layer_status(net(0.9, steps=3, timesteps=10), LAYER, last=50)
    assert found.steps.tolist() == [0, 1, 2]
    assert (found.share, found.saturated) == (pytest.approx(0.9**9), {})


def test_growth_has_a_share_above_1_and_a_horizon_without_end() -> None:
    found = layer_status(net(1.1, timesteps=20), LAYER)
    assert found.share == pytest.approx(1.1**19)
    assert found.horizon == math.inf


def test_nothing_recorded_is_missing_with_the_reason() -> None:
    run = Run.from_frames(manifest(), steps=steps_frame([1.0, 1.0]))
    found = layer_status(run, LAYER)
    assert found.missing is not None
    assert (found.share, found.gain, found.horizon, found.saturated, len(found.norms)) == (None, None, None, {}, 0)


def test_nan_stays_nan_and_is_no_zero() -> None:
    columns = travelled(np.full((2, 4), 0.5), np.eye(1, 4, 3).repeat(2, axis=0))
    columns[schema.GRAD_H] = np.full((2, 4), NAN)
    found = layer_status(Run.from_frames(manifest(), timesteps=timesteps_frame(columns)), LAYER)
    assert np.isnan(found.norms).all()


def test_a_layer_that_ran_earlier_alone_is_missing() -> None:
    other = Selection("gru", 0, "forward")
    run = changing(0.5, 0.9)
    early = timesteps_frame({schema.GRAD_H: np.ones((2, 3))}, other)
    frame = pd.concat([run.timesteps.dropna(axis=1), early], ignore_index=True)
    found = layer_status(Run.from_frames(manifest(), timesteps=frame), other, last=10)
    assert found.steps.tolist() == [0, 1]


def test_the_frame_has_a_row_a_timestep() -> None:
    frame = layer_status(net(0.9, timesteps=5), LAYER).to_frame()
    assert list(frame.columns) == [schema.TIMESTEP, schema.GRAD_H]
    assert len(frame) == 5
