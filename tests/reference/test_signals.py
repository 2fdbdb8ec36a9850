"""The numbers a run holds, from what autograd gives for the unrolled network; nothing underflows."""

from types import ModuleType

import pytest
import torch
from torch import Tensor

import graddiag
from graddiag import schema
from graddiag.tracing.signals import Signals, signals
from tests.reference.oracle import Tape, transport_gains, unroll

pytestmark = pytest.mark.usefixtures("either_path")

F64 = torch.float64
T, N, H = 7, 3, 4
KINDS = ["rnn_tanh", "rnn_relu", "rnn_sigmoid", "rnn_identity", "lstm", "gru"]
WITH_C_N = pytest.mark.parametrize("through_c_n", [False, True])


def build(home: ModuleType, kind: str, **settings: object) -> torch.nn.RNNBase:
    torch.manual_seed(0)
    if kind.startswith("rnn"):
        return home.RNN(3, H, nonlinearity=kind.removeprefix("rnn_"), dtype=F64, **settings)
    return getattr(home, kind.upper())(3, H, dtype=F64, **settings)


def measured(
    kind: str, through_c_n: bool = False
) -> tuple[Signals, Tape, Tensor, dict[str, Tensor], tuple[Tensor, ...]]:
    """Signals of one layer, the tape of the truth, x, the weights and the initial state."""
    module = build(graddiag.nn, kind)
    x, (h0, c0) = torch.randn(T, N, 3, dtype=F64), torch.randn(2, 1, N, H, dtype=F64)
    with graddiag.capture(module) as cap:
        output, state = module(x, (h0, c0) if kind == "lstm" else h0)
        loss = output[2:].pow(3).sum()
        (loss + state[1].sin().sum() if through_c_n and kind == "lstm" else loss).backward()
    module.zero_grad()
    truth = unroll(kind, dict(module.named_parameters()), x, h0, c0)
    loss = truth.output[2:].pow(3).sum()
    (loss + truth.c_n.sin().sum() if through_c_n and kind == "lstm" else loss).backward()
    weights = {name.removesuffix("_l0"): p.detach() for name, p in module.named_parameters()}
    return signals(cap.trace()), truth.tapes[0, "forward"], x, weights, (h0[0], c0[0])


def norms(tensor: Tensor) -> Tensor:
    return tensor.flatten(1).norm(dim=1)


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=0, equal_nan=True)


