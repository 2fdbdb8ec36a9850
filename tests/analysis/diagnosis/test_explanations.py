"""What may explain what: a cause is named where it can be why the training is where it is, and not elsewhere."""

import numpy as np
import pytest

from graddiag import schema
from graddiag.analysis import Thresholds, diagnose
from graddiag.analysis.diagnosis.outcome import outcome
from graddiag.run import Run
from tests.analysis.diagnosis.trainings import S, broken, fine, only, stuck
from tests.analysis.runs import (
    CHANCE,
    FALLING,
    FLAT,
    INF,
    NAN,
    NOISE,
    event,
    manifest,
    run_of,
    steps_frame,
    timesteps_frame,
    travelled,
)

START = FALLING[0]
HIGH = list(10.0 + NOISE)  # far above the constant prediction


@pytest.mark.parametrize(
    ("ratios", "advised"),
    [
        ([1.5, *[1e3] * 9, *[0.01] * (S - 10)], "0.02"),  # an update of 1.5 is fifty times 0.03, whatever came after
        ([1e-3, 2e-3, *[1e3] * 8, *[0.01] * (S - 10)], "0.1"),
        ([1e3, *[1e-3] * (S - 1)], "3e-05"),
    ],
    ids=["large", "usual", "extreme"],
)
def test_the_rate_to_go_down_to_follows_the_updates_before_the_harm(ratios: list[float], advised: str) -> None:
    loss = [START, *(np.full(S - 1, 2.5) + NOISE[1:])]
    norms = [0.59, 0.6, 20.0, *([3.0] * (S - 3))] if ratios[0] < 1 else [0.59, 17.7, *([3.0] * (S - 2))]
    found = diagnose(run_of(loss, norms, config=CHANCE, columns={schema.UPDATE_RATIO: ratios, schema.LR: [1.0] * S}))
    assert found.do_first.text == f"Lower the learning rate to about {advised} (now 1)."


@pytest.mark.parametrize(("optimizer", "advised"), [("SGD", "0.1"), ("Adam", "0.02")])
def test_what_a_gradient_that_explodes_adds_to_an_update_is_none_of_the_rate(optimizer: str, advised: str) -> None:
    """Under Adam the length of the gradient hardly matters, so that an update is large by the rate alone."""
    ratios, norms = [1.5, *[1e3] * (S - 1)], [0.59, 17.7, *([3.0] * (S - 2))]
    rising = list(START + np.linspace(0, 20, S) + NOISE)
    columns = {schema.UPDATE_RATIO: ratios, schema.LR: [1.0] * S}
    run = run_of(rising, norms, gain=1.25, config=CHANCE, columns=columns, optimizer={"class": optimizer})
    told = [each.text for finding in diagnose(run).findings for each in finding.advice]
    assert f"Lower the learning rate to about {advised} (now 1)." in told


