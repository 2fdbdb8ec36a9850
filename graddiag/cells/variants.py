"""The RNN with layer norm, with residual recurrent connections, or with both.

a_t = x_t W_ih^T + h_{t-1} W_hh^T; with layer norm n_t = (a_t - mean) / sqrt(var + eps) over the units of each sample,
and y_t = gain n_t + b_ih + b_hh; without, y_t = a_t + b_ih + b_hh. m_t = phi(y_t); h_t = m_t, or m_t + h_{t-1} with
residual connections, so that J_t = I + diag(phi') W_hh.

Source: Ba, Kiros & Hinton (2016), Layer normalization, equation 4; He et al. (2016) for the identity shortcut, along
time as in Chang et al. (2019), AntisymmetricRNN, whose forward Euler step of size 1 it is.
"""

import torch
from torch import Tensor

from graddiag.cells.activations import activate_, slope
from graddiag.cells.grad_transform import AppliedTransform, GradTransform
from graddiag.cells.layer_norm import normalized, scaled, through_norm
from graddiag.cells.products import RepeatedProduct
from graddiag.cells.projection import bias, previous, project
from graddiag.cells.values import Adjoint, States, Weights
from graddiag.kinds import Nonlinearity


def forward(x: Tensor, h0: Tensor, weights: Weights, phi: Nonlinearity, *, residual: bool) -> States:
    """States of every timestep. x [T, N, I], h0 [N, H]."""
    a = project(x, weights.w_ih, None if weights.gain is not None else bias(weights))
    normed, spread = _empty(a, weights)
    h = torch.empty_like(a) if residual else a
    recurrent, before = RepeatedProduct(weights.w_hh.t(), x.shape[1]), h0
    for t, a_t in enumerate(a):
        recurrent.add_to(a_t, before)
        if normed is not None and spread is not None:
            normed[t], spread[t] = normalized(a_t)
            a_t.copy_(scaled(normed[t], weights))
        activate_(a_t, phi)
        before = torch.add(a_t, before, out=h[t]) if residual else a_t
    return States(h=h, h0=h0, gates=a if residual else None, normed=normed, spread=spread)


def recover(x: Tensor, h: Tensor, h0: Tensor, weights: Weights, phi: Nonlinearity, *, residual: bool) -> States:
    """The states that gave the outputs ``h``, in two products for all timesteps."""
    a = project(x, weights.w_ih, None if weights.gain is not None else bias(weights))
    a += project(previous(h, h0), weights.w_hh, None)
    normed = spread = None
    if weights.gain is not None:
        normed, spread = normalized(a)
        a = scaled(normed, weights)
    activate_(a, phi)
    return States(h=h, h0=h0, gates=a if residual else None, normed=normed, spread=spread)


def adjoint(
    states: States,
    weights: Weights,
    grad_h_direct: Tensor,
    grad_transform: GradTransform | None,
    phi: Nonlinearity,
    *,
    residual: bool,
) -> Adjoint:
    """dy_t = dh_t phi'(y_t); delta_t = dL/da_t is dy_t, or with layer norm what ``through_norm`` makes of gain dy_t;
    dh_{t-1} = l_{t-1} + delta_t W_hh (+ dh_t, residual). grad_h_direct is l, [T, N, H].
    """
    grad_h = grad_h_direct.clone(memory_format=torch.contiguous_format)
    grad_y = slope(states.h if states.gates is None else states.gates, phi)
    grad_a = grad_y if weights.gain is None else torch.empty_like(grad_y)
    sent_h = torch.empty_like(grad_h)
    transform, recurrent = AppliedTransform(grad_transform, sent_h), RepeatedProduct(weights.w_hh, grad_h.shape[1])
    for t in range(len(grad_h) - 1, -1, -1):
        if t + 1 < len(grad_h):
            grad_h[t].add_(sent_h[t + 1])
        grad_y[t].mul_(grad_h[t])
        if weights.gain is not None and states.normed is not None and states.spread is not None:
            grad_a[t] = through_norm(grad_y[t] * weights.gain, states.normed[t], states.spread[t])
        recurrent.into(sent_h[t], grad_a[t])
        if residual:
            sent_h[t].add_(grad_h[t])
        transform(t)
    behind = None if weights.gain is None else grad_y
    return Adjoint(
        grad_h=grad_h, sent_h=sent_h, grad_a=grad_a, grad_a_hh=grad_a, grad_y=behind, unclipped_h=transform.h
    )


def _empty(a: Tensor, weights: Weights) -> tuple[Tensor | None, Tensor | None]:
    return (None, None) if weights.gain is None else (torch.empty_like(a), a.new_empty(*a.shape[:-1], 1))
