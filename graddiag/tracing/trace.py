"""A trace: everything about one layer in one direction over one sequence, as tensors in the order of the data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from graddiag import schema
from graddiag.cells import CELLS, CellKind, Immediate, Weights
from graddiag.cells.sequences import followed, valid, within
from graddiag.representation import notebook_html, one_line
from graddiag.schema import TraceKey


@dataclass(frozen=True)
class Trace:
    """States, gates and gradients of one call of one layer; every tensor timestep first, detached.

    Gradients are of the scalar on which ``backward()`` was called, in its units (a mean loss carries its 1/N), before
    any clipping; None where the backward pass did not reach the layer. Entries past the end of a sequence
    (``lengths``) are 0 and mean nothing.

    Attributes:
        module, layer, direction, call: where the trace was taken; ``call`` counts the module's calls from 0.
        kind: lstm, gru, rnn_tanh, rnn_relu, rnn_sigmoid, rnn_identity, rnn_truncated-relu, the same with rnn_residual_.
        h: [T, N, P]; h0: [N, P]; c: [T, N, H] and c0: [N, H] for an LSTM.
        gates: activations by name, [T, N, H] each: i f g o (LSTM), r z n (GRU), h (RNN; phi(a) in a residual one).
        grad_h: total dL/dh_t, [T, N, P]; grad_h_direct: its immediate part, through the output at t and h_n. Where the
            loss depends on the layer's own gradient (a gradient penalty) the total alone is known, and the others are
            None.
        grad_c: total dL/dc_t, [T, N, H]; grad_c_direct: the gradient into c_n, or None if there was none.
        grad_a: dL/da_t, [T, N, gates*H], rows in torch's order, at the input side.
        grad_a_hh: the same at the recurrent side; a GRU's n block carries r_t there. G_t = grad_a_hh_t^T h_{t-1}.
        grad_w_hh: sum over timesteps of all G_t, [gates*H, P]: what this call adds to dL/dW_hh.
        sent_h, sent_c: what timestep t sends back through time to the state before it.
        unclipped_h, unclipped_c: the same before bptt:C, tbptt:K or h-detach changed it; None where nothing does.
        immediate: what grad_h_direct and grad_c_direct were made of, in the order of processing.
        lengths: [N] timesteps of each sequence, or None when all have T.
        normed, spread: of a layer norm, see ``graddiag.cells.States``; None without one.
        weights: the layer's parameters as they were in this call; None if they were changed before the trace was
            taken.
        given_h, given_c: the state that each timestep began from, [T, N, P] and [T, N, H], where operations lie between
            the calls of a sequence, so that it is not the state before it; None where it is.
        moved_h, moved_c: what t sends back, behind those operations, for the gain alone, where samples are carried past
            a call (padding); None where that is ``sent_h`` and ``sent_c``.
        left_out: [T, N] samples that have no part in the gain at t: their memory ends there (a mask ends an episode),
            or they are carried past t; None where all have.
        memory_ended: [T] share of samples whose memory ends at a later timestep, so that nothing of what comes after it
            can reach t; None where the state goes from call to call as it is.
        gaps: why the gain is not known, by timestep. unsplit: timesteps whose immediate gradient is not known apart
            from what the call behind sends; both are in ``grad_h_direct`` there.
        attached: whether the sequence begins from a state that autograd's graph goes through, so that a gradient goes
            further back; None where that was not noted.
        ran_in: the dtype of the activations and gradients in the training itself, which may be narrower than that of
            the trace; None where it is the same.
    """

    module: str
    layer: int
    direction: schema.Direction
    call: int
    kind: CellKind
    h: Tensor
    h0: Tensor
    gates: Mapping[str, Tensor]
    c: Tensor | None = None
    c0: Tensor | None = None
    grad_h: Tensor | None = None
    grad_h_direct: Tensor | None = None
    grad_c: Tensor | None = None
    grad_c_direct: Tensor | None = None
    grad_a: Tensor | None = None
    grad_a_hh: Tensor | None = None
    grad_w_hh: Tensor | None = None
    sent_h: Tensor | None = None
    sent_c: Tensor | None = None
    unclipped_h: Tensor | None = None
    unclipped_c: Tensor | None = None
    immediate: Immediate = field(default_factory=Immediate, repr=False)
    lengths: Tensor | None = None
    normed: Tensor | None = field(default=None, repr=False)
    spread: Tensor | None = field(default=None, repr=False)
    weights: Weights | None = field(default=None, repr=False)
    ran_in: torch.dtype | None = None
    given_h: Tensor | None = field(default=None, repr=False)
    given_c: Tensor | None = field(default=None, repr=False)
    moved_h: Tensor | None = field(default=None, repr=False)
    moved_c: Tensor | None = field(default=None, repr=False)
    left_out: Tensor | None = field(default=None, repr=False)
    memory_ended: Tensor | None = field(default=None, repr=False)
    gaps: Mapping[int, str] = field(default_factory=dict, repr=False)
    unsplit: Sequence[int] = ()
    attached: bool | None = None

    @property
    def h_before(self) -> Tensor:
        """The h that each timestep began from, [T, N, P]."""
        return self.before(self.h, self.h0) if self.given_h is None else self.given_h

    @property
    def c_before(self) -> Tensor | None:
        """The c that each timestep began from, [T, N, H]; None without a cell state."""
        if self.c is None or self.c0 is None:
            return None
        return self.before(self.c, self.c0) if self.given_c is None else self.given_c

    @property
    def has_derivatives(self) -> bool:
        """Whether J_t = d s_t / d s_{t-1} is known: the weights are, and nothing lies between the calls."""
        return self.weights is not None and self.given_h is None

    @property
    def dtype(self) -> torch.dtype:
        """Of the activations and gradients in the training itself."""
        return self.h.dtype if self.ran_in is None else self.ran_in

    @property
    def key(self) -> TraceKey:
        return TraceKey(self.module, self.layer, self.direction, self.call)

    @property
    def family(self) -> str:
        """The kind of cell without its variant: rnn, lstm or gru."""
        return CELLS[self.kind].type.name

    def before(self, states: Tensor, first: Tensor) -> Tensor:
        """The state that each timestep started from: [T, N, S] and the initial [N, S] to [T, N, S]."""
        if self.direction == "forward":
            return torch.cat((first.unsqueeze(0), followed(states, self.lengths)))
        shifted = torch.cat((states[1:], first.unsqueeze(0)))
        if self.lengths is None:
            return shifted
        t = torch.arange(len(states), device=states.device).unsqueeze(1)
        return torch.where((t == self.lengths - 1).unsqueeze(-1), first, shifted)

    def arrived(self, sent: Tensor) -> Tensor:
        """What came to each timestep from the one processed after it: [T, N, S] of what was sent to [T, N, S]."""
        nothing = torch.zeros_like(sent[:1])
        if self.direction == "forward":
            return torch.cat((sent[1:], nothing))
        arrived = torch.cat((nothing, sent[:-1]))
        # past the end of a shorter sequence stands what its first timestep sent to the initial state
        return arrived if self.lengths is None else within(arrived, self.lengths)

    def real(self) -> Tensor | None:
        """[T, N], True where the entry belongs to a sequence; None when all do."""
        return None if self.lengths is None else valid(self.lengths, len(self.h))

    def __repr__(self) -> str:
        T, N, P = self.h.shape
        gradient = "with gradients" if self.grad_h is not None else "no gradient reached it"
        return one_line(self, f"{self.key.label}: {self.kind}", f"T={T}", f"N={N}", f"H={P}", gradient)

    def _repr_html_(self) -> str:
        return notebook_html(self)


class HasDtype(Protocol):
    """A trace of a layer or of a cell."""

    @property
    def dtype(self) -> torch.dtype: ...


def dtypes_of(traces: Sequence[HasDtype]) -> str:
    """The dtypes that the layers ran in, by name: ``bfloat16, float32``."""
    return ", ".join(sorted({str(trace.dtype).removeprefix("torch.") for trace in traces}))
