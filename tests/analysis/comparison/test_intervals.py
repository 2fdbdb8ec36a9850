"""Intervals over seeds and over steps: they hold the mean about as often as they say, or there is none."""

import numpy as np
import pytest

from graddiag.analysis.comparison.intervals import (
    _student,
    over_neighbours,
    over_seeds,
    over_steps,
    told_over_seeds,
    why_none_over_steps,
)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8, 20])
def test_the_mean_lies_in_95_of_100(n: int) -> None:
    rng = np.random.default_rng(n)
    found = [over_seeds(rng.normal(3.0, 2.0, n)) for _ in range(400 if n < 5 else 150)]
    assert np.mean([low < 3.0 < high for low, high in found]) > 0.88


def test_two_values_give_the_interval_of_the_textbook() -> None:
    assert over_seeds(np.array([1.0, 2.0])) == pytest.approx((1.5 - 6.353, 1.5 + 6.353))
    assert over_seeds(np.array([1.0, np.nan])) is None


@pytest.mark.parametrize(("freedom", "value"), [(4, 2.776), (5, 2.571), (9, 2.262), (30, 2.042)])
def test_students_quantiles(freedom: int, value: float) -> None:
    assert _student(freedom) == pytest.approx(value, abs=0.01)


def test_few_are_told_and_many_are_not() -> None:
    assert [told_over_seeds(n) for n in (1, 2, 4, 5)] == ["", "Student's t of 2 pairs", "Student's t of 4 pairs", ""]


def autoregressive(phi: float, n: int, count: int, noise: float = 0.0) -> np.ndarray:
    """[count, n]: stationary series x_s = phi x_{s-1} + e_s of mean 3 and variance 1, with white noise on top."""
    rng = np.random.default_rng(int(1000 * (1 + phi)) + n)
    steps = rng.normal(size=(count, n)) * np.sqrt(1 - phi**2)
    steps[:, 0] = rng.normal(size=count)
    for s in range(1, n):
        steps[:, s] += phi * steps[:, s - 1]
    return 3.0 + steps + noise * rng.normal(size=(count, n))


def coverage(series: np.ndarray) -> tuple[float, float]:
    """The share of series that have an interval, and the share of these whose interval holds the true mean."""
    found = [each for each in (over_steps(one) for one in series) if each is not None]
    return len(found) / len(series), float(np.mean([low < 3.0 < high for low, high in found])) if found else 1.0


@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("n", [200, 1000])
@pytest.mark.parametrize("phi", [-0.5, 0.0, 0.5, 0.9, 0.95])
def test_the_mean_over_dependent_steps_lies_in_95_of_100(phi: float, n: int, noise: float) -> None:
    given, held = coverage(autoregressive(phi, n, 2000, noise))
    assert given > 0.85
    assert 0.92 <= held <= 0.97


@pytest.mark.parametrize("n", [1, 20, 50, 199])
def test_few_steps_give_no_interval(n: int) -> None:
    series = autoregressive(0.9, n, 1)[0]
    assert over_steps(series) is None
    why = f"no interval: {n} recorded steps, 200 are needed" if n > 1 else "one step: no interval"
    assert why_none_over_steps(series) == why


@pytest.mark.parametrize("sharing", [-0.5, 0.0, 1.0])
@pytest.mark.parametrize(("n", "blocks"), [(20, 1), (60, 3), (200, 10), (1000, 10)])
def test_neighbours_that_share_something(n: int, blocks: int, sharing: float) -> None:
    draws = np.random.default_rng(n).normal(size=(2000, n + 1))
    levels = np.repeat(np.linspace(2, 4, blocks) if blocks > 1 else [3.0], n // blocks)
    found = [over_neighbours(levels + one[1:] + sharing * one[:-1], blocks) for one in draws]
    assert 0.92 <= np.mean([each is not None and each[0] < 3.0 < each[1] for each in found]) <= 0.98


def test_a_drift_has_no_interval() -> None:
    series = np.linspace(0, 1, 400) + np.random.default_rng(0).normal(0, 0.1, 400)
    assert over_steps(series) is None
    assert why_none_over_steps(series) == "no interval: it drifts over the run"


def test_steps_that_are_all_alike_have_a_narrow_one() -> None:
    low, high = over_steps(np.full(300, 0.3)) or (0.0, 1.0)
    assert low == pytest.approx(0.3, abs=1e-9)
    assert high == pytest.approx(0.3, abs=1e-9)
    assert why_none_over_steps(np.full(300, 0.3)) == ""