def test_at_a_loss_of_exactly_0_no_gradient_is_no_fault() -> None:
    loss = [*FALLING[: S // 4], *([0.0] * (S - S // 4))]
    norms = [*([1.0] * (S // 4)), *([0.0] * (S - S // 4))]
    assert diagnose(run_of(loss, norms, config=CHANCE)).cause is None
    unreached = {schema.UNREACHED_MODULES: [0.0] * S}
    assert diagnose(run_of(loss, norms, config=CHANCE, columns=unreached)).cause is None
    assert diagnose(run_of(FLAT, [0.0] * S, config=CHANCE, columns=unreached)).cause == "no-gradient"


def test_vanishing_explains_what_is_not_learned_and_not_a_loss_that_gets_worse() -> None:
    assert diagnose(stuck(0.7)).cause == "vanishing"
    rising = list(START + np.linspace(0, 20, S) + NOISE)
    found = diagnose(run_of(rising, gain=0.7, config=CHANCE))
    assert found.outcome.name == "diverged"
    assert found.cause != "vanishing"


def test_far_above_a_constant_prediction_vanishing_is_not_why() -> None:
    known = {schema.EXPLAINED: [-6.0] * S, schema.CONSTANT_LOSS: [1.4] * S, schema.UPDATE_RATIO: [1e-3] * S}
    found = diagnose(run_of(HIGH, gain=0.7, columns=known))
    assert found.outcome.failed
    assert found.finding("vanishing") is not None
    assert found.cause != "vanishing"


def test_weights_that_hardly_moved_are_the_cause_before_a_gradient_that_vanishes() -> None:
    known = {schema.UPDATE_RATIO: [1e-7] * S, schema.LR: [1e-6] * S}
    found = diagnose(run_of(HIGH, gain=0.7, columns=known, config=CHANCE))
    assert (found.cause, found.do_first.action) == ("learning-rate-low", "raise-learning-rate")
    at_chance = diagnose(stuck(0.7, columns=known))
    assert at_chance.cause == "vanishing", "a net that knows nothing but the frequencies has no way to go"


def test_a_rate_is_not_too_low_where_the_training_loss_did_fall() -> None:
    known = {schema.UPDATE_RATIO: [1e-7] * S, "recall": [0.0] * S}
    assert diagnose(run_of(FALLING, columns=known)).outcome.name == "stuck"
    assert diagnose(run_of(FALLING, columns=known)).finding("learning-rate-low") is None
    assert diagnose(run_of(FLAT, columns=known)).finding("learning-rate-low") is not None


def test_nan_under_a_learning_rate_that_rose_until_then() -> None:
    norms = [1.0] * 197 + [100.0, 1e4, 1e6]
    rising = broken(norms, columns={schema.LR: list(np.geomspace(1e-3, 10.0, S))})
    found = diagnose(rising)
    assert (found.outcome.name, found.cause) == ("broken", "changed-during-training")
    assert found.do_first.action == "lower-learning-rate"
    level = diagnose(broken(norms, columns={schema.LR: [0.1] * S}))
    assert level.cause == "non-finite"


@pytest.mark.parametrize(("value", "action"), [(NAN, "check-batch"), (INF, "guard-operation")])
def test_nan_in_the_state_of_a_layer_came_in_with_its_inputs(value: float, action: str) -> None:
    signals = travelled(np.ones((3, 5)), np.eye(1, 5, 4).repeat(3, axis=0)) | {schema.H_RMS: np.ones((3, 5))}
    signals[schema.GRAD_H][2], signals[schema.H_RMS][2, 3:] = NAN, value
    steps = steps_frame([1.0, 1.0, NAN], **{schema.NONFINITE: [0, 0, 4], schema.LOSS: [1.0, 1.0, NAN]})
    seen = event(schema.EVENT_NONFINITE, 2, "lstm", value)
    run = Run.from_frames(manifest(), timesteps=timesteps_frame(signals), steps=steps, events=seen)
    assert only(run, "non-finite").advice[0].action == action


def carried(length: int) -> dict[str, object]:
    """Windows that begin from a state that is not 0."""
    signals = travelled(np.ones((3, length)), np.eye(1, length, length - 1).repeat(3, axis=0))
    return {"timesteps": timesteps_frame(signals | {schema.GRAD_W_HH: np.ones((3, length))})}


def test_short_windows_are_the_cause_of_a_stuck_training_that_nothing_else_explains() -> None:
    found = diagnose(stuck(**carried(6)))
    assert (found.cause, found.do_first.action) == ("truncated-reach", "lengthen-window")
    assert "at most 6 timesteps are linked" in found.causes[0].sentence
    assert diagnose(stuck(**carried(50))).cause is None, "a window may well be long enough"
    assert diagnose(fine(**carried(6))).cause is None
    slow = diagnose(stuck(**carried(6), columns={schema.UPDATE_RATIO: [1e-7] * S, schema.LR: [1e-6] * S}))
    assert slow.cause == "learning-rate-low"


# goals


def name_of(loss: object, steps: int = S, **columns: object) -> str:
    found = {schema.LOSS: list(loss), schema.UPDATE_RATIO: [1e-3] * steps, **columns}  # type: ignore[call-overload]
    return outcome(Run.from_frames(manifest(), steps=steps_frame([1.0] * steps, **found)), Thresholds()).name


def at_times(values: list[float], steps: int = S) -> list[float | None]:
    found: list[float | None] = [None] * steps
    for at, value in zip(np.linspace(0, steps - 1, len(values)).astype(int), values, strict=True):
        found[at] = value
    return found


def test_few_held_out_values_that_rise_one_after_the_other() -> None:
    rising, mixed = [0.61, 0.60, 0.67, 0.70, 0.77, 0.81], [0.61, 0.81, 0.60, 0.67, 0.77, 0.70]
    loss = np.linspace(0.69, 0.30, S) + 0.15 * NOISE / NOISE.std()
    assert name_of(loss, val_loss=at_times(rising)) == "overfits"
    assert name_of(loss, val_loss=at_times(mixed)) != "overfits"
    flat = np.full(S, 0.69) + 0.15 * NOISE / NOISE.std()
    assert name_of(flat, val_loss=at_times(rising)) != "overfits", "nothing of the training loss is gone"


def test_an_accuracy_that_was_near_its_bound_from_the_start_is_not_stuck() -> None:
    random = np.random.default_rng(0)
    loss = list(0.29 + 0.05 * random.normal(size=S))
    for level, name in ((0.95, "unknown"), (0.4, "stuck")):
        assert name_of(loss, accuracy=list(level + 0.02 * random.normal(size=S))) == name


def test_a_small_gain_of_few_held_out_values_is_not_called_stuck() -> None:
    loss = np.linspace(0.75, 0.69, S) + 0.1 * NOISE / NOISE.std()
    assert name_of(loss, val_loss=at_times([0.719, 0.699, 0.694, 0.694, 0.693, 0.695, 0.688, 0.689])) == "unknown"
    assert name_of(loss, val_loss=at_times([0.70, 0.699, 0.702, 0.694, 0.703, 0.695, 0.700, 0.698])) == "stuck"
