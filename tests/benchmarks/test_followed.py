"""Trainings that are run again as advised: what is read of an advice, and what is changed of a training."""

import pytest
import torch
from torch import nn

from benchmarks.verdicts.followed import RATE, THRESHOLD, changed
from benchmarks.verdicts.optimizers import schedule
from benchmarks.verdicts.training import Training
from graddiag.analysis.diagnosis.decisions import ClipDecision, RateDecision


def training(**settings: object) -> Training:
    net = nn.Linear(1, 1)
    return Training(
        net, lambda step: (torch.zeros(1, 1), torch.zeros(1, 1)), torch.optim.SGD(net.parameters(), 0.8), **settings
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("higher", [False, True])
def test_the_rate_is_read_of_the_advice_that_is_given(higher: bool) -> None:
    rate = RateDecision(now=0.5, update=1e-6, largest=30.0, before_harm=0.6, optimizer="SGD")
    advice = rate.higher() if higher else rate.lower()
    found = RATE.search(advice.text)
    assert found is not None, advice.text
    assert float(found[2]) == 0.5
    assert (float(found[1]) > 0.5) is higher


@pytest.mark.parametrize(("now", "clipped"), [(None, False), (1e-4, True), (1e4, True)])
def test_the_threshold_is_read_of_the_advice_that_is_given(now: float | None, clipped: bool) -> None:
    advice = ClipDecision(threshold=0.25, first=0, last=9, now=now, clipped=clipped).advice()
    assert advice is not None
    found = THRESHOLD.search(advice.text)
    assert found is not None, advice.text
    assert float(found[1]) == 0.25


@pytest.mark.parametrize("scheduled", [False, True])
def test_every_rate_is_scaled_once(scheduled: bool) -> None:
    rates = [0.8, 0.8, 0.4, 0.4] if scheduled else [0.8] * 4
    own = training(before=schedule(lambda step: rates[step]) if scheduled else None)
    again = changed(own, 0.25, None)
    assert again.before is not None
    for step, rate in enumerate(rates):
        again.before(step, own.net, own.optimizer)
        assert own.optimizer.param_groups[0]["lr"] == pytest.approx(0.25 * rate)


def test_a_threshold_takes_the_place_of_the_own_one() -> None:
    again = changed(training(clip="norm:0.001", clip_at="after-update"), None, 2.5)
    assert (again.clip, again.clip_at) == ("norm:2.5", "before-update")
