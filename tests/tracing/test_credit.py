"""The credit matrix against S backward passes through the unrolled network, each with one timestep's loss alone."""

from types import ModuleType

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

import graddiag
from graddiag.errors import UnsupportedError
from graddiag.tracing import Capture, Trace
from graddiag.tracing import credit as module
from graddiag.tracing.credit import credit, loss_timesteps, tangents_of
from tests.nn.nets import projection_warning
from tests.reference.oracle import Tape, Unrolled, unroll
from tests.reference.test_traces import KINDS, Loss, build, every_result, last_output
from tests.tracing.models import F64

EVERY = range(5)


def backward_passes(tape: Tape, direction: str) -> Tensor:
    """||dL_s/dh_t||, [S, T], by one backward pass for each s: only what entered the layer at s is sent back.

    ``c_next`` of the timestep that is processed last holds what entered through c_n; that of the others what came back
    through time.
    """
    steps, final = [tape.steps[t] for t in EVERY], 4 if direction == "forward" else 0
    rows = []
    for s in EVERY:
        names = [name for name in ("h_out", "c_next") if name in steps[s] and (name == "h_out" or s == final)]
        outputs, entered = [steps[s][name] for name in names], [tape.grad(name)[s] for name in names]
        states = [step["h"] for step in steps]
        grads = torch.autograd.grad(outputs, states, entered, retain_graph=True, allow_unused=True)
        rows.append([torch.nan if grad is None else grad.norm().item() for grad in grads])
    return torch.tensor(rows, dtype=F64)


def captured_and_true(kind: str, layer: torch.nn.RNNBase, loss: Loss) -> tuple[Capture, Unrolled]:
    """One backward pass under capture, and through the unrolled network, whose graph is kept."""
    torch.manual_seed(1)
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    x, h0, c0 = torch.randn(5, 3, 3, dtype=F64), *torch.randn(2, count, 3, 4, dtype=F64)
    with graddiag.capture(layer) as cap:
        output, state = layer(x, (h0, c0) if kind == "lstm" else h0)
        loss(output, *(state if kind == "lstm" else (state, None))).backward()
    truth = unroll(kind, dict(layer.named_parameters()), x, h0, c0)
    loss(truth.output, truth.h_n, truth.c_n).backward(retain_graph=True)
    return cap, truth


@pytest.mark.parametrize(("home", "kind"), KINDS)
@pytest.mark.parametrize("loss", [every_result, last_output])
@pytest.mark.parametrize(
    "settings", [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False}], ids=["plain", "deep", "no-bias"]
)
def test_it_is_that_of_s_backward_passes(home: ModuleType, kind: str, loss: Loss, settings: dict[str, object]) -> None:
    cap, truth = captured_and_true(kind, build(home, kind, **settings), loss)
    for trace in cap.traces:
        found = credit(trace, EVERY)
        expected = backward_passes(truth.tapes[trace.layer, trace.direction], trace.direction)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=0, equal_nan=True)
        behind = torch.ones(5, 5).triu(1).bool()
        assert torch.equal(found.isnan(), behind if trace.direction == "forward" else behind.t())


def test_the_parts_of_all_losses_are_the_whole() -> None:
    """One sample of one unit: no cosine comes between the norms and their sum."""
    torch.manual_seed(1)
    rnn = torch.nn.RNN(2, 1, dtype=F64)
    with torch.no_grad():
        rnn.weight_hh_l0.fill_(0.7)
    with graddiag.capture(rnn) as cap:
        rnn(torch.randn(6, 1, 2, dtype=F64))[0].sum().backward()
    trace = cap.trace()
    torch.testing.assert_close(credit(trace, range(6)).nansum(0), trace.grad_h.flatten().abs(), rtol=1e-12, atol=0)


@projection_warning
@pytest.mark.parametrize("home", [torch.nn, graddiag.nn])
def test_a_projected_lstm(home: ModuleType) -> None:
    torch.manual_seed(0)
    lstm, x = home.LSTM(3, 4, proj_size=2, dtype=F64), torch.randn(5, 3, 3, dtype=F64)
    with graddiag.capture(lstm) as cap:
        lstm(x)[0].square().sum().backward()
    h, c = torch.zeros(3, 2, dtype=F64), torch.zeros(3, 4, dtype=F64)
    states = []
    for x_t in x:
        i, f, g, o = (x_t @ lstm.weight_ih_l0.T + h @ lstm.weight_hh_l0.T + lstm.bias_ih_l0 + lstm.bias_hh_l0).chunk(
            4, -1
        )
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = (o.sigmoid() * c.tanh()) @ lstm.weight_hr_l0.T
        states.append(h)
    for s, row in enumerate(credit(cap.trace(), EVERY)):
        grads = torch.autograd.grad(states[s].square().sum(), states[: s + 1], retain_graph=True)
        torch.testing.assert_close(row[: s + 1], torch.stack([g.norm() for g in grads]), rtol=1e-10, atol=0)


@pytest.mark.parametrize("kind", ["rnn_tanh", "lstm", "gru"])
def test_sequences_of_unequal_lengths_are_each_their_own(kind: str) -> None:
    layer, lengths = build(torch.nn, kind, bidirectional=True), [5, 2, 3]
    x = torch.randn(5, 3, 3, dtype=F64)
    with graddiag.capture(layer) as cap:
        layer(pack_padded_sequence(x, lengths, enforce_sorted=False))[0].data.square().sum().backward()
    alone = []
    for n, length in enumerate(lengths):
        with graddiag.capture(layer) as one:
            layer(x[:length, n : n + 1])[0].square().sum().backward()
        alone.append(one)
    for trace in cap.traces:
        squares = torch.zeros(5, 5, dtype=F64)
        for one, length in zip(alone, lengths, strict=True):
            found = credit(one.trace(direction=trace.direction), range(length))
            squares[:length, :length] += found.nan_to_num(0).square()
        torch.testing.assert_close(credit(trace, EVERY).nan_to_num(0), squares.sqrt(), rtol=1e-10, atol=1e-300)


