"""Captured or not, a torch.nn module gives the same bits: results, every gradient, and the generator's state."""

import pytest
import torch

import graddiag
from tests.nn.nets import KINDS, LENGTHS, H, N, Net, P, T, name, one_step, projection_warning, thinned

pytestmark = projection_warning


@pytest.mark.parametrize("net", thinned(stride=13), ids=name)
def test_every_setting(net: Net) -> None:
    module = net.build(torch.nn)
    expected = one_step(net, module)

    with graddiag.capture(module) as cap:
        found = one_step(net, module)

    assert found.keys() == expected.keys()
    assert [key for key, value in expected.items() if not torch.equal(found[key], value)] == []
    layers, directions = net.depth[0], ("forward", "reverse") if net.bidirectional else ("forward",)
    assert [tuple(t.key) for t in cap.traces] == [("", layer, d, 0) for layer in range(layers) for d in directions]
    for trace in cap.traces:
        batch = 1 if net.layout == "unbatched" else N
        assert trace.h.shape == trace.grad_h.shape == (T, batch, P if net.kind == "lstm_proj" else H)
        assert trace.h.dtype == trace.grad_h.dtype == net.dtype
        assert (trace.lengths is None) == (net.layout not in LENGTHS)
        assert not any(tensor.requires_grad for tensor in vars(trace).values() if isinstance(tensor, torch.Tensor))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", ["dense", "unsorted"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_traces_of_torch_nn_are_those_of_graddiag_nn(kind: str, layout: str, dtype: torch.dtype) -> None:
    """Recovered after the fact, or kept on the way: two roads to each tensor."""
    net = Net(kind, dtype, (2, 0.4), bidirectional=True, layout=layout, given=True)
    caps = []
    for home in (torch.nn, graddiag.nn):
        module = net.build(home)
        with graddiag.capture(module) as cap:
            one_step(net, module)
        caps.append(cap)

    tolerance = {torch.float32: 2e-6, torch.float64: 1e-13}[dtype]
    for fused, own in zip(caps[0].traces, caps[1].traces, strict=True):
        assert fused.key == own.key
        expected = {n: v for n, v in (vars(own) | dict(own.gates)).items() if isinstance(v, torch.Tensor)}
        found = vars(fused) | dict(fused.gates)
        for field, value in expected.items():
            torch.testing.assert_close(found[field], value, rtol=0, atol=tolerance * max(1, value.abs().max().item()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("needs_x", [True, False])
def test_frozen_modules(kind: str, needs_x: bool) -> None:
    net = Net(kind, torch.float32, (2, 0.0), bidirectional=True)
    module, found = net.build(torch.nn).requires_grad_(False), []
    head = torch.nn.Linear(2 * (P if kind == "lstm_proj" else H), 1)
    for watched in (False, True):
        leaves, args = net.inputs()
        leaves[0].requires_grad_(needs_x)
        head.zero_grad()
        with graddiag.capture(module) if watched else torch.enable_grad() as cap:
            output, _ = module(*args)
            head(output).square().sum().backward()
        found.append([output.detach(), head.weight.grad.clone(), *([leaves[0].grad] if needs_x else [])])

    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert all((trace.grad_h is not None) == needs_x for trace in cap.traces)


@pytest.mark.parametrize("kind", ["rnn_relu", "lstm", "gru"])
def test_gradients_by_autograd_grad_leave_nothing_behind(kind: str) -> None:
    net = Net(kind, depth=(2, 0.0))
    module, (leaves, args) = net.build(torch.nn), net.inputs()
    expected = torch.autograd.grad(module(*args)[0].square().sum(), leaves)
    with graddiag.capture(module) as cap:
        found = torch.autograd.grad(module(*args)[0].square().sum(), leaves)

    assert torch.equal(found[0], expected[0])
    assert all(p.grad is None for p in module.parameters())
    assert all(trace.grad_h.any() for trace in cap.traces)
