"""The RNN with layer norm, residual connections and a truncated relu: everything that is told of it against the network
unrolled under autograd, in float64."""

import copy
import pickle

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

import graddiag
from graddiag.analysis.spectrum import lyapunov, state_jacobians
from graddiag.tracing import Trace
from graddiag.tracing.credit import credit
from graddiag.tracing.signals import signals
from tests.reference.oracle import Unrolled, assert_exact, cell, transport_gains, unroll

F64 = torch.float64
T, N, I, H = 5, 3, 2, 4
ACTIVATIONS = ["tanh", "relu", "sigmoid", "identity", "truncated-relu"]
VARIANTS = [(True, False), (False, True), (True, True)]
variants = pytest.mark.parametrize(("layer_norm", "residual"), VARIANTS, ids=["norm", "residual", "both"])
activations = pytest.mark.parametrize("activation", ACTIVATIONS)


def made(activation: str, layer_norm: bool, residual: bool, **settings: object) -> graddiag.nn.RNN:
    """Gains that are not 1; a truncated relu so large that some units reach its cap."""
    torch.manual_seed(0)
    rnn = graddiag.nn.RNN(
        I, H, nonlinearity=activation, dtype=F64, layer_norm=layer_norm, residual=residual, **settings
    )
    with torch.no_grad():
        for name, parameter in rnn.named_parameters():
            if name.startswith("weight_ln"):
                parameter.uniform_(0.5, 1.5)
            elif activation == "truncated-relu" and name.startswith("bias_ih_l0"):
                parameter.copy_(torch.tensor([25.0, 1.0, 19.9, -1.0]))
    return rnn


def kind_of(rnn: graddiag.nn.RNN) -> str:
    return f"rnn_{'residual_' if rnn.residual else ''}{rnn.nonlinearity}"


def captured(rnn: graddiag.nn.RNN, x: Tensor) -> tuple[Trace, Unrolled]:
    """One layer's trace, and the same loss on the unrolled network; both gradients are in ``.grad``, summed."""
    with graddiag.capture(rnn) as cap:
        rnn(x)[0].sin().sum().backward()
    mine = [p.grad.clone() for p in rnn.parameters()]
    rnn.zero_grad()
    truth = unroll(kind_of(rnn), dict(rnn.named_parameters()), x)
    truth.output.sin().sum().backward()
    torch.testing.assert_close(mine, [p.grad for p in rnn.parameters()], rtol=1e-10, atol=1e-12)
    return cap.traces[0], truth


