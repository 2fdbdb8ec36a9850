"""The course of a loss whose truth is known from how it was made."""

import math
from collections.abc import Callable, Sequence
from typing import get_args

import numpy as np
import pytest

from graddiag import schema
from graddiag.analysis import Thresholds, loss_dynamics
from graddiag.lab import training_spec
from graddiag.lab.spec import TaskName
from graddiag.lab.tasks import make_task
from graddiag.run import Run
from tests.analysis.runs import INF, NAN, manifest, steps_frame

RNG = np.random.default_rng(0)
NOISE = RNG.normal(0, 0.03, 400)


def run_of(loss: Sequence[float | None], **columns: Sequence[float | None]) -> Run:
    config = {"chance_loss": "ln 4"}
    return Run.from_frames(manifest(config=config), steps=steps_frame([1.0] * len(loss), loss=list(loss), **columns))


def test_a_loss_that_falls_to_rest() -> None:
    found = loss_dynamics(run_of(list(1 + 3 * np.exp(-np.arange(400) / 30) + NOISE)))
    assert found.course in ("falling", "flat after falling")
    assert found.flat_from is not None
    assert 100 <= found.flat_from <= 240
    assert found.start == pytest.approx(3.2, abs=0.3)
    assert found.end == pytest.approx(1.0, abs=0.03)
    assert found.fall == pytest.approx(0.69, abs=0.05)
    assert not found.stuck


def test_a_loss_that_falls_all_the_time_is_not_flat() -> None:
    found = loss_dynamics(run_of(list(np.linspace(3, 1, 400) + NOISE)))
    assert (found.course, found.flat_from, found.stuck) == ("falling", None, False)


def test_a_loss_that_falls_slowly_but_surely_is_not_stuck() -> None:
    found = loss_dynamics(run_of(list(np.linspace(1.39, 1.34, 400) + NOISE / 3)))
    assert (found.course, found.stuck) == ("falling", False)


def test_a_loss_at_chance_is_flat_from_the_start() -> None:
    found = loss_dynamics(run_of(list(math.log(4) + NOISE)))
    assert (found.course, found.flat_from, found.stuck) == ("flat", 0, True)
    assert found.chance == pytest.approx(math.log(4))


def test_a_loss_that_jumps_up_at_once_and_comes_back_has_not_fallen() -> None:
    loss = math.log(4) + NOISE
    loss[3:40] += np.linspace(0.6, 0.05, 37)
    assert loss_dynamics(run_of(list(loss))).course == "flat"


def test_a_loss_that_rises() -> None:
    found = loss_dynamics(run_of([1.0] * 50 + list(np.linspace(1, 5, 350))))
    assert (found.course, found.stuck) == ("risen", True)


@pytest.mark.parametrize("noise", [0.0, 1.0, 5.0])
def test_a_loss_that_rises_again(noise: float) -> None:
    loss = np.concatenate([np.linspace(3, 1, 200), np.linspace(1, 2.5, 200)]) + noise * NOISE
    found = loss_dynamics(run_of(list(loss)))
    assert (found.course, found.stuck, found.rising, found.harmed) == ("risen after falling", False, True, True)
    assert found.risen_from is not None
    assert 200 <= found.risen_from <= 260
    assert "fell and rises again; level" in found.caption


def test_a_loss_that_rises_late_and_is_lost_within_a_tenth_of_the_run() -> None:
    loss = list(np.linspace(3, 1, 360)) + [4.0] * 40
    found = loss_dynamics(run_of(loss))
    assert (found.course, found.risen_from) == ("risen after falling", 360)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    "level",
    [
        lambda x: 1.4 + 0 * x,
        lambda x: 1.4 - 0.1 * x,
        lambda x: 1 + 2 * np.exp(-5 * x),
        lambda x: 1 + 2 * np.exp(-5 * x) + 0.15 * np.sin(20 * x),
    ],
    ids=["flat", "falling slowly", "falling to rest", "falling in waves"],
)
def test_noise_is_no_rise(level: Callable[[np.ndarray], np.ndarray], seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.3, 600)
    found = loss_dynamics(run_of(list(level(np.linspace(0, 1, 600)) + noise)))
    assert (found.rising, found.risen_from) == (False, None)


