"""Elman RNN: h_t = phi(x_t W_ih^T + b_ih + h_{t-1} W_hh^T + b_hh), phi in tanh, relu, sigmoid, identity and
truncated-relu, which is min(max(a, 0), 20).

Source: Elman (1990); Pascanu, Mikolov & Bengio (2013), equations 2 and 5; the truncated relu and its cap are those of
faster-rnnlm.
"""

from typing import Final

import torch
from torch import Tensor

from graddiag.cells.grad_transform import AppliedTransform, GradTransform
from graddiag.cells.projection import bias, project
from graddiag.cells.values import Adjoint, States, Weights

RELU_CAP: Final = 20.0


def forward(x: Tensor, h0: Tensor, weights: Weights, activation: str) -> States:
    """States of every timestep. x [T, N, I], h0 [N, H]."""
    h = project(x, weights.w_ih, bias(weights))
    w_hh = weights.w_hh.t()
    previous = h0
    for h_t in h:
        h_t.addmm_(previous, w_hh)
        activate_(h_t, activation)
        previous = h_t
    return States(h=h, h0=h0)


def adjoint(
    states: States,
    weights: Weights,
    grad_h_direct: Tensor,
    activation: str,
    grad_transform: GradTransform | None = None,
) -> Adjoint:
    """dh_t = l_t + delta_{t+1} W_hh, delta_t = dh_t phi'(a_t). grad_h_direct is l, [T, N, H]."""
    grad_h = grad_h_direct.clone(memory_format=torch.contiguous_format)
    grad_a = slope(states.h, activation)
    sent_h = torch.empty_like(grad_h)
    transform = AppliedTransform(grad_transform, sent_h)
    for t in range(len(grad_h) - 1, -1, -1):
        if t + 1 < len(grad_h):
            grad_h[t].add_(sent_h[t + 1])
        grad_a[t].mul_(grad_h[t])
        torch.mm(grad_a[t], weights.w_hh, out=sent_h[t])
        transform(t)
    return Adjoint(grad_h=grad_h, sent_h=sent_h, grad_a=grad_a, grad_a_hh=grad_a, unclipped_h=transform.h)


def activate_(a: Tensor, activation: str) -> None:
    """phi(a) in place."""
    if activation == "tanh":
        a.tanh_()
    elif activation == "relu":
        a.relu_()
    elif activation == "sigmoid":
        a.sigmoid_()
    elif activation == "truncated-relu":
        a.clamp_(0.0, RELU_CAP)


def slope(h: Tensor, activation: str) -> Tensor:
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
