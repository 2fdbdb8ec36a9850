"""Jumps of the gradient norm against what is usual by then."""

import numpy as np
import pytest

from graddiag.analysis.optimization.norms import climbs_from, find_high, find_spikes, leads_up_from
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


def test_a_norm_that_climbs_step_by_step_is_high_and_no_spike() -> None:
    norms = np.array([0.1] * 30 + np.geomspace(0.1, 50, 270).tolist())
    steps = np.arange(len(norms))
    assert find_spikes(steps, norms, RULE).steps.tolist() == []
    high = find_high(steps, norms, RULE)
    assert len(high.steps) > 50
    assert climbs_from(steps, norms, high) == 31


def test_a_level_that_stays_is_a_spike_until_it_is_usual() -> None:
    assert spikes_of([1.0] * 100 + [20.0] * 100) == list(range(100, 125))


def test_a_rise_of_many_steps_leads_up_to_a_spike() -> None:
    norms = np.array([1.0] * 50 + np.geomspace(1.2, 40, 20).tolist())
    spikes = find_spikes(np.arange(70), norms, RULE)
    assert leads_up_from(np.arange(70), norms, spikes) == 50 < spikes.steps[0]
    alone = np.array([1.0] * 50 + [40.0])
    assert leads_up_from(np.arange(51), alone, find_spikes(np.arange(51), alone, RULE)) == 50


@pytest.mark.parametrize("norms", [[], [1.0], [NAN] * 9, [0.0] * 9 + [1.0]])
def test_nothing_to_measure_against_is_no_spike(norms: list[float]) -> None:
    assert spikes_of(norms) == []
