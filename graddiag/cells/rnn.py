"""Elman RNN: h_t = phi(x_t W_ih^T + b_ih + h_{t-1} W_hh^T + b_hh), phi in tanh, relu, sigmoid, identity and
truncated-relu, which is min(max(a, 0), 20). ``cells.variants`` has it with layer norm and residual connections.

Source: Elman (1990); Pascanu, Mikolov & Bengio (2013), equations 2 and 5; the truncated relu and its cap are those of
faster-rnnlm.
"""

from itertools import product
from typing import Any, Final, final

import torch
from torch import Tensor

from graddiag.cells import variants
from graddiag.cells.activations import activate_, slope
from graddiag.cells.cell import Cell
from graddiag.cells.grad_transform import AppliedTransform, GradTransform
from graddiag.cells.jacobian import Tangents, Trajectory, by_gate
from graddiag.cells.products import RepeatedProduct
from graddiag.cells.projection import bias, project
from graddiag.cells.values import Adjoint, States, Weights
from graddiag.kernels import arrays, compiled
from graddiag.kinds import CELL_TYPES, NONLINEARITIES, Nonlinearity


@final
class RNNEquations(Cell):
    """With one activation, residual or not. Layer norm is present where the weights hold a gain."""

    type = CELL_TYPES["rnn"]

    def __init__(self, nonlinearity: Nonlinearity, residual: bool) -> None:
        self.nonlinearity: Nonlinearity = nonlinearity
        self.residual = residual
        self.kind = f"rnn_residual_{nonlinearity}" if residual else f"rnn_{nonlinearity}"
        if not residual:
            self.torch_layer, self.torch_cell = _TORCH.get(nonlinearity, (None, None))

    def forward(self, x: Tensor, h0: Tensor, c0: Tensor | None, weights: Weights) -> States:
        """States of every timestep. x [T, N, I], h0 [N, H]."""
        if not self._is_plain(weights):
            return variants.forward(x, h0, weights, self.nonlinearity, residual=self.residual)
        return _forward(x, h0, weights, self.nonlinearity)

    def recover(self, x: Tensor, h: Tensor, h0: Tensor, c0: Tensor | None, weights: Weights) -> States:
        """See ``Cell.recover``; a plain RNN has no state but its output."""
        if not self._is_plain(weights):
            return variants.recover(x, h, h0, weights, self.nonlinearity, residual=self.residual)
        return States(h=h, h0=h0)

    def adjoint(
        self,
        states: States,
        weights: Weights,
        grad_h_direct: Tensor,
        grad_c_direct: Tensor | None = None,
        grad_transform: GradTransform | None = None,
    ) -> Adjoint:
        """dh_t = l_t + delta_{t+1} W_hh, delta_t = dh_t phi'(a_t). grad_h_direct is l, [T, N, H]."""
        if not self._is_plain(weights):
            phi, residual = self.nonlinearity, self.residual
            return variants.adjoint(states, weights, grad_h_direct, grad_transform, phi, residual=residual)
        return _adjoint(states, weights, grad_h_direct, self.nonlinearity, grad_transform)

    def jacobian(self, along: Trajectory, weights: Weights) -> Tangents:
        """See ``Cell.jacobian``."""
        factors = slope(along.gates["h"] if self.residual else along.h, self.nonlinearity)
        keep = torch.ones_like(factors) if self.residual else None
        if weights.gain is not None:
            factors = factors * weights.gain
        w_hh = by_gate(weights, 1)
        return Tangents(factors.unsqueeze(2), keep, None, w_hh, normed=along.normed, spread=along.spread)

    def _is_plain(self, weights: Weights) -> bool:
        """Whether it is Elman's: neither residual nor with layer norm."""
        return weights.gain is None and not self.residual


_TORCH: Final[dict[Nonlinearity, tuple[Any, Any]]] = {
    "tanh": (torch.rnn_tanh, torch.rnn_tanh_cell),
    "relu": (torch.rnn_relu, torch.rnn_relu_cell),
}

CELLS: Final = tuple(RNNEquations(phi, residual) for residual, phi in product((False, True), NONLINEARITIES))


def _forward(x: Tensor, h0: Tensor, weights: Weights, activation: Nonlinearity) -> States:
    """States of every timestep. x [T, N, I], h0 [N, H]."""
    h = project(x, weights.w_ih, bias(weights))
    recurrent = RepeatedProduct(weights.w_hh.t(), x.shape[1])
    previous = h0
    kernels = compiled("rnn", h) if activation == "tanh" else None
    for h_t in h:
        recurrent.add_to(h_t, previous)
        if kernels is None:
            activate_(h_t, activation)
        else:
            kernels.activate_tanh(*arrays(h_t))
        previous = h_t
    return States(h=h, h0=h0)


def _adjoint(
    states: States,
    weights: Weights,
    grad_h_direct: Tensor,
    activation: Nonlinearity,
    grad_transform: GradTransform | None = None,
) -> Adjoint:
    """dh_t = l_t + delta_{t+1} W_hh, delta_t = dh_t phi'(a_t). grad_h_direct is l, [T, N, H]."""
    grad_h = grad_h_direct.clone(memory_format=torch.contiguous_format)
    kernels = compiled("rnn", states.h, grad_h) if activation == "tanh" else None
    grad_a = slope(states.h, activation) if kernels is None else torch.empty_like(grad_h)
    sent_h = torch.empty_like(grad_h)
    transform = AppliedTransform(grad_transform, sent_h)
    recurrent = RepeatedProduct(weights.w_hh, grad_h.shape[1])
    shared = () if kernels is None else arrays(states.h, grad_h, grad_a, sent_h)
    for t in range(len(grad_h) - 1, -1, -1):
        if kernels is not None:
            kernels.adjoint_step_tanh(t, *shared)
        else:
            if t + 1 < len(grad_h):
                grad_h[t].add_(sent_h[t + 1])
            grad_a[t].mul_(grad_h[t])
        recurrent.into(sent_h[t], grad_a[t])
        transform(t)
    return Adjoint(grad_h=grad_h, sent_h=sent_h, grad_a=grad_a, grad_a_hh=grad_a, unclipped_h=transform.h)