def tiny() -> tuple[Trace, torch.nn.LSTM, Tensor]:
    torch.manual_seed(0)
    lstm, x = torch.nn.LSTM(16, 128), torch.randn(100, 8, 16)
    with graddiag.capture(lstm) as cap:
        lstm(x)[0].square().mean((1, 2)).sum().backward()
    return cap.trace(), lstm, x


def test_1e_24_in_float32_is_1e_24() -> None:
    trace, lstm, x = tiny()
    exact = {name: p.detach().double().requires_grad_() for name, p in lstm.named_parameters()}
    truth = unroll("lstm", exact, x.double())
    truth.output[-1].square().mean().backward()
    expected = truth.tapes[0, "forward"].grad("h").flatten(1).norm(dim=1)
    (found,) = credit(trace, [99])
    assert 1e-27 < float(found[0]) < 1e-21
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=0)


def test_blocks_of_bounded_memory_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    trace, _, _ = tiny()
    at = [99, 3, 50]  # in any order
    whole = credit(trace, at)
    monkeypatch.setattr(module, "_CHUNK", 1)
    torch.testing.assert_close(credit(trace, at), whole, rtol=1e-5, atol=0, equal_nan=True)


def test_loss_timesteps_are_all_or_evenly_spaced_with_the_last() -> None:
    assert loss_timesteps(3, "forward") == loss_timesteps(3, "reverse") == (0, 1, 2)
    assert loss_timesteps(10, "forward", 5) == (1, 3, 5, 7, 9)
    assert loss_timesteps(10, "reverse", 5) == (0, 2, 4, 6, 8)
    for T in (31, 32, 33, 100, 1000):
        at = loss_timesteps(T, "forward")
        assert len(set(at)) == min(T, 32)
        assert (min(at) >= 0, max(at), list(at)) == (True, T - 1, sorted(at))


def test_no_gradient_and_changed_weights_are_refused_by_name() -> None:
    rnn = torch.nn.RNN(2, 3)
    with graddiag.capture(rnn) as cap:
        rnn(torch.randn(4, 1, 2))
    with pytest.raises(UnsupportedError, match=r"credit\(Trace.*needs the gradients of a backward pass"):
        credit(cap.trace(), [3])
    own = graddiag.nn.RNN(2, 3)
    with graddiag.capture(own) as cap, torch.no_grad():
        with torch.enable_grad():
            own(torch.randn(4, 1, 2))
        own.weight_hh_l0.mul_(2)
    assert cap.trace().weights is None
    with pytest.raises(UnsupportedError, match=r"weights were changed before the trace was taken"):
        tangents_of(cap.trace())


@pytest.mark.parametrize("home", [torch.nn, graddiag.nn])
@pytest.mark.parametrize("within", [True, False])
def test_an_update_after_the_backward_pass_changes_nothing(home: ModuleType, within: bool) -> None:
    torch.manual_seed(0)
    lstm, x = home.LSTM(2, 3, num_layers=2), torch.randn(4, 1, 2)
    with graddiag.capture(lstm) as cap:
        lstm(x)[0].square().sum().backward()
    expected = credit(cap.trace(), EVERY[:4])
    lstm.zero_grad()
    with graddiag.capture(lstm) as cap:
        lstm(x)[0].square().sum().backward()
        if within:
            torch.optim.SGD(lstm.parameters(), lr=1).step()
    torch.optim.SGD(lstm.parameters(), lr=1).step()
    assert torch.equal(credit(cap.trace(), EVERY[:4]).nan_to_num(), expected.nan_to_num())


@pytest.mark.parametrize("home", [torch.nn, graddiag.nn])
def test_calls_of_one_layer_share_the_copy_of_its_weights(home: ModuleType) -> None:
    gru, x = home.GRU(2, 3), torch.randn(4, 1, 2)
    with graddiag.capture(gru) as cap:
        (gru(x)[0].sum() + gru(2 * x)[0].sum()).backward()
    first, second = (cap.trace(call=call).weights for call in (0, 1))
    assert first.w_hh is second.w_hh
    assert first.w_hh is not gru.weight_hh_l0
    assert torch.equal(first.w_hh, gru.weight_hh_l0)


def test_a_loop_over_a_cell_is_one_matrix() -> None:
    torch.manual_seed(0)
    cell, layer = torch.nn.LSTMCell(2, 3, dtype=F64), torch.nn.LSTM(2, 3, dtype=F64)
    layer.load_state_dict({f"{name}_l0": p for name, p in cell.state_dict().items()})
    x, state, outputs = torch.randn(5, 2, 2, dtype=F64), None, []
    with graddiag.capture(cell) as looped:
        for x_t in x:
            state = cell(x_t, state)
            outputs.append(state[0])
        torch.stack(outputs).square().sum().backward()
    with graddiag.capture(layer) as whole:
        layer(x)[0].square().sum().backward()
    found, expected = (credit(cap.trace(), EVERY) for cap in (looped, whole))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0, equal_nan=True)
