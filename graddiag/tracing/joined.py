"""Traces of calls that carry on from one another, joined along time into the one sequence they are.

What call k+1 sends back to its initial state reaches call k as if it were an immediate gradient of what that returned,
and is taken out of it here. Where operations lie between two calls, it is what has come through them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import torch
from torch import Tensor

from graddiag.cells import Immediate, States
from graddiag.tracing.differences import ROUNDING, difference
from graddiag.tracing.handed_state import FINALS, GIVENS, HandedKey, HandedState
from graddiag.tracing.trace import Trace

Calls = Mapping[tuple[str, int], HandedState]
"""What each call was given, by module and call."""

# what operations between the calls add to the rounding of a difference
_ROUNDING_OF_OPERATIONS: Final = 256


@dataclass
class _Arrived:
    """What a call gets from the calls behind it: at the output [T, N, S] and at its last h and c, [N, S]."""

    output: Tensor | None = None
    h: Tensor | None = None
    c: Tensor | None = None
    rounding: int = ROUNDING


@dataclass
class _Crossing:
    """How the state comes to a call of a chain: h and c as they arrive at the call before, [N, S], and for the gain;
    the samples that are left out; why there is no gain."""

    h: Tensor
    c: Tensor | None
    moved_h: Tensor
    moved_c: Tensor | None
    ended: Tensor | None = None
    gap: str | None = None
    direct: bool = field(default=True)


def join(traces: Sequence[Trace], calls: Calls) -> list[Trace]:
    """The same traces with chained calls joined along time, at the place of the first; others as they are."""
    chains: dict[tuple[str, int, str, int], list[Trace]] = {}
    for trace in traces:
        chains.setdefault((trace.module, trace.layer, trace.direction, _first_call(trace, calls)), []).append(trace)
    return [_with_beginning(_joined(chain, calls), calls) for chain in chains.values()]


def _with_beginning(trace: Trace, calls: Calls) -> Trace:
    first = calls.get((trace.module, trace.call))
    return trace if first is None else replace(trace, attached=first.attached)


def _first_call(trace: Trace, calls: Calls) -> int:
    call = trace.call
    while (before := _follows(trace.module, call, calls)) is not None:
        call = before
    return call


def _follows(module: str, call: int, calls: Calls) -> int | None:
    handed = calls.get((module, call))
    if handed is None or handed.follows is None or (module, handed.follows) not in calls:
        return None
    return handed.follows


def _joined(chain: Sequence[Trace], calls: Calls) -> Trace:
    """One trace of calls in the order in which they ran; immediate gradients less what came from the calls behind."""
    first = chain[0]
    if len(chain) == 1:
        return first
    handed = [calls[trace.module, trace.call] for trace in chain]
    states = replace(
        first,
        h=torch.cat([trace.h for trace in chain]),
        c=None if first.c is None else _cat([trace.c for trace in chain]),
        gates={name: torch.cat([trace.gates[name] for trace in chain]) for name in first.gates},
        normed=None if first.normed is None else _cat([trace.normed for trace in chain]),
        spread=None if first.spread is None else _cat([trace.spread for trace in chain]),
    )
    if any(not each.direct for each in handed[1:]):
        given_c = None if first.c is None else _cat([trace.c_before for trace in chain])
        states = replace(states, given_h=_cat([trace.h_before for trace in chain]), given_c=given_c)
    if all(trace.grad_h is None for trace in chain):
        return states
    if any(trace.grad_h is not None and trace.grad_h_direct is None for trace in chain):
        # through the layer's own gradient: the totals alone are known
        return replace(states, grad_h=torch.cat([_zeros_like_h(t) if t.grad_h is None else t.grad_h for t in chain]))
    known = [trace if trace.grad_h is not None else _without_gradient(trace) for trace in chain]
    crossings = [_crossing(trace, each) for trace, each in zip(known[1:], handed[1:], strict=True)]
    behind = _behind_each(known, handed)
    direct = [_less(trace, _arrived(trace, behind.get(trace.call, ()))) for trace in known]
    grad_a = _cat([trace.grad_a for trace in known])
    shared = all(trace.grad_a_hh is trace.grad_a for trace in known)
    joined = replace(
        states,
        grad_h=_cat([trace.grad_h for trace in known]),
        grad_h_direct=_cat([h for h, _ in direct]),
        grad_c=None if first.c is None else _cat([trace.grad_c for trace in known]),
        grad_c_direct=None if first.c is None else _cat([c for _, c in direct]),
        grad_a=grad_a,
        grad_a_hh=grad_a if shared else _cat([trace.grad_a_hh for trace in known]),
        grad_w_hh=torch.stack([trace.grad_w_hh for trace in known if trace.grad_w_hh is not None]).sum(0),
    )
    return _with_gains(_with_sent(joined, known, crossings), known, handed, crossings)


def _behind_each(chain: Sequence[Trace], handed: Sequence[HandedState]) -> dict[int, list[tuple[Trace, HandedState]]]:
    """By call those behind it whose state depends on what it returned, at once."""
    found: dict[int, list[tuple[Trace, HandedState]]] = {}
    for later, state in zip(chain, handed, strict=True):
        for call in {state.follows} if state.direct else state.sources:
            if call is not None:
                found.setdefault(call, []).append((later, state))
    return found


def _arrived(trace: Trace, behind: Sequence[tuple[Trace, HandedState]]) -> _Arrived:
    """All that the calls behind ``trace`` send to what it returned."""
    found = _Arrived()
    for later, state in behind:
        if state.direct:
            sent_h, sent_c = _sent_directly(later, state)
            found.h, found.c = _sum(found.h, sent_h), _sum(found.c, sent_c)
            continue
        found.rounding = _ROUNDING_OF_OPERATIONS
        for place in ("output", *FINALS):
            grad = state.sums.get(HandedKey(trace.call, place))
            if grad is None:
                continue
            if place == "output":
                found.output = _sum(found.output, grad) if trace.layer + 1 == len(state.layers) else found.output
            elif place == "h_n":
                found.h = _sum(found.h, _of_layer(grad, trace.layer))
            else:
                found.c = _sum(found.c, _of_layer(grad, trace.layer))
    return found


def _sent_directly(trace: Trace, handed: HandedState) -> tuple[Tensor, Tensor | None]:
    """What goes back to the state that a call was given: sent by it, and past it."""
    assert trace.sent_h is not None
    past_h, past_c = (handed.sums.get(("passed", place)) for place in GIVENS)
    h = trace.sent_h[0] if past_h is None else trace.sent_h[0] + _of_layer(past_h, trace.layer)
    if trace.sent_c is None:
        return h, None
    return h, trace.sent_c[0] if past_c is None else trace.sent_c[0] + _of_layer(past_c, trace.layer)


def _crossing(trace: Trace, handed: HandedState) -> _Crossing:
    """How what a call sends back arrives at the one that it carries on from."""
    sent_h, sent_c = _sent_directly(trace, handed)
    if handed.direct:
        return _Crossing(sent_h, sent_c, sent_h, sent_c)
    zeros_h, zeros_c = torch.zeros_like(sent_h), None if sent_c is None else torch.zeros_like(sent_c)
    output, h, c = (handed.sums.get(HandedKey(handed.follows or 0, place)) for place in ("output", *FINALS))
    at_h = zeros_h if h is None else _of_layer(h, trace.layer)
    if output is not None and trace.layer + 1 == len(handed.layers):
        at_h = at_h + output[-1]
    at_c = zeros_c if c is None or zeros_c is None else _of_layer(c, trace.layer)
    moved_h, moved_c = (handed.sums.get(("moved", trace.layer, place)) for place in GIVENS)
    return _Crossing(
        at_h,
        at_c,
        zeros_h if moved_h is None else moved_h,
        zeros_c if moved_c is None else moved_c,
        handed.ended,
        handed.gap,
        direct=False,
    )


def _with_sent(joined: Trace, chain: Sequence[Trace], crossings: Sequence[_Crossing]) -> Trace:
    """What each timestep sends back as it arrives at the one before it, and as it counts for the gain."""
    sent_h, sent_c = _behind([(t.sent_h, t.sent_c) for t in chain], [(x.h, x.c) for x in crossings])
    joined = replace(joined, sent_h=sent_h, sent_c=sent_c)
    if all(x.direct for x in crossings):
        unclipped_h, unclipped_c = _unclipped(chain)
        return replace(joined, unclipped_h=unclipped_h, unclipped_c=unclipped_c)
    if any(trace.unclipped_h is not None for trace in chain):
        # what a policy inside of back-propagation left of it is not known behind the operations
        changed = [(t.unclipped_h, t.unclipped_c) if t.unclipped_h is not None else (t.sent_h, t.sent_c) for t in chain]
        unclipped_h, unclipped_c = _behind(changed, [(x.h, x.c) for x in crossings])
        return replace(joined, unclipped_h=unclipped_h, unclipped_c=unclipped_c)
    if all(torch.equal(x.h, x.moved_h) and (x.c is None or torch.equal(x.c, x.moved_c)) for x in crossings):  # type: ignore[arg-type]
        return joined
    moved_h, moved_c = _behind([(t.sent_h, t.sent_c) for t in chain], [(x.moved_h, x.moved_c) for x in crossings])
    return replace(joined, moved_h=moved_h, moved_c=moved_c)


def _with_gains(
    joined: Trace, chain: Sequence[Trace], handed: Sequence[HandedState], crossings: Sequence[_Crossing]
) -> Trace:
    """What the gain leaves out, where it is not known, and whose memory ends."""
    if all(x.direct for x in crossings):
        return joined
    (T, N, _), starts = joined.h.shape, _starts(chain)
    left_out = torch.zeros(T, N, dtype=torch.bool, device=joined.h.device)
    ends = torch.zeros_like(left_out)
    gaps: dict[int, str] = {}
    unsplit: list[int] = []
    for number, (start, trace, state) in enumerate(zip(starts, chain, handed, strict=True)):
        if state.absent is not None:
            left_out[start : start + len(trace.h)] |= state.absent
        if not number:
            continue
        crossing = crossings[number - 1]
        if crossing.ended is not None:
            left_out[start] |= crossing.ended
            ends[start] |= crossing.ended
        if crossing.gap is not None:
            gaps[start] = crossing.gap
        elif not crossing.direct and trace.unclipped_h is not None and not _untouched(trace):
            gaps[start] = "a policy inside of back-propagation acts before the operations between the calls"
        if not state.known:
            unsplit.append(start - 1)
    later = torch.zeros_like(ends)
    for t in range(T - 2, -1, -1):
        later[t] = later[t + 1] | ends[t + 1]
    return replace(
        joined,
        left_out=left_out if bool(left_out.any()) else None,
        memory_ended=later.double().mean(1),
        gaps=gaps,
        unsplit=tuple(unsplit),
    )


def _untouched(trace: Trace) -> bool:
    assert trace.sent_h is not None
    assert trace.unclipped_h is not None
    return torch.equal(trace.sent_h[0], trace.unclipped_h[0])


def _starts(chain: Sequence[Trace]) -> list[int]:
    """The timestep of the joined sequence at which each call begins."""
    starts = [0]
    for trace in chain[:-1]:
        starts.append(starts[-1] + len(trace.h))
    return starts


def _behind(
    chain: Sequence[tuple[Tensor | None, Tensor | None]], first: Sequence[tuple[Tensor, Tensor | None]]
) -> tuple[Tensor, Tensor | None]:
    """Blocks [T, N, S] of h and c one after the other, with the entry at each beginning but the first replaced."""
    h, c = [chain[0][0]], [chain[0][1]]
    for (later_h, later_c), (first_h, first_c) in zip(chain[1:], first, strict=True):
        assert later_h is not None
        h.append(torch.cat((first_h.unsqueeze(0), later_h[1:])))
        if later_c is not None and first_c is not None:
            c.append(torch.cat((first_c.unsqueeze(0), later_c[1:])))
    return _cat(h), None if chain[0][1] is None else _cat(c)


def _unclipped(chain: Sequence[Trace]) -> tuple[Tensor | None, Tensor | None]:
    """What h and c were sent before a policy inside of back-propagation changed it; None where no call has one."""
    if all(trace.unclipped_h is None for trace in chain):
        return None, None
    of_h = [trace.sent_h if trace.unclipped_h is None else trace.unclipped_h for trace in chain]
    of_c = [trace.sent_c if trace.unclipped_c is None else trace.unclipped_c for trace in chain]
    return _cat(of_h), None if chain[0].c is None else _cat(of_c)


def _less(trace: Trace, arrived: _Arrived) -> tuple[Tensor | None, Tensor | None]:
    """The immediate gradients of h and c, [T, N, S], without what the calls behind sent to what this one returned.

    Where they are handed the final state, what came through the layer's output is not touched: only the gradient of the
    final state is a sum of the two.
    """
    immediate = trace.immediate
    if arrived.output is None and arrived.h is None and arrived.c is None:
        return trace.grad_h_direct, _zeros_if_none(trace)
    h_n = (
        immediate.h_n
        if arrived.h is None or immediate.h_n is None
        else difference(immediate.h_n, arrived.h, arrived.rounding)
    )
    c_n = (
        immediate.c_n
        if arrived.c is None or immediate.c_n is None
        else difference(immediate.c_n, arrived.c, arrived.rounding)
    )
    output = immediate.output
    if output is not None and arrived.output is not None:
        output = difference(output, arrived.output, arrived.rounding)
    states = States(h=trace.h, h0=trace.h0, c=trace.c)
    own = Immediate(output, h_n, c_n)
    return own.at_h(states, None), _zeros_if_none(replace(trace, grad_c_direct=own.at_c(states, None)))


def _zeros_if_none(trace: Trace) -> Tensor | None:
    if trace.c is None:
        return None
    return torch.zeros_like(trace.c) if trace.grad_c_direct is None else trace.grad_c_direct


def _without_gradient(trace: Trace) -> Trace:
    """A call of a chain that the loss does not depend on: its gradient is 0, not missing."""
    h, gates = torch.zeros_like(trace.h), torch.cat(list(trace.gates.values()), dim=-1)
    c, grad_a = None if trace.c is None else torch.zeros_like(trace.c), torch.zeros_like(gates)
    return replace(trace, grad_h=h, grad_h_direct=h, sent_h=h, grad_c=c, sent_c=c, grad_a=grad_a, grad_a_hh=grad_a)


def _zeros_like_h(trace: Trace) -> Tensor:
    return torch.zeros_like(trace.h)


def _of_layer(grad: Tensor, layer: int) -> Tensor:
    """[N, S] of a cell's state, or of one layer's in [L, N, S]."""
    return grad if grad.dim() == 2 else grad[layer]


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _cat(blocks: Sequence[Tensor | None]) -> Tensor:
    return torch.cat([block for block in blocks if block is not None])
