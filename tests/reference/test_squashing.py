"""Losses on a squashed output, and squashing without overflow."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

import graddiag

F64 = torch.float64


def output_unit(z: float, dtype: torch.dtype = F64) -> torch.nn.RNN:
    """One sigmoid unit whose pre-activation is z whatever comes in."""
    rnn = graddiag.nn.RNN(1, 1, nonlinearity="sigmoid", dtype=dtype)
    with torch.no_grad():
        for p in rnn.parameters():
            p.zero_()
        rnn.bias_ih_l0.fill_(z)
    return rnn


def cross_entropy(h: Tensor) -> Tensor:
    return binary_cross_entropy(h, torch.ones_like(h))


def half_squared_error(h: Tensor) -> Tensor:
    return 0.5 * (h - 1).square().sum()


@pytest.mark.parametrize(
    ("z", "by_cross_entropy", "by_squared_error"), [(-10.0, -0.99995, -4.54e-5), (0.0, -0.5, -0.125)]
)
def test_squared_error_learns_nothing_from_its_worst_mistakes(
    z: float, by_cross_entropy: float, by_squared_error: float
) -> None:
    rnn = output_unit(z)
    for loss, expected in ((cross_entropy, by_cross_entropy), (half_squared_error, by_squared_error)):
        with graddiag.capture(rnn) as cap:
            loss(rnn(torch.zeros(1, 1, 1, dtype=F64))[0]).backward()
        assert cap.trace().grad_a.item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("p", "ce", "se"), [(0.01, 4.605, 0.9801), (0.0001, 9.210, 0.9998)])
def test_cross_entropy_tells_bad_from_worse(p: float, ce: float, se: float) -> None:
    h = output_unit(math.log(p / (1 - p)))(torch.zeros(1, 1, 1, dtype=F64))[0]
    assert cross_entropy(h).item() == pytest.approx(ce, abs=5e-4)
    assert 2 * half_squared_error(h).item() == pytest.approx(se, abs=5e-5)


@pytest.mark.parametrize(("z", "dtype"), [(89.0, torch.float32), (710.0, F64)])
def test_the_sigmoid_does_not_overflow(z: float, dtype: torch.dtype) -> None:
    a = torch.tensor(z, dtype=dtype)
    assert (a.exp() / (1 + a.exp())).isnan()
    for sign, expected in ((1, 1.0), (-1, pytest.approx(0.0, abs=1e-38))):
        rnn = output_unit(sign * z, dtype)
        with graddiag.capture(rnn) as cap:
            output, _ = rnn(torch.zeros(3, 1, 1, dtype=dtype))
            output.sum().backward()
        assert output.detach().unique().item() == expected
        assert bool(cap.trace().grad_a.isfinite().all())


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_gates_driven_far_past_the_overflow_saturate(name: str) -> None:
    module = getattr(graddiag.nn, name)(2, 3)
    with torch.no_grad():
        module.bias_ih_l0.fill_(1e4)
    with graddiag.capture(module) as cap:
        module(torch.zeros(4, 2, 2))[0].sum().backward()
    trace = cap.trace()
    assert all(bool((gate == 1).all()) for gate in trace.gates.values())
    assert bool(trace.grad_h.isfinite().all())
