"""Products over all timesteps at once, shared by the cells."""

import torch
from torch import Tensor

from graddiag.cells.products import outer_product, product, product_with_bias
from graddiag.cells.values import Weights


def project(x: Tensor, weight: Tensor, added: Tensor | None) -> Tensor:
    """x W^T (+ bias) for every timestep in one product: [T, N, I] and [O, I] to a fresh [T, N, O]."""
    flat = x.reshape(-1, x.shape[-1])
    out = product(flat, weight.t()) if added is None else product_with_bias(flat, weight.t(), added)
    return out.view(*x.shape[:-1], weight.shape[0])


def bias(weights: Weights) -> Tensor | None:
    """b_ih + b_hh, or None without biases."""
    if weights.b_ih is None or weights.b_hh is None:
        return None
    return weights.b_ih + weights.b_hh


def outer_sum(left: Tensor, right: Tensor) -> Tensor:
    """sum over timesteps and batch of left^T right: [T, N, A] and [T, N, B] to [A, B]."""
    return outer_product(left.reshape(-1, left.shape[-1]), right.reshape(-1, right.shape[-1]))


def previous(states: Tensor, first: Tensor) -> Tensor:
    """The state before each timestep: [T, N, S] and the initial [N, S] to [T, N, S]."""
    return torch.cat((first.unsqueeze(0), states[:-1]))
