"""The outcome of trainings whose truth is known: curves typed by hand, and noise simulated."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from graddiag import schema
from graddiag.analysis import Thresholds
from graddiag.analysis.diagnosis.outcome import Outcome, outcome
from graddiag.run import Run
from tests.analysis.runs import INF, NAN, manifest, steps_frame

S = 1000
AT = np.arange(S)
RUNS = 200
LN4 = math.log(4)
Floats = Any


def noise(size: float, seed: int = 0, steps: int = S) -> Floats:
    return size * np.random.default_rng(seed).normal(size=steps)


def falling(start: float = 3.0, floor: float = 0.1, over: float = S / 8, size: float = 0.02, seed: int = 0) -> Floats:
    return floor + (start - floor) * np.exp(-AT / over) + noise(size, seed)


def run_of(loss: Floats | None, *, norm: Sequence[float] | None = None, every: int = 1, **columns: Floats) -> Run:
    """A run with this loss and other scalars; what the model explains is recorded at every ``every``-th step."""
    config = {name: columns.pop(name) for name in ("goal", "better", "chance", "chance_loss") if name in columns}
    environment = {name: columns.pop(name) for name in ("outputs",) if name in columns}
    steps = len(next(iter(columns.values())) if loss is None else loss)
    recorded = np.arange(steps) % every == 0
    found: dict[str, list[float | None]] = {} if loss is None else {schema.LOSS: list(loss)}
    found[schema.UPDATE_RATIO] = [1e-3 if at else None for at in recorded]
    for name, values in columns.items():
        thin = name in (schema.EXPLAINED, schema.CONSTANT_LOSS)
        found[name] = [float(v) if at or not thin else None for v, at in zip(values, recorded, strict=True)]
    about = manifest(config=config, environment=environment)
    return Run.from_frames(about, steps=steps_frame(list(norm or [1.0] * steps), **found))


def judged(loss: Floats | None, **columns: Any) -> Outcome:
    return outcome(run_of(loss, **columns), Thresholds())


def explaining(loss: Floats, constant: float, **columns: Any) -> Outcome:
    """Of a loss of which that of a constant prediction was recovered."""
    known = {schema.EXPLAINED: 1 - loss / constant, schema.CONSTANT_LOSS: np.full(len(loss), constant)}
    return judged(loss, **known, **columns)


# what no training did


@pytest.mark.slow
@pytest.mark.parametrize(
    ("known", "steps"),
    [("chance", 200), ("chance", 1000), ("explained", 1000), ("floor unknown", 1000), ("accuracy", 200)],
)
def test_noise_at_chance_is_hardly_ever_called_learned(known: str, steps: int) -> None:
    """At most 1% of 200 simulated runs of white noise."""
    fine = 0
    for seed in range(RUNS):
        loss = LN4 + noise(0.05, seed, steps)
        if known == "chance":
            found = judged(loss, chance_loss="ln 4")
        elif known == "explained":
            found = explaining(loss, LN4)
        elif known == "accuracy":
            found = judged(loss, accuracy=0.25 + noise(0.05, seed + RUNS, steps), goal="accuracy", chance=0.25)
        else:
            found = judged(loss)
        fine += found.fine
    assert fine <= RUNS // 100


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False])
def test_a_bump_that_returns_is_no_learning(known: bool) -> None:
    fine = 0
    for seed in range(100):
        loss = LN4 + 0.3 * np.exp(-(((AT - 400) / 120) ** 2)) + noise(0.05, seed)
        fine += (judged(loss, chance_loss="ln 4") if known else judged(loss)).fine
    assert fine <= 1


def test_a_loss_thrown_up_by_the_first_update_has_not_fallen() -> None:
    loss = np.concatenate([[LN4], LN4 + 3 * np.exp(-np.arange(S - 1) / 60)]) + noise(0.02)
    assert not judged(loss).fine
    assert judged(loss, chance_loss="ln 4").name == "stuck"


# trainings


def test_a_loss_that_falls() -> None:
    assert explaining(falling(LN4, 0.05), LN4).name == "learned"
    assert explaining(falling(LN4, 0.05, over=S), LN4).name == "learning"
    assert judged(falling(LN4, 0.05), chance_loss="ln 4").name == "learned"
    assert judged(falling(3, 0.1, over=S)).fine
    assert judged(falling(3, 1e-4, size=1e-5)).fine, "the noise is small against the fall"


def test_flat_after_a_fall_to_a_constant_prediction() -> None:
    """The class prior: a fall, and nothing that a constant does not do."""
    found = explaining(falling(2.3, 1.1, over=40), 1.1)
    assert (found.name, found.detail) == ("stuck", "constant-prediction")
    assert found.since is not None
    assert 100 <= found.since <= 400
    assert found.reference == pytest.approx(1.1)
    assert judged(falling(2.3, 1.1, over=40), chance_loss=1.1).name == "stuck"


def test_flat_after_a_fall_whose_floor_is_unknown_is_neither_accused_nor_praised() -> None:
    found = judged(falling(2.3, 1.1, over=40, size=0.05))
    assert (found.name, found.detail) == ("unknown", "floor-unknown")


@pytest.mark.parametrize("goal", [{}, {"goal": "val_loss", "better": "lower"}])
def test_overfitting(goal: dict[str, str]) -> None:
    val = np.where(AT < 300, 1 - AT / 500, 0.4 + (AT - 300) / 1500) + noise(0.01, 3)
    found = judged(falling(1.0, 0.01), val_loss=val, **goal)
    assert (found.name, found.measure) == ("overfits", "val_loss")
    assert found.since is not None
    assert 200 <= found.since <= 400
    assert found.assumed is not bool(goal)
    fine = judged(falling(1.0, 0.01), val_loss=falling(1.0, 0.3, seed=4), **goal)
    assert fine.fine


def test_diverged_and_lost() -> None:
    rose = judged(1 + AT / 200 + noise(0.05))
    assert (rose.name, rose.detail) == ("diverged", "rose")
    lost = explaining(np.where(AT < 600, falling(LN4, 0.1), 1.2 + noise(0.02)), LN4)
    assert (lost.name, lost.detail) == ("diverged", "lost")
    assert lost.since is not None
    assert 595 <= lost.since <= 660
    assert judged(np.where(AT < 600, falling(LN4, 0.1), 1.2 + noise(0.02))).name == "diverged"


def test_a_jump_at_the_end_a_recovery_and_what_came_back() -> None:
    learned = falling(LN4, 0.05)
    jumped = explaining(np.where(AT < 960, learned, 1.2), LN4)
    assert (jumped.name, jumped.detail) == ("learning", "jumped")
    jump = np.where(AT < 600, 0, 1.2 * np.exp(-(AT - 600) / 500))
    recovering = explaining(learned + jump, LN4)
    assert (recovering.name, recovering.detail) == ("learning", "recovering")
    short = np.where((AT >= 400) & (AT < 500), 1.2, 0)
    recovered = explaining(learned + short, LN4)
    assert (recovered.fine, recovered.detail) == (True, "recovered")


@pytest.mark.parametrize("first", [0, 200])
def test_a_goal_that_never_moves_was_good_from_the_start_only_where_the_model_explained_something(first: int) -> None:
    """An untrained net calls everything the most frequent class, and so does the trained one; or the goal was measured
    for the first time when the training had learned."""
    loss = LN4 * (0.3 + 0.7 * np.exp(-AT / 30)) + noise(0.02)
    accuracy = np.where(first <= AT, 0.7 + noise(0.03, 1), NAN)
    found = explaining(loss, LN4, accuracy=accuracy)
    assert (found.name, found.detail) == (("learned", "near-floor") if first else ("stuck", "never-fell"))


def test_a_goal_that_halved_within_its_noise_beside_a_loss_that_fell_is_learning() -> None:
    loss = LN4 * (0.3 + 0.7 * np.exp(-AT / 30)) + noise(0.02)
    error = np.full(S, NAN)
    error[::200] = [2.1, 0.9, 1.8, 0.7, 1.2]
    assert explaining(loss, LN4, val_rmse=error).name == "learning"


def test_a_loss_that_is_the_same_for_every_batch_shows_no_success() -> None:
    """As the margin of a triplet loss is, once all codes are alike."""
    margin = 0.5 + 0.012 * np.exp(-AT / 3) + noise(2e-7)
    assert judged(margin).name == "unknown"
    assert judged(0.5 + 0.3 * np.exp(-AT / 50) + noise(1e-4)).fine
    assert judged(2.0 * np.exp(-AT / 50) + 1e-9).fine  # a single batch, memorized


def test_near_its_floor_from_the_start() -> None:
    """Resumed, or fine-tuned: it does not fall, and that is no failure."""
    found = explaining(0.2 + noise(0.02), LN4)
    assert (found.name, found.detail) == ("learned", "near-floor")
    assert judged(0.2 + noise(0.02)).name == "unknown"


def test_an_accuracy_is_better_higher_and_has_a_chance() -> None:
    loss = LN4 + noise(0.02)
    rising = 0.25 + 0.7 * (1 - np.exp(-AT / 200)) + noise(0.02, 1)
    for settings in ({}, {"goal": "accuracy", "better": "higher", "chance": 0.25}):
        found = judged(loss, accuracy=rising, **settings)
        assert found.fine, settings
        assert found.measure == "accuracy"
        assert found.last == pytest.approx(0.95, abs=0.05)
        assert found.start == pytest.approx(rising[0])
    stuck = judged(falling(), accuracy=0.25 + noise(0.02, 2), goal="accuracy", chance=0.25)
    assert (stuck.name, stuck.measure) == ("stuck", "accuracy")


def test_a_reward_outranks_a_loss_that_measures_nothing() -> None:
    loss = noise(1.0) + AT / 500
    assert judged(loss, reward=1 - np.exp(-AT / 200) + noise(0.02, 1)).fine
    assert not judged(loss, reward=noise(0.05, 1)).fine


def test_a_loss_under_annealing_is_no_measure() -> None:
    beta = np.clip(AT / 500, 0, 1)
    loss = 3 - 2 * (1 - np.exp(-AT / 50)) + 2 * beta + noise(0.02)
    assert (judged(loss, beta=beta).name, judged(loss, beta=beta).detail) == ("unknown", "not-a-measure")
    assert not judged(loss).fine


def test_a_loss_that_crosses_zero_in_its_noise_is_no_measure() -> None:
    found = judged(noise(1.0))
    assert (found.name, found.detail) == ("unknown", "not-a-measure")


@pytest.mark.slow
@pytest.mark.parametrize("steps", [20, 40, 99])
def test_of_few_steps_a_loss_that_is_mostly_gone_is_learning_and_noise_never(steps: int) -> None:
    gone = 0.05 + 2 * np.exp(-np.arange(steps) / (steps / 5)) + noise(0.02, steps=steps)
    assert judged(gone).name == "learning"
    assert explaining(gone, 2.0).name == "learning"
    at_the_constant = judged(gone + 1, **{schema.EXPLAINED: -gone, schema.CONSTANT_LOSS: np.full(steps, 1.0)})
    assert (at_the_constant.name, at_the_constant.detail) == ("unknown", "few-steps")
    assert not any(judged(LN4 + noise(0.2, seed, steps)).fine for seed in range(100))


@pytest.mark.parametrize("steps", [60, S])
def test_targets_that_are_all_the_same_are_a_task_of_their_own(steps: int) -> None:
    loss = falling(1.0, 0.005, steps / 8, 1e-4)[:steps]
    assert explaining(loss, 1e-13).fine
    high = 7e4 * np.exp(-AT[:steps] / 5) + 0.05 + noise(1e-3, steps=steps)  # targets far from 0 that do vary
    assert not explaining(high, 0.05).fine


@pytest.mark.parametrize("steps", [38, 300])
def test_of_outputs_in_half_precision_targets_that_are_all_the_same_are_recovered_with_its_rounding(steps: int) -> None:
    """bfloat16 has 8 bits: targets of 1 that were recovered from such outputs varied by 4e-5, a loss of 1.6e-9."""
    loss = falling(1.09, 0.006, steps / 8, 1e-4)[:steps]
    assert explaining(loss, 1.6e-9, outputs="bfloat16").fine
    assert explaining(loss, 1.6e-9, outputs="float16, float32").fine
    assert explaining(loss, 1.6e-9, outputs="float32").detail in ("few-steps", "slow")


def test_too_few_steps_no_loss_and_no_steps() -> None:
    assert (judged(falling()[:20]).name, judged(falling()[:20]).detail) == ("unknown", "few-steps")
    assert (judged(None, ppl=np.ones(200)).name, judged(None, ppl=np.ones(200)).detail) == ("unknown", "no-loss")
    empty = outcome(Run.from_frames(manifest()), Thresholds())
    assert (empty.name, empty.detail) == ("unknown", "no-loss")
    assert empty.sentence


def test_broken_by_nan_or_inf() -> None:
    found = judged(np.where(AT < 700, falling(), NAN))
    assert (found.name, found.since) == ("broken", 700)
    found = judged(falling(), norm=[1.0] * 600 + [INF] * 400)
    assert (found.name, found.since) == ("broken", 600)
    passing = falling()
    passing[500] = NAN
    assert judged(passing).name != "broken"
    norms = [1.0] * S
    norms[500] = INF
    assert judged(falling(), norm=norms).name != "broken"


# the same training in other units

CURVES = {
    "learned": falling(LN4, 0.05),
    "learning": falling(LN4, 0.05, over=S),
    "constant": falling(2.3, LN4, over=40),
    "chance": LN4 + noise(0.05),
    "lost": np.where(AT < 600, falling(LN4, 0.1), 1.2 + noise(0.02)),
    "rose": LN4 + AT / 500 + noise(0.05),
}


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("known", ["chance", "explained", "nothing"])
def test_the_unit_of_the_loss_does_not_matter(name: str, known: str) -> None:
    def at_scale(scale: float) -> tuple[Any, ...]:
        loss = scale * CURVES[name]
        if known == "explained":
            found = explaining(loss, scale * LN4)
        else:
            found = judged(loss, **({"chance_loss": scale * LN4} if known == "chance" else {}))
        return found.name, found.detail, found.since

    assert at_scale(1) == at_scale(1000) == at_scale(1e-3)


@pytest.mark.parametrize("name", CURVES)
def test_a_constant_in_the_loss_does_not_matter(name: str) -> None:
    plain, shifted = judged(CURVES[name]), judged(CURVES[name] + 100)
    assert (plain.name, plain.detail, plain.since) == (shifted.name, shifted.detail, shifted.since)
    explained = 1 - CURVES[name] / LN4
    known, far = (judged(CURVES[name] + c, **{schema.EXPLAINED: explained}) for c in (0, 100))
    assert (known.name, known.detail) == (far.name, far.detail)


@pytest.mark.parametrize("name", CURVES)
def test_recording_every_50th_step_gives_the_same_outcome(name: str) -> None:
    """The measure has a fiftieth of its values, so that what is late may be placed a block away."""
    each, thin = explaining(CURVES[name], LN4), explaining(CURVES[name], LN4, every=50)
    assert each.name == thin.name


# what few values show


@pytest.mark.slow
def test_noise_of_which_few_steps_were_recorded_is_never_called_learned() -> None:
    """300 trainings in which the model does as well as a constant prediction, six of their steps recorded."""
    found = []
    for seed in range(RUNS):
        random = np.random.default_rng(seed)
        constant = 1 + 0.2 * random.normal(size=300)  # of small batches
        loss = constant * (1 + 0.02 * random.normal(size=300))
        known = {schema.EXPLAINED: 1 - loss / constant, schema.CONSTANT_LOSS: constant}
        found.append(judged(loss, every=50, **known).fine)
    assert sum(found) <= 0.02 * RUNS


def test_a_loss_that_is_mostly_gone_is_learned_however_few_steps_were_recorded() -> None:
    for seed in range(20):
        random = np.random.default_rng(seed)
        constant = 1 + 0.2 * random.normal(size=300)
        loss = constant * (0.1 + 0.9 * np.exp(-np.arange(300) / 40))
        known = {schema.EXPLAINED: 1 - loss / constant, schema.CONSTANT_LOSS: constant}
        assert judged(loss, every=50, **known).fine


def test_one_success_among_many_failures_is_neither_learned_nor_lost() -> None:
    accuracy = np.zeros(75)
    accuracy[[16, 18]] = 1 / 16
    found = judged(np.repeat(falling(size=0.02)[:75], 1), accuracy=accuracy)
    assert found.name == "stuck"
    assert "-0" not in found.sentence


def test_a_held_out_loss_that_never_improved_while_the_training_loss_went_is_overfitting() -> None:
    held_out = 0.84 + noise(0.05, steps=12)
    values = np.full(S, NAN)
    values[:: S // 12][:12] = held_out
    found = judged(falling(start=1.2, floor=0.05), val_mse=values)
    assert found.name == "overfits"


def test_a_small_success_that_noise_may_explain_is_not_called_stuck() -> None:
    random = np.random.default_rng(1)
    explained = 0.02 + 0.08 * random.normal(size=S)
    found = judged(0.98 + noise(0.17), every=12, explained=explained, constant_loss=np.full(S, 1.0))
    assert found.name in ("unknown", "learned", "learning")
