"""Calls whose state goes through an operation are one sequence, exact against autograd; or missing with the reason."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import graddiag
from graddiag.tracing import Trace
from graddiag.tracing.signals import signals
from tests.tracing.loops import F64, OPERATIONS, H, I, N, Operation, T, drawn, each, inputs, run, truth

MODULES: dict[str, Callable[[], nn.Module]] = {
    "RNNCell": lambda: nn.RNNCell(I, H, dtype=F64),
    "LSTMCell": lambda: nn.LSTMCell(I, H, dtype=F64),
    "GRUCell": lambda: nn.GRUCell(I, H, dtype=F64),
    "LSTM": lambda: nn.LSTM(I, H, dtype=F64),
    "own GRU": lambda: graddiag.nn.GRU(I, H, dtype=F64),
}
every_module = pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)


def made(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return make()


def length_of(module: nn.Module) -> int:
    return 0 if isinstance(module, nn.RNNCellBase) else 1


def gains(trace: Trace) -> Tensor:
    found = signals(trace)
    return found.timesteps["transport_gain"].masked_fill(found.missing["transport_gain"], torch.nan)


def captured(module: nn.Module, operation: Operation, every: bool = True) -> graddiag.tracing.Capture:
    """The capture of a loop, whose gradients are the same bits as without."""
    run(module, operation, every, length_of(module)).backward()
    bare = [p.grad.clone() for p in module.parameters()]
    module.zero_grad()
    with graddiag.capture(module) as cap:
        run(module, operation, every, length_of(module)).backward()
    assert all(torch.equal(p.grad, grad) for p, grad in zip(module.parameters(), bare, strict=True))
    module.zero_grad()
    return cap


@every_module
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
@pytest.mark.parametrize("every", [True, False], ids=["every", "last"])
def test_a_state_through_an_operation(make: Callable[[], nn.Module], operation: Operation, every: bool) -> None:
    module = made(make)
    (trace,) = captured(module, operation, every).traces
    assert (trace.call, len(trace.h), dict(trace.gaps)) == (0, T, {})
    grads, expected = truth(module, operation, every, length_of(module))
    for t, state in enumerate(grads):
        torch.testing.assert_close(trace.grad_h[t], state[0].view(N, H), rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(gains(trace)[1:], torch.tensor(expected, dtype=F64), rtol=1e-10, atol=0, equal_nan=True)
    touched = trace.grad_h_direct.flatten(1).norm(dim=1) > 0
    assert touched.tolist() == [every or t == T - 1 for t in range(T)]


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("home", [torch.nn, graddiag.nn], ids=["torch", "graddiag"])
def test_windows_of_a_layer_with_an_operation_between(name: str, home: Any) -> None:
    """Two layers, windows of three timesteps, dropout on the state: each layer against one that is called stepwise."""
    torch.manual_seed(0)
    layer = getattr(home, name)(I, H, num_layers=2, dtype=F64)
    xs = inputs(3)

    def loop(pieces: int) -> Tensor:
        state, total = None, torch.zeros((), dtype=F64)
        for t, x in enumerate(xs):
            if state is not None:
                state = OPERATIONS["dropout"](t, state)
            for part in x.chunk(pieces):
                hx = state[0] if state is not None and len(state) == 1 else state
                output, result = layer(part, hx)
                state = (result,) if isinstance(result, Tensor) else result
                total = total + output.square().sum()
        return total

    with graddiag.capture(layer) as whole:
        loop(1).backward()
    layer.zero_grad()
    with graddiag.capture(layer) as stepwise:
        loop(3).backward()
    assert [(trace.layer, trace.call, len(trace.h)) for trace in whole.traces] == [(0, 0, 3 * T), (1, 0, 3 * T)]
    for found, expected in zip(whole.traces, stepwise.traces, strict=True):
        for field in ("h", "grad_h", "grad_h_direct", "grad_a", "sent_h", "grad_c", "sent_c"):
            if getattr(expected, field) is not None:
                torch.testing.assert_close(getattr(found, field), getattr(expected, field), rtol=1e-10, atol=1e-13)
        torch.testing.assert_close(gains(found), gains(expected), rtol=1e-10, atol=0)


@every_module
def test_a_mask_that_ends_episodes_ends_the_memory_of_those_samples(make: Callable[[], nn.Module]) -> None:
    module = made(make)
    done = torch.zeros(T, N, dtype=F64)
    done[2, 1] = done[5, 3] = done[5, 1] = 1.0
    operation = each(lambda t, h: h * (1 - done[t]).unsqueeze(-1))
    trace = captured(module, operation, every=False).trace()
    grads, _ = truth(module, operation, False, length_of(module))
    for t, state in enumerate(grads):
        torch.testing.assert_close(trace.grad_h[t], state[0].view(N, H), rtol=1e-10, atol=1e-14)
    # the same loop without the samples that end, where the gain is that of the others
    kept = {t: [n for n in range(N) if not done[t, n]] for t in range(1, T)}
    # at timestep 2 a sample ends that no gradient comes back to, since it ends again
    assert not trace.left_out[2].any()
    assert trace.left_out[5].tolist() == [False, True, False, True]
    for t in (1, 2, 5, 6):
        size = [trace.grad_h[t][kept[t]].square().sum()]
        sent = [trace.sent_h[t][kept[t]].square().sum()]
        if trace.grad_c is not None:
            at_c = trace.arrived(trace.sent_c)[t] + trace.grad_c_direct[t]
            size.append(at_c[kept[t]].square().sum())
            sent.append(trace.sent_c[t][kept[t]].square().sum())
        expected = (torch.stack(sent).sum() / torch.stack(size).sum()).sqrt()
        torch.testing.assert_close(gains(trace)[t], expected, rtol=1e-10, atol=0)
    assert signals(trace).timesteps["memory_ended"].tolist() == [0.5] * 5 + [0.0] * 2


def test_an_end_of_all_samples_leaves_no_gain_there() -> None:
    module = made(MODULES["GRUCell"])
    trace = captured(module, each(lambda t, h: h * float(t != 4)), every=False).trace()
    assert gains(trace).isnan().tolist() == [t <= 4 for t in range(T)]
    assert signals(trace).timesteps["memory_ended"].tolist() == [1.0] * 4 + [0.0] * 3
    assert not trace.grad_h[:4].any()


def padded(module: nn.Module, lengths: list[int]) -> Tensor:
    """m * h_new + (1 - m) * h, with a loss on the state of each sample's end."""
    state = None
    for t, x in enumerate(inputs(0)):
        new = module(x, state)
        mask = (torch.tensor(lengths) > t).to(F64).unsqueeze(1)
        if isinstance(new, tuple):
            state = new if state is None else tuple(mask * a + (1 - mask) * b for a, b in zip(new, state, strict=True))
        else:
            state = new if state is None else mask * new + (1 - mask) * state
    return (state[0] if isinstance(state, tuple) else state).square().sum()


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
def test_padding_carries_a_state_past_the_calls_behind_its_end(name: str) -> None:
    """Each sample as if it were alone and as long as it is."""
    module, lengths = made(MODULES[name]), [7, 4, 2, 6]
    with graddiag.capture(module) as cap:
        padded(module, lengths).backward()
    (trace,) = cap.traces
    assert (len(trace.h), dict(trace.gaps)) == (T, {})
    alone = []
    for n, length in enumerate(lengths):
        with graddiag.capture(module) as one:
            state = None
            for x in inputs(0)[:length]:
                state = module(x[n : n + 1], state)
            (state[0] if isinstance(state, tuple) else state).square().sum().backward()
        alone.append(one.trace())
        torch.testing.assert_close(trace.grad_h[:length, n], alone[n].grad_h[:, 0], rtol=1e-10, atol=1e-14)
        assert not trace.grad_h[length:, n].any()
    for t in range(1, T):
        there = [a for a, length in zip(alone, lengths, strict=True) if length > t]
        arrived, sent = [a.grad_h[t] for a in there], [a.sent_h[t] for a in there]
        if trace.grad_c is not None:
            arrived += [a.arrived(a.sent_c)[t] + a.grad_c_direct[t] for a in there]
            sent += [a.sent_c[t] for a in there]
        expected = torch.cat(sent, -1).norm() / torch.cat(arrived, -1).norm()
        torch.testing.assert_close(gains(trace)[t], expected, rtol=1e-10, atol=0)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return 2 * grad


