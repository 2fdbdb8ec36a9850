"""The credit matrix ||dL_s/dh_t||: what the loss at timestep s alone sends back to timestep t, all s in one pass."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from graddiag import schema
from graddiag.cells.jacobian import Tangents, Trajectory, pull
from graddiag.cells.registry import tangents
from graddiag.errors import UnsupportedError
from graddiag.tracing.norms import norm
from graddiag.tracing.trace import Trace

# entries that the gradients of the loss timesteps taken along together may have: 16 MiB in float32
_CHUNK: Final = 1 << 22


def credit(trace: Trace, at: Sequence[int]) -> Tensor:
    """||dL_s/dh_t|| for the loss timesteps s in ``at``, L2 over batch and units together, [S, T] float64.

    L_s is what enters the layer through its output at s alone (and through h_n and c_n, where a sequence ends at s):
    the immediate gradient at s, sent back through time by itself. In the top layer that is the loss at timestep s; in
    a layer below, what the layer above hands down at s, whichever loss it stems from. The sum over all s of dL_s/dh_t,
    as vectors, is dL/dh_t.

    One walk along time for all s together, not a backward pass for each; where S x N x H is large they are taken in
    blocks of bounded memory. The entries behind s (t > s; t < s in a reverse direction) are NaN: there is nothing.

    Raises:
        UnsupportedError: no gradient reached the layer, or its weights have been changed since it ran.
    """
    if trace.grad_h_direct is None:
        raise UnsupportedError(f"credit({trace!r}): it needs the gradients of a backward pass through the layer.")
    J = tangents_of(trace)
    T, N, _ = trace.h.shape
    G, H, P = J.w_hh.shape
    back = trace.direction == "forward"
    rows = sorted(range(len(at)), key=lambda row: at[row], reverse=back)
    most = max(1, _CHUNK // max(1, N * (G * H + H + P)))
    blocks = [rows[start : start + most] for start in range(0, len(rows), most)]
    walked = [_walk(trace, J, [at[row] for row in block]) for block in blocks]
    by_row = dict(zip(rows, (row for block in walked for row in block), strict=True))
    return torch.stack([by_row[row] for row in range(len(at))]) if rows else trace.h.new_zeros(0, T).double()


def loss_timesteps(T: int, direction: schema.Direction, most: int = schema.CREDIT_ROWS) -> tuple[int, ...]:
    """All timesteps, or ``most`` of them evenly spaced, with the one that is processed last."""
    rows = min(T, most)
    back = [(k * T) // rows for k in range(rows)]
    return tuple(back) if direction == "reverse" else tuple(T - 1 - lag for lag in reversed(back))


def tangents_of(trace: Trace) -> Tangents:
    """J_t = d s_t / d s_{t-1} at every timestep of a trace, in the order of the data.

    Raises:
        UnsupportedError: its weights have been changed since it ran, or operations lie between its calls.
    """
    if trace.weights is None:
        raise UnsupportedError(
            f"{trace!r}: its weights were changed before the trace was taken, so that their derivatives are gone. Let "
            "`with graddiag.capture(...)` end before optimizer.step()."
        )
    if trace.given_h is not None:
        raise UnsupportedError(
            f"{trace!r}: its state goes through operations between the calls, whose derivatives are not kept. The "
            "transport gain of each timestep is known."
        )
    along = Trajectory(trace.gates, trace.h, trace.h_before, trace.c, trace.c_before, trace.normed, trace.spread)
    return tangents(trace.kind, along, trace.weights)


def _walk(trace: Trace, J: Tangents, at: Sequence[int]) -> Tensor:
    """The rows of the loss timesteps ``at``, [K, T], which are in the order in which the walk meets them."""
    assert trace.grad_h_direct is not None
    (T, N, P), K = trace.h.shape, len(at)
    found = trace.h.new_full((K, T), torch.nan, dtype=torch.float64)
    grad_h = trace.h.new_zeros(K, N, P)
    grad_c = None if trace.c is None else trace.h.new_zeros(K, N, trace.c.shape[-1])
    real = trace.real()
    order = range(at[0], -1, -1) if trace.direction == "forward" else range(at[0], T)
    active = 0
    for t in order:
        if real is not None:
            # past its end a reverse sequence has sent to its initial state: nothing arrives there
            grad_h[:active] *= real[t].unsqueeze(-1)
            if grad_c is not None:
                grad_c[:active] *= real[t].unsqueeze(-1)
        while active < K and at[active] == t:
            grad_h[active] = trace.grad_h_direct[t]
            if grad_c is not None and trace.grad_c_direct is not None:
                grad_c[active] = trace.grad_c_direct[t]
            active += 1
        found[:active, t] = norm(grad_h[:active].flatten(1))
        sent_h, sent_c = pull(J, t, grad_h[:active], None if grad_c is None else grad_c[:active])
        grad_h[:active] = sent_h
        if grad_c is not None and sent_c is not None:
            grad_c[:active] = sent_c
    return found
