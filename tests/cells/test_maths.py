"""forward, recover, adjoint and weight_gradients as pure functions, against autograd through an unrolled cell."""

import pytest
import torch
from torch import Tensor

from graddiag.cells import CELLS, CellKind, States, Weights, adjoint, forward, recover, weight_gradients
from tests.reference.oracle import assert_exact, unroll

pytestmark = pytest.mark.usefixtures("either_path")

T, N, I, H, P = 5, 3, 3, 4, 2
KINDS: list[CellKind] = ["rnn_tanh", "rnn_relu", "rnn_sigmoid", "rnn_identity", "lstm", "gru"]
GATES = {"lstm": 4, "gru": 3}
F64 = torch.float64
SETTINGS = [(kind, bias, False) for kind in KINDS for bias in (True, False)]
SETTINGS += [("lstm", True, True), ("lstm", False, True)]


def layer(kind: CellKind, bias: bool, projected: bool) -> tuple[Tensor, Tensor, Tensor | None, Weights]:
    """x, h0, c0 and weights that need gradients."""
    torch.manual_seed(0)
    out, G = P if projected else H, GATES.get(kind, 1)

    def leaf(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=F64).requires_grad_()

    biases = (leaf(G * H), leaf(G * H)) if bias else (None, None)
    weights = Weights(leaf(G * H, I), leaf(G * H, out), *biases, leaf(out, H) if projected else None)
    return leaf(T, N, I), leaf(N, out), leaf(N, H) if kind == "lstm" else None, weights


def states(kind: CellKind, x: Tensor, h0: Tensor, c0: Tensor | None, weights: Weights) -> States:
    with torch.no_grad():
        return forward(kind, x, h0, c0, weights)


@pytest.mark.parametrize(("kind", "bias", "projected"), SETTINGS)
def test_recover_gives_the_states_that_forward_went_through(kind: CellKind, bias: bool, projected: bool) -> None:
    x, h0, c0, weights = layer(kind, bias, projected)
    went = states(kind, x, h0, c0, weights)
    with torch.no_grad():
        found = recover(kind, x, went.h.clone(), h0, c0, weights)

    for name in ("h", "h0", "gates", "c", "c0", "q"):
        one, other = getattr(went, name), getattr(found, name)
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(other, one, rtol=1e-13, atol=1e-14)
    assert (went.gates is None) == (CELLS[kind].type.name == "rnn")
    assert (went.q is None) == (kind != "gru")


def unrolled_lstm(x: Tensor, h: Tensor, c: Tensor, w: Weights) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """a_t, c_t and projected h_t, each with its gradient kept."""
    kept: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
    for x_t in x:
        a = x_t @ w.w_ih.T + h @ w.w_hh.T + (0 if w.b_ih is None else w.b_ih + w.b_hh)
        i, f, g, o = a.chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c) @ w.w_hr.T
        for tensor, into in zip((a, c, h), kept, strict=True):
            tensor.retain_grad()
            into.append(tensor)
    return kept


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("through_c_n", [True, False])
def test_adjoint_of_a_projected_lstm(bias: bool, through_c_n: bool) -> None:
    x, h0, c0, weights = layer("lstm", bias, projected=True)
    direct, direct_c = torch.randn(T, N, P, dtype=F64), torch.zeros(T, N, H, dtype=F64)
    direct_c[-1] = torch.randn(N, H, dtype=F64) if through_c_n else 0
    a, c, h = unrolled_lstm(x, h0, c0, weights)
    ((torch.stack(h) * direct).sum() + (c[-1] * direct_c[-1]).sum()).backward()

    went = states("lstm", x, h0, c0, weights)
    with torch.no_grad():
        found = adjoint("lstm", went, weights, direct, direct_c if through_c_n else None)
        grads = weight_gradients("lstm", x, went, weights, found)

    assert_exact(found.grad_h, torch.stack([each.grad for each in h]), 1e-12)
    assert_exact(found.grad_c, torch.stack([each.grad for each in c]), 1e-12)
    assert_exact(found.grad_a, torch.stack([each.grad for each in a]), 1e-12)
    torch.testing.assert_close((found.sent_h[0], found.sent_c[0]), (h0.grad, c0.grad), rtol=1e-11, atol=1e-13)
    for name in ("w_ih", "w_hh", "w_hr", *(("b_ih", "b_hh") if bias else ())):
        torch.testing.assert_close(getattr(grads, name), getattr(weights, name).grad, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
def test_adjoint_and_weight_gradients(kind: CellKind, bias: bool) -> None:
    x, h0, c0, weights = layer(kind, bias, projected=False)
    named = {"weight_ih_l0": weights.w_ih, "weight_hh_l0": weights.w_hh}
    named |= {"bias_ih_l0": weights.b_ih, "bias_hh_l0": weights.b_hh} if bias else {}
    direct = torch.randn(T, N, H, dtype=F64)
    truth = unroll(kind, named, x, h0.unsqueeze(0), None if c0 is None else c0.unsqueeze(0))
    (truth.output * direct).sum().backward()

    went = states(kind, x, h0, c0, weights)
    with torch.no_grad():
        kept = direct.clone()
        found = adjoint(kind, went, weights, direct)
        grads = weight_gradients(kind, x, went, weights, found)

    tape = truth.tapes[0, "forward"]
    assert torch.equal(direct, kept), "the adjoint changed what it was given"
    assert_exact(found.grad_h, tape.grad("h"), 1e-12)
    assert_exact(found.grad_a, tape.grad("a"), 1e-12)
    torch.testing.assert_close(found.sent_h[0], h0.grad, rtol=1e-11, atol=1e-13)
    for field, parameter in zip(("w_ih", "w_hh", "b_ih", "b_hh"), named.values(), strict=False):
        torch.testing.assert_close(getattr(grads, field), parameter.grad, rtol=1e-11, atol=1e-13)
    assert (grads.b_ih is None) == (not bias)


@pytest.mark.parametrize("kind", KINDS)
def test_one_timestep_of_one_sample(kind: CellKind) -> None:
    x, h0, c0, weights = layer(kind, bias=True, projected=False)
    x, h0, c0 = x[:1, :1], h0[:1], None if c0 is None else c0[:1]
    went = states(kind, x, h0, c0, weights)
    with torch.no_grad():
        found = adjoint(kind, went, weights, torch.ones_like(went.h))
    assert found.grad_h.tolist() == [[[1.0] * H]]
    assert found.sent_h.shape == (1, 1, H)
