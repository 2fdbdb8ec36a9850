"""Calls that hand their state on are one sequence: cells in a loop, and a fused layer called once per timestep."""

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag.tracing import Trace
from tests.reference.oracle import Tape, assert_exact, unroll
from tests.tracing.models import CELLS, HOMES, H, I, N, T, batch, captured, single

either_home = pytest.mark.parametrize("home", HOMES.values(), ids=HOMES)
every_cell = pytest.mark.parametrize("cell", CELLS)
KINDS = {"RNN": "rnn_tanh", "LSTM": "lstm", "GRU": "gru"}
PRECISION = {torch.float64: 1e-10, torch.float32: 1e-5}
Loss = Callable[[Tensor], Tensor]
LOSSES: dict[str, Loss] = {
    "every": lambda outputs: outputs.square().sum() + outputs.sum(),
    "last": lambda outputs: outputs[-1].square().sum(),
    "first": lambda outputs: outputs[1].square().sum(),
    "uneven": lambda outputs: outputs[-1].square().sum() + 1e-4 * outputs[:-1].sum(),
}


def in_a_loop(cell: nn.RNNCellBase, x: Tensor) -> Tensor:
    """The outputs [T, N, H] of a cell that a user's loop calls."""
    state, outputs = None, []
    for x_t in x:
        state = cell(x_t, state)
        outputs.append(state[0] if isinstance(state, tuple) else state)
    return torch.stack(outputs)


def by_timestep(rnn: nn.RNNBase, x: Tensor) -> Tensor:
    """The outputs of a fused layer that a decoder calls once per timestep."""
    state, outputs = None, []
    for x_t in x.split(1):
        output, state = rnn(x_t, state)
        outputs.append(output)
    return torch.cat(outputs)


def truth(kind: str, module: nn.Module, x: Tensor, loss: Loss) -> dict[tuple[int, str], Tape]:
    """The tapes of the unrolled network in float64."""
    named = {key if "_l" in key else f"{key}_l0": p.detach().double() for key, p in module.named_parameters()}
    unrolled = unroll(kind, {key: p.requires_grad_() for key, p in named.items()}, x.double())
    loss(unrolled.output).backward()
    return unrolled.tapes


def assert_true(trace: Trace, tape: Tape, tolerance: float) -> None:
    """Every tensor of the trace; each timestep relative to its own size.

    The immediate gradient of a state that goes to the loss and to the next call is held by nobody: autograd has the
    sum alone, so it is known to the precision of the sum. Where it is 0 it is 0.
    """
    assert_exact(trace.h, tape.value("h"), tolerance)
    assert_exact(trace.grad_h, tape.grad("h"), tolerance)
    assert_exact(trace.grad_a, tape.grad("a"), tolerance)
    direct, error = tape.grad("h_out"), (trace.grad_h_direct.double() - tape.grad("h_out")).flatten(1).norm(dim=1)
    assert bool((error <= tolerance * tape.grad("h").flatten(1).norm(dim=1)).all())
    assert not trace.grad_h_direct[direct.flatten(1).norm(dim=1) == 0].any()
    if trace.c is not None:
        assert_exact(trace.c, tape.value("c"), tolerance)
        assert_exact(trace.grad_c, tape.grad("c"), tolerance)


