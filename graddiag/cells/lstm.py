"""LSTM: i, f, o = sigmoid, g = tanh; c_t = f c_{t-1} + i g; m_t = o tanh(c_t); h_t = m_t, or m_t W_hr^T if projected.

Source: Hochreiter & Schmidhuber (1997) with the forget gate of Gers et al. (2000); rows i f g o as in torch.
"""

from typing import Any, Final, final

import torch
from torch import Tensor

from graddiag.cells.cell import Cell
from graddiag.cells.grad_transform import AppliedTransform, GradTransform
from graddiag.cells.jacobian import Tangents, Trajectory, by_gate
from graddiag.cells.products import RepeatedProduct
from graddiag.cells.projection import bias, previous, project
from graddiag.cells.sequences import followed
from graddiag.cells.values import Adjoint, States, Weights
from graddiag.kernels import arrays, compiled
from graddiag.kinds import CELL_TYPES


@final
class LSTMEquations(Cell):
    """See the top of this module."""

    type = CELL_TYPES["lstm"]
    kind = "lstm"
    torch_layer: Any = torch.lstm
    torch_cell: Any = torch.lstm_cell

    def forward(self, x: Tensor, h0: Tensor, c0: Tensor | None, weights: Weights) -> States:
        """States of every timestep. x [T, N, I], h0 [N, P], c0 [N, H]."""
        assert c0 is not None
        states = States(
            h=x.new_empty(*x.shape[:2], h0.shape[-1]),
            h0=h0,
            gates=project(x, weights.w_ih, bias(weights)),
            c=x.new_empty(*x.shape[:2], c0.shape[-1]),
            c0=c0,
        )
        kernels = compiled("lstm", states.gates, h0, c0) if weights.w_hr is None else None
        if kernels is None:
            _forward(states, weights)
        else:
            _forward_compiled(kernels, states, weights)
        return states

    def recover(self, x: Tensor, h: Tensor, h0: Tensor, c0: Tensor | None, weights: Weights) -> States:
        """The states that gave the outputs ``h``: one product for all gates, then c_t = f c_{t-1} + i g along time."""
        assert c0 is not None
        gates = project(x, weights.w_ih, bias(weights))
        from_h = project(previous(h, h0), weights.w_hh, None)
        kernels = compiled("lstm", gates, from_h, c0)
        if kernels is None:
            return States(h=h, h0=h0, gates=gates, c=_scan(gates.add_(from_h), c0), c0=c0)
        c = gates.new_empty(*h.shape[:2], c0.shape[-1])
        kernels.scan(*arrays(gates, from_h, c0, c))
        return States(h=h, h0=h0, gates=gates, c=c, c0=c0)

    def adjoint(
        self,
        states: States,
        weights: Weights,
        grad_h_direct: Tensor,
        grad_c_direct: Tensor | None = None,
        grad_transform: GradTransform | None = None,
    ) -> Adjoint:
        """Every factor that does not depend on the gradient is computed for all timesteps at once.

        dh_t = l_t + delta_{t+1} W_hh; dc_t = dm_t o (1 - tanh^2 c_t) + dc_{t+1} f_{t+1} (+ grad_c_direct);
        delta_t = [dc g i(1-i), dc c_{t-1} f(1-f), dc i (1-g^2), dm tanh(c_t) o(1-o)], dm = dh (or dh W_hr).
        """
        assert states.gates is not None
        assert states.c is not None
        assert states.c0 is not None
        kernels = (
            compiled("lstm", states.gates, states.c, states.c0, grad_h_direct, grad_c_direct)
            if weights.w_hr is None
            else None
        )
        if kernels is not None:
            return _adjoint_compiled(kernels, states, weights, grad_h_direct, grad_c_direct, grad_transform)
        T, N, H = states.c.shape
        f = states.gates[..., H : 2 * H]
        grad_h = grad_h_direct.clone(memory_format=torch.contiguous_format)
        grad_a, grad_c = _factors(states.gates, states.c, states.c0, states.lengths)
        by_gate = grad_a.view(T, N, 4, H)
        sent_h, sent_c = torch.empty_like(grad_h), torch.empty_like(grad_c)
        transform = AppliedTransform(grad_transform, sent_h, sent_c)
        recurrent = RepeatedProduct(weights.w_hh, N)
        for t in range(T - 1, -1, -1):
            dh, dc = grad_h[t], grad_c[t]
            if t + 1 < T:
                dh.add_(sent_h[t + 1])
            dm = dh if weights.w_hr is None else dh @ weights.w_hr
            dc.mul_(dm)
            if t + 1 < T:
                dc.add_(sent_c[t + 1])
            if grad_c_direct is not None:
                dc.add_(grad_c_direct[t])
            by_gate[t, :, :3].mul_(dc.unsqueeze(1))
            by_gate[t, :, 3].mul_(dm)
            recurrent.into(sent_h[t], grad_a[t])
            torch.mul(dc, f[t], out=sent_c[t])
            transform(t)
        return Adjoint(
            grad_h=grad_h,
            sent_h=sent_h,
            grad_a=grad_a,
            grad_a_hh=grad_a,
            grad_c=grad_c,
            sent_c=sent_c,
            unclipped_h=transform.h,
            unclipped_c=transform.c,
        )

    def jacobian(self, along: Trajectory, weights: Weights) -> Tangents:
        """See ``Cell.jacobian``: i f g act on c, o on m."""
        i, f, g, o = (along.gates[name] for name in self.type.gate_names)
        assert along.c is not None
        assert along.c_before is not None
        tanh_c = along.c.tanh()
        factors = (g * i * (1 - i), along.c_before * f * (1 - f), i * (1 - g * g), tanh_c * o * (1 - o))
        return Tangents(torch.stack(factors, 2), f, o * (1 - tanh_c * tanh_c), by_gate(weights, 4), weights.w_hr)

    def before_projection(self, states: States) -> Tensor:
        """m_t = o tanh(c_t), [T, N, H]: what a projection W_hr is applied to."""
        assert states.gates is not None
        assert states.c is not None
        H = states.c.shape[-1]
        return states.c.tanh() * states.gates[..., 3 * H :]

    def grad_c_through_h(self, states: States, grad_h: Tensor) -> Tensor:
        """dh_t o (1 - tanh^2 c_t), [T, N, H]: through h_t = o tanh(c_t); without a projection."""
        assert states.gates is not None
        assert states.c is not None
        o = states.gates[..., 3 * states.c.shape[-1] :]
        return grad_h * o * (1 - states.c.tanh().square())


