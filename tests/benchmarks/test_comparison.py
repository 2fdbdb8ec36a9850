"""The intervals of a comparison hold the truth as often as they say: normal, lognormal and two-mode outcomes."""

import pytest

from benchmarks.comparison import OUTCOMES, SIZES, median_coverage, modes_found, rate_coverages

SAMPLES = 1500
NOISE = 0.02  # three standard deviations of a share near .95 in so many samples

TWO_MODES = [each for each in OUTCOMES if each.rates]
ONE_MODE = [each for each in OUTCOMES if not each.rates]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda each: each.name)
def test_the_median_difference_is_covered_or_has_no_interval(outcome) -> None:
    for n in SIZES:
        found = median_coverage(outcome, n, SAMPLES)
        if n < 5:
            assert found.given == 0
        else:
            assert found.given == SAMPLES
            assert 0.92 - NOISE < found.share < 0.98 + NOISE


@pytest.mark.parametrize("outcome", TWO_MODES, ids=lambda each: each.name)
def test_success_rates_and_their_difference_are_covered(outcome) -> None:
    for n in SIZES:
        assert all(each.share > 0.92 for each in rate_coverages(outcome, n, SAMPLES))


@pytest.mark.parametrize("outcome", ONE_MODE, ids=lambda each: each.name)
def test_two_modes_are_seldom_found_where_there_is_one(outcome) -> None:
    assert all(modes_found(outcome, n, SAMPLES)[0] < 0.05 for n in SIZES)


def test_where_the_rates_are_the_same_the_test_of_modes_that_are_found_says_so() -> None:
    same = next(each for each in TWO_MODES if each.rates == (0.5, 0.5))
    for n in SIZES:
        share, significant = modes_found(same, n, SAMPLES)
        assert share > 0.7
        assert significant < 0.05
