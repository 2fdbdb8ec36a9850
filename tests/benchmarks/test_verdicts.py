"""The suite, reduced: trainings of each kind and each truth, against what autograd says of them."""

from collections.abc import Iterator

import pytest
import torch

from benchmarks.verdicts.cases import SATURATED, reduced
from benchmarks.verdicts.rules import graddiag_says, right
from benchmarks.verdicts.training import outcome


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
def test_the_verdict_is_what_autograd_says_and_no_healthy_run_alarms() -> None:
    judged = [one for one in map(outcome, reduced()) if one.truth.label]
    assert len(judged) >= 12
    assert {one.truth.label for one in judged} == {"healthy", "exploding", "vanishing", "non-finite"}
    wrong = [one for one in judged if not right(one, graddiag_says(one))]
    assert len(wrong) <= 0.05 * len(judged), [(one.case.name, one.truth, one.alarms) for one in wrong]
    assert [one.case.name for one in judged if one.truth.label == "healthy" and one.alarms] == []


@pytest.mark.slow
def test_a_saturated_net_whose_spectral_radius_says_explosion_is_healthy() -> None:
    saturated = outcome(SATURATED)
    assert saturated.seen.radii[0] == pytest.approx(1.25, rel=1e-5)
    assert 1 < saturated.truth.kept < 4
    assert saturated.alarms == frozenset()
