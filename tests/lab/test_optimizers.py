"""Optimizers by their texts: what they make, and what cannot be meant."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from graddiag import load_run
from graddiag.errors import SettingError
from graddiag.lab import plan_run, train, training_spec
from graddiag.lab.optimizers import parse_optimizer


@pytest.mark.parametrize("text", ["sgd", "sgd:0.9", "rmsprop:0.95", "adam", "adamw"])
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
        ("lion", r"^optimizer 'lion': it is none of sgd, sgd:MOMENTUM, rmsprop:SMOOTHING, adam, adamw\.$"),
        ("adam:0.9", r"^optimizer 'adam:0.9': it is none of"),
        ("sgd:1", r"^optimizer 'sgd:1': its constant lies from 0 to below 1"),
        ("sgd:nan", r"^optimizer 'sgd:nan': its constant lies"),
        ("sgd:much", r"^'sgd:much': 'much' is no number\.$"),
    ],
)
def test_what_cannot_be_meant_is_told(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        parse_optimizer(text)


def test_weight_decay_is_taken_off_by_adamw_and_added_to_the_gradient_by_the_others() -> None:
    """AdamW (Loshchilov & Hutter 2019, algorithm 2, line 12): with no gradient w <- (1 - lr wd) w, so that many steps
    leave a power. SGD: w <- w - lr (g + wd w). Without a setting both are as torch has them."""

    def after(text: str, weight_decay: float | None, gradient: float) -> float:
        weight = torch.nn.Parameter(torch.full((1,), 2.0, dtype=torch.float64))
        optimizer = parse_optimizer(text).make([weight], 0.1, weight_decay)
        for _ in range(3):
            weight.grad = torch.full_like(weight, gradient)
            optimizer.step()
        return weight.item()

    assert after("adamw", 0.2, 0.0) == pytest.approx(2 * (1 - 0.1 * 0.2) ** 3, rel=1e-12)
    assert after("adamw", None, 0.0) == pytest.approx(2 * (1 - 0.1 * 0.01) ** 3, rel=1e-12)
    assert after("adamw", 0.0, 0.0) == 2
    expected = 2.0
    for _ in range(3):
        expected -= 0.1 * (0.5 + 0.2 * expected)
    assert after("sgd", 0.2, 0.5) == pytest.approx(expected, rel=1e-12)
    assert after("sgd", None, 0.5) == pytest.approx(2 - 3 * 0.1 * 0.5, rel=1e-12)
    assert after("adam", 0.2, 0.0) == pytest.approx(2 - 3 * 0.1, rel=1e-2)  # each step has the sign of wd w


def test_a_training_decays_its_weights(tmp_path: Path) -> None:
    small: dict[str, Any] = {"length": 5, "steps": 3, "hidden": 4, "batch": 3, "lr": 1e-3, "every": 1}

    def norms(**settings: Any) -> pd.Series:
        run = load_run(train(plan_run(training_spec("recall", "rnn", **small, **settings)), tmp_path).path)
        return run.parameters.groupby("step")["weight_norm"].sum()

    plain, decayed = norms(optimizer="sgd"), norms(optimizer="sgd", weight_decay=50.0)
    assert decayed.iloc[-1] < 0.95 * plain.iloc[-1]
    with pytest.raises(SettingError, match=r"^weight_decay -1\.0 cannot be used"):
        training_spec("recall", "rnn", weight_decay=-1.0)
