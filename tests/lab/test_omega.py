"""Omega against autograd through its definition, with lambda and the states detached, in float64."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag.errors import SettingError
from graddiag.lab.omega import BOUND, OmegaForm, OmegaRegularizer, omega_term
from tests.reference.oracle import unroll

F64 = torch.float64
T, N, I, H = 7, 3, 2, 4
FORMS: list[OmegaForm] = ["squared", "norm"]
KINDS = ["tanh", "relu", "sigmoid", "identity"]
PHI_SLOPE = {
    "tanh": lambda a: 1 - a.tanh() ** 2,
    "relu": lambda a: (a > 0).to(a.dtype),
    "sigmoid": lambda a: a.sigmoid() * (1 - a.sigmoid()),
    "identity": torch.ones_like,
}


def oracle(
    kind: str, lambdas: Tensor, a: Tensor, w_hh: Tensor, form: OmegaForm, residual: bool = False
) -> tuple[Tensor, Tensor]:
    """Omega sample by sample and timestep by timestep out of J_t as a matrix, and its gradient by autograd."""
    w = w_hh.detach().requires_grad_()
    terms = []
    for at_t, a_t in zip(lambdas, a, strict=True):
        for arrived, unit in zip(at_t, a_t, strict=True):
            if arrived.square().sum() < BOUND:
                continue
            jacobian = torch.diag(PHI_SLOPE[kind](unit)) @ w + (torch.eye(H, dtype=F64) if residual else 0)
            ratio = (jacobian.T @ arrived).norm() / arrived.norm()
            terms.append(((ratio if form == "norm" else ratio**2) - 1) ** 2)
    value = torch.stack(terms).mean()
    return value.detach(), torch.autograd.grad(value, w)[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("residual", [False, True])
def test_value_and_gradient_of_every_layer_and_direction(
    kind: str, form: OmegaForm, bidirectional: bool, residual: bool
) -> None:
    torch.manual_seed(0)
    rnn = graddiag.nn.RNN(
        I, H, num_layers=2, nonlinearity=kind, bidirectional=bidirectional, dtype=F64, residual=residual
    )
    x = torch.randn(T, N, I, dtype=F64)
    truth = unroll(f"rnn_{'residual_' if residual else ''}{kind}", dict(rnn.named_parameters()), x)
    truth.output.square().sum().backward()
    expected = {}
    total = torch.zeros((), dtype=F64)
    for (layer, direction), tape in truth.tapes.items():
        name = f"weight_hh_l{layer}" + ("_reverse" if direction == "reverse" else "")
        value, grad = oracle(kind, tape.grad("h"), tape.value("a"), getattr(rnn, name), form, residual)
        total += value
        expected[name] = getattr(rnn, name).grad + 1.5 * grad

    rnn.zero_grad()
    with OmegaRegularizer(rnn, 1.5, form) as omega:
        rnn(x)[0].square().sum().backward()
        before = {name: p.grad.clone() for name, p in rnn.named_parameters()}
        found = omega()
    torch.testing.assert_close(found, total, rtol=1e-12, atol=0)
    for name, parameter in rnn.named_parameters():
        torch.testing.assert_close(parameter.grad, expected.get(name, before[name]), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize(("form", "expected"), [("norm", 0.01), ("squared", 0.0361)])
def test_a_scaled_rotation(form: OmegaForm, expected: float) -> None:
    """J = .9 Q."""
    torch.manual_seed(0)
    rnn = graddiag.nn.RNN(I, H, nonlinearity="identity", dtype=F64)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(0.9 * torch.linalg.qr(torch.randn(H, H, dtype=F64)).Q)
    with graddiag.capture(rnn) as cap:
        rnn(torch.randn(T, N, I, dtype=F64))[0][-1].sum().backward()
    term = omega_term(cap.traces[0], rnn.weight_hh_l0.detach(), form)
    assert term.value.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_what_no_gradient_reached_does_not_count(form: OmegaForm) -> None:
    """One sample's loss stands early, so lambda is 0 behind it; another has no loss at all."""
    torch.manual_seed(0)
    rnn = graddiag.nn.RNN(I, H, dtype=F64)
    x = torch.randn(T, N, I, dtype=F64)
    with graddiag.capture(rnn) as cap:
        out = rnn(x)[0]
        (out[2, 0].sum() + out[-1, 1].sum()).backward()
    trace = cap.traces[0]
    assert (trace.grad_h[3:, 0] == 0).all()
    truth = unroll("rnn_tanh", dict(rnn.named_parameters()), x)
    value, grad = oracle("tanh", trace.grad_h, truth.tapes[0, "forward"].value("a"), rnn.weight_hh_l0, form)
    term = omega_term(trace, rnn.weight_hh_l0.detach(), form)
    torch.testing.assert_close(term.value, value, rtol=1e-12, atol=0)
    torch.testing.assert_close(term.grad_w_hh, grad, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("form", FORMS)
def test_without_any_gradient_it_is_zero(form: OmegaForm) -> None:
    rnn = graddiag.nn.RNN(I, H, nonlinearity="relu", dtype=F64)
    with OmegaRegularizer(rnn, 1.0, form) as omega:
        (rnn(torch.randn(T, N, I, dtype=F64))[0] * 0).sum().backward()
        assert omega().item() == 0
        assert omega().item() == 0  # nothing has run since
    assert (rnn.weight_hh_l0.grad == 0).all()


def test_dead_units_send_nothing_and_get_no_gradient_by_the_norm() -> None:
    rnn = graddiag.nn.RNN(I, H, nonlinearity="relu", dtype=F64)
    with torch.no_grad():
        rnn.bias_ih_l0.fill_(-100.0)
    with graddiag.capture(rnn) as cap:
        rnn(torch.randn(T, N, I, dtype=F64))[0].sum().backward()
    for form in FORMS:
        term = omega_term(cap.traces[0], rnn.weight_hh_l0.detach(), form)
        assert term.value.item() == 1
        assert (term.grad_w_hh == 0).all()


@pytest.mark.parametrize("cell", [False, True])
def test_torchs_own_rnn_and_a_cell_in_a_loop(cell: bool) -> None:
    torch.manual_seed(0)
    mine = graddiag.nn.RNN(I, H, dtype=F64)
    theirs = nn.RNNCell(I, H, dtype=F64) if cell else nn.RNN(I, H, dtype=F64)
    with torch.no_grad():
        for one, other in zip(theirs.parameters(), mine.parameters(), strict=True):
            one.copy_(other)
    x = torch.randn(T, N, I, dtype=F64)

    with OmegaRegularizer(mine, 2.0) as omega:
        mine(x)[0].square().sum().backward()
        expected = omega()
    with OmegaRegularizer(theirs, 2.0) as omega:
        if cell:
            h, outputs = None, []
            for x_t in x:
                h = theirs(x_t, h)
                outputs.append(h)
            torch.stack(outputs).square().sum().backward()
        else:
            theirs(x)[0].square().sum().backward()
        found = omega()
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=0)
    for one, other in zip(theirs.parameters(), mine.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-10, atol=1e-13)


