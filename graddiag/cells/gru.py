"""GRU: r, z = sigmoid; q = h_{t-1} W_hn^T + b_hn; n = tanh(a^x_n + r q); h_t = (1 - z) n + z h_{t-1}. z -> 1 copies.

Source: Cho et al. (2014), in the variant of torch and cuDNN where r multiplies q after the product.
"""

from typing import Any, Final, final

import torch
from torch import Tensor

from graddiag.cells.cell import Cell
from graddiag.cells.grad_transform import AppliedTransform, GradTransform
from graddiag.cells.jacobian import Tangents, Trajectory, by_gate
from graddiag.cells.products import RepeatedProduct
from graddiag.cells.projection import previous, project
from graddiag.cells.sequences import followed
from graddiag.cells.values import Adjoint, States, Weights
from graddiag.kernels import arrays, compiled
from graddiag.kinds import CELL_TYPES


@final
class GRUEquations(Cell):
    """See the top of this module."""

    type = CELL_TYPES["gru"]
    kind = "gru"
    torch_layer: Any = torch.gru
    torch_cell: Any = torch.gru_cell

    def forward(self, x: Tensor, h0: Tensor, c0: Tensor | None, weights: Weights) -> States:
        """States of every timestep. x [T, N, I], h0 [N, H]."""
        H = h0.shape[-1]
        gates = project(x, weights.w_ih, weights.b_ih)
        recurrent, a_h = RepeatedProduct(weights.w_hh.t(), x.shape[1]), x.new_empty(x.shape[1], 3 * H)
        h, q = x.new_empty(*x.shape[:2], H), x.new_empty(*x.shape[:2], H)
        kernels, h_t = compiled("gru", gates, h0), h0
        shared = () if kernels is None else arrays(gates, a_h, q, h0, h)
        for t, a in enumerate(gates):
            recurrent.into(a_h, h_t)
            if weights.b_hh is not None:
                a_h += weights.b_hh
            if kernels is not None:
                kernels.step(t, *shared)
                h_t = h[t]
                continue
            q[t] = a_h[:, 2 * H :]
            r_z = a[:, : 2 * H].add_(a_h[:, : 2 * H]).sigmoid_()
            n = a[:, 2 * H :].addcmul_(r_z[:, :H], q[t]).tanh_()
            h_t = torch.lerp(n, h_t, r_z[:, H:], out=h[t])
        return States(h=h, h0=h0, gates=gates, q=q)

    def recover(self, x: Tensor, h: Tensor, h0: Tensor, c0: Tensor | None, weights: Weights) -> States:
        """The states that gave the outputs ``h``, in two products for all timesteps."""
        H = h0.shape[-1]
        gates = project(x, weights.w_ih, weights.b_ih)
        a_h = project(previous(h, h0), weights.w_hh, weights.b_hh)
        kernels = compiled("gru", gates, a_h)
        if kernels is not None:
            q = torch.empty_like(h, memory_format=torch.contiguous_format)
            kernels.scan(*arrays(gates, a_h, q))
            return States(h=h, h0=h0, gates=gates, q=q)
        q = a_h[..., 2 * H :].clone()
        gates[..., : 2 * H].add_(a_h[..., : 2 * H]).sigmoid_()
        gates[..., 2 * H :].addcmul_(gates[..., :H], q).tanh_()
        return States(h=h, h0=h0, gates=gates, q=q)

    def adjoint(
        self,
        states: States,
        weights: Weights,
        grad_h_direct: Tensor,
        grad_c_direct: Tensor | None = None,
        grad_transform: GradTransform | None = None,
    ) -> Adjoint:
        """alpha_n = dh (1-z)(1-n^2), alpha_z = dh (h_{t-1} - n) z(1-z), alpha_r = alpha_n q r(1-r);
        dh_{t-1} = l_{t-1} + dh_t z + [alpha_r, alpha_z, alpha_n r] W_hh. grad_h_direct is l, [T, N, H].
        """
        T, N, H = states.h.shape
        assert states.gates is not None
        kernels = compiled("gru", states.gates, states.q, states.h, states.h0, grad_h_direct)
        if kernels is not None:
            return _adjoint_compiled(kernels, states, weights, grad_h_direct, grad_transform)
        r, z, _ = states.gates.view(T, N, 3, H).unbind(2)
        grad_h = grad_h_direct.clone(memory_format=torch.contiguous_format)
        grad_a = _factors(states)
        grad_a_hh = grad_a.clone()
        grad_a_hh[..., 2 * H :] *= r
        sent_h = torch.empty_like(grad_h)
        transform = AppliedTransform(grad_transform, sent_h)
        input_side, hidden_side = grad_a.view(T, N, 3, H), grad_a_hh.view(T, N, 3, H)
        recurrent = RepeatedProduct(weights.w_hh, N)
        for t in range(T - 1, -1, -1):
            dh = grad_h[t]
            if t + 1 < T:
                dh.add_(sent_h[t + 1])
            hidden_side[t].mul_(dh.unsqueeze(1))
            torch.mul(dh, z[t], out=sent_h[t])
            recurrent.add_to(sent_h[t], grad_a_hh[t])
            transform(t)
        input_side *= grad_h.unsqueeze(2)
        return Adjoint(grad_h=grad_h, sent_h=sent_h, grad_a=grad_a, grad_a_hh=grad_a_hh, unclipped_h=transform.h)

    def jacobian(self, along: Trajectory, weights: Weights) -> Tangents:
        """See ``Cell.jacobian``."""
        r, z, n = (along.gates[name] for name in self.type.gate_names)
        w_hh = by_gate(weights, 3)
        q = along.h_before @ w_hh[2].t()
        if weights.b_hh is not None:
            q = q + weights.b_hh.chunk(3)[2]
        for_n = (1 - z) * (1 - n * n)
        factors = (for_n * q * r * (1 - r), (along.h_before - n) * z * (1 - z), for_n * r)
        return Tangents(torch.stack(factors, 2), z, None, w_hh)


