"""One door to the cells: the kind says which maths is meant, and a gain that there is layer norm."""

from torch import Tensor

from graddiag.cells import gru, lstm, rnn, variants
from graddiag.cells.grad_transform import GradTransform
from graddiag.cells.projection import outer_sum
from graddiag.cells.sequences import followed
from graddiag.cells.values import Adjoint, CellKind, States, WeightGradients, Weights, activation, is_residual


def forward(kind: CellKind, x: Tensor, h0: Tensor, c0: Tensor | None, weights: Weights) -> States:
    """States of one layer in the order of processing. x [T, N, I], h0 [N, P], c0 [N, H] for an LSTM."""
    if kind == "lstm":
        assert c0 is not None
        return lstm.forward(x, h0, c0, weights)
    if kind == "gru":
        return gru.forward(x, h0, weights)
    if _is_plain(kind, weights):
        return rnn.forward(x, h0, weights, activation(kind))
    return variants.forward(x, h0, weights, variants.Variant(activation(kind), is_residual(kind)))


def recover(kind: CellKind, x: Tensor, h: Tensor, h0: Tensor, c0: Tensor | None, weights: Weights) -> States:
    """The states behind known outputs h [T, N, P]: gates and cell state, without running the recursion of h again."""
    if kind == "lstm":
        assert c0 is not None
        return lstm.recover(x, h, h0, c0, weights)
    if kind == "gru":
        return gru.recover(x, h, h0, weights)
    if _is_plain(kind, weights):
        return States(h=h, h0=h0)
    return variants.recover(x, h, h0, weights, variants.Variant(activation(kind), is_residual(kind)))


def adjoint(
    kind: CellKind,
    states: States,
    weights: Weights,
    grad_h_direct: Tensor,
    grad_c_direct: Tensor | None = None,
    grad_transform: GradTransform | None = None,
) -> Adjoint:
    """Total gradients at every timestep from the immediate ones; see ``lstm.adjoint`` for the arguments."""
    if kind == "lstm":
        return lstm.adjoint(states, weights, grad_h_direct, grad_c_direct, grad_transform)
    if kind == "gru":
        return gru.adjoint(states, weights, grad_h_direct, grad_transform)
    if _is_plain(kind, weights):
        return rnn.adjoint(states, weights, grad_h_direct, activation(kind), grad_transform)
    variant = variants.Variant(activation(kind), is_residual(kind))
    return variants.adjoint(states, weights, grad_h_direct, variant, grad_transform)


def _is_plain(kind: CellKind, weights: Weights) -> bool:
    """Whether an RNN is Elman's: neither residual nor with layer norm."""
    return weights.gain is None and not is_residual(kind)


def recurrent_gradient(states: States, adj: Adjoint) -> Tensor:
    """dL/dW_hh, the sum over timesteps of G_t = delta_t^T h_{t-1}: [G*H, P]."""
    w_hh = adj.grad_a_hh[0].t() @ states.h0
    if len(states.h) > 1:
        w_hh += outer_sum(adj.grad_a_hh[1:], followed(states.h, states.lengths))
    return w_hh


def weight_gradients(x: Tensor, states: States, weights: Weights, adj: Adjoint) -> WeightGradients:
    """dL/dW of every weight, one product each over all timesteps and the batch; the sum of all G_t for w_hh."""
    biased = weights.b_ih is not None
    b_ih = (adj.grad_a if adj.grad_y is None else adj.grad_y).sum((0, 1)) if biased else None
    shared = adj.grad_a_hh is adj.grad_a
    return WeightGradients(
        w_ih=outer_sum(adj.grad_a, x),
        w_hh=recurrent_gradient(states, adj),
        b_ih=b_ih,
        b_hh=(b_ih if shared else adj.grad_a_hh.sum((0, 1))) if biased else None,
        w_hr=None if weights.w_hr is None else outer_sum(adj.grad_h, lstm.cell_output(states)),
        gain=None if weights.gain is None else variants.gain_gradient(states, adj),
    )
