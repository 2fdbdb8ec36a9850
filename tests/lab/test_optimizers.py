"""Optimizers and schedules by their texts: what they make, and what cannot be meant."""

import pytest
import torch

from graddiag.errors import SettingError
from graddiag.lab.optimizers import parse_optimizer, parse_schedule


@pytest.mark.parametrize("text", ["sgd", "sgd:0.9", "rmsprop:0.95", "adam"])
def test_a_text_comes_back(text: str) -> None:
    assert str(parse_optimizer(text)) == text


def test_they_make_what_torch_has() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    momentum = parse_optimizer("sgd:0.9").make([weight], lr=0.5)
    assert isinstance(momentum, torch.optim.SGD)
    assert (momentum.defaults["lr"], momentum.defaults["momentum"]) == (0.5, 0.9)
    smoothed = parse_optimizer("rmsprop").make([weight], lr=0.002)
    assert isinstance(smoothed, torch.optim.RMSprop)
    assert smoothed.defaults["alpha"] == 0.95
    assert isinstance(parse_optimizer("adam").make([weight], lr=1e-3), torch.optim.Adam)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lion", r"^optimizer 'lion': it is none of sgd, sgd:MOMENTUM, rmsprop:SMOOTHING, adam\.$"),
        ("adam:0.9", r"^optimizer 'adam:0.9': it is none of"),
        ("sgd:1", r"^optimizer 'sgd:1': its constant lies from 0 to below 1"),
        ("sgd:nan", r"^optimizer 'sgd:nan': its constant lies"),
        ("sgd:much", r"^'sgd:much': 'much' is no number\.$"),
    ],
)
def test_what_cannot_be_meant_is_told(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        parse_optimizer(text)


def test_a_rate_falls_from_a_step_on() -> None:
    schedule = parse_schedule("decay:0.5:4:2")
    assert [schedule.rate(step) for step in range(9)] == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert str(schedule) == "decay:0.5:4:2"
    assert [parse_schedule("constant").rate(step) for step in (0, 10**9)] == [1, 1]


def test_the_rate_of_the_ptb_tutorial() -> None:
    """lr_decay ** max(epoch + 1 - max_epoch, 0), small configuration, with 10 steps an epoch."""
    schedule = parse_schedule("decay:0.5:40:10")
    for epoch in range(13):
        expected = 0.5 ** max(epoch + 1 - 4, 0)
        assert {schedule.rate(10 * epoch + step) for step in range(10)} == {expected}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cosine", r"^schedule 'cosine': write constant, or decay:FACTOR:AFTER:EVERY"),
        ("decay:0.5:4", r"^schedule 'decay:0.5:4': write constant, or"),
        ("decay:0:4:2", r"^schedule 'decay:0:4:2': FACTOR is above 0"),
        ("decay:0.5:4:0", r"AFTER and EVERY are whole numbers of steps"),
        ("decay:0.5:x:2", r"'x' is no number"),
    ],
)
def test_a_schedule_that_cannot_be_meant_is_told(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        parse_schedule(text)