def long(t: int, h: Tensor) -> Tensor:
    for _ in range(2_100):
        h = h * 1.0
    return h


NOT_KNOWN: dict[str, tuple[Operation, str]] = {
    "custom function": (each(lambda t, h: Doubled.apply(h)), "custom autograd function"),
    "checkpoint": (each(lambda t, h: checkpoint(torch.tanh, h, use_reentrant=False)), "saved tensors"),
    "reentrant checkpoint": (each(lambda t, h: checkpoint(torch.tanh, h, use_reentrant=True)), "custom autograd"),
}


@pytest.mark.parametrize(("operation", "reason"), NOT_KNOWN.values(), ids=NOT_KNOWN)
@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell"])
def test_what_cannot_be_run_again_is_missing_with_the_reason(name: str, operation: Operation, reason: str) -> None:
    module = made(MODULES[name])
    (trace,) = captured(module, operation).traces
    assert set(trace.gaps) == set(range(1, T))
    assert all(reason in gap for gap in trace.gaps.values())
    assert gains(trace)[1:].isnan().all()
    found = signals(trace)
    assert found.missing["grad_h_direct"].tolist() == [True] * (T - 1) + [False]
    grads, _ = truth(module, operation, True, 0, with_gains=False)
    for t, state in enumerate(grads):
        torch.testing.assert_close(trace.grad_h[t], state[0], rtol=1e-10, atol=1e-14)


