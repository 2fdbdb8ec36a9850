"""Trainings whose success looks otherwise than it is: untrained nets, spoiled data, coarse goals, weighted losses."""

import math

import numpy as np
import pandas as pd
import pytest

from graddiag import schema
from graddiag.analysis import Thresholds
from graddiag.analysis.diagnosis.outcome import Outcome, outcome
from graddiag.run import Run
from tests.analysis.diagnosis.test_outcome import explaining, falling, judged, run_of
from tests.analysis.runs import gates_frame, manifest, steps_frame

S = 1000
AT = np.arange(S)
LN4 = math.log(4)


def draw(size: float, seed: int) -> np.ndarray:
    return size * np.random.default_rng(seed).normal(size=S)


def near_its_start(update_ratio: float) -> Outcome:
    """A held-out error that never moves, of a net that explains 12% from the start."""
    columns = {
        schema.LOSS: 1.4 + draw(0.05, 0),
        schema.EXPLAINED: 0.12 + draw(0.02, 1),
        schema.CONSTANT_LOSS: np.full(S, 1.6),
        schema.UPDATE_RATIO: np.full(S, update_ratio),
        "val_mse": 1.54 - 1e-6 * AT,
    }
    frame = steps_frame([1.0] * S, **{name: list(values) for name, values in columns.items()})
    return outcome(Run.from_frames(manifest(), steps=frame), Thresholds())


def test_a_net_that_hardly_moved_has_not_learned_what_it_explained_at_the_start() -> None:
    assert near_its_start(1e-3).name == "learned"
    assert near_its_start(2e-7).name == "stuck"


def test_a_loss_below_a_constant_that_an_outlier_raised_and_above_its_start_does_not_learn() -> None:
    loss = np.where(AT < 600, 0.25, 6.0 - 2e-3 * AT) + draw(0.02, 0)
    found = explaining(loss, 9.0)
    assert found.name not in ("learned", "learning"), found


def test_a_training_loss_that_is_back_at_a_constant_prediction_has_lost_what_it_had() -> None:
    """What the model explains is known at a few steps alone; the loss of all of them shows that it had learned."""
    loss = np.where(AT < 600, LN4 * np.exp(-AT / 60) + 0.02, LN4) + np.abs(draw(0.02, 0))
    known = {schema.EXPLAINED: 1 - loss / LN4, schema.CONSTANT_LOSS: np.full(S, LN4)}
    found = outcome(run_of(loss, every=50, **known), Thresholds())
    assert (found.name, found.detail) == ("diverged", "lost")


def test_held_out_data_that_still_do_well_do_not_hide_a_training_that_broke() -> None:
    loss = np.where(AT < 600, LN4 * np.exp(-AT / 60) + 0.02, LN4) + np.abs(draw(0.02, 0))
    accuracy = np.where(AT < 600, 1 - 0.7 * np.exp(-AT / 60), 0.87) + draw(0.005, 1)
    found = judged(loss, val_acc=accuracy)
    assert (found.name, found.detail, found.measure) == ("diverged", "lost", "val_acc")


def test_a_held_out_loss_worse_than_untrained_overfits_whatever_the_accuracy_does() -> None:
    accuracy = 0.58 - 0.19 * np.exp(-AT / 30) + draw(0.004, 0)
    held_out = 2.7 - 2.0 * np.exp(-AT / 200) + draw(0.01, 1)
    found = judged(falling(0.7, 0.0, 40, 1e-3), val_acc=accuracy, val_loss=held_out)
    assert (found.name, found.measure) == ("overfits", "val_loss")


def test_a_held_out_loss_that_rises_and_stays_better_than_untrained_leaves_it_to_the_accuracy() -> None:
    accuracy = 0.95 - 0.6 * np.exp(-AT / 30) + draw(0.004, 0)
    held_out = 0.2 + 0.5 * np.exp(-AT / 30) + 1e-4 * AT + draw(0.01, 1)
    found = judged(falling(0.7, 0.0, 40, 1e-3), val_acc=accuracy, val_loss=held_out)
    assert found.measure == "val_acc"
    assert found.fine


def test_chance_that_the_user_gives_counts_where_a_constant_prediction_is_worse() -> None:
    """When to answer can be learned, what to answer cannot: a constant prediction does not know when."""
    loss = 0.418 + 1.4 * np.exp(-AT / 20) + draw(0.002, 0)
    known = {schema.EXPLAINED: 1 - loss / 1.03, schema.CONSTANT_LOSS: np.full(S, 1.03)}
    found = judged(loss, chance_loss=0.4159, **known)
    assert found.name == "stuck", found


