"""Intervals: they hold the true value about as often as they say, or there is none."""

import math

import numpy as np
import pytest

from graddiag.analysis.intervals import (
    _student,
    difference_interval,
    exact_interval,
    fisher_test,
    highest_level,
    median,
    median_interval,
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


INF = math.inf


def test_the_ends_are_values_and_the_level_is_that_of_the_sign_test() -> None:
    found = median_interval(np.array([5.0, 1.0, 2.0, 4.0, 3.0, 8.0, 7.0, 6.0]))
    assert found is not None
    assert (found.ends, found.level) == ((2.0, 7.0), pytest.approx(1 - 2 * 9 / 256))


@pytest.mark.parametrize(("n", "level"), [(5, 0.9375), (6, 0.96875), (7, 0.984375), (8, 0.9296875), (20, 0.95861)])
def test_levels(n: int, level: float) -> None:
    found = median_interval(np.arange(float(n)))
    assert found is not None
    assert found.level == pytest.approx(level, abs=1e-5)


def test_levels_of_many_pairs_are_near_95() -> None:
    found = [median_interval(np.arange(float(n))) for n in (50, 200, 1000)]
    assert all(each is not None and abs(each.level - 0.95) < 0.015 for each in found)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
def test_fewer_than_five_values_have_none(n: int) -> None:
    assert median_interval(np.arange(float(n))) is None


def test_the_range_of_few_values() -> None:
    assert [highest_level(n) for n in (1, 2, 3, 4)] == [0, 0.5, 0.75, 0.875]


def test_infinite_values_have_their_place() -> None:
    assert median(np.array([INF, 1.0, -INF])) == 1.0
    assert median(np.array([INF, -INF])) is None
    assert median(np.array([INF, INF, 0.0])) is None
    assert median(np.zeros(0)) is None
    found = median_interval(np.array([INF, 0.0, 1.0, 2.0, 3.0]))
    assert found is not None
    assert found.ends == (0.0, INF)


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
