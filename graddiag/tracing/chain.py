"""Calls that carry on from one another joined into the one sequence they are.

A cell called in a loop, or a fused layer called once per timestep by a decoder, hands its state from call to call. As
far as the gradient is concerned that is one sequence: what call k+1 sends back to its initial state arrives in call k
as if it were an immediate gradient of the final state, and is told apart here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from graddiag.cells import Immediate, States
from graddiag.tracing.differences import difference
from graddiag.tracing.trace import Trace

Links = Mapping[tuple[str, int], int]
"""The call that (module, call) carries on from."""


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
