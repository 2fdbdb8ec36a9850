"""What vanishes and why: the gradient through time of one RNN layer, and powers of a matrix that is not normal."""

import numpy as np
import torch

from graddiag import cells
from graddiag.cells.activations import slope
from graddiag.cells.values import Weights
from graddiag.kinds import Nonlinearity
from graddiag.lessons.networks import UNITS, inputs, line, loss_at_the_end, norms, orthogonal
from graddiag.lessons.values import Decay, Powers


def decay(gain: float, length: int, nonlinearity: Nonlinearity, drive: float) -> Decay:
    """||dL/dh_t|| of an RNN with W_hh = gain x orthogonal and L = v . h_{T-1}, by the exact adjoint.

    h_t = phi(x_t + W_hh h_{t-1}), 16 units, h_{-1} = 0, x_t from N(0, drive^2).

    Args:
        gain: 0 or more; length: T, 2 or more; drive: standard deviation of the inputs.

    Source: Pascanu, Mikolov & Bengio (2013), section 2.1.
    """
    kind = f"rnn_{nonlinearity}"
    weights = Weights(w_ih=torch.eye(UNITS, dtype=torch.float64), w_hh=gain * orthogonal())
    start = torch.zeros(1, UNITS, dtype=torch.float64)
    states = cells.forward(kind, inputs(length, drive), start, None, weights)
    adjoint = cells.adjoint(kind, states, weights, loss_at_the_end(length))
    slopes = slope(states.h, nonlinearity)
    found = norms(adjoint.grad_h)
    back = torch.arange(length - 1, -1, -1, dtype=torch.float64)
    return Decay(
        gain=gain,
        nonlinearity=nonlinearity,
        timesteps=np.arange(length),
        norms=line("norm", "‖dL/dh‖, computed", found),
        theory=line("theory", "gain^(T-1-t)", found[-1] * gain**back),
        bound=line("bound", "bound", found[-1] * _products_after(gain * slopes.flatten(1).amax(1))),
        slope=line("slope", "mean slope φ'", slopes.flatten(1).mean(1)),
    )


def powers(diagonal: float, above: float, count: int) -> Powers:
    """||W^k||, k = 1 ... count, of W = [[diagonal, above], [0, diagonal]].

    W^k = [[d^k, k d^(k-1) u], [0, d^k]]: the corner grows with k before the powers of d win.
    """
    matrix = np.array([[diagonal, above], [0.0, diagonal]])
    k = np.arange(1, count + 1)
    found = [float(np.linalg.norm(np.linalg.matrix_power(matrix, int(each)), 2)) for each in k]
    return Powers(
        diagonal=diagonal,
        k=k,
        norms=line("norm", "‖W^k‖, largest singular value", np.array(found)),
        radius=line("radius", "spectral radius^k", np.abs(diagonal) ** k),
        bound=line("bound", "bound ‖W‖^k", found[0] ** k),
        spectral_norm=found[0],
    )


def _products_after(factors: torch.Tensor) -> torch.Tensor:
    """At t the product of the factors of all timesteps after t: [T] to [T], 1 at the last."""
    ones = torch.ones(1, dtype=factors.dtype)
    return torch.cat([factors[1:].flip(0).cumprod(0).flip(0), ones])