def test_a_graph_that_is_too_large_is_not_followed() -> None:
    module = made(MODULES["GRUCell"])
    traces = captured(module, each(long)).traces
    assert [len(trace.h) for trace in traces] == [1] * T
    assert [trace.attached for trace in traces] == [False] + [True] * (T - 1)


def test_zoneout_and_leaks_have_totals_and_no_gain() -> None:
    module = made(MODULES["LSTMCell"])
    generator = torch.Generator().manual_seed(3)
    masks = [(torch.rand(N, H, generator=generator) < 0.5).to(F64) for _ in range(T)]

    def loop(keep: list[Tensor] | None = None) -> Tensor:
        state, total = None, torch.zeros((), dtype=F64)
        for mask, x in zip(masks, inputs(0), strict=True):
            new = module(x, state)
            if keep is not None:
                new[0].retain_grad()
                keep.append(new[0])
            total = total + new[0].square().sum()
            state = new if state is None else tuple(mask * a + (1 - mask) * b for a, b in zip(new, state, strict=True))
        return total

    with graddiag.capture(module) as cap:
        loop().backward()
    kept: list[Tensor] = []
    loop(kept).backward()
    (trace,) = cap.traces
    torch.testing.assert_close(trace.grad_h, torch.stack([h.grad for h in kept]), rtol=1e-10, atol=1e-14)
    assert set(trace.gaps) == set(range(2, T))
    assert "mixture" in trace.gaps[3]


def test_a_skip_to_an_earlier_state_has_totals_and_no_gain() -> None:
    module, kept = made(MODULES["GRUCell"]), []

    def loop(keep: bool) -> Tensor:
        states = [torch.zeros(N, H, dtype=F64)] * 2
        for x in inputs(0):
            states.append(module(x, 0.5 * states[-1] + 0.5 * states[-2]))
            if keep:
                states[-1].retain_grad()
                kept.append(states[-1])
        return states[-1].square().sum()

    with graddiag.capture(module) as cap:
        loop(False).backward()
    loop(True).backward()
    (trace,) = cap.traces
    torch.testing.assert_close(trace.grad_h, torch.stack([h.grad for h in kept]), rtol=1e-10, atol=1e-14)
    assert set(trace.gaps) == set(range(2, T))
    assert not trace.grad_h_direct[:-1].any()


