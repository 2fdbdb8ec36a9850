"""How good an answer is: its loss, and how often it is wrong."""

from typing import Final

from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from graddiag.lab.task import Shape

NOT_ASKED: Final = -100  # in targets: nothing is asked at this timestep
SQUARED_ERROR: Final = 0.04  # a number is wrong above it, as in the code of Pascanu, Mikolov & Bengio (2013)


def loss_of(shape: Shape, outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of classes, outputs [..., classes]; squared error of numbers, outputs [..., 1]. Means over all
    that is asked."""
    if shape.says == "numbers":
        return mse_loss(outputs.squeeze(-1), targets)
    return cross_entropy(outputs.flatten(0, -2), targets.flatten(), ignore_index=NOT_ASKED)


def asked_of(targets: Tensor) -> float:
    """How many timesteps of a sequence are asked, [T, N]: the mean over the batch."""
    return int((targets != NOT_ASKED).sum()) / targets.shape[1]


def wrong_of(shape: Shape, outputs: Tensor, targets: Tensor) -> Tensor:
    """The share of wrong answers, float64: of classes by the largest output, of numbers by a squared error above .04.

    Where the ``whole`` sequence is one answer, [T, N], it is wrong if one symbol of it is.

    Source: RNN.py in the code of Pascanu, Mikolov & Bengio (2013), ``error``.
    """
    if shape.says == "numbers":
        wrong = ~((outputs.squeeze(-1) - targets).square() <= SQUARED_ERROR)
    else:
        asked = targets != NOT_ASKED
        wrong = (outputs.argmax(-1) != targets) & asked
        if not shape.whole:
            return wrong.double().sum() / asked.sum()
    return (wrong.any(0) if shape.whole else wrong).double().mean()
