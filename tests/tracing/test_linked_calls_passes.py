"""Calls that are linked through the graph, in a second backward pass and in a checkpoint that is run again."""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import graddiag
from graddiag.tracing import Trace
from graddiag.tracing.signals import signals
from tests.tracing.loops import F64, OPERATIONS, H, I, N, inputs, run


def gains(trace: Trace) -> Tensor:
    found = signals(trace)
    return found.timesteps["transport_gain"].masked_fill(found.missing["transport_gain"], torch.nan)


def test_a_second_pass_adds_up_along_the_way() -> None:
    torch.manual_seed(0)
    module, operation = nn.LSTMCell(I, H, dtype=F64), OPERATIONS["mask of units"]
    with graddiag.capture(module) as once:
        run(module, operation, True, 0).backward()
    with graddiag.capture(module) as twice:
        loss = run(module, operation, True, 0)
        loss.backward(retain_graph=True)
        (2 * loss).backward()
    for name in ("grad_h", "grad_h_direct", "sent_h", "sent_c", "grad_c_direct"):
        expected = getattr(once.trace(), name)
        torch.testing.assert_close(getattr(twice.trace(), name), 3 * expected, rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(gains(twice.trace()), gains(once.trace()), rtol=1e-10, atol=0)


def test_reentrant_checkpointing_counts_its_parts_in_the_order_of_the_sequence() -> None:
    """Each part is a sequence whose state is attached, with exact totals; the last one is run first."""
    torch.manual_seed(0)
    module, kept = nn.GRUCell(I, H, dtype=F64), []
    x = torch.stack(inputs(0)[:6]).requires_grad_()

    def part(xs: Tensor, h: Tensor) -> Tensor:
        for x_t in xs:
            h = module(x_t, h)
        return h

    def loop(*, checkpointed: bool) -> Tensor:
        h = torch.zeros(N, H, dtype=F64)
        for xs in x.split(2):
            h = checkpoint(part, xs, h, use_reentrant=True) if checkpointed else part(xs, h)
            if not checkpointed:
                h.retain_grad()
                kept.append(h)
        return h.square().sum()

    loop(checkpointed=False).backward()
    with graddiag.capture(module) as cap:
        loop(checkpointed=True).backward()
    assert [(trace.call, len(trace.h)) for trace in cap.traces] == [(0, 2), (1, 2), (2, 2)]
    assert [trace.attached for trace in cap.traces] == [False, True, True]
    for trace, h in zip(cap.traces, kept, strict=True):
        torch.testing.assert_close(trace.grad_h[-1], h.grad, rtol=1e-10, atol=1e-14)
