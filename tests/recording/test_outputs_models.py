"""The share explained: models of other forms, losses of which nothing is claimed, copies, bits and errors."""

import copy
import io
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import graddiag
from graddiag.recording.outputs import OutputMeter
from tests.recording.outputs import (
    H,
    Loss,
    N,
    Net,
    T,
    V,
    check,
    classes,
    constant_logits,
    cross_entropy,
    expected_of,
    numbers_of,
    rates_of,
    spied,
    trained,
)
from tests.tracing.models import hooks_of

pytestmark = pytest.mark.usefixtures("seeded")


class Decoder(nn.Module):
    """A cell and a head that are called once per timestep, and a Linear between that is not the last to run."""

    def __init__(self) -> None:
        super().__init__()
        self.given, self.cell, self.head = nn.Linear(3, 4), nn.LSTMCell(4, H), nn.Linear(H, V)

    def forward(self, x: Tensor) -> Tensor:
        state, found = None, []
        for step in x:
            state = self.cell(self.given(step), state)
            found.append(self.head(state[0]))
        return torch.stack(found)


def test_a_head_that_is_called_once_per_timestep(tmp_path: Path) -> None:
    targets, kept = classes(T, N), []
    found, constants = trained(tmp_path, Decoder(), spied(cross_entropy, kept), targets)
    guessed = [q.expand(T, N, V) for q in constant_logits(targets, V)]
    at_constant = [cross_entropy(q, y).item() for q, y in zip(guessed, targets, strict=True)]
    check(constants, at_constant)
    check(found, expected_of([cross_entropy(z, y).item() for z, y in kept], at_constant))


def focal(z: Tensor, y: Tensor) -> Tensor:
    log_p = z.log_softmax(-1).gather(-1, y[..., None])[..., 0]
    return (-((1 - log_p.exp()) ** 2) * log_p).mean()


def gaussian(z: Tensor, y: Tensor) -> Tensor:
    return functional.gaussian_nll_loss(z[..., :1], y, z[..., 1:].exp())


def policy(z: Tensor, y: Tensor) -> Tensor:
    chosen = z.log_softmax(-1).gather(-1, y[..., None])[..., 0]
    return -(chosen * torch.linspace(-1, 2, y.numel()).reshape(y.shape)).mean()


def ctc(z: Tensor, y: Tensor) -> Tensor:
    lengths = torch.full((N,), T), torch.full((N,), 3)
    return functional.ctc_loss(z.log_softmax(-1), y[:3].T.clamp(min=1), *lengths)


def distilled(z: Tensor, y: Tensor) -> Tensor:
    soft = torch.linspace(0, 1, V).expand_as(z).add(y[..., None] == torch.arange(V)).softmax(-1)
    return -(soft * z.log_softmax(-1)).sum(-1).mean()


OTHERS: dict[str, tuple[Loss, int, bool]] = {
    "L1": (functional.l1_loss, 2, False),
    "huber": (functional.smooth_l1_loss, 2, False),
    "log cosh": (lambda z, y: (z - y).cosh().log().mean(), 2, False),
    "Gaussian NLL": (gaussian, 2, False),
    "focal": (focal, V, True),
    "policy gradient": (policy, V, True),
    "CTC": (ctc, V, True),
    "soft targets": (distilled, V, True),
}


@pytest.mark.parametrize("layer", [True, False], ids=["linear layer", "no layer"])
@pytest.mark.parametrize("whole", [True, False], ids=["the same batch", "new batches"])
@pytest.mark.parametrize("kind", OTHERS)
def test_of_another_loss_nothing_is_claimed(kind: str, whole: bool, layer: bool, tmp_path: Path) -> None:
    """On the same batch a training is smooth, so that neighbouring steps lie nearly on a line whatever the loss."""
    loss_of, out, discrete = OTHERS[kind]
    count = 60
    targets = classes(T, N, count=count) if discrete else numbers_of(T, N, 1 if "NLL" in kind else 2, count=count)
    x = torch.randn(T, N, 3, generator=torch.Generator().manual_seed(9))
    targets = targets[:1] * count if whole else targets
    model = Net(out) if layer else Headless(out)
    found, constants = trained(tmp_path, model, loss_of, targets, x=x if whole else None, lr=0.05)
    assert np.isnan(found).all(), found
    assert np.isnan(constants).all()


