"""The values that go in and out of a cell's maths."""

from dataclasses import dataclass

import torch
from torch import Tensor

from graddiag.cells.sequences import add_at_last, within

CellKind = str
"""A kind of cell with its variant, a key of ``registry.CELLS``: lstm, gru, rnn_tanh, rnn_residual_relu and so on."""


@dataclass(frozen=True)
class Weights:
    """One layer's parameters in one direction, as torch lays them out.

    w_ih [G*H, I], w_hh [G*H, P], b_ih and b_hh [G*H] or None, w_hr [P, H] or None (an LSTM with a projection), gain
    [H] or None (an RNN with layer norm).
    """

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None = None
    b_hh: Tensor | None = None
    w_hr: Tensor | None = None
    gain: Tensor | None = None


@dataclass(frozen=True)
class States:
    """What a forward pass leaves behind, in the order of processing.

    Attributes:
        h: [T, N, P]; h0: [N, P].
        gates: activations, [T, N, G*H], in the order of the kind's gates; None for an RNN whose only activation is h.
            In a residual RNN it is phi(a).
        c, c0: [T, N, H] and [N, H]; None but for an LSTM.
        q: h_{t-1} W_hn^T + b_hn, [T, N, H]; None but for a GRU.
        lengths: [N] timesteps of each sequence, None where all have T; past the end every state is 0.
        normed, spread: pre-activations with mean 0 and variance 1 over units, [T, N, H], and their standard deviation
            before, [T, N, 1]; None but with layer norm.
    """

    h: Tensor
    h0: Tensor
    gates: Tensor | None = None
    c: Tensor | None = None
    c0: Tensor | None = None
    q: Tensor | None = None
    normed: Tensor | None = None
    spread: Tensor | None = None
    lengths: Tensor | None = None


@dataclass(frozen=True)
class Adjoint:
    """The gradient of the loss at every timestep, in the order of processing and in units of the loss.

    Attributes:
        grad_h: total dL/dh_t, [T, N, P].
        sent_h: what timestep t sends back to h_{t-1} through time, [T, N, P]; entry 0 is dL/dh0.
        grad_a: dL/da_t, [T, N, G*H]; for a GRU with respect to a^x, the input side.
        grad_a_hh: the same at the recurrent side; differs from grad_a in a GRU's n block alone (times r_t).
        grad_c, sent_c: likewise for the cell state of an LSTM, [T, N, H]; sent_c[t] = dc_t f_t.
        unclipped_h, unclipped_c: sent_h and sent_c before what ``grad_transform`` did to them; None without it.
        grad_y: behind a layer norm, where gain and biases act, [T, N, H]; None without one. grad_a is before it.
        grad_h_direct, grad_c_direct: the immediate gradients that all of this was made of; None where none came.
    """

    grad_h: Tensor
    sent_h: Tensor
    grad_a: Tensor
    grad_a_hh: Tensor
    grad_c: Tensor | None = None
    sent_c: Tensor | None = None
    grad_y: Tensor | None = None
    unclipped_h: Tensor | None = None
    unclipped_c: Tensor | None = None
    grad_h_direct: Tensor | None = None
    grad_c_direct: Tensor | None = None


@dataclass(frozen=True)
class Immediate:
    """The gradient that enters a layer from outside, in the order of processing; None where none came.

    output: through the layer's output, [T, N, P]; h_n [N, P] and c_n [N, H]: through the final states.
    """

    output: Tensor | None = None
    h_n: Tensor | None = None
    c_n: Tensor | None = None

    def at_h(self, states: States, lengths: Tensor | None) -> Tensor:
        """l_t, the immediate dL/dh_t: [T, N, P]."""
        at_h = torch.zeros_like(states.h) if self.output is None else self.output
        if lengths is not None:
            at_h = within(at_h, lengths)
        return at_h if self.h_n is None else add_at_last(at_h, self.h_n, lengths)

    def at_c(self, states: States, lengths: Tensor | None) -> Tensor | None:
        """The immediate dL/dc_t, zero but where a sequence ends: [T, N, H]; None without a gradient into c_n."""
        if self.c_n is None or states.c is None:
            return None
        return add_at_last(torch.zeros_like(states.c), self.c_n, lengths)


@dataclass(frozen=True)
class WeightGradients:
    """dL/dW summed over timesteps and batch, shaped as ``Weights``; None where there is no such weight."""

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None
    b_hh: Tensor | None
    w_hr: Tensor | None
    gain: Tensor | None = None