def test_a_jump_that_passes_is_no_rise() -> None:
    loss = np.linspace(3, 1, 400)
    loss[385:] = 9.0
    assert loss_dynamics(run_of(list(loss))).course == "falling"


@pytest.mark.parametrize("bad", [NAN, INF])
def test_a_loss_that_ends_in_nan_or_inf(bad: float) -> None:
    found = loss_dynamics(run_of([1.0] * 150 + [bad] * 5))
    assert (found.course, found.nonfinite, found.stuck) == ("ended in NaN or inf", 5, False)
    assert "ended in NaN or inf, which 5 steps held" in found.caption
    assert found.broken_from == 150


def test_jumps_are_told_with_whether_the_loss_came_back() -> None:
    loss = 2 + NOISE
    loss[100], loss[200:203] = 5.0, [4.0, 6.0, 4.5]
    loss[380:] += 4
    found = loss_dynamics(run_of(list(loss)))
    assert found.jumps.tolist()[:2] == [100, 201]
    assert found.heights.tolist()[:2] == [5.0, 6.0]
    assert len(found.jumps) == 3
    assert found.recovered == 2


def test_few_steps_tell_no_course() -> None:
    found = loss_dynamics(run_of([2.0, 1.0, 0.5]))
    assert (found.course, found.stuck, found.flat_from) == (None, False, None)
    assert found.missing == "3 steps with a loss say nothing about its course; 100 would."
    assert loss_dynamics(run_of([2.0, 1.9, 1.0] * 2), Thresholds(loss_steps=5)).course == "falling"


def test_a_negative_loss_can_fall() -> None:
    found = loss_dynamics(run_of(list(np.linspace(-1, -4, 200))))
    assert (found.course, found.fall) == ("falling", pytest.approx(2.68, abs=0.01))


@pytest.mark.parametrize(
    ("chance", "loss"),
    [
        ("ln 4", math.log(4)),
        ("0.25", 0.25),
        (1e-3, 1e-3),
        ("1/24", 1 / 24),
        ("7/144", 7 / 144),
        ("10 ln 5 / 30", math.log(5) / 3),
    ],
)
def test_a_chance_level_as_a_configuration_names_it(chance: str | float, loss: float) -> None:
    run = Run.from_frames(manifest(config={"chance_loss": chance}), steps=steps_frame([1.0], loss=[1.0]))
    assert loss_dynamics(run).chance == pytest.approx(loss)


@pytest.mark.parametrize("task", sorted(get_args(TaskName)))
def test_the_chance_level_of_every_task_of_the_lab_is_read(task: str) -> None:
    config = make_task(training_spec(task, "rnn")).config
    run = Run.from_frames(manifest(config=dict(config)), steps=steps_frame([1.0], loss=[1.0]))
    assert loss_dynamics(run).chance is not None


@pytest.mark.parametrize("chance", ["", "ln x", "four", "nan", "1.2.3", "ln -1", "1/0", "/2", None])
def test_a_chance_level_that_is_none(chance: str | None) -> None:
    run = Run.from_frames(manifest(config={"chance_loss": chance}), steps=steps_frame([1.0], loss=[1.0]))
    assert loss_dynamics(run).chance is None


def test_the_edge_of_stability_is_told_where_the_sharpness_was_logged() -> None:
    assert "was not measured: no scalar 'sharpness'" in loss_dynamics(run_of([1.0] * 120)).caption
    run = run_of([1.0] * 120, sharpness=[10.0] * 60 + [30.0] * 60, **{schema.LR: [0.1] * 120})
    found = loss_dynamics(run)
    assert found.stability is not None
    assert (found.stability.steps, found.stability.share, found.stability.last) == (120, 0.5, pytest.approx(3.0))
    assert found.caption.endswith("sharpness times learning rate at or above 2 at 50% of 120 steps.")