CELLS: Final = (GRUEquations(),)


def _adjoint_compiled(
    kernels: Any, states: States, weights: Weights, grad_h_direct: Tensor, grad_transform: GradTransform | None
) -> Adjoint:
    """The adjoint with a compiled loop over the elements of each timestep."""
    assert states.gates is not None
    assert states.q is not None
    grad_h = grad_h_direct.clone(memory_format=torch.contiguous_format)
    sent_h, grad_a, grad_a_hh = torch.empty_like(grad_h), torch.empty_like(states.gates), torch.empty_like(states.gates)
    transform, recurrent = AppliedTransform(grad_transform, sent_h), RepeatedProduct(weights.w_hh, grad_h.shape[1])
    starts = followed(states.h, states.lengths)
    shared = arrays(states.gates, states.q, states.h0, starts, grad_h, grad_a, grad_a_hh, sent_h)
    for t in range(len(grad_h) - 1, -1, -1):
        kernels.adjoint_step(t, *shared)
        recurrent.add_to(sent_h[t], grad_a_hh[t])
        transform(t)
    return Adjoint(grad_h=grad_h, sent_h=sent_h, grad_a=grad_a, grad_a_hh=grad_a_hh, unclipped_h=transform.h)


def _factors(states: States) -> Tensor:
    """What multiplies dh in [alpha_r, alpha_z, alpha_n], [T, N, 3H]."""
    assert states.gates is not None
    assert states.q is not None
    T, N, H = states.h.shape
    r, z, n = states.gates.view(T, N, 3, H).unbind(2)
    for_n = (1 - z) * (1 - n * n)
    before = torch.cat((states.h0.unsqueeze(0), followed(states.h, states.lengths)))
    for_z = (before - n) * z * (1 - z)
    for_r = for_n * states.q * r * (1 - r)
    return torch.cat((for_r, for_z, for_n), dim=-1)
