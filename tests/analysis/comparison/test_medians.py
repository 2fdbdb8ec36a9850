"""The median and its interval: distribution-free, at a level that is stated."""

import math

import numpy as np
import pytest

from graddiag.analysis.comparison.medians import highest_level, median, median_interval

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