@activations
@variants
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_results_and_gradients(
    activation: str, layer_norm: bool, residual: bool, bias: bool, bidirectional: bool
) -> None:
    rnn = made(activation, layer_norm, residual, num_layers=2, bias=bias, bidirectional=bidirectional)
    x = torch.randn(T, N, I, dtype=F64)
    h0 = torch.randn(4 if rnn.bidirectional else 2, N, H, dtype=F64)
    leaves = [x.requires_grad_(), h0.requires_grad_(), *rnn.parameters()]

    output, h_n = rnn(x, h0)
    found = torch.autograd.grad(output.sin().sum() + h_n.square().sum(), leaves)
    truth = unroll(kind_of(rnn), dict(rnn.named_parameters()), x, h0)
    expected = torch.autograd.grad(truth.output.sin().sum() + truth.h_n.square().sum(), leaves)
    torch.testing.assert_close(output, truth.output, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@activations
@variants
def test_everything_by_timestep(activation: str, layer_norm: bool, residual: bool) -> None:
    rnn, x = made(activation, layer_norm, residual), torch.randn(T, N, I, dtype=F64)
    trace, truth = captured(rnn, x)
    tape = truth.tapes[0, "forward"]
    assert_exact(trace.h, tape.value("h"), 1e-12)
    assert_exact(trace.grad_h, tape.grad("h"))
    assert_exact(trace.grad_h_direct, tape.grad("h_out"))
    assert_exact(trace.grad_a, tape.grad("a"))
    contributions = torch.einsum("tna,tnb->tab", trace.grad_a_hh, trace.before(trace.h, trace.h0))
    assert_exact(contributions[1:], tape.grad("w_hh")[1:])
    torch.testing.assert_close(contributions.sum(0), rnn.weight_hh_l0.grad, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(trace.grad_w_hh, rnn.weight_hh_l0.grad, rtol=1e-10, atol=1e-13)

    weights = {name.removesuffix("_l0"): p for name, p in rnn.named_parameters()}
    gains = transport_gains(kind_of(rnn), weights, x, tape, (torch.zeros(N, H, dtype=F64), None))
    torch.testing.assert_close(signals(trace).timesteps["transport_gain"], gains, rtol=1e-10, atol=0)


@activations
@variants
def test_the_activation_is_the_gate(activation: str, layer_norm: bool, residual: bool) -> None:
    rnn, x = made(activation, layer_norm, residual), torch.randn(T, N, I, dtype=F64)
    trace, _ = captured(rnn, x)
    h, expected = torch.zeros(N, H, dtype=F64), []
    weights = {name.removesuffix("_l0"): p.detach() for name, p in rnn.named_parameters()}
    for x_t in x:
        kept = cell(kind_of(rnn), weights, x_t, (h, None))
        h = kept["h"]
        expected.append(kept["phi"])
    torch.testing.assert_close(trace.gates["h"], torch.stack(expected), rtol=1e-12, atol=1e-13)


@activations
@variants
@pytest.mark.parametrize("bidirectional", [True, False])
def test_the_jacobian_and_what_is_made_of_it(
    activation: str, layer_norm: bool, residual: bool, bidirectional: bool
) -> None:
    rnn, x = made(activation, layer_norm, residual, bidirectional=bidirectional), torch.randn(T, N, I, dtype=F64)
    with graddiag.capture(rnn) as cap:
        rnn(x)[0].sin().sum().backward()
    for trace in cap.traces:
        end = "_l0" + ("_reverse" if trace.direction == "reverse" else "")
        weights = {n.removesuffix(end): p.detach() for n, p in rnn.named_parameters() if n.endswith(end)}
        before = trace.before(trace.h, trace.h0)
        found = state_jacobians(trace)
        for t in range(T):
            for n in range(N):

                def step(h: Tensor, t: int = t, n: int = n, weights: dict[str, Tensor] = weights) -> Tensor:
                    return cell(kind_of(rnn), weights, x[t, n], (h, None))["h"]

                truth = torch.autograd.functional.jacobian(step, before[t, n])
                torch.testing.assert_close(found[t, n], truth, rtol=1e-10, atol=1e-13)
        matrix = credit(trace, tuple(range(T)))
        last = T - 1 if trace.direction == "forward" else 0
        assert matrix[last, last].item() == pytest.approx(trace.grad_h_direct[last].norm().item(), rel=1e-12)
        assert lyapunov(trace, transient=0, windows=1).by_sample.shape == (N, H)


@pytest.mark.parametrize("residual", [True, False])
def test_the_sum_of_the_exponents_is_the_mean_of_ln_det(residual: bool) -> None:
    """The sum of the exponents is the mean of ln|det J|, on several samples at once."""
    rnn = made("tanh", True, True) if residual else made("tanh", False, True)
    with graddiag.capture(rnn) as cap:
        rnn(torch.randn(T, N, I, dtype=F64))
    trace = cap.traces[0]
    expected = torch.linalg.slogdet(state_jacobians(trace)).logabsdet.mean(0)
    found = torch.from_numpy(lyapunov(trace, transient=0, windows=1).by_sample.sum(1))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@variants
def test_packed_sequences_are_as_if_each_ran_alone(layer_norm: bool, residual: bool) -> None:
    rnn = made("sigmoid", layer_norm, residual, num_layers=2, bidirectional=True)
    x, lengths = torch.randn(T, N, I, dtype=F64), [2, 5, 1]
    output, h_n = rnn(pack_padded_sequence(x, lengths, enforce_sorted=False))
    together = torch.autograd.grad(output.data.square().sum() + h_n.sin().sum(), list(rnn.parameters()))
    alone = [torch.zeros_like(p) for p in rnn.parameters()]
    for sample, length in enumerate(lengths):
        one, final = rnn(x[:length, sample])
        torch.testing.assert_close(h_n[:, sample], final, rtol=1e-13, atol=1e-14)
        grads = torch.autograd.grad(one.square().sum() + final.sin().sum(), list(rnn.parameters()))
        alone = [total + grad for total, grad in zip(alone, grads, strict=True)]
    torch.testing.assert_close(list(together), alone, rtol=1e-10, atol=1e-13)


@variants
def test_calls_that_carry_on_are_one_sequence(layer_norm: bool, residual: bool) -> None:
    rnn, x = made("tanh", layer_norm, residual), torch.randn(T, N, I, dtype=F64)
    with graddiag.capture(rnn) as cap:
        rnn(x)[0].square().sum().backward()
    whole = cap.traces[0]
    with graddiag.capture(rnn) as cap:
        h, outputs = None, []
        for part in x.split(2):
            out, h = rnn(part, h)
            outputs.append(out)
        torch.cat(outputs).square().sum().backward()
    (joined,) = cap.traces
    torch.testing.assert_close(joined.grad_h, whole.grad_h, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(state_jacobians(joined), state_jacobians(whole), rtol=1e-11, atol=1e-13)


def test_a_residual_network_without_weights_keeps_the_gradient() -> None:
    """J = I: every timestep gets what the last one got."""
    rnn = made("tanh", False, True)
    with torch.no_grad():
        rnn.weight_hh_l0.zero_()
    with graddiag.capture(rnn) as cap:
        rnn(torch.randn(T, N, I, dtype=F64))[0][-1].sum().backward()
    assert cap.traces[0].grad_h.eq(1).all()


@activations
def test_saturation_of_the_truncated_relu_is_told_on_both_sides(activation: str) -> None:
    rnn, x = made(activation, False, False), torch.randn(T, N, I, dtype=F64)
    trace, _ = captured(rnn, x)
    gate = signals(trace).gates["h"]
    if activation == "truncated-relu":
        assert trace.h.max() == 20
        torch.testing.assert_close(gate["saturated_high"], (trace.h == 20).double().mean((1, 2)))
        torch.testing.assert_close(gate["saturated_low"], (trace.h == 0).double().mean((1, 2)))
        assert (trace.grad_a[trace.h == 20] == 0).all()
    assert ("saturated_high" in gate) == (activation in ("tanh", "sigmoid", "truncated-relu"))


def test_the_gain_is_one_at_the_start_and_after_a_reset() -> None:
    rnn = graddiag.nn.RNN(I, H, num_layers=2, bidirectional=True, layer_norm=True)
    gains = [name for name, _ in rnn.named_parameters() if name.startswith("weight_ln")]
    assert gains == ["weight_ln_l0", "weight_ln_l0_reverse", "weight_ln_l1", "weight_ln_l1_reverse"]
    rnn.reset_parameters()
    assert all(getattr(rnn, name).eq(1).all() for name in gains)
    assert not any(name.startswith("weight_ln") for name in graddiag.nn.RNN(I, H).state_dict())


@pytest.mark.parametrize("way", ["pickle", "deepcopy", "state_dict"])
def test_a_copy_gives_the_same_bits(way: str) -> None:
    rnn, x = made("tanh", True, True), torch.randn(T, N, I, dtype=F64)
    if way == "state_dict":
        other = graddiag.nn.RNN(I, H, dtype=F64, layer_norm=True, residual=True)
        other.load_state_dict(rnn.state_dict())
    else:
        other = pickle.loads(pickle.dumps(rnn)) if way == "pickle" else copy.deepcopy(rnn)
    assert torch.equal(other(x)[0], rnn(x)[0])
