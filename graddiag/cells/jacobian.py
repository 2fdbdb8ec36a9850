"""The derivative of a layer's state by the state before it, J_t = d s_t / d s_{t-1}, in factors, batched.

The state s is h [P] for an RNN and a GRU, and h and c [P + H] for an LSTM. J_t is never needed as a matrix: it is a
product of W_hh with factors of the gates, and is applied from either side. Legend as in ``graddiag.cells``; m, K: how
many directions or gradients are taken along at once.

Each cell gives its own factors (``Cell.jacobian``): its equations, differentiated by the state.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from graddiag.cells.layer_norm import through_norm
from graddiag.cells.values import Weights


@dataclass(frozen=True)
class Tangents:
    """J_t along one trajectory, in factors; timesteps in whatever order the states were given.

    Attributes:
        factors: [T, N, G, H], what a change of a gate's pre-activation, as far as it comes from W_hh h_{t-1}, does to
            the state: to h, or where there is a c, the last gate (o) to m = o tanh(c), the others to c. With layer
            norm: a change behind it.
        keep: [T, N, H], what the state keeps of itself: z of h (GRU), f of c (LSTM), all of it (residual RNN); None for
            another RNN.
        through: [T, N, H], o (1 - tanh^2 c), what a change of c does to m; None but for an LSTM.
        w_hh: [G, H, P]; w_hr: [P, H] or None (an LSTM with a projection).
        normed, spread: of a layer norm, [T, N, H] and [T, N, 1], as in ``States``; None without one.
    """

    factors: Tensor
    keep: Tensor | None
    through: Tensor | None
    w_hh: Tensor
    w_hr: Tensor | None = None
    normed: Tensor | None = None
    spread: Tensor | None = None

    @property
    def size(self) -> int:
        """Entries of the state: P, or P + H for an LSTM."""
        _, H, P = self.w_hh.shape
        return P if self.through is None else P + H


@dataclass(frozen=True)
class Trajectory:
    """The states around each timestep: gates by name and h [T, N, .], h_before the h that each timestep started from;
    c and c_before likewise for an LSTM, normed and spread of a layer norm."""

    gates: Mapping[str, Tensor]
    h: Tensor
    h_before: Tensor
    c: Tensor | None = None
    c_before: Tensor | None = None
    normed: Tensor | None = None
    spread: Tensor | None = None


def push(tangents: Tangents, t: int, directions: Tensor) -> Tensor:
    """J_t applied to m changes of the state before: [N, D, m] to [N, D, m]; h above c in an LSTM."""
    G, H, P = tangents.w_hh.shape
    h, c = directions[:, :P], directions[:, P:]
    by_gate = (tangents.w_hh.view(G * H, P) @ h).view(len(h), G, H, -1)
    if tangents.normed is not None and tangents.spread is not None:
        normed, spread = tangents.normed[t, :, None, :, None], tangents.spread[t, :, None, :, None]
        by_gate = through_norm(by_gate, normed, spread, dim=-2)
    by_gate = by_gate * tangents.factors[t].unsqueeze(-1)
    if tangents.through is None:
        kept = 0 if tangents.keep is None else tangents.keep[t].unsqueeze(-1) * h
        return by_gate.sum(1) + kept
    assert tangents.keep is not None
    c = tangents.keep[t].unsqueeze(-1) * c + by_gate[:, :-1].sum(1)
    m = tangents.through[t].unsqueeze(-1) * c + by_gate[:, -1]
    return torch.cat((m if tangents.w_hr is None else tangents.w_hr @ m, c), 1)


def pull(tangents: Tangents, t: int, grad_h: Tensor, grad_c: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """J_t^T applied to K gradients of the state: [K, N, P] (and [K, N, H] for an LSTM) to those of the state before."""
    G, H, P = tangents.w_hh.shape
    w_hh = tangents.w_hh.view(G * H, P)
    if tangents.through is None:
        by_gate = grad_h.unsqueeze(2) * tangents.factors[t]
        if tangents.normed is not None and tangents.spread is not None:
            by_gate = through_norm(by_gate, tangents.normed[t].unsqueeze(1), tangents.spread[t].unsqueeze(1))
        sent = by_gate.flatten(2) @ w_hh
        return sent if tangents.keep is None else sent.addcmul_(tangents.keep[t], grad_h), None
    assert tangents.keep is not None
    assert grad_c is not None
    grad_m = grad_h if tangents.w_hr is None else grad_h @ tangents.w_hr
    grad_c = grad_c + grad_m * tangents.through[t]
    by_gate = torch.stack((*(grad_c,) * (G - 1), grad_m), 2) * tangents.factors[t]
    return by_gate.flatten(2) @ w_hh, grad_c * tangents.keep[t]


def jacobian(tangents: Tangents, t: int) -> Tensor:
    """J_t as a matrix for each sample, [N, D, D]."""
    N, D = tangents.factors.shape[1], tangents.size
    eye = torch.eye(D, dtype=tangents.factors.dtype, device=tangents.factors.device)
    return push(tangents, t, eye.expand(N, D, D))


def by_gate(weights: Weights, gates: int) -> Tensor:
    """W_hh as [G, H, P]."""
    return weights.w_hh.view(gates, -1, weights.w_hh.shape[-1])