def test_two_cells_in_turn_and_a_state_from_the_output() -> None:
    """Each cell's way goes through the other; a decoder takes output[-1] for its state."""
    torch.manual_seed(0)
    net = nn.ModuleDict({"a": nn.GRUCell(I, H, dtype=F64), "b": nn.RNNCell(I, H, dtype=F64)})

    def loop() -> Tensor:
        h = None
        for x in inputs(0):
            h = net["b"](x, net["a"](x, h))
        return h.square().sum()

    with graddiag.capture(net) as cap:
        loop().backward()
    first, second = cap.trace("a"), cap.trace("b")
    assert len(first.h) == len(second.h) == T
    # with one loss at the end nothing is added on the way: what is sent is what there is
    torch.testing.assert_close(first.sent_h[1:], first.grad_h[:-1], rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(second.sent_h[1:], second.grad_h[:-1], rtol=1e-10, atol=1e-14)

    rnn = nn.GRU(I, H, batch_first=True, dtype=F64)
    with graddiag.capture(rnn) as cap:
        h = None
        for x in inputs(2):
            output, _ = rnn(x.transpose(0, 1), h)
            h = output[:, -1].unsqueeze(0)
        h.square().sum().backward()
    trace = cap.trace()
    assert (len(trace.h), dict(trace.gaps)) == (2 * T, {})
    torch.testing.assert_close(trace.sent_h[1:], trace.grad_h[:-1], rtol=1e-10, atol=1e-14)
    assert not trace.grad_h_direct[:-1].any()


def test_a_decoder_begins_from_its_encoder() -> None:
    torch.manual_seed(0)
    net = nn.ModuleDict({"encoder": nn.GRU(I, H, dtype=F64), "decoder": nn.GRUCell(I, H, dtype=F64)})
    with graddiag.capture(net) as cap:
        _, state = net["encoder"](inputs(5)[0])
        h = torch.tanh(state[0])
        for x in inputs(0):
            h = net["decoder"](x, h)
        h.square().sum().backward()
    assert [trace.attached for trace in cap.traces] == [False, True]
    assert len(cap.trace("decoder").h) == T


def test_a_new_batch_size_begins_a_sequence_of_its_own() -> None:
    module = made(MODULES["GRUCell"])
    with graddiag.capture(module) as cap:
        h = module(inputs(0)[0])
        h = module(inputs(0)[1][:2], h[:2])
        h.square().sum().backward()
    assert [trace.h.shape for trace in cap.traces] == [(1, N, H), (1, 2, H)]
    assert [trace.attached for trace in cap.traces] == [False, True]


def test_bidirectional_windows_are_kept_apart_and_say_that_their_state_is_attached() -> None:
    torch.manual_seed(0)
    layer = nn.LSTM(I, H, bidirectional=True, dtype=F64)
    with graddiag.capture(layer) as cap:
        _, state = layer(inputs(3)[0])
        output, _ = layer(inputs(3)[1], tuple(s * 1.5 for s in state))
        output.square().sum().backward()
    assert [(trace.direction, trace.call, len(trace.h)) for trace in cap.traces] == [
        ("forward", 0, 3),
        ("reverse", 0, 3),
        ("forward", 1, 3),
        ("reverse", 1, 3),
    ]
    assert [trace.attached for trace in cap.traces] == [False, False, True, True]


def test_float32_to_its_precision() -> None:
    torch.manual_seed(0)
    module = nn.LSTMCell(I, H)
    mask = (drawn(0, N, H) > -0.5).float()

    def loop(keep: list[Tensor] | None = None) -> Tensor:
        state, total = None, torch.zeros(())
        for x in inputs(0):
            state = module(x.float(), None if state is None else (state[0] * mask, F.dropout(state[1], 0.0)))
            if keep is not None:
                state[0].retain_grad()
                keep.append(state[0])
            total = total + state[0].square().sum()
        return total

    with graddiag.capture(module) as cap:
        loop().backward()
    kept: list[Tensor] = []
    loop(kept).backward()
    torch.testing.assert_close(cap.trace().grad_h, torch.stack([h.grad for h in kept]), rtol=1e-5, atol=1e-7)
