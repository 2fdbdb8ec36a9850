"""Losses, norms and gradients that jump from batch to batch and mean less than they seem; outcomes in words."""

from typing import Any

import numpy as np
import pytest

from graddiag import schema
from graddiag.analysis import Diagnosis, diagnose
from tests.analysis.runs import CHANCE, FALLING, FLAT, run_of, timesteps_frame

S = len(FLAT)


def jumping(level: float, **settings: Any) -> Diagnosis:
    """A loss with outliers, at ``level`` times chance, under updates that are large as Adam's first are."""
    loss = np.array(FLAT) * level
    loss[[40, 120, 200]] *= 4
    ratios = [0.3] * 5 + [0.02] * (S - 5)
    return diagnose(run_of(loss, config=CHANCE, columns={schema.UPDATE_RATIO: ratios}, **settings))


def test_jumps_at_a_constant_prediction_are_those_of_the_data() -> None:
    found = jumping(1.0)
    assert (found.outcome.name, found.cause) == ("stuck", None)


def test_at_a_constant_prediction_the_usual_update_has_to_be_large_under_an_optimizer_without_scaling() -> None:
    found = jumping(1.0, optimizer={"class": "SGD"})
    assert (found.outcome.name, found.cause, found.causes[0].onset) == ("stuck", "learning-rate-high", 40)
    assert jumping(1.0, optimizer={"class": "AdamW"}).cause is None


def test_above_a_constant_prediction_they_are_those_of_the_updates() -> None:
    assert jumping(2.0).cause == "learning-rate-high"


@pytest.mark.parametrize("back", [False, True])
def test_a_norm_that_one_early_batch_made_throws_no_training_off_course(back: bool) -> None:
    norm = [1.0, 1.0, 1.0, 50.0, *([1.0] * (S - 4) if back else [20.0] * (S - 4))]
    found = diagnose(run_of(FLAT, norm, config=CHANCE, columns={schema.UPDATE_RATIO: [0.02] * S}))
    assert found.cause == (None if back else "learning-rate-high")


def tapped(first: list[int], growth: float = 1.0) -> Diagnosis:
    """A state by hand, whose gains are not known: at each step exactly 0 before a timestep of 20, and above it grown by
    ``growth`` a timestep on its way back."""
    total = growth ** np.arange(19, -1, -1) * np.ones((len(first), 1))
    for row, at in zip(total, first, strict=True):
        row[:at] = 0.0
    return diagnose(run_of(FLAT, config=CHANCE, timesteps=timesteps_frame({schema.GRAD_H: total})))


def test_in_a_state_by_hand_a_cut_is_at_one_timestep() -> None:
    assert tapped([8] * 10).cause == "truncated-reach"
    assert tapped([8, 9, 10, 7, 6, 8, 9, 12, 5, 8]).finding("truncated-reach") is None


def test_in_a_state_by_hand_the_gradient_explodes_by_more_than_losses_may_add() -> None:
    assert tapped([0] * 10, growth=2.0).cause == "exploding"
    assert tapped([0] * 10, growth=1.15).finding("exploding") is None  # 14 times: 20 losses may add to 20


def explaining(loss: Any, constant: float) -> str:
    columns = {
        schema.EXPLAINED: list(1 - np.array(loss) / constant),
        schema.CONSTANT_LOSS: [constant] * S,
        schema.UPDATE_RATIO: [1e-3] * S,
    }
    return diagnose(run_of(loss, columns=columns)).outcome.sentence


def test_the_share_in_a_sentence_is_that_of_the_losses_in_it() -> None:
    assert "from 1.4 to 0.7, 50% below a constant prediction (1.4)" in explaining(
        list(np.linspace(1.4, 0.7, 40)) + [0.7] * (S - 40), 1.4
    )
    text = diagnose(run_of(FALLING, config=CHANCE)).outcome.sentence
    assert "below chance (1.39)" in text
