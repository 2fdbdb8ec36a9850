"""Jumps of the gradient norm against what is usual by then."""

import numpy as np
import pytest

from graddiag.analysis.spikes import find_spikes
from graddiag.analysis.thresholds import Thresholds
from tests.analysis.runs import INF, NAN

RULE = Thresholds()


def spikes_of(norms: list[float]) -> list[int]:
    return find_spikes(np.arange(len(norms)), np.array(norms), RULE).steps.tolist()


def test_a_jump_is_measured_against_the_median_before_it() -> None:
    found = find_spikes(np.arange(8), np.array([1.0, 2, 3, 2, 1, 2, 50, 1]), RULE)
    assert found.steps.tolist() == [6]
    assert found.ratios.tolist() == [25.0]
    assert (found.usual, found.counted, found.share) == (2.0, 8, 0.125)


def test_small_norms_after_convergence_make_no_spikes() -> None:
    assert spikes_of([1.0] * 10 + [1e-4] * 50 + [5.0] + [1e-4] * 50) == []


def test_large_norms_at_the_start_are_no_spikes() -> None:
    assert spikes_of([500.0, 100.0, 20.0, 5.0, 2.0, 1.0, 1.0, 1.0]) == []


def test_the_first_steps_and_nonfinite_norms_are_passed_over() -> None:
    assert spikes_of([1.0, 99.0, 1.0, 1.0]) == []
    assert spikes_of([1.0, NAN, 1.0, 1.0, INF, 1.0, 1.0, 20.0]) == [7]


@pytest.mark.parametrize("norms", [[], [1.0], [NAN] * 9, [0.0] * 9 + [1.0]])
def test_nothing_to_measure_against_is_no_spike(norms: list[float]) -> None:
    assert spikes_of(norms) == []
