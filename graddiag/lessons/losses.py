"""Cross-entropy, squared error and saturation: one sigmoid unit with target 1, its slopes by autograd."""

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from graddiag.lessons.networks import line
from graddiag.lessons.values import Escape, Slopes, Squashed, UnitLoss

EDGE: Final = 12.0
CROSS_ENTROPY: Final = "cross-entropy"
SQUARED_ERROR: Final = "squared error"


def cross_entropy(z: Tensor) -> Tensor:
    """-ln sigmoid(z), without overflow."""
    return -logsigmoid(z)


def half_squared_error(z: Tensor) -> Tensor:
    """(1 - sigmoid(z))^2 / 2."""
    return 0.5 * torch.sigmoid(-z).square()


_LOSSES: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    CROSS_ENTROPY: cross_entropy,
    SQUARED_ERROR: half_squared_error,
}


def slopes(z: float) -> Slopes:
    """dC/dz of both losses over z from -12 to 12, and all there is to know at the chosen z."""
    grid = torch.linspace(-EDGE, EDGE, 481, dtype=torch.float64)
    return Slopes(
        z=grid.numpy(),
        cross_entropy=_slope(cross_entropy, grid).numpy(),
        squared_error=_slope(half_squared_error, grid).numpy(),
        chosen=unit_loss(z),
    )


def unit_loss(z: float) -> UnitLoss:
    """Both losses, -ln p and (1 - p)^2 / 2, and their slopes at one z."""
    point = torch.tensor([z], dtype=torch.float64)
    return UnitLoss(
        z=z,
        p=float(torch.sigmoid(point)),
        cross_entropy=float(cross_entropy(point)),
        squared_error=float(half_squared_error(point)),
        cross_entropy_slope=float(_slope(cross_entropy, point)),
        squared_error_slope=float(_slope(half_squared_error, point)),
    )


def logit(p: float) -> float:
    """The z at which sigmoid(z) is ``p``, 0 < p < 1."""
    return math.log(p) - math.log1p(-p)


def escape(z: float, lr: float, steps: int) -> Escape:
    """p = sigmoid(z) while z is moved by gradient descent from the same start, once under either loss."""
    found = {name: line(name, name, _descend(loss, z, lr, steps)) for name, loss in _LOSSES.items()}
    return Escape(np.arange(steps + 1), found)


def squash(x: float, dtype: str) -> Squashed:
    """sigmoid(x) in ``float32`` or ``float64``, as exp(x) / (1 + exp(x)) and in the stable form."""
    point = torch.tensor(x, dtype=torch.float32 if dtype == "float32" else torch.float64)
    grown = point.exp()
    return Squashed(x, dtype, naive=float(grown / (1 + grown)), stable=float(torch.sigmoid(point)))


def _descend(loss: Callable[[Tensor], Tensor], z: float, lr: float, steps: int) -> np.ndarray:
    point = torch.tensor([z], dtype=torch.float64)
    places = [point]
    for _ in range(steps):
        point = point - lr * _slope(loss, point)
        places.append(point)
    return torch.sigmoid(torch.cat(places)).numpy()


def _slope(loss: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """dloss/dz of each entry, by autograd."""
    leaf = z.detach().clone().requires_grad_()
    return torch.autograd.grad(loss(leaf).sum(), leaf)[0]
