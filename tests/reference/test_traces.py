"""Every tensor of a trace against autograd through the unrolled network, to 1e-10.

``home`` is graddiag.nn, whose backward pass is written out, or torch.nn, whose fused layers are captured as they are.
"""

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

import graddiag
from tests.reference.oracle import Unrolled, assert_exact, unroll

pytestmark = pytest.mark.usefixtures("either_path")

F64 = torch.float64
FUSED = ["rnn_tanh", "rnn_relu", "lstm", "gru"]
KINDS = [
    *(pytest.param(graddiag.nn, kind, id=f"graddiag-{kind}") for kind in (*FUSED, "rnn_sigmoid", "rnn_identity")),
    *(pytest.param(torch.nn, kind, id=f"torch-{kind}") for kind in FUSED),
]
GATES = {"lstm": "ifgo", "gru": "rzn"}
Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def build(home: ModuleType, kind: str, **settings: object) -> torch.nn.RNNBase:
    torch.manual_seed(0)
    if kind.startswith("rnn"):
        return home.RNN(3, 4, nonlinearity=kind.removeprefix("rnn_"), dtype=F64, **settings)
    return getattr(home, kind.upper())(3, 4, dtype=F64, **settings)


def every_result(output: Tensor, h_n: Tensor, c_n: Tensor | None) -> Tensor:
    loss = output.square().sum() + h_n.sin().sum()
    return loss if c_n is None else loss + c_n.cos().sum()


def last_output(output: Tensor, h_n: Tensor, c_n: Tensor | None) -> Tensor:
    return output[-1].square().sum()


def run(
    kind: str, module: torch.nn.RNNBase, loss: Loss = every_result, states: bool = False
) -> tuple[graddiag.tracing.Capture, Unrolled, Tensor, list[Tensor]]:
    """The capture of one backward pass, the unrolled truth, x, and graddiag's weight gradients in order."""
    x = torch.randn(5, 3, 3, dtype=F64)
    count = module.num_layers * (2 if module.bidirectional else 1)
    h0, c0 = torch.randn(2, count, 3, 4, dtype=F64)
    given = (((h0, c0),) if kind == "lstm" else (h0,)) if states else ()
    with graddiag.capture(module) as cap:
        output, state = module(x, *given)
        h_n, c_n = state if kind == "lstm" else (state, None)
        loss(output, h_n, c_n).backward()
    weight_grads = [p.grad.clone() for p in module.parameters()]
    module.zero_grad()
    truth = unroll(kind, dict(module.named_parameters()), x, *((h0, c0) if states else ()))
    loss(truth.output, truth.h_n, truth.c_n).backward()
    return cap, truth, x, weight_grads


SHAPES = [
    pytest.param({}, id="plain"),
    pytest.param({"num_layers": 2, "bidirectional": True}, id="deep-bidirectional"),
    pytest.param({"bias": False}, id="no-bias"),
]


