"""Layer norm over the units of each sample: n = (a - mean) / sqrt(var + eps), y = gain n + b_ih + b_hh.

Source: Ba, Kiros & Hinton (2016), Layer normalization, equation 4.
"""

from typing import Final

from torch import Tensor

from graddiag.cells.projection import bias
from graddiag.cells.values import Adjoint, States, Weights

EPSILON: Final = 1e-5  # torch.nn.LayerNorm's


def normalized(a: Tensor) -> tuple[Tensor, Tensor]:
    """n and the standard deviation that a was divided by."""
    centred = a - a.mean(-1, keepdim=True)
    spread = (centred.square().mean(-1, keepdim=True) + EPSILON).sqrt()
    return centred / spread, spread


def scaled(normed: Tensor, weights: Weights) -> Tensor:
    """y, of n."""
    assert weights.gain is not None
    scaled, added = normed * weights.gain, bias(weights)
    return scaled if added is None else scaled.add_(added)


def through_norm(grad: Tensor, normed: Tensor, spread: Tensor, dim: int = -1) -> Tensor:
    """(v - mean(v) - n mean(n v)) / spread over units (``dim``): the derivative of n by a, which is symmetric."""
    return (grad - grad.mean(dim, keepdim=True) - normed * (grad * normed).mean(dim, keepdim=True)) / spread


def gain_gradient(states: States, adj: Adjoint) -> Tensor:
    """dL/dgain, [H]: the sum of dy_t n_t over timesteps and batch."""
    assert states.normed is not None
    assert adj.grad_y is not None
    return (adj.grad_y * states.normed).sum((0, 1))
