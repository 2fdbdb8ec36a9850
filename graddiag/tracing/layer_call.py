"""A layer that has run and waits for its gradient: from an observed call to a Trace."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from torch import Tensor

from graddiag.cells import CELLS, Adjoint, Call, Immediate, Weights
from graddiag.cells.sequences import flip
from graddiag.schema import TraceKey
from graddiag.tracing.handed_state import HandedState
from graddiag.tracing.passes import ByPass, Passes
from graddiag.tracing.storage import check_readable
from graddiag.tracing.trace import Trace

Gradients = TypeVar("Gradients", Adjoint, Immediate)


@dataclass(frozen=True)
class PassGradients:
    """What one backward pass brings to a layer, or several together: gradients are linear in what comes in."""

    immediate: Immediate
    adjoint: Adjoint
    grad_w_hh: Tensor


class LayerCall:
    """One call of one layer in one direction; collects what each backward pass through it brings.

    A second backward pass through the same call is added to the first. ``order``: which row of the batch each of the
    user's samples is; None: in order. ``handed``: what the call was given.
    """

    def __init__(
        self,
        module: str,
        call_index: int,
        call: Call,
        on_reached: Callable[["LayerCall"], None],
        passes: Passes,
        handed: HandedState | None = None,
        order: Tensor | None = None,
    ) -> None:
        self.key = TraceKey(module, call.layer, call.direction, call_index)
        self.handed = handed
        self._on_reached = on_reached
        self._order = order
        self.call: Call | None = call
        self._versions = _versions(call.weights)
        self._gradients = ByPass(passes)
        self._held = False
        # whether a loss reached it through its own gradient: then the total alone is known
        self.beyond = False

    def add(self, immediate: Immediate, adjoint: Adjoint, grad_w_hh: Tensor) -> None:
        """Takes the gradients of the backward pass under way, in the order of processing; ``commit`` ends the pass."""
        if self.call is None:
            return
        if not self._held:
            self._held = True
            self._on_reached(self)
        self._gradients.stage(0, PassGradients(immediate, adjoint, grad_w_hh))

    def add_beyond(self, total: Tensor) -> None:
        """What the pass brought to h_t through the layer's own gradient, [T, N, P], in the order of processing."""
        if not self._held:
            self._held = True
            self._on_reached(self)
        self._gradients.stage(1, total)

    def sent_in_pass(self) -> tuple[Tensor, Tensor | None] | None:
        """What it sends back to its initial state in the pass under way, [N, S] each; None where nothing reached it."""
        found: PassGradients | None = self._gradients.staged(0)
        if found is None:
            return None
        sent_c = found.adjoint.sent_c
        return found.adjoint.sent_h[0], None if sent_c is None else sent_c[0]

    def commit(self) -> None:
        """The pass has ended, and it is known whether it counts."""
        self._gradients.commit(_together)

    def drop(self) -> None:
        """The gradients of the passes so far were thrown away."""
        self._gradients.drop()
        if self.handed is not None:
            self.handed.sums.drop()

    @property
    def reached(self) -> bool:
        return bool(self._gradients.sums())

    def own_weights(self, copies: "WeightCopies") -> None:
        """Keeps the weights as they are now, whatever the update will make of them."""
        if self.call is not None and _versions(self.call.weights) == self._versions:
            check_readable(self.key.module, vars(self.call.weights).values())
            self.call = replace(self.call, weights=copies.of(self.call.weights))
            self._versions = _versions(self.call.weights)

    def trace(self) -> Trace:
        """The finished trace, in the order of the data."""
        assert self.call is not None
        call, states = self.call, self.call.states
        found: PassGradients | None = self._gradients.get(0)

        def ordered(block: Tensor | None) -> Tensor | None:
            if block is None:
                return None
            block = block.detach()
            return self._by_sample(flip(block, call.lengths) if call.direction == "reverse" else block, 1)

        h = ordered(states.h)
        assert h is not None
        trace = Trace(
            module=self.key.module,
            layer=self.key.layer,
            direction=self.key.direction,
            call=self.key.call,
            kind=call.kind,
            h=h,
            h0=self._by_sample(states.h0.detach(), 0),
            gates=_by_gate(call, h, ordered(states.gates)),
            c=ordered(states.c),
            c0=None if states.c0 is None else self._by_sample(states.c0.detach(), 0),
            lengths=None if call.lengths is None else self._by_sample(call.lengths, 0),
            normed=ordered(states.normed),
            spread=ordered(states.spread),
            weights=call.weights if _versions(call.weights) == self._versions else None,
            ran_in=call.ran_in,
        )
        beyond: Tensor | None = self._gradients.get(1)
        if beyond is not None or (found is not None and self.beyond):
            parts = [None if found is None else found.adjoint.grad_h, beyond]
            return replace(trace, grad_h=ordered(_sum(*parts)))
        if found is None:
            return trace
        adj = found.adjoint
        grad_a = ordered(adj.grad_a)
        return replace(
            trace,
            grad_h=ordered(adj.grad_h),
            grad_h_direct=ordered(adj.grad_h_direct),
            grad_c=ordered(adj.grad_c),
            grad_c_direct=ordered(adj.grad_c_direct),
            immediate=self._immediate(found.immediate),
            grad_a=grad_a,
            grad_a_hh=grad_a if adj.grad_a_hh is adj.grad_a else ordered(adj.grad_a_hh),
            grad_w_hh=found.grad_w_hh,
            sent_h=ordered(adj.sent_h),
            sent_c=ordered(adj.sent_c),
            unclipped_h=ordered(adj.unclipped_h),
            unclipped_c=ordered(adj.unclipped_c),
        )

    def release(self) -> None:
        """Lets go of every tensor; the graph may still hold this object, and gradients that come now are ignored."""
        self.call = None
        self._gradients.forget()
        if self.handed is not None:
            self.handed.release()

    def _by_sample(self, block: Tensor, dim: int) -> Tensor:
        """The rows of a batch in the order of the user's samples."""
        return block if self._order is None else block.index_select(dim, self._order.to(block.device))

    def _immediate(self, found: Immediate) -> Immediate:
        parts = ((found.output, 1), (found.h_n, 0), (found.c_n, 0))
        return Immediate(*(None if block is None else self._by_sample(block, dim) for block, dim in parts))