@pytest.mark.parametrize(("home", "kind"), KINDS)
@pytest.mark.parametrize("settings", SHAPES)
@pytest.mark.parametrize("loss", [every_result, last_output])
def test_states_and_gradients_of_every_layer(
    home: ModuleType, kind: str, settings: dict[str, object], loss: Loss
) -> None:
    module = build(home, kind, **settings)
    cap, truth, _, _ = run(kind, module, loss, states=True)

    assert {(trace.layer, trace.direction) for trace in cap.traces} == set(truth.tapes)
    for (layer, direction), tape in truth.tapes.items():
        trace = cap.trace(layer=layer, direction=direction)
        assert_exact(trace.h, tape.value("h"), 1e-12)
        assert_exact(trace.grad_h, tape.grad("h"))
        assert_exact(trace.grad_h_direct, tape.grad("h_out"))
        assert_exact(trace.grad_a, tape.grad("a"))
        if kind == "lstm":
            assert_exact(trace.c, tape.value("c"), 1e-12)
            assert_exact(trace.grad_c, tape.grad("c"))


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("home", [graddiag.nn, torch.nn], ids=["graddiag", "torch"])
def test_gates_are_the_activations_in_torch_s_rows(home: ModuleType, kind: str) -> None:
    module = build(home, kind)
    cap, truth, _, _ = run(kind, module)

    trace, tape = cap.trace(), truth.tapes[0, "forward"]
    weights = {name.removesuffix("_l0"): p.detach() for name, p in module.named_parameters()}
    before = torch.cat((torch.zeros(1, 3, 4, dtype=F64), tape.value("h")[:-1]))
    a = tape.value("a").chunk(len(GATES[kind]), -1)
    a_h = (before @ weights["weight_hh"].T + weights["bias_hh"]).chunk(len(GATES[kind]), -1)
    if kind == "lstm":
        expected = {gate: torch.tanh(a[k]) if gate == "g" else torch.sigmoid(a[k]) for k, gate in enumerate("ifgo")}
    else:
        r, z = torch.sigmoid(a[0] + a_h[0]), torch.sigmoid(a[1] + a_h[1])
        expected = {"r": r, "z": z, "n": torch.tanh(a[2] + r * a_h[2])}
    assert set(trace.gates) == set(expected)
    for gate, value in expected.items():
        assert_exact(trace.gates[gate], value, 1e-12)


@pytest.mark.parametrize(("home", "kind"), KINDS)
@pytest.mark.parametrize("settings", SHAPES)
def test_weight_gradients_are_those_of_autograd(home: ModuleType, kind: str, settings: dict[str, object]) -> None:
    module = build(home, kind, **settings)
    _, _, _, weight_grads = run(kind, module, states=True)
    torch.testing.assert_close(weight_grads, [p.grad for p in module.parameters()], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("home", "kind"), KINDS)
def test_contributions_of_the_timesteps_sum_to_the_weight_gradients(home: ModuleType, kind: str) -> None:
    module = build(home, kind)
    cap, truth, x, _ = run(kind, module)
    trace, T = cap.trace(), len(x)
    grad_a, before = trace.grad_a, torch.cat((torch.zeros(1, 3, 4, dtype=F64), trace.h[:-1]))
    grad_a_hh = grad_a.clone()
    if kind == "gru":
        grad_a_hh[..., 8:] *= trace.gates["r"]

    G = torch.einsum("tng,tnh->tgh", grad_a_hh, before)
    assert_exact(G[1:], truth.tapes[0, "forward"].grad("w_hh")[1:])
    assert G.shape[0] == T
    total = {
        "weight_hh_l0": G.sum(0),
        "weight_ih_l0": torch.einsum("tng,tni->gi", grad_a, x),
        "bias_ih_l0": grad_a.sum((0, 1)),
        "bias_hh_l0": grad_a_hh.sum((0, 1)),
    }
    for name, expected in total.items():
        torch.testing.assert_close(module.get_parameter(name).grad, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("home", "kind"), KINDS)
def test_sequences_of_unequal_length_are_as_if_each_ran_alone(home: ModuleType, kind: str) -> None:
    module = build(home, kind, num_layers=2, bidirectional=True)
    lengths = torch.tensor([3, 5, 2])
    x = torch.randn(5, 3, 3, dtype=F64)

    with graddiag.capture(module) as cap:
        packed, _ = module(pack_padded_sequence(x, lengths, enforce_sorted=False))
        packed.data.square().sum().backward()
    module.zero_grad()

    for sample, length in enumerate(lengths.tolist()):
        alone = unroll(kind, dict(module.named_parameters()), x[:length, sample : sample + 1])
        alone.output.square().sum().backward()
        for (layer, direction), tape in alone.tapes.items():
            trace = cap.trace(layer=layer, direction=direction)
            column = trace.lengths.tolist().index(length)
            assert_exact(trace.h[:length, column], tape.value("h")[:, 0], 1e-12)
            assert_exact(trace.grad_h[:length, column], tape.grad("h")[:, 0])
            assert_exact(trace.grad_a[:length, column], tape.grad("a")[:, 0])
            assert bool((trace.grad_h[length:, column] == 0).all())
