"""Intervals of success rates and of their difference, checked for every rate by summing the binomial distribution."""

import math

import numpy as np
import pytest

from graddiag.analysis.comparison.proportions import difference_interval, exact_interval, fisher_test

RATES = np.linspace(0.02, 0.98, 25)


def chances(n: int, rate: float) -> np.ndarray:
    return np.array([math.comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(n + 1)])


def test_the_interval_of_the_textbook() -> None:
    assert exact_interval(0, 3) == (0.0, pytest.approx(1 - 0.025 ** (1 / 3)))
    assert exact_interval(5, 5) == (pytest.approx(0.025**0.2), 1.0)
    assert exact_interval(4, 10) == pytest.approx((0.1216, 0.7376), abs=1e-4)


@pytest.mark.parametrize("n", [3, 5, 8, 20])
def test_a_rate_lies_in_its_interval_in_95_of_100(n: int) -> None:
    ends = np.array([exact_interval(k, n) for k in range(n + 1)])
    for rate in RATES:
        assert chances(n, rate)[(ends[:, 0] <= rate) & (rate <= ends[:, 1])].sum() >= 0.95


@pytest.mark.parametrize("n", [3, 5, 8, 20])
@pytest.mark.parametrize("alike", [0.0, 1.0])
def test_a_difference_lies_in_its_interval_in_92_of_100(n: int, alike: float) -> None:
    """Runs of a pair independent (0), or as alike as their rates allow (1)."""
    ends = np.array([[difference_interval(a, b, n) for b in range(n + 1)] for a in range(n + 1)])
    for before in RATES[::2]:
        for after in RATES[::2]:
            holds = (ends[..., 0] <= after - before + 1e-9) & (after - before - 1e-9 <= ends[..., 1])
            assert joint(n, before, after, alike)[holds].sum() >= 0.92


def joint(n: int, before: float, after: float, alike: float) -> np.ndarray:
    """The chance of each pair of counts, [n + 1, n + 1]."""
    both = before * after + alike * (min(before, after) - before * after)
    first, second = before - both, after - both
    found = np.zeros((n + 1, n + 1))
    found[0, 0] = 1
    for _ in range(n):
        next_ = (1 - both - first - second) * found
        next_[1:] += first * found[:-1]
        next_[:, 1:] += second * found[:, :-1]
        next_[1:, 1:] += both * found[:-1, :-1]
        found = next_
    return found


def test_fishers_test() -> None:
    assert fisher_test(0, 5, 5) == pytest.approx(2 / 252)
    assert fisher_test(3, 3, 5) == 1.0
    assert fisher_test(0, 3, 3) == pytest.approx(0.1)