def test_a_reward_that_climbs_is_learning_although_its_first_values_are_noise() -> None:
    reward = 0.25 + 0.2 * np.clip((AT - 500) / 500, 0, 1) + draw(0.07, 0)
    found = judged(draw(0.3, 1), reward=reward)
    assert (found.name, found.measure) == ("learning", "reward")


def test_a_loss_whose_weight_rises_was_learned_as_far_as_most_of_it_is_gone() -> None:
    found = judged(38 * np.exp(-AT / 40) + 2 + 3 * AT / S + draw(0.001, 0), beta=AT / S)
    assert found.detail != "not-a-measure"


def test_a_loss_that_falls_as_its_weight_does_shows_nothing() -> None:
    found = judged(0.5 + 5 * (1 - AT / S) + draw(0.01, 0), beta=1 - AT / S)
    assert (found.name, found.detail) == ("unknown", "not-a-measure")
    assert judged(falling(), temperature=1 - AT / S).fine


@pytest.mark.parametrize("name", ["d_loss", "train/critic_loss", "loss_disc", "policy_loss"])
def test_a_loss_beside_that_of_a_second_network_shows_nothing(name: str) -> None:
    other = 0.7 + draw(0.01, 2)
    for loss in (0.65 + 0.05 * (1 - np.exp(-AT / 50)) + draw(0.01, 1), falling()):
        found = judged(loss, **{name: other})
        assert (found.name, found.detail) == ("unknown", "not-a-measure")
    assert judged(falling(), val_loss=falling()).fine
    assert judged(falling(), **{name: other}, reward=np.clip(AT / 500, 0, 1) + draw(0.02, 3)).fine


def test_a_first_loss_that_is_low_by_chance_is_no_level() -> None:
    """Losses about 0.8 with noise of 0.3, where a constant prediction has 0.7; the first one was 0.55."""
    loss = 0.8 + draw(0.3, 5)
    loss[0] = 0.55
    assert explaining(loss, 0.7).name == "stuck"


def test_a_loss_that_falls_until_a_jump_at_the_end_is_learning() -> None:
    """Its floor is unknown; the jump is less than what counts as lost."""
    loss = -3 * (1 - np.exp(-AT / 400)) + draw(0.1, 9)
    loss[-40:] += 0.5
    found = judged(loss)
    assert (found.name, found.detail) == ("learning", "jumped")
    flat = -3 * (1 - np.exp(-AT / 50)) + draw(0.1, 9)
    flat[-40:] += 0.5
    assert judged(flat).detail == "floor-unknown"


def of_two_tasks(jump: float) -> tuple[np.ndarray, np.ndarray]:
    """A loss that falls, jumps by ``jump`` at step 600 and falls again, and a held-out accuracy that is gone then."""
    loss = 1.1 * np.exp(-AT / 80) + draw(0.003, 4) + (AT >= 600) * jump * np.exp(-(AT - 600).clip(0) / 60)
    accuracy = np.where(AT < 600, 1 - 0.7 * np.exp(-AT / 60), 0.04) + draw(0.003, 5)
    return loss, np.where(AT % 50 == 0, accuracy, np.nan)


def test_what_is_forgotten_at_once_as_the_loss_jumps_is_no_overfitting() -> None:
    loss, accuracy = of_two_tasks(1.5)
    found = judged(loss, val_acc=accuracy)
    assert (found.name, found.detail, found.since) == ("diverged", "lost", 600)
    smooth, accuracy = of_two_tasks(0.0)
    assert judged(smooth, val_acc=accuracy).name == "overfits", "the training loss shows no change"


def test_a_held_out_loss_that_rises_bit_by_bit_is_overfitting() -> None:
    val = np.where(AT % 50 == 0, 0.4 + 0.7 * np.exp(-AT / 80) + 0.6 * (AT / S) ** 2 + draw(0.003, 6), np.nan)
    assert judged(1.1 * np.exp(-AT / 80) + draw(0.003, 4), val_loss=val).name == "overfits"


def test_a_loss_whose_best_was_far_below_a_constant_prediction_was_lost() -> None:
    """The last losses are as noisy as a net whose learning rate has grown too far makes them."""
    loss = np.where(AT < 500, 0.03 + 0.5 * np.exp(-AT / 20), 0.9) + np.where(AT < 500, draw(0.001, 7), draw(0.25, 8))
    found = explaining(loss, 0.87)
    assert (found.name, found.detail) == ("diverged", "lost")