class Headless(nn.Module):
    """Its outputs come of no linear layer; what else it returns, and in which form, is given."""

    def __init__(self, out: int = V, form: Callable[[Tensor, Tensor], Any] = lambda z, h: z) -> None:
        super().__init__()
        self.rnn, self.w = nn.GRU(3, H), nn.Parameter(torch.randn(H, out) / 3)
        self.form = form

    def forward(self, x: Tensor) -> Any:
        h = self.rnn(x)[0]
        return self.form(h @ self.w, h)


FORMS: dict[str, tuple[Callable[[Tensor, Tensor], Any], Callable[[Any], Tensor]]] = {
    "alone": (lambda z, h: z, lambda out: out),
    "with the states": (lambda z, h: (z, h), lambda out: out[0]),
    "by name": (lambda z, h: {"states": h, "logits": z}, lambda out: out["logits"]),
    "of a split": (lambda z, h: z.split(V, -1), lambda out: out[0]),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_head_that_is_no_layer(form: str, tmp_path: Path) -> None:
    made, taken = FORMS[form]
    targets, kept = classes(T, N), []
    loss_of = spied(cross_entropy, kept)
    model = Headless(V + 2 if form == "of a split" else V, made)
    found, constants = trained(tmp_path, model, lambda out, y: loss_of(taken(out), y), targets)
    guessed = [q.expand(T, N, V) for q in constant_logits(targets, V)]
    at_constant = [cross_entropy(q, y).item() for q, y in zip(guessed, targets, strict=True)]
    check(constants, at_constant)
    check(found, expected_of([cross_entropy(z, y).item() for z, y in kept], at_constant))


class TiedWeights(nn.Module):
    """The embedding's weights are those of the head too, behind a linear layer that is no head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.inner = nn.Embedding(V, 4), nn.Linear(H, 4)
        self.rnn = nn.GRU(3, H)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(self.inner(self.rnn(x)[0]), self.embedding.weight)


def test_tied_weights(tmp_path: Path) -> None:
    targets, kept = classes(T, N), []
    found, constants = trained(tmp_path, TiedWeights(), spied(cross_entropy, kept), targets)
    guessed = [q.expand(T, N, V) for q in constant_logits(targets, V)]
    at_constant = [cross_entropy(q, y).item() for q, y in zip(guessed, targets, strict=True)]
    check(constants, at_constant)
    check(found, expected_of([cross_entropy(z, y).item() for z, y in kept], at_constant))


class Squashed(Net):
    def forward(self, x: Tensor) -> Tensor:
        return 8 * super().forward(x).tanh()


def test_a_squared_error_of_squashed_outputs(tmp_path: Path) -> None:
    targets, kept = numbers_of(T, N, 2), []
    found, constants = trained(tmp_path, Squashed(2), spied(functional.mse_loss, kept), targets)
    check(constants, rates_of(targets))
    check(found, expected_of([functional.mse_loss(z, y.double()).item() for z, y in kept], rates_of(targets)))


def test_a_squared_error_without_a_last_dimension(tmp_path: Path) -> None:
    """One number for each sample, of a head that is no layer."""
    targets, kept = numbers_of(N), []
    model = Headless(1, lambda z, h: z[-1, :, 0] * 1.0)
    found, constants = trained(tmp_path, model, spied(functional.mse_loss, kept), targets)
    rates = rates_of([y[:, None] for y in targets])
    check(constants, rates)
    check(found, expected_of([functional.mse_loss(z, y.double()).item() for z, y in kept], rates))


def test_states_alone_are_no_outputs(tmp_path: Path) -> None:
    """A model whose head is outside it, of which nothing can be said."""
    head = torch.randn(H, V)
    found, constants = trained(
        tmp_path, Headless(V, lambda z, h: h * 1.0), lambda h, y: cross_entropy(h @ head, y), classes(T, N, count=40)
    )
    assert np.isnan(found).all()
    assert np.isnan(constants).all()


def test_a_copy_that_runs_meanwhile_does_not_disturb(tmp_path: Path) -> None:
    def copied(model: nn.Module) -> None:
        cross_entropy(copy.deepcopy(model)(torch.randn(T, N, 3)), classes(T, N)[3]).backward()
        with torch.no_grad():
            model(torch.randn(T, N, 3))
        model(torch.randn(T, N, 3))  # and a pass with gradients that no loss uses

    results = []
    for name, meanwhile in (("alone", lambda model: None), ("copied", copied)):
        torch.manual_seed(0)
        results.append(trained(tmp_path / name, Net(), cross_entropy, classes(T, N), meanwhile=meanwhile))
    assert np.array_equal(results[0], results[1])
    assert np.isfinite(results[0]).all()


def test_a_model_can_be_saved_meanwhile(tmp_path: Path) -> None:
    model, file = Net(), io.BytesIO()
    with graddiag.watch(model, torch.optim.SGD(model.parameters(), lr=0.1), run="r", root=tmp_path):
        torch.save(model, file)
    file.seek(0)
    same = torch.load(file, weights_only=False)
    x = torch.randn(T, N, 3)
    assert torch.equal(same(x), model(x))
    assert hooks_of(model) == 0


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("kind", ["cross-entropy", "squared"])
def test_the_training_keeps_its_bits(kind: str, every: int, tmp_path: Path) -> None:
    weights = []
    for watched in (False, True):
        torch.manual_seed(0)
        model = Net() if kind == "cross-entropy" else Net(1)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        loss_of = cross_entropy if kind == "cross-entropy" else functional.mse_loss
        targets = classes(T, N) if kind == "cross-entropy" else numbers_of(T, N, 1)
        watch = graddiag.watch(model, optimizer, run="r", root=tmp_path, every=every) if watched else nullcontext()
        with watch as recorder:
            for y in targets:
                optimizer.zero_grad()
                loss = loss_of(model(torch.randn(T, N, 3)), y)
                loss.backward()
                optimizer.step()
                if recorder is not None:
                    recorder.log(loss=loss)
        weights.append((nn.utils.parameters_to_vector(model.parameters()), torch.get_rng_state()))
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_only_recorded_steps_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    followed: list[str] = []
    follow = OutputMeter._follow

    def counted(self: OutputMeter, name: str, output: Tensor) -> None:
        followed.append(name)
        follow(self, name, output)

    monkeypatch.setattr(OutputMeter, "_follow", counted)
    found, _ = trained(tmp_path, Net(), cross_entropy, classes(T, N), every=4)
    assert followed == ["head", "head"]
    assert np.flatnonzero(np.isfinite(found)).tolist() == [0, 4]


def test_an_error_in_here_stops_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: OutputMeter, name: str, output: Tensor) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(OutputMeter, "_follow", broken)
    with pytest.warns(RuntimeWarning, match="stopped recording the loss of a constant prediction"):
        found, _ = trained(tmp_path, Net(), cross_entropy, classes(T, N))
    assert np.isnan(found).all()


def test_large_outputs_are_thinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graddiag.recording.outputs._MOST", 150)
    targets, kept = classes(T, N), []
    found, _ = trained(tmp_path, Net(), spied(cross_entropy, kept), targets)
    assert np.isfinite(found).all()
    losses = [cross_entropy(z.reshape(-1, V)[::3], y.flatten()[::3]).item() for z, y in kept]
    thinned = [y.flatten()[::3] for y in targets]
    guessed = [q.expand(len(y), V) for q, y in zip(constant_logits(thinned, V), thinned, strict=True)]
    check(found, expected_of(losses, [cross_entropy(q, y).item() for q, y in zip(guessed, thinned, strict=True)]))
