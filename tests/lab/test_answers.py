"""What an answer costs, and when it is wrong."""

import math

import pytest
import torch

from graddiag.lab.answers import loss_of, wrong_of
from graddiag.lab.task import Shape

CLASSES = Shape(symbols=3, classes=2, answers="each")
NUMBER = Shape(symbols=2, classes=1, answers="last", reads="numbers", says="numbers")


def test_classes() -> None:
    outputs = torch.tensor([[[0.0, math.log(3)], [5.0, 5.0]]])
    targets = torch.tensor([[1, 0]])
    assert loss_of(CLASSES, outputs, targets).item() == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)
    assert wrong_of(CLASSES, outputs, targets).item() == 0
    assert wrong_of(CLASSES, outputs, 1 - targets).item() == 1


def test_numbers() -> None:
    outputs, targets = torch.tensor([[0.5], [0.5], [math.nan]]), torch.tensor([0.53, 0.75, 0.5])
    assert loss_of(NUMBER, outputs[:2], targets[:2]).item() == pytest.approx((0.03**2 + 0.25**2) / 2)
    assert wrong_of(NUMBER, outputs, targets).item() == pytest.approx(2 / 3)