def test_a_small_gain_of_a_net_whose_state_is_detached_inside_a_step_is_none() -> None:
    loss = LN4 * (1 - 0.03 * (AT > 500)) + draw(0.01, 0)
    known = {schema.EXPLAINED: list(1 - loss / LN4), schema.CONSTANT_LOSS: [LN4] * S, schema.UPDATE_RATIO: [1e-3] * S}
    steps = steps_frame([1.0] * S, **{schema.LOSS: list(loss), **known})
    event = {schema.STEP: 0, schema.KIND: schema.EVENT_STATE_DETACHED, schema.WHERE: "gru", schema.VALUE: 4.0}
    events = pd.DataFrame([{**event, schema.MESSAGE: "cut"}])
    assert outcome(Run.from_frames(manifest(), steps=steps), Thresholds()).fine
    found = outcome(Run.from_frames(manifest(), steps=steps, events=events), Thresholds())
    assert (found.name, found.detail) == ("stuck", "barely")


def test_a_small_gain_of_a_net_that_hardly_moved_is_none() -> None:
    loss = LN4 * 0.98 + draw(0.01, 0)
    known = {schema.EXPLAINED: 1 - loss / LN4, schema.CONSTANT_LOSS: np.full(S, LN4)}
    columns = {schema.LOSS: loss, **known}

    def outcome_at(ratio: float) -> Outcome:
        named = {name: list(values) for name, values in columns.items()} | {schema.UPDATE_RATIO: [ratio] * S}
        return outcome(Run.from_frames(manifest(), steps=steps_frame([1.0] * S, **named)), Thresholds())

    assert outcome_at(1e-3).fine
    assert (outcome_at(1e-7).name, outcome_at(1e-7).detail) == ("stuck", "barely")


@pytest.mark.parametrize(("share", "fine"), [(0.1, True), (0.48, False)])
def test_a_small_gain_of_a_layer_that_is_saturated_is_none(share: float, fine: bool) -> None:
    """``share`` of the activations of each gate saturated low, and as many high."""
    loss = LN4 * 0.97 + draw(0.01, 0)
    known = {schema.EXPLAINED: list(1 - loss / LN4), schema.CONSTANT_LOSS: [LN4] * S, schema.UPDATE_RATIO: [1e-3] * S}
    steps = steps_frame([1.0] * S, **{schema.LOSS: list(loss), **known})
    half = np.full((4, 6), share)
    each = {schema.MEAN: half, schema.STD: half, schema.SATURATED_LOW: half, schema.SATURATED_HIGH: half}
    gates = gates_frame({"r": each, "z": each, "n": each})
    run = Run.from_frames(manifest(), steps=steps, gates=gates)
    assert outcome(run, Thresholds()).fine is fine


def held_out(val_loss: np.ndarray, every: int) -> Outcome:
    """A held-out loss that is measured at every n-th step of a training whose own loss goes to 0."""
    loss = 2 * np.exp(-AT / 40)
    known = pd.Series(np.nan, index=AT)
    known[AT[::every]] = val_loss
    return judged(loss, val_loss=known.to_numpy())


def test_a_valley_of_a_few_values_is_the_best_of_a_held_out_loss() -> None:
    """The levels are means of eight values, and the valley of four is bridged by those beside it."""
    valley = np.array([2.0, 1.15, 1.06, 0.88, 0.87, 0.65, 0.63, 0.66, 0.65, 0.7, 0.76])
    found = held_out(np.concatenate([valley, np.full(189, 0.8)]), every=5)
    assert found.name == "overfits"
    assert 20 <= (found.since or 0) <= 45


@pytest.mark.parametrize("noise", [0.01, 0.05, 0.2])
def test_noise_makes_no_valley(noise: float) -> None:
    """Of 200 values about a level that was reached early, the lowest three lie low by chance."""
    level = 0.8 + 1.2 * np.exp(-np.arange(200) / 4)
    for seed in range(100):
        found = held_out(level + noise * np.random.default_rng(seed).normal(size=200), every=5)
        assert found.name == "learned", (seed, found)


def test_a_few_coarse_values_that_went_from_none_to_nearly_all_are_not_stuck() -> None:
    accuracy = [0.0] * 6 + [0.062, 0.875, 0.938, 0.812, 1.0, 1.0, 0.938, 1.0, 0.875]
    known = pd.Series(np.nan, index=AT)
    known[AT[:: S // 15][:15]] = accuracy
    found = judged(2.4 * np.exp(-AT / 150), accuracy=known.to_numpy())
    assert found.name in ("learned", "learning"), found
