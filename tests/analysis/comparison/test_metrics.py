"""The target loss, and the steps to it."""

import numpy as np
import pytest

from graddiag import schema
from graddiag.analysis import compare
from graddiag.analysis.comparison.metrics import Target, smoothed_loss, steps_to, target_loss
from graddiag.run import Run
from tests.analysis.runs import INF, NAN, manifest, steps_frame


def run_of(loss: list[float | None], arm: str = "clip off", seed: int = 0, clip: str = "none") -> Run:
    frame = steps_frame([1.0] * len(loss), **{schema.LOSS: loss})
    return Run.from_frames(manifest(f"{arm}-{seed}", arm=arm, clip=clip, seed=seed), steps=frame)


def test_the_loss_is_smoothed_over_a_twentieth_of_the_run() -> None:
    loss = np.random.default_rng(0).normal(size=100).tolist()
    steps, smooth = smoothed_loss(run_of(loss))
    assert (len(smooth), steps[0], steps[-1]) == (96, 4, 99)
    np.testing.assert_allclose(smooth, [np.mean(loss[at - 4 : at + 1]) for at in steps])


def test_a_nan_spoils_the_windows_that_hold_it_and_no_other() -> None:
    loss = [1.0] * 40
    loss[10], loss[20] = NAN, INF
    steps, smooth = smoothed_loss(run_of(loss))
    assert steps[~np.isfinite(smooth)].tolist() == [10, 11, 20, 21]
    np.testing.assert_allclose(smooth[np.isfinite(smooth)], 1.0)


def test_the_target_is_halfway_to_what_every_arm_reached() -> None:
    good, bad = [run_of([3.0, 1.0, 2.0]), run_of([3.0, 0.5, 2.0])], [run_of([3.0, 2.0, 2.5]), run_of([3.0, 1.8, 4.0])]
    found = target_loss({"good": good, "bad": bad})
    assert found.loss == pytest.approx(2.4)
    assert found.note == "halfway between the start, 3, and the best loss that every arm reached, 1.8"
    assert target_loss({"good": good, "bad": bad}, 0.7) == Target(0.7, "given")


def test_an_arm_that_reached_nothing_leaves_no_target() -> None:
    good = [run_of([3.0, 1.0])]
    assert target_loss({"good": good, "bad": [run_of([NAN, NAN])]}) == Target(None, "no run of bad has a finite loss")
    stuck = target_loss({"good": good, "stuck": [run_of([3.0, 2.9])]})
    assert stuck == Target(None, "no run of stuck got far below the loss at the start: best 2.9, start 3")
    assert target_loss({"a": [run_of([NAN])], "b": [run_of([])]}).loss is None
    assert target_loss({}).loss is None


def test_noise_is_no_fall() -> None:
    rng = np.random.default_rng(0)
    noisy = {arm: [run_of((1.386 + 0.1 * rng.normal(size=400)).tolist()) for _ in range(3)] for arm in "ab"}
    assert target_loss(noisy).loss is None


@pytest.mark.parametrize(("target", "step"), [(3.0, 0.0), (2.0, 1.0), (1.0, 3.0), (0.5, None)])
def test_the_first_step_at_or_below_it(target: float, step: float | None) -> None:
    assert steps_to(run_of([3.0, 2.0, None, 1.0]), target) == step


def pairs(off: list[list[float]], on: list[list[float]]) -> list[Run]:
    runs = [run_of(loss, "clip off", seed) for seed, loss in enumerate(off)]
    return runs + [run_of(loss, "clip on", seed, "norm:1.0") for seed, loss in enumerate(on)]


def test_a_comparison_counts_the_steps_pair_by_pair() -> None:
    found = compare(pairs([[5, 4, 3, 2], [5, 4, 2, 2]], [[5, 2, 1, 1], [5, 4, 2, 1]]))
    assert found.target == 3.5
    effect = next(each for each in found.effects if each.metric == "steps_to_target")
    assert (effect.baseline_values, effect.values) == ((2.0, 2.0), (1.0, 2.0))
    assert (effect.difference, effect.n, effect.never) == (-0.5, 2, (0, 0))
    assert effect.unit == "steps to a smoothed loss of 3.5"
    given = compare(pairs([[5, 4, 3, 2], [5, 4, 2, 2]], [[5, 2, 1, 1], [5, 4, 2, 1]]), target=2.0)
    assert (given.target, given.target_note) == (2.0, "given")


def test_a_run_that_never_reaches_it_is_later_than_every_other_and_counted() -> None:
    found = compare(pairs([[5, 4], [5, 3], [5, 4.5]], [[5, 1], [NAN, NAN], [5, 1]]))
    effect = next(each for each in found.effects if each.metric == "steps_to_target")
    assert found.target == 4.0
    assert (effect.baseline_values, effect.values) == ((1.0, 1.0, None), (1.0, None, 1.0))
    assert effect.differences == (0.0, INF, -INF)
    assert (effect.difference, effect.n, effect.never) == (0.0, 3, (1, 1))
    assert found.caption.endswith(
        " Runs that never reached a loss of 4 (halfway between the start, 5, and the best loss that every arm "
        "reached, 3): 1 of clip off, 1 of clip on."
    )
    assert effect.note.endswith("; never reached by 1 of 3 baseline runs and 1 of 3 of the arm")


def test_why_there_is_no_target_is_said() -> None:
    found = compare(pairs([[5, 4.9]], [[5, 1]]))
    effect = next(each for each in found.effects if each.metric == "steps_to_target")
    assert effect.note == ("no target: no run of clip off got far below the loss at the start: best 4.9, start 5")


def test_without_a_loss_there_is_no_target() -> None:
    runs = [Run.from_frames(manifest(arm=arm, clip=clip)) for arm, clip in (("off", "none"), ("on", "norm:1"))]
    found = compare(runs)
    assert found.target is None
    effect = next(each for each in found.effects if each.metric == "steps_to_target")
    assert (effect.difference, effect.never) == (None, (0, 0))


def test_the_command_line_of_a_run_is_no_difference_between_arms() -> None:
    a = Run.from_frames(manifest(arm="off", config={"command": "graddiag run a"}))
    b = Run.from_frames(manifest(arm="on", config={"command": "graddiag run b"}))
    assert [each.key for each in compare([a, b]).differences] == []
