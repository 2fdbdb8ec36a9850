"""Intervals over seeds: they hold the mean about as often as they say, however few the seeds are."""

import numpy as np
import pytest

from graddiag.analysis.intervals import _student, over_seeds, told_over_seeds


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
