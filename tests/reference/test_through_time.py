"""Gradients through time whose values are known on paper; docs/concepts.md states them."""

import math

import pytest
import torch
from torch import Tensor

import graddiag
from graddiag.tracing import Trace
from tests.reference.oracle import assert_exact, unroll

pytestmark = pytest.mark.usefixtures("either_path")

F64 = torch.float64


def linear_rnn(w_hh: Tensor, w_ih: Tensor | None = None, nonlinearity: str = "identity") -> torch.nn.RNN:
    """h_t = phi(x_t W_ih^T + h_{t-1} W_hh^T), no biases; one input unit, ignored unless w_ih is given."""
    size = len(w_hh)
    rnn = graddiag.nn.RNN(1, size, nonlinearity=nonlinearity, bias=False, dtype=F64)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(w_hh)
        rnn.weight_ih_l0.copy_(torch.zeros(size, 1) if w_ih is None else w_ih)
    return rnn


def only_trace(cap: graddiag.tracing.Capture) -> Trace:
    (trace,) = cap.traces
    return trace


@pytest.mark.parametrize("a", [0.9, 1.0, 1.1])
def test_linear_rnn_gradient_is_geometric_in_the_lag(a: float) -> None:
    torch.manual_seed(0)
    q, _ = torch.linalg.qr(torch.randn(4, 4, dtype=F64))
    rnn, T = linear_rnn(a * q), 60

    with graddiag.capture(rnn) as cap:
        output, _ = rnn(torch.zeros(T, 1, 1, dtype=F64), torch.randn(1, 1, 4, dtype=F64))
        (output[-1] @ torch.randn(4, dtype=F64)).sum().backward()

    norms = only_trace(cap).grad_h.flatten(1).norm(dim=1)
    expected = norms[-1] * a ** torch.arange(T - 1, -1, -1, dtype=F64)
    torch.testing.assert_close(norms, expected, rtol=1e-10, atol=0)


def test_scalar_recurrence_gives_the_power_rule() -> None:
    T, w, x0 = 50, 1.05, 0.7
    rnn = linear_rnn(torch.tensor([[w]], dtype=F64))

    output, _ = rnn(torch.zeros(T, 1, 1, dtype=F64), torch.full((1, 1, 1), x0, dtype=F64))
    output[-1].sum().backward()

    assert rnn.weight_hh_l0.grad.item() == pytest.approx(382.24665952512, rel=1e-12)
    assert rnn.weight_hh_l0.grad.item() == pytest.approx(T * x0 * w ** (T - 1), rel=1e-12)


def test_summing_rnn_has_gradient_one_at_every_input() -> None:
    one = torch.ones(1, 1, dtype=F64)
    rnn = linear_rnn(one, one)
    x = torch.randn(30, 1, 1, dtype=F64, requires_grad=True)

    rnn(x)[0][-1].sum().backward()

    assert torch.equal(x.grad, torch.ones_like(x))


@pytest.mark.parametrize(("kind", "name"), [("rnn_tanh", "RNN"), ("lstm", "LSTM"), ("gru", "GRU")])
def test_retain_grad_on_a_fused_output_is_the_immediate_gradient_alone(kind: str, name: str) -> None:
    torch.manual_seed(0)
    fused = getattr(torch.nn, name)(3, 4, dtype=F64)
    module = getattr(graddiag.nn, name)(3, 4, dtype=F64)
    module.load_state_dict(fused.state_dict())
    x = torch.randn(6, 2, 3, dtype=F64)

    output, _ = fused(x)
    output.retain_grad()
    output.square().sum().backward()
    truth = unroll(kind, dict(fused.named_parameters()), x)
    truth.output.square().sum().backward()
    with graddiag.capture(module) as cap:
        module(x)[0].square().sum().backward()
    trace = only_trace(cap)

    assert_exact(trace.grad_h_direct, output.grad)
    assert_exact(trace.grad_h, truth.tapes[0, "forward"].grad("h"))
    through_time = (trace.grad_h - trace.grad_h_direct)[:-1].flatten(1).norm(dim=1)
    assert bool((through_time > 1e-3).all())


def test_irnn_carries_the_gradient_unchanged() -> None:
    rnn = linear_rnn(torch.eye(3, dtype=F64), torch.ones(3, 1, dtype=F64), nonlinearity="relu")

    with graddiag.capture(rnn) as cap:
        output, _ = rnn(torch.rand(40, 2, 1, dtype=F64) + 0.1)
        output[-1].square().sum().backward()

    grad_h = only_trace(cap).grad_h
    assert torch.equal(grad_h, grad_h[-1].expand_as(grad_h))


def test_tanh_rnn_stays_under_the_product_of_singular_values_and_slopes() -> None:
    torch.manual_seed(0)
    T, H = 30, 8
    rnn = graddiag.nn.RNN(3, H, dtype=F64)
    with torch.no_grad():
        rnn.weight_hh_l0.mul_(3)

    with graddiag.capture(rnn) as cap:
        rnn(torch.randn(T, 5, 3, dtype=F64))[0][-1].square().sum().backward()

    trace = only_trace(cap)
    norms = trace.grad_h.norm(dim=2)
    factors = torch.linalg.matrix_norm(rnn.weight_hh_l0.detach(), 2) * (1 - trace.h**2).amax(dim=2)
    bound = norms[-1].clone()
    for t in range(T - 2, -1, -1):
        bound = bound * factors[t + 1]
        assert bool((norms[t] <= bound * (1 + 1e-12)).all())
    assert math.isfinite(bound.max().item())


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_nothing_passes_a_detached_state(name: str) -> None:
    torch.manual_seed(0)
    module = getattr(graddiag.nn, name)(3, 4, dtype=F64)
    x = torch.randn(10, 2, 3, dtype=F64)

    with graddiag.capture(module) as cap:
        first, state = module(x[:6])
        state = tuple(s.detach() for s in state) if name == "LSTM" else state.detach()
        second, _ = module(x[6:], state)
        (first[2].square().sum() + second[-1].square().sum()).backward()

    before, after = cap.trace(call=0), cap.trace(call=1)
    assert torch.equal(before.grad_h[3:], torch.zeros_like(before.grad_h[3:]))
    assert bool((before.grad_h[:3].flatten(1).norm(dim=1) > 0).all())
    assert bool((after.grad_h.flatten(1).norm(dim=1) > 0).all())
