"""Whether a horizon covers a distance, said plainly."""

import math

import numpy as np
import pytest

from graddiag.analysis import reach, reaches, task_distance
from graddiag.analysis.flow.distance import coverage
from graddiag.run import Run
from tests.analysis.runs import INF, LAYER, manifest, net, timesteps_frame, travelled


@pytest.mark.parametrize(
    ("interval", "covers"),
    [((9.0, 12.0), False), ((9.0, 30.0), None), ((20.0, 30.0), True), ((25.0, INF), True), (None, False)],
)
def test_the_interval_decides(interval: tuple[float, float] | None, covers: bool | None) -> None:
    found = coverage("task", 20, -0.1, (10.0, interval), least=False)
    assert found is not None
    assert found.covers is covers
    assert found.kept == pytest.approx(math.exp(-2))


@pytest.mark.parametrize(("timesteps", "exponent"), [(None, -0.1), (0, -0.1), (20, None)])
def test_without_a_distance_or_an_exponent_there_is_nothing_to_say(
    timesteps: int | None, exponent: float | None
) -> None:
    assert coverage("task", timesteps, exponent, (10.0, None), least=False) is None


@pytest.mark.parametrize(
    ("value", "distance"),
    [(27, 27), (26.5, 27), (0, None), (-3, None), ("27", None), (True, None), (math.nan, None), (math.inf, None)],
)
def test_a_run_says_its_distance_as_a_number(value: object, distance: int | None) -> None:
    assert task_distance(manifest(config={"distance": value})) == distance


def test_a_run_that_does_not_say_has_none() -> None:
    found = reach(net(0.9), LAYER)
    assert (found.distance, found.over_task) == (None, None)
    assert found.over_sequence is not None
    assert (found.over_sequence.timesteps, found.over_sequence.covers) == (99, False)


def test_reach_says_whether_it_covers_the_sequence_and_the_task() -> None:
    found = reach(net(0.9, timesteps=6, config={"distance": 40}), LAYER)
    assert found.over_sequence is not None
    assert found.over_task is not None
    assert (found.over_sequence.covers, found.over_task.covers) == (True, False)
    assert found.over_task.kept == pytest.approx(0.9**40)
    assert found.over_task.sentence == (
        "The horizon of 9.49 timesteps (no interval: 4 recorded steps, 200 are needed) does not cover the 40 "
        "timesteps of the task's distance."
    )
    assert found.caption.endswith("this does not cover the task's distance of 40.")


def test_one_step_has_no_interval_and_says_so() -> None:
    found = reach(net(1.0, steps=1, timesteps=6), LAYER).over_sequence
    assert found is not None
    assert found.sentence == (
        "The horizon without end (one step: no interval) covers the 5 timesteps back to the first timestep."
    )


def test_with_a_loss_at_every_timestep_the_horizon_is_the_least() -> None:
    found = reach(net(0.5, timesteps=30, dense=True), LAYER).over_sequence
    assert found is not None
    assert (found.least, found.covers) == (True, False)
    assert found.sentence.endswith("later losses join it on the way, so part of it may go farther.")


def test_all_layers_stand_side_by_side() -> None:
    found = reaches(net(0.5, timesteps=11))
    assert [each.selection for each in found.layers] == [LAYER]
    assert found.caption == (
        "Where the gradient reaches back least (clip off, seed 0): lstm layer 0, where it falls to 1/e in 1.44 of 11 "
        "timesteps."
    )


def test_without_an_interval_the_spread_over_steps_decides() -> None:
    for spread, covers in (((21.0, 30.0), True), ((10.0, 19.0), False), ((10.0, 30.0), None)):
        found = coverage("task", 20, -0.05, (20.5, None), least=False, without=(spread, "no interval: few"))
        assert found is not None
        assert found.covers is covers
        assert "(no interval: few)" in found.sentence


def test_the_interval_is_as_wide_as_alike_steps_demand() -> None:
    """Steps that come in 100 plateaus of 20 hold 100 numbers, not 2,000."""
    levels = np.random.default_rng(3).normal(-0.3, 0.1, 100).repeat(20)
    gains = np.exp(levels)[:, None].repeat(3, axis=1)
    run = Run.from_frames(manifest(), timesteps=timesteps_frame(travelled(gains, np.ones((2000, 3)))))
    interval = reach(run, LAYER).exponent_interval
    assert interval is not None
    single = 2 * 1.96 * levels.std() / math.sqrt(2000)
    independent = 2 * 1.96 * levels.std() / math.sqrt(100)
    assert 0.5 * independent < interval[1] - interval[0] < 2 * independent
    assert interval[1] - interval[0] > 2 * single