def test_a_recorder_counts_it_to_the_gradient_before_clipping(tmp_path: Path) -> None:
    torch.manual_seed(0)
    rnn = graddiag.nn.RNN(I, H)
    optimizer = torch.optim.SGD(rnn.parameters(), lr=0.1)
    norms = []
    with OmegaRegularizer(rnn, 2.0) as omega, graddiag.watch(rnn, optimizer, run="omega", root=tmp_path) as recorder:
        for _ in range(3):
            optimizer.zero_grad()
            rnn(torch.randn(T, N, I))[0].square().mean().backward()
            recorder.log(omega=omega())
            norms.append(float(nn.utils.clip_grad_norm_(rnn.parameters(), 0.1)))
            optimizer.step()
    run = graddiag.load_run(recorder.path)
    assert run.steps.grad_norm.tolist() == pytest.approx(norms, rel=1e-6)
    assert (run.steps.grad_norm_clipped < 0.1 + 1e-6).all()
    assert (run.steps.omega > 0).all()
    assert run.events.empty or "clip_misplaced" not in set(run.events.kind)


def test_hooks_are_off_when_closed() -> None:
    rnn = graddiag.nn.RNN(I, H)
    with OmegaRegularizer(rnn, 1.0):
        assert rnn._forward_hooks
    assert not rnn._forward_hooks
    assert not rnn._forward_pre_hooks


def test_refusals() -> None:
    with pytest.raises(SettingError, match=r"omega: module '1' is of the kind LSTM, whose gates send gradients"):
        OmegaRegularizer(nn.Sequential(nn.Linear(I, I), nn.LSTM(I, H)), 1.0)
    with pytest.raises(SettingError, match=r"omega: module '\(model\)' is of the kind GRU"):
        OmegaRegularizer(graddiag.nn.GRU(I, H), 1.0)
    with pytest.raises(SettingError, match="has layer norm, whose derivative W_hh is in too"):
        OmegaRegularizer(graddiag.nn.RNN(I, H, layer_norm=True), 1.0)
    with pytest.raises(SettingError, match="omega: the model has no recurrent layer"):
        OmegaRegularizer(nn.Linear(I, H), 1.0)
