"""Calls that carry on from one another, and how they are joined into the one sequence they are.

A call carries on from an earlier one when it is given the very tensors that the earlier one returned: a cell called in
a loop, or a fused layer called once per timestep by a decoder. As far as the gradient is concerned that is one
sequence: what call k+1 sends back to its initial state reaches call k as if it were an immediate gradient of the final
state, and is taken out here.
"""

import weakref
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from graddiag.cells import Immediate, States
from graddiag.tracing.differences import difference
from graddiag.tracing.trace import Trace

Handed = tuple[Tensor, ...]
"""The states that a call is given or returns: h, or h and c."""

Links = Mapping[tuple[str, int], int]
"""The call that (module, call) carries on from."""


class StateLinks:
    """Final states of the calls of one step, kept only as long as the user keeps them to hand them on."""

    def __init__(self) -> None:
        self.links: dict[tuple[str, int], int] = {}
        self._finals: dict[str, list[tuple[int, tuple[weakref.ref[Tensor], ...]]]] = {}
        self._running: dict[str, int] = {}
        self._ends: dict[str, set[tuple[int, int]]] = {}
        # calls that begin with the storage of a state that an earlier call of the step returned, cut off its graph
        self.detached: Counter[str] = Counter()

    def starts(self, name: str, index: int, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Call ``index`` of module ``name`` begins with these arguments."""
        self._running.pop(name, None)
        packed = isinstance(kwargs.get("input", args[0] if args else None), PackedSequence)
        if packed or getattr(module, "bidirectional", False):
            return
        self._running[name] = index
        given = _states(kwargs.get("hx", args[1] if len(args) > 1 else None))
        # a state cut off with detach() starts a sequence of its own
        if not given or any(state.grad_fn is None for state in given):
            ends = self._ends.get(name, set())
            if given and all(_at(state) in ends and not state.requires_grad for state in given):
                self._cut(name, given)
            return
        kept = self._finals.get(name, [])
        for place, (earlier, finals) in enumerate(kept):
            if _same(given, finals):
                self.links[name, index] = earlier
                # a second call that carries on from there is a branch, and a sequence of its own
                del kept[place]
                return

    def _cut(self, name: str, given: Handed) -> None:
        """Counts a state that was cut off; zeros may lie where a state that was freed had been."""
        if self.detached[name] or any(bool(state.detach().any()) for state in given):
            self.detached[name] += 1

    def ends(self, name: str, module: nn.Module, output: Any) -> None:
        """The call of ``name`` that began last has returned ``output``, or None if it failed."""
        index = self._running.pop(name, None)
        if index is None or output is None:
            return
        finals = _states(output if isinstance(module, nn.RNNCellBase) else output[1])
        self._finals.setdefault(name, []).append((index, tuple(weakref.ref(state) for state in finals)))
        self._ends.setdefault(name, set()).update(_at(state) for state in finals)


def _at(state: Tensor) -> tuple[int, int]:
    return state.data_ptr(), state.numel()


def _states(hx: Any) -> Handed:
    return (hx,) if isinstance(hx, Tensor) else tuple(hx) if hx is not None else ()


def _same(given: Handed, finals: tuple[weakref.ref[Tensor], ...]) -> bool:
    alive = [state for state in (reference() for reference in finals) if state is not None]
    pairs = zip(given, alive, strict=False)
    return len(given) == len(alive) and all(a.data_ptr() == b.data_ptr() and a.numel() == b.numel() for a, b in pairs)


def join(traces: Sequence[Trace], links: Links) -> list[Trace]:
    """The same traces with chained calls joined along time, at the place of the first; others as they are."""
    chains: dict[tuple[str, int, str, int], list[Trace]] = {}
    for trace in traces:
        chains.setdefault((trace.module, trace.layer, trace.direction, _first_call(trace, links)), []).append(trace)
    return [chain[0] if len(chain) == 1 else _joined(chain) for chain in chains.values()]


def _first_call(trace: Trace, links: Links) -> int:
    call = trace.call
    while (trace.module, call) in links:
        call = links[trace.module, call]
    return call


def _joined(chain: Sequence[Trace]) -> Trace:
    """One trace of calls in the order in which they ran; immediate gradients less what came from the next call."""
    first = chain[0]
    states = replace(
        first,
        h=torch.cat([trace.h for trace in chain]),
        c=None if first.c is None else _cat([trace.c for trace in chain]),
        gates={name: torch.cat([trace.gates[name] for trace in chain]) for name in first.gates},
        normed=None if first.normed is None else _cat([trace.normed for trace in chain]),
        spread=None if first.spread is None else _cat([trace.spread for trace in chain]),
    )
    if all(trace.grad_h is None for trace in chain):
        return states
    known = [trace if trace.grad_h is not None else _without_gradient(trace) for trace in chain]
    sent = [(trace.sent_h, trace.sent_c) for trace in known[1:]]
    direct = [_less(trace, *later) for trace, later in zip(known, sent, strict=False)]
    direct.append((known[-1].grad_h_direct, _zeros_if_none(known[-1])))
    grad_a = _cat([trace.grad_a for trace in known])
    unclipped_h, unclipped_c = _unclipped(known)
    shared = all(trace.grad_a_hh is trace.grad_a for trace in known)
    return replace(
        states,
        grad_h=_cat([trace.grad_h for trace in known]),
        grad_h_direct=_cat([h for h, _ in direct]),
        grad_c=None if first.c is None else _cat([trace.grad_c for trace in known]),
        grad_c_direct=None if first.c is None else _cat([c for _, c in direct]),
        grad_a=grad_a,
        grad_a_hh=grad_a if shared else _cat([trace.grad_a_hh for trace in known]),
        grad_w_hh=torch.stack([trace.grad_w_hh for trace in known if trace.grad_w_hh is not None]).sum(0),
        sent_h=_cat([trace.sent_h for trace in known]),
        sent_c=None if first.c is None else _cat([trace.sent_c for trace in known]),
        unclipped_h=unclipped_h,
        unclipped_c=unclipped_c,
    )


def _unclipped(chain: Sequence[Trace]) -> tuple[Tensor | None, Tensor | None]:
    """What h and c were sent before a policy inside of back-propagation changed it; None where no call has one."""
    if all(trace.unclipped_h is None for trace in chain):
        return None, None
    of_h = [trace.sent_h if trace.unclipped_h is None else trace.unclipped_h for trace in chain]
    of_c = [trace.sent_c if trace.unclipped_c is None else trace.unclipped_c for trace in chain]
    return _cat(of_h), None if chain[0].c is None else _cat(of_c)


def _less(trace: Trace, sent_h: Tensor | None, sent_c: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """The immediate gradients of h and c, [T, N, S], without what the next call sent to the final states.

    What came through the layer's output is not touched: only the gradient of the final state is a sum of the two.
    """
    immediate = trace.immediate
    assert sent_h is not None
    h_n = None if immediate.h_n is None else difference(immediate.h_n, sent_h[0])
    c_n = None if immediate.c_n is None or sent_c is None else difference(immediate.c_n, sent_c[0])
    states = States(h=trace.h, h0=trace.h0, c=trace.c)
    own = Immediate(immediate.output, h_n, c_n)
    at_c = own.at_c(states, None)
    return own.at_h(states, None), _zeros_if_none(replace(trace, grad_c_direct=at_c))


def _zeros_if_none(trace: Trace) -> Tensor | None:
    if trace.c is None:
        return None
    return torch.zeros_like(trace.c) if trace.grad_c_direct is None else trace.grad_c_direct


def _without_gradient(trace: Trace) -> Trace:
    """A call of a chain that the loss does not depend on: its gradient is 0, not missing."""
    h, gates = torch.zeros_like(trace.h), torch.cat(list(trace.gates.values()), dim=-1)
    c, grad_a = None if trace.c is None else torch.zeros_like(trace.c), torch.zeros_like(gates)
    return replace(trace, grad_h=h, grad_h_direct=h, sent_h=h, grad_c=c, sent_c=c, grad_a=grad_a, grad_a_hh=grad_a)


def _cat(blocks: Sequence[Tensor | None]) -> Tensor:
    return torch.cat([block for block in blocks if block is not None])
