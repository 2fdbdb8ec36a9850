"""Schedules by their texts: the rate at each step, and what cannot be meant."""

from pathlib import Path

import pytest
import torch

from graddiag import load_run
from graddiag.errors import SettingError
from graddiag.lab import plan_run, train, training_spec
from graddiag.lab.schedules import parse_schedule


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
        ("linear", r"^schedule 'linear': write one of constant, decay:FACTOR:AFTER:EVERY, .*, cosine:WARMUP:STEPS;"),
        ("constant:1", r"^schedule 'constant:1': write one of constant"),
        ("decay:0.5:4", r"^schedule 'decay:0.5:4': write one of"),
        ("decay:0:4:2", r"^schedule 'decay:0:4:2': FACTOR is above 0"),
        ("decay:0.5:4:0", r"EVERY at least 1\.$"),
        ("decay:0.5:x:2", r"AFTER is a whole number of steps, and 'x' was found\.$"),
        ("decay:much:1:2", r"FACTOR is a number, and 'much' was found\.$"),
        ("warmup:0", r"^schedule 'warmup:0': STEPS is at least 1\.$"),
        ("cosine:5:5", r"^schedule 'cosine:5:5': WARMUP is at least 0 and below STEPS\.$"),
    ],
)
def test_a_schedule_that_cannot_be_meant_is_told(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        parse_schedule(text)


def test_a_rate_rises_linearly_and_stays() -> None:
    assert [parse_schedule("warmup:4").rate(step) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_half_a_cosine_is_that_of_torch(steps: int) -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    own = parse_schedule(f"cosine:3:{steps + 3}")
    assert [own.rate(step) for step in range(3)] == pytest.approx([1 / 3, 2 / 3, 1])
    for step in range(steps):
        assert own.rate(3 + step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-15)
        optimizer.step()
        theirs.step()
    assert [own.rate(step) for step in (steps + 3, steps + 100)] == [0, 0]


@pytest.mark.parametrize("text", ["constant", "decay:0.5:4:2", "warmup:10", "cosine:0:30"])
def test_a_text_comes_back(text: str) -> None:
    assert str(parse_schedule(text)) == text
    assert str(parse_schedule("decay:1:4:2")) == "constant"


def test_a_training_records_the_rate_of_its_schedule(tmp_path: Path) -> None:
    spec = training_spec(
        "recall", "rnn", length=5, steps=4, hidden=4, batch=3, lr=0.4, optimizer="adamw", schedule="cosine:2:4"
    )
    assert load_run(train(plan_run(spec), tmp_path).path).steps["lr"].tolist() == pytest.approx([0.2, 0.4, 0.4, 0.2])