@every_cell
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("dtype", PRECISION)
def test_a_cell_in_a_loop(cell: str, loss: Loss, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    module = getattr(nn, f"{cell}Cell")(I, H, dtype=dtype)
    loss(in_a_loop(module, batch(dtype))).backward()
    expected = [p.grad.clone() for p in module.parameters()]
    module.zero_grad()
    with graddiag.capture(module) as cap:
        loss(in_a_loop(module, batch(dtype))).backward()

    assert all(torch.equal(p.grad, value) for p, value in zip(module.parameters(), expected, strict=True))
    (trace,) = cap.traces
    assert (trace.call, trace.layer, trace.h.shape) == (0, 0, (T, N, H))
    assert_true(trace, truth(KINDS[cell], module, batch(dtype), loss)[0, "forward"], PRECISION[dtype])


@either_home
@every_cell
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("dtype", PRECISION)
def test_a_fused_layer_called_once_per_timestep(home: ModuleType, cell: str, loss: Loss, dtype: torch.dtype) -> None:
    rnn = single(home, cell, dtype, num_layers=2)
    with graddiag.capture(rnn) as cap:
        loss(by_timestep(rnn, batch(dtype))).backward()

    assert [(trace.layer, trace.call) for trace in cap.traces] == [(0, 0), (1, 0)]
    tapes = truth(KINDS[cell], rnn, batch(dtype), loss)
    for trace in cap.traces:
        assert_true(trace, tapes[trace.layer, "forward"], PRECISION[dtype])
        # output and final state are two tensors here, each with a gradient of its own
        assert_exact(trace.grad_h_direct, tapes[trace.layer, "forward"].grad("h_out"), PRECISION[dtype])


@either_home
@every_cell
def test_sequences_of_their_own_stay_apart(home: ModuleType, cell: str) -> None:
    """A second sequence from zero, and one whose state was detached, are calls 1 and 2."""
    rnn = single(home, cell)
    with graddiag.capture(rnn) as cap:
        _, state = rnn(batch())
        detached = tuple(s.detach() for s in state) if cell == "LSTM" else state.detach()
        outputs = [rnn(batch())[0], rnn(batch(), detached)[0]]
        (torch.stack(outputs).square().sum() + (state[0] if cell == "LSTM" else state).sum()).backward()
    assert [trace.call for trace in cap.traces] == [0, 1, 2]
    assert [len(trace.h) for trace in cap.traces] == [T] * 3
    torch.testing.assert_close(cap.trace(call=1).grad_h, captured(rnn, batch()).trace().grad_h)


@either_home
@every_cell
def test_two_calls_that_carry_on_from_one_state(home: ModuleType, cell: str) -> None:
    """One prefix, two continuations: neither is the other's next timestep."""
    rnn, (x, one, other) = single(home, cell), batch(timesteps=3 * T).split(T)
    with graddiag.capture(rnn) as cap:
        _, state = rnn(x)
        first, second = rnn(one, state)[0], rnn(other, state)[0]
        (first[-1].square().sum() + 2 * second.square().sum()).backward()

    rnn.zero_grad()
    with graddiag.capture(rnn) as alone:
        rnn(torch.cat((x, other)))[0][T:].square().sum().mul(2).backward()
    assert all(len(trace.h) <= 2 * T for trace in cap.traces)
    tail = torch.cat([trace.grad_h for trace in cap.traces])[-T:]
    torch.testing.assert_close(tail, alone.trace().grad_h[T:], rtol=1e-11, atol=1e-13)
    assert sum(len(trace.h) for trace in cap.traces) == 3 * T


@either_home
def test_windows_that_carry_an_attached_state(home: ModuleType) -> None:
    rnn, x = single(home), batch(timesteps=2 * T)
    whole = captured(rnn, x).trace()
    rnn.zero_grad()
    with graddiag.capture(rnn) as cap:
        first, state = rnn(x[:T])
        second, _ = rnn(x[T:], state)
        torch.cat((first, second)).square().sum().backward()
    found = cap.trace()
    for name in ("h", "c", "grad_h", "grad_h_direct", "grad_c", "grad_a", "sent_h", "sent_c"):
        torch.testing.assert_close(getattr(found, name), getattr(whole, name), rtol=1e-11, atol=1e-13)


@every_cell
def test_a_cell_outside_of_the_last_loss_and_one_sample_alone(cell: str) -> None:
    """Calls after the loss get gradient 0, and an unbatched input is a batch of one."""
    module = getattr(nn, f"{cell}Cell")(I, H, dtype=torch.float64)
    with graddiag.capture(module) as cap:
        outputs = in_a_loop(module, batch()[:, 0])
        outputs[2].sum().backward()
    trace = cap.trace()
    assert trace.h.shape == (T, 1, H)
    assert trace.grad_h[:3].abs().amax((1, 2)).all()
    assert not trace.grad_h[3:].any()
    assert (trace.grad_h_direct[2] == 1).all()
    assert not trace.grad_h_direct[:2].any()


def test_cells_without_bias_and_with_relu() -> None:
    module = nn.RNNCell(I, H, bias=False, nonlinearity="relu", dtype=torch.float64)
    with graddiag.capture(module) as cap:
        in_a_loop(module, batch()).square().sum().backward()
    tapes = truth("rnn_relu", module, batch(), lambda outputs: outputs.square().sum())
    assert_true(cap.trace(), tapes[0, "forward"], 1e-10)
    assert cap.trace().kind == "rnn_relu"