@pytest.mark.parametrize("kind", KINDS)
@WITH_C_N
def test_norms_of_the_gradients(kind: str, through_c_n: bool) -> None:
    found, tape, *_ = measured(kind, through_c_n)
    columns = found.timesteps

    close(columns[schema.GRAD_H], norms(tape.grad("h")))
    close(columns[schema.GRAD_H_DIRECT], norms(tape.grad("h_out")))
    close(columns[schema.GRAD_H_MAX], tape.grad("h").norm(dim=2).amax(1))
    close(columns[schema.GRAD_A], norms(tape.grad("a")))
    close(columns[schema.H_RMS], norms(tape.value("h")) / (N * H) ** 0.5)
    if kind == "lstm":
        close(columns[schema.GRAD_C], norms(tape.grad("c")))
        close(columns[schema.GRAD_C_PATH][:-1], norms(tape.grad("c_next"))[:-1])
        assert columns[schema.GRAD_C_PATH][-1] == 0
        close(columns[schema.C_RMS], norms(tape.value("c")) / (N * H) ** 0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_contribution_of_each_timestep_to_the_recurrent_weight(kind: str) -> None:
    found, tape, *_ = measured(kind)
    G = tape.grad("w_hh").flatten(1)
    close(found.timesteps[schema.GRAD_W_HH], norms(G))
    close(found.timesteps[schema.GRAD_W_HH_COSINE], torch.cosine_similarity(G, G.sum(0, keepdim=True)))


@pytest.mark.parametrize("kind", KINDS)
@WITH_C_N
def test_transport_gain_is_the_stretch_of_the_jacobian_of_the_full_state(kind: str, through_c_n: bool) -> None:
    found, tape, x, weights, first = measured(kind, through_c_n)
    close(found.timesteps[schema.TRANSPORT_GAIN], transport_gains(kind, weights, x, tape, first))


@pytest.mark.parametrize("home", [graddiag.nn, torch.nn], ids=["graddiag", "torch"])
@pytest.mark.parametrize("kind", ["rnn_tanh", "lstm", "gru"])
def test_transport_gain_of_a_reverse_direction_is_that_of_the_flipped_sequence(home: ModuleType, kind: str) -> None:
    both, one = build(home, kind, bidirectional=True), build(home, kind)
    with torch.no_grad():
        for name, p in one.named_parameters():
            p.copy_(both.get_parameter(f"{name}_reverse"))
    x = torch.randn(T, N, 3, dtype=F64)

    with graddiag.capture(both) as cap_both:
        both(x)[0][..., H:].pow(3).sum().backward()
    with graddiag.capture(one) as cap_one:
        one(x.flip(0))[0].pow(3).sum().backward()

    reverse, forward = signals(cap_both.trace(direction="reverse")), signals(cap_one.trace())
    assert set(reverse.timesteps) == set(forward.timesteps)
    for name, column in reverse.timesteps.items():
        close(column, forward.timesteps[name].flip(0))


@pytest.mark.parametrize(("a", "low", "high"), [(-2.1973, 1, 0), (-2.1972, 0, 0), (2.1972, 0, 0), (2.1973, 0, 1)])
def test_a_sigmoid_gate_is_saturated_beyond_ln_nine(a: float, low: int, high: int) -> None:
    lstm = graddiag.nn.LSTM(2, 3, dtype=F64)
    with torch.no_grad():
        for p in lstm.parameters():
            p.zero_()
        lstm.bias_ih_l0[3:6].fill_(a)
    with graddiag.capture(lstm) as cap:
        lstm(torch.randn(4, 2, 2, dtype=F64))[0].sum().backward()

    gates = signals(cap.trace()).gates
    assert gates["f"][schema.SATURATED_LOW].tolist() == [low] * 4
    assert gates["f"][schema.SATURATED_HIGH].tolist() == [high] * 4
    assert gates["i"][schema.SATURATED_LOW].tolist() == gates["i"][schema.SATURATED_HIGH].tolist() == [0] * 4
    close(gates["f"][schema.MEAN], torch.full((4,), a, dtype=F64).sigmoid())
    assert gates["f"][schema.STD].abs().max() < 1e-12


@pytest.mark.parametrize("home", [graddiag.nn, torch.nn], ids=["graddiag", "torch"])
def test_norms_do_not_underflow_where_their_squares_do(home: ModuleType) -> None:
    torch.manual_seed(0)
    lstm, x = home.LSTM(16, 128), torch.randn(100, 8, 16)

    with graddiag.capture(lstm) as cap:
        lstm(x)[0][-1].square().mean().backward()
    exact = {name: p.detach().double().requires_grad_() for name, p in lstm.named_parameters()}
    truth = unroll("lstm", exact, x.double())
    truth.output[-1].square().mean().backward()

    tape, columns = truth.tapes[0, "forward"], signals(cap.trace()).timesteps
    assert 1e-27 < columns[schema.GRAD_H][0] < 1e-21
    for name, kept in ((schema.GRAD_H, "h"), (schema.GRAD_C, "c"), (schema.GRAD_A, "a"), (schema.GRAD_W_HH, "w_hh")):
        expected = norms(tape.grad(kept))
        expected[0] = expected[0] if name != schema.GRAD_W_HH else 0  # h before the first timestep is 0
        torch.testing.assert_close(columns[name], expected, rtol=1e-3, atol=0)


def test_contribution_of_a_timestep_survives_a_batch_that_cancels() -> None:
    """Two samples that nearly agree, with opposite gradients: G_t is a small difference of large outer products."""
    torch.manual_seed(0)
    rnn = graddiag.nn.RNN(3, 64, dtype=F64)
    x = torch.randn(6, 1, 3, dtype=F64).repeat(1, 2, 1) + 1e-3 * torch.randn(6, 2, 3, dtype=F64)
    with graddiag.capture(rnn) as cap:
        output, _ = rnn(x)
        (output[-1, 0] - output[-1, 1]).sum().backward()
    rnn.zero_grad()
    truth = unroll("rnn_tanh", dict(rnn.named_parameters()), x)
    (truth.output[-1, 0] - truth.output[-1, 1]).sum().backward()

    expected = norms(truth.tapes[0, "forward"].grad("w_hh"))
    torch.testing.assert_close(signals(cap.trace()).timesteps[schema.GRAD_W_HH], expected, rtol=1e-10, atol=0)
