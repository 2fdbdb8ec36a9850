"""The activations of a cell: in place, their slopes, and where they are saturated."""

from typing import Final

import torch
from torch import Tensor

from graddiag import schema
from graddiag.kinds import Nonlinearity

RELU_CAP: Final = 20.0

Bounds = tuple[float | None, float | None]
"""Below the first and above the second an activation is saturated; None where it has no such side."""

_SIGMOID: Final[Bounds] = (schema.SATURATION_LOW, schema.SATURATION_HIGH)
_TANH: Final[Bounds] = (-schema.SATURATION_HIGH, schema.SATURATION_HIGH)
SATURATION: Final[dict[Nonlinearity, Bounds]] = {
    "tanh": _TANH,
    "sigmoid": _SIGMOID,
    "relu": (0.0, None),
    "truncated-relu": (0.0, RELU_CAP),
    "identity": (None, None),
}


def activate_(a: Tensor, activation: Nonlinearity) -> None:
    """phi(a) in place."""
    if activation == "tanh":
        a.tanh_()
    elif activation == "relu":
        a.relu_()
    elif activation == "sigmoid":
        a.sigmoid_()
    elif activation == "truncated-relu":
        a.clamp_(0.0, RELU_CAP)


def slope(h: Tensor, activation: Nonlinearity) -> Tensor:
    """phi'(a) from phi(a); the slope of relu at 0 is 0, as torch has it, and that of its truncated form at 20 too."""
    if activation == "tanh":
        return (h * h).neg_().add_(1)
    if activation == "relu":
        return (h > 0).to(h.dtype)
    if activation == "sigmoid":
        return h * (1 - h)
    if activation == "truncated-relu":
        return ((h > 0) & (h < RELU_CAP)).to(h.dtype)
    return torch.ones_like(h, memory_format=torch.contiguous_format)
