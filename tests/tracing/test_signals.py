"""Every column of the tables ``timesteps`` and ``gates`` by brute force: Jacobians by autograd, sums by hand.

Each sequence is unrolled by itself, so that padding, batch and direction are none of the oracle's business.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import graddiag
from graddiag import schema
from graddiag.tracing import Trace
from graddiag.tracing.signals import Signals, signals
from tests.reference.oracle import Tape, cell, unroll

pytestmark = pytest.mark.usefixtures("either_path")

T, N, I, H = 5, 3, 2, 3
F64 = torch.float64
KINDS = ("rnn_tanh", "rnn_relu", "lstm", "gru")
LENGTHS = {"full": [T] * N, "unequal": [5, 4, 2]}
LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "every": lambda output: output.pow(3).sum() + output.sum(),
    "last": lambda output: output[-1].square().sum(),
}

settings = [
    pytest.mark.parametrize("kind", KINDS),
    pytest.mark.parametrize("direction", ["forward", "reverse"]),
    pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS),
    pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES),
]


def in_every_setting(test: Callable[..., None]) -> Callable[..., None]:
    for mark in settings:
        test = mark(test)
    return test


@dataclass(frozen=True)
class Truth:
    """One sequence run alone: its tape, its x [length, 1, I], and the weights of its direction by bare name."""

    tape: Tape
    x: Tensor
    weights: dict[str, Tensor]


def measured(
    kind: str, direction: str, lengths: list[int], loss: Callable[[Tensor], Tensor]
) -> tuple[Trace, Signals, list[Truth]]:
    """A bidirectional torch.nn layer under capture, and each of its sequences unrolled alone."""
    torch.manual_seed(0)
    family, _, activation = kind.partition("_")
    extra = {"nonlinearity": activation} if activation else {}
    module = getattr(torch.nn, family.upper())(I, H, bidirectional=True, dtype=F64, **extra)
    x = torch.randn(T, N, I, dtype=F64)
    packed = pack_padded_sequence(x, lengths)
    with graddiag.capture(module) as cap:
        output, _ = pad_packed_sequence(module(packed)[0]) if min(lengths) < T else module(x)
        sum(loss(output[:length, n]) for n, length in enumerate(lengths)).backward()
    trace = cap.trace(direction=direction)

    suffix = "_l0_reverse" if direction == "reverse" else "_l0"
    weights = {k.removesuffix(suffix): p.detach() for k, p in module.named_parameters() if k.endswith(suffix)}
    truths = []
    for n, length in enumerate(lengths):
        alone = unroll(kind, dict(module.named_parameters()), x[:length, n : n + 1])
        loss(alone.output[:, 0]).backward()
        truths.append(Truth(alone.tapes[0, direction], x[:length, n : n + 1], weights))
    return trace, signals(trace), truths


def together(truths: list[Truth], of: Callable[[Truth], Tensor]) -> Tensor:
    """[T, N, ...]: what ``of`` gives of each sequence ([length, ...]), zeros past its end."""
    each = [of(truth) for truth in truths]
    return torch.stack([torch.cat((e, e.new_zeros(T - len(e), *e.shape[1:]))) for e in each], dim=1)


def grad(name: str) -> Callable[[Truth], Tensor]:
    return lambda truth: truth.tape.grad(name).squeeze(1)


def value(name: str) -> Callable[[Truth], Tensor]:
    return lambda truth: truth.tape.value(name).squeeze(1)


def norms(block: Tensor) -> Tensor:
    return block.flatten(1).norm(dim=1)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-15, equal_nan=True)


def stretched(kind: str, direction: str) -> Callable[[Truth], Tensor]:
    """Of a sequence, [length, 2, S]: lambda_t, and J_t^T lambda_t with the whole Jacobian of s_t by s_{t-1}."""
    names = ["h", "c_next"] if kind == "lstm" else ["h"]

    def of(truth: Truth) -> Tensor:
        rows = []
        for t in range(len(truth.x)):
            before = t - 1 if direction == "forward" else t + 1
            zero = torch.zeros(1, H, dtype=F64)
            s = torch.cat([truth.tape.steps[before][n].detach() if before in truth.tape.steps else zero for n in names])

            def step(s: Tensor, t: int = t) -> Tensor:
                after = cell(kind, truth.weights, truth.x[t], (s[:1], s[1:] if kind == "lstm" else None))
                return torch.cat([after[name] for name in names])

            J = jacobian(step, s).reshape(s.numel(), s.numel())
            arrived = torch.cat([truth.tape.grad(name)[t] for name in names]).flatten()
            rows.append(torch.stack([arrived, J.T @ arrived]))
        return torch.stack(rows)

    return of


@in_every_setting
def test_transport_gain(kind: str, direction: str, lengths: list[int], loss: Callable[[Tensor], Tensor]) -> None:
    _, found, truths = measured(kind, direction, lengths, loss)
    arrived, sent = together(truths, stretched(kind, direction)).unbind(2)
    expected = norms(sent) / norms(arrived)
    close(found.timesteps[schema.TRANSPORT_GAIN], expected)
    assert found.missing[schema.TRANSPORT_GAIN].tolist() == expected.isnan().tolist()


@in_every_setting
def test_gradients(kind: str, direction: str, lengths: list[int], loss: Callable[[Tensor], Tensor]) -> None:
    trace, found, truths = measured(kind, direction, lengths, loss)
    columns = found.timesteps
    close(trace.h, together(truths, value("h")))
    close(trace.grad_a, together(truths, grad("a")))
    for column, name in ((schema.GRAD_H, "h"), (schema.GRAD_H_DIRECT, "h_out"), (schema.GRAD_A, "a")):
        close(columns[column], norms(together(truths, grad(name))))
    close(columns[schema.GRAD_H_MAX], together(truths, grad("h")).norm(dim=2).amax(1))
    alive = torch.tensor([[length > t for length in lengths] for t in range(T)]).sum(1)
    close(columns[schema.H_RMS], norms(together(truths, value("h"))) / (alive * H).double().sqrt())
    if kind == "lstm":
        close(columns[schema.GRAD_C], norms(together(truths, grad("c"))))
        close(columns[schema.C_RMS], norms(together(truths, value("c"))) / (alive * H).double().sqrt())
        close(columns[schema.GRAD_C_PATH], norms(together(truths, grad("c_next"))))
    else:
        assert not {schema.GRAD_C, schema.GRAD_C_PATH, schema.C_RMS} & columns.keys()


@in_every_setting
def test_contributions(kind: str, direction: str, lengths: list[int], loss: Callable[[Tensor], Tensor]) -> None:
    _, found, truths = measured(kind, direction, lengths, loss)
    G = together(truths, lambda truth: truth.tape.grad("w_hh")).sum(1).flatten(1)
    size, cosine = found.timesteps[schema.GRAD_W_HH], found.timesteps[schema.GRAD_W_HH_COSINE]
    close(size, norms(G))
    expected = (G @ G.sum(0)) / (norms(G) * G.sum(0).norm())
    close(cosine, expected)
    assert found.missing[schema.GRAD_W_HH_COSINE].tolist() == expected.isnan().tolist()


@in_every_setting
def test_gates(kind: str, direction: str, lengths: list[int], loss: Callable[[Tensor], Tensor]) -> None:
    trace, found, truths = measured(kind, direction, lengths, loss)
    assert list(found.gates) == list(schema.GATES[trace.family])
    for name, gate in trace.gates.items():
        if name == "h":
            close(gate, together(truths, value("h")))
        sigmoid = name in schema.SIGMOID_GATES
        for t in range(T):
            real = gate[t, [n for n, length in enumerate(lengths) if length > t]]
            close(found.gates[name][schema.MEAN][t], real.mean())
            close(found.gates[name][schema.STD][t], real.std(correction=0))
            low = (real == 0) if kind == "rnn_relu" else real < (0.1 if sigmoid else -0.9)
            close(found.gates[name][schema.SATURATED_LOW][t], low.double().mean())
            if kind != "rnn_relu":
                close(found.gates[name][schema.SATURATED_HIGH][t], (real > 0.9).double().mean())
        assert (schema.SATURATED_HIGH in found.gates[name]) == (kind != "rnn_relu")


@pytest.mark.parametrize("library", [torch.nn, graddiag.nn], ids=["torch.nn", "graddiag.nn"])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("kind", KINDS)
def test_nan_at_the_end_of_a_shorter_sequence_stays_in_it(kind: str, direction: str, library: ModuleType) -> None:
    torch.manual_seed(0)
    family, _, activation = kind.partition("_")
    extra = {"nonlinearity": activation} if activation else {}
    module = getattr(library, family.upper())(I, H, bidirectional=True, dtype=F64, **extra)
    x, lengths, loss = torch.randn(T, N, I, dtype=F64), [5, 5, 3], LOSSES["every"]
    x[2, 2] = torch.nan
    with graddiag.capture(module) as cap:
        output, _ = pad_packed_sequence(module(pack_padded_sequence(x, lengths))[0])
        sum(loss(output[:length, n]) for n, length in enumerate(lengths)).backward()
    trace = cap.trace(direction=direction)
    found = signals(trace).timesteps

    truths = []
    for n in range(2):
        alone = unroll(kind, dict(module.named_parameters()), x[:, n : n + 1])
        loss(alone.output[:, 0]).backward()
        truths.append(Truth(alone.tapes[0, direction], x[:, n : n + 1], {}))
    for block in (trace.grad_h, trace.grad_a, trace.grad_a_hh, trace.sent_h, trace.grad_c, trace.sent_c):
        assert block is None or not block[3:].isnan().any()
    for column, name in ((schema.GRAD_H, "h"), (schema.GRAD_H_DIRECT, "h_out"), (schema.GRAD_A, "a")):
        close(found[column][3:], norms(together(truths, grad(name)))[3:])
    contribution = sum(truth.tape.grad("w_hh")[3:] for truth in truths)
    close(found[schema.GRAD_W_HH][3:], norms(contribution))
    assert found[schema.TRANSPORT_GAIN][3:].isfinite().all()
    assert not found[schema.H_RMS][2].isfinite()
