"""What the lessons' networks share: fixed random inputs and orthogonal weights, and lines of numbers."""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from graddiag.analysis.values import Series, series

UNITS: Final = 16
SEED: Final = 0


def orthogonal(units: int = UNITS) -> Tensor:
    """One fixed orthogonal matrix, [units, units], float64."""
    draw = torch.randn(units, units, generator=torch.Generator().manual_seed(SEED), dtype=torch.float64)
    return torch.linalg.qr(draw).Q


def inputs(length: int, drive: float, units: int = UNITS) -> Tensor:
    """x [T, 1, units], entries from N(0, drive^2); a longer sequence begins with the shorter one."""
    draw = torch.randn(length, 1, units, generator=torch.Generator().manual_seed(SEED + 1), dtype=torch.float64)
    return drive * draw


def loss_at_the_end(length: int, units: int = UNITS) -> Tensor:
    """l_t of the loss L = v . h_{T-1} with a unit vector v: zero but at the last timestep, [T, 1, units]."""
    direct = torch.zeros(length, 1, units, dtype=torch.float64)
    direct[-1] = units**-0.5
    return direct


def norms(block: Tensor) -> Tensor:
    """L2 norm over batch and units at each timestep: [T, N, S] to [T]."""
    return block.flatten(1).norm(dim=1)


def line(name: str, title: str, values: Tensor | np.ndarray) -> Series:
    """A Series of numbers that were all measured."""
    array = np.asarray(values, dtype=np.float64)
    return series(name, title, "1", array, np.zeros(len(array), dtype=bool))