def _by_gate(call: Call, h: Tensor, gates: Tensor | None) -> dict[str, Tensor]:
    names = CELLS[call.kind].type.gate_names
    if gates is None:
        return {names[0]: h}
    return dict(zip(names, gates.chunk(len(names), dim=-1), strict=True))


class WeightCopies:
    """Copies of weights, one for all calls of a layer; a copy is its own copy."""

    def __init__(self) -> None:
        self._copies: dict[int, tuple[Tensor, Tensor]] = {}

    def of(self, weights: Weights) -> Weights:
        return Weights(*(None if one is None else self._copy(one) for one in vars(weights).values()))  # type: ignore[arg-type]

    def _copy(self, weight: Tensor) -> Tensor:
        """The original is kept as well: as long as it lives, no other tensor has its place in memory, unless FSDP has
        freed it."""
        known = self._copies.get(weight.data_ptr())
        if known is not None and _is_same(known[0], weight):
            return known[1]
        copy = weight.clone()
        self._copies[weight.data_ptr()] = (weight, copy)
        self._copies[copy.data_ptr()] = (copy, copy)
        return copy


def _is_same(one: Tensor, other: Tensor) -> bool:
    """Whether two views show the same memory, unchanged."""
    return one.shape == other.shape and one._version == other._version and one.data_ptr() == other.data_ptr()


def _versions(weights: Weights) -> list[int]:
    """Counts of the changes in place that each parameter has seen."""
    return [weight._version for weight in vars(weights).values() if weight is not None]


def _added(a: Gradients, b: Gradients) -> Gradients:
    """Field by field; tensors that are one in both stay one."""
    total = {f.name: _sum(getattr(a, f.name), getattr(b, f.name)) for f in fields(a)}
    if isinstance(a, Adjoint) and a.grad_a_hh is a.grad_a:
        total["grad_a_hh"] = total["grad_a"]
    return replace(a, **total)  # type: ignore[arg-type]


def _together(a: PassGradients | Tensor, b: PassGradients | Tensor) -> PassGradients | Tensor:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        assert isinstance(a, Tensor)
        assert isinstance(b, Tensor)
        return a + b
    return PassGradients(_added(a.immediate, b.immediate), _added(a.adjoint, b.adjoint), a.grad_w_hh + b.grad_w_hh)


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return torch.add(a, b)
