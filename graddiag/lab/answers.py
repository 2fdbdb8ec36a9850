"""How good an answer is: its loss, and how often it is wrong."""

from typing import Final

from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from graddiag.lab.task import Shape

CORRECT: Final = 0.04  # a number is right when it is nearer than this (Hochreiter & Schmidhuber 1997, section 5.4)


def loss_of(shape: Shape, outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of classes, outputs [..., classes]; squared error of numbers, outputs [..., 1]. Means over all."""
    if shape.says == "numbers":
        return mse_loss(outputs.squeeze(-1), targets)
    return cross_entropy(outputs.flatten(0, -2), targets.flatten())


def wrong_of(shape: Shape, outputs: Tensor, targets: Tensor) -> Tensor:
    """The share of wrong answers, float64: of classes by the largest output, of numbers as ``CORRECT`` has it."""
    if shape.says == "numbers":
        wrong = ~((outputs.squeeze(-1) - targets).abs() < CORRECT)
    else:
        wrong = outputs.argmax(-1) != targets
    return wrong.double().mean()
