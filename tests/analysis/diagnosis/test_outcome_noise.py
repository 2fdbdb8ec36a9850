"""Noise that is coarse or skewed, as errors of small batches and squared errors are: what guessing has is a mean."""

import math

import numpy as np
import pytest

from graddiag.analysis.diagnosis.outcome import Outcome
from graddiag.analysis.diagnosis.outcome.course import course
from tests.analysis.diagnosis.test_outcome import judged

LN4 = math.log(4)
RUNS = 40


def at_chance(seed: int, steps: int, batch: int) -> Outcome:
    """Four classes guessed: the share of wrong answers in batches of ``batch``, and a loss at chance."""
    draw = np.random.default_rng(seed)
    error = draw.binomial(batch, 0.75, steps) / batch
    return judged(LN4 + draw.normal(0, 0.05, steps), error=error, goal="error", chance=0.75, chance_loss="ln 4")


@pytest.mark.parametrize("steps", [300, 1000, 3000])
@pytest.mark.parametrize("batch", [10, 20])
def test_a_coarse_error_at_chance_is_neither_learned_nor_diverged(batch: int, steps: int) -> None:
    """No value of 0, 0.1, ... is the chance of 0.75: a median of them lies beside it for ever."""
    found = [at_chance(seed, steps, batch).name for seed in range(RUNS)]
    assert sum(name in ("learned", "learning", "diverged") for name in found) <= 1, found


@pytest.mark.parametrize("samples", [2, 4, 16])
def test_squared_errors_at_chance_are_not_better_than_chance(samples: int) -> None:
    """Mean squares of few normal targets: their median is below their mean, which is chance."""
    losses = [np.random.default_rng(seed).gamma(samples / 2, 2 / samples, 400) for seed in range(RUNS)]
    found = [judged(loss, chance_loss=1.0).name for loss in losses]
    assert sum(name in ("learned", "learning", "diverged") for name in found) <= 1, found


def test_the_level_of_a_block_is_its_mean_without_spikes() -> None:
    values = 1 + np.random.default_rng(0).normal(0, 0.1, 400)
    values[[250, 300, 399]] = 1e6
    found = course(np.arange(400), values)
    np.testing.assert_allclose(found.levels, 1.0, atol=0.15)
    skewed = np.random.default_rng(1).gamma(2.0, 0.5, 20_000)
    np.testing.assert_allclose(course(np.arange(20_000), skewed).levels, 1.0, atol=0.1)


def test_of_a_noiseless_fall_a_level_is_the_middle_of_its_block() -> None:
    found = course(np.arange(200), np.linspace(2.0, 1.0, 200))
    np.testing.assert_allclose(found.levels, np.linspace(2.0, 1.0, 200).reshape(20, 10).mean(axis=1), rtol=1e-6)


def test_a_goal_barely_better_than_chance_does_not_hide_a_loss_at_chance() -> None:
    draw = np.random.default_rng(0)
    error = np.clip(0.71 + draw.normal(0, 0.1, 600), 0, 1)
    loss = LN4 + draw.normal(0, 0.05, 600)
    found = judged(loss, error=error, goal="error", chance=0.75, chance_loss="ln 4")
    assert (found.name, found.detail, found.measure) == ("stuck", "at-chance", "loss")


def test_a_small_gain_that_the_loss_shows_too_is_learned() -> None:
    draw = np.random.default_rng(0)
    error = np.clip(0.71 + draw.normal(0, 0.1, 600), 0, 1)
    loss = LN4 - 0.08 + draw.normal(0, 0.05, 600)
    found = judged(loss, error=error, goal="error", chance=0.75, chance_loss="ln 4")
    assert (found.name, found.measure) == ("learned", "error")


def test_late_values_below_chance_count_for_nothing_once_the_last_ones_are_back_at_it() -> None:
    draw = np.random.default_rng(0)
    level = np.concatenate([np.full(120, 0.75), np.full(50, 0.6), np.full(30, 0.75)])
    error = draw.binomial(20, level) / 20
    loss = LN4 + draw.normal(0, 0.1, 200)
    found = judged(loss, error=error, goal="error", chance=0.75, chance_loss="ln 4")
    assert found.name not in ("learned", "learning"), found


def test_where_the_loss_still_falls_a_noisy_error_of_the_same_batches_is_still_improving() -> None:
    draw = np.random.default_rng(0)
    at = np.arange(400)
    error = draw.binomial(20, 0.75 - 0.15 * (at > 200) * (at - 200) / 200) / 20
    loss = LN4 - 0.3 * (at > 200) * (at - 200) / 200 + draw.normal(0, 0.02, 400)
    found = judged(loss, error=error, goal="error", chance=0.75, chance_loss="ln 4")
    assert found.name == "learning"