CELLS: Final = (LSTMEquations(),)


def _activate_(a: Tensor, H: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    a[..., : 2 * H].sigmoid_()
    g = a[..., 2 * H : 3 * H].tanh_()
    o = a[..., 3 * H :].sigmoid_()
    return a[..., :H], a[..., H : 2 * H], g, o


def _forward(states: States, weights: Weights) -> None:
    """Fills ``states``, whose gates hold x_t W_ih^T + b_ih + b_hh, timestep by timestep."""
    h, c, h_t, c_t = states.h, states.c, states.h0, states.c0
    assert states.gates is not None
    assert c is not None
    assert c_t is not None
    recurrent = RepeatedProduct(weights.w_hh.t(), h.shape[1])
    w_hr = None if weights.w_hr is None else weights.w_hr.t()
    for t, a in enumerate(states.gates):
        recurrent.add_to(a, h_t)
        i, f, g, o = _activate_(a, c.shape[-1])
        torch.mul(f, c_t, out=c[t])
        c_t = c[t].addcmul_(i, g)
        m_t = torch.tanh(c_t, out=h[t] if w_hr is None else None).mul_(o)
        h_t = m_t if w_hr is None else torch.mm(m_t, w_hr, out=h[t])


def _forward_compiled(kernels: Any, states: States, weights: Weights) -> None:
    """The same with a compiled loop over the elements of each timestep, without a projection."""
    assert states.gates is not None
    assert states.c is not None
    assert states.c0 is not None
    recurrent, h_t = RepeatedProduct(weights.w_hh.t(), states.h.shape[1]), states.h0
    shared = arrays(states.gates, states.c0, states.c, states.h)
    for t, a in enumerate(states.gates):
        recurrent.add_to(a, h_t)
        kernels.step(t, *shared)
        h_t = states.h[t]


def _adjoint_compiled(
    kernels: Any,
    states: States,
    weights: Weights,
    grad_h_direct: Tensor,
    grad_c_direct: Tensor | None,
    grad_transform: GradTransform | None,
) -> Adjoint:
    """The adjoint with a compiled loop over the elements of each timestep, without a projection."""
    gates, c, c0 = states.gates, states.c, states.c0
    assert gates is not None
    assert c is not None
    assert c0 is not None
    grad_h = grad_h_direct.clone(memory_format=torch.contiguous_format)
    sent_h, grad_c, sent_c = (torch.empty_like(grad_h) for _ in range(3))
    grad_a = torch.empty_like(gates)
    direct_c = c[:0] if grad_c_direct is None else grad_c_direct
    transform, recurrent = AppliedTransform(grad_transform, sent_h, sent_c), RepeatedProduct(weights.w_hh, c.shape[1])
    starts = followed(c, states.lengths)
    shared = arrays(gates, c, c0, starts, direct_c, grad_h, grad_c, grad_a, sent_h, sent_c)
    for t in range(len(c) - 1, -1, -1):
        kernels.adjoint_step(t, *shared)
        recurrent.into(sent_h[t], grad_a[t])
        transform(t)
    return Adjoint(
        grad_h=grad_h,
        sent_h=sent_h,
        grad_a=grad_a,
        grad_a_hh=grad_a,
        grad_c=grad_c,
        sent_c=sent_c,
        unclipped_h=transform.h,
        unclipped_c=transform.c,
    )


def _scan(gates: Tensor, c0: Tensor) -> Tensor:
    """Pre-activations [T, N, 4H] to gates, in place, and c [T, N, H]."""
    i, f, g, _ = _activate_(gates, c0.shape[-1])
    c, c_t = i * g, c0
    for t in range(len(c)):
        c_t = c[t].addcmul_(f[t], c_t)
    return c


def _factors(gates: Tensor, c: Tensor, c0: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """What multiplies (dc, dc, dc, dm) in delta, [T, N, 4H], and dm in dc, [T, N, H]."""
    T, N, H = c.shape
    by_gate = gates.view(T, N, 4, H)
    i, _, g, o = by_gate.unbind(2)
    tanh_c = c.tanh()
    # sigmoid' = s - s^2 for i, f, o in one pass; the g row is overwritten just below
    factors = (by_gate - by_gate * by_gate).view(T, N, 4, H)
    factors[:, :, 0] *= g
    factors[0, :, 1] *= c0
    factors[1:, :, 1] *= followed(c, lengths)
    torch.mul(g, g, out=factors[:, :, 2]).neg_().add_(1).mul_(i)
    factors[:, :, 3] *= tanh_c
    return factors.view(T, N, 4 * H), tanh_c.square_().neg_().add_(1).mul_(o)
