"""What the model explains beyond a constant prediction, against the targets that the loss was computed from."""

import copy
import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import graddiag
from graddiag import schema
from graddiag.recording.outputs import OutputMeter
from tests.tracing.models import hooks_of

T, N, V, H = 7, 9, 5, 8
STEPS = 8
Loss = Callable[[Tensor, Tensor], Tensor]


class Net(nn.Module):
    """A GRU and a linear head at every timestep, or at the last one."""

    def __init__(self, out: int = V, *, last: bool = False, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, H, dtype=dtype)
        self.head = nn.Linear(H, out, dtype=dtype)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        h = self.rnn(x)[0]
        return self.head(h[-1] if self.last else h)


def trained(
    root: Path,
    model: nn.Module,
    loss_of: Loss,
    targets: Sequence[Tensor],
    *,
    every: int = 1,
    lr: float = 0.1,
    scaler: torch.amp.GradScaler | None = None,
    around: Callable[[], AbstractContextManager[Any]] = nullcontext,
    passes: int = 1,
    meanwhile: Callable[[nn.Module], None] = lambda model: None,
    dtype: torch.dtype = torch.float32,
    x: Tensor | None = None,
) -> tuple[Any, Any]:
    """The columns explained and constant_loss [S] of a training with these targets, ``passes`` of them a step."""
    generator = torch.Generator().manual_seed(5)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    with graddiag.watch(model, optimizer, run="r", root=root, every=every, scaler=scaler) as recorder:
        for group in range(len(targets) // passes):
            optimizer.zero_grad()
            total = torch.zeros(())
            for y in targets[group * passes : (group + 1) * passes]:
                given = torch.randn(T, N, 3, generator=generator, dtype=dtype) if x is None else x
                with around():
                    loss = loss_of(model(given), y) / passes
                (loss if scaler is None else scaler.scale(loss)).backward()
                total = total + loss.detach()
            meanwhile(model)
            recorder.log(loss=total.item())
            if scaler is None:
                optimizer.step()
            else:
                scaler.step(optimizer)
                scaler.update()
    steps = graddiag.load_run(root / "r").steps
    return column(steps, schema.EXPLAINED), column(steps, schema.CONSTANT_LOSS)


def column(steps: Any, name: str) -> Any:
    return steps[name].to_numpy(dtype=float) if name in steps else np.full(len(steps), np.nan)


def constant_logits(targets: Sequence[Tensor], width: int) -> list[Tensor]:
    """Log frequencies of the classes [C] over all targets up to each of them; -100 marks padding."""
    counts, found = torch.zeros(width, dtype=torch.float64), []
    for y in targets:
        counts = counts + torch.bincount(y[y >= 0].flatten(), minlength=width)
        found.append((counts / counts.sum()).clamp(min=1e-12).log())
    return found


def classes(*shape: int, count: int = STEPS, pad: bool = False) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    weights = torch.tensor([0.5, 0.2, 0.1, 0.1, 0.1])
    found = [
        torch.multinomial(weights, math.prod(shape), True, generator=generator).reshape(shape) for _ in range(count)
    ]
    if pad:
        for y in found:
            y[-2:, : len(y) // 2] = -100
    return found


def cross_entropy(z: Tensor, y: Tensor, **settings: Any) -> Tensor:
    return functional.cross_entropy(z.reshape(-1, z.shape[-1]), y.reshape(-1), **settings)


CROSS_ENTROPIES: dict[str, Loss] = {
    "mean": cross_entropy,
    "sum": lambda z, y: cross_entropy(z, y, reduction="sum"),
    "x1000": lambda z, y: 1000 * cross_entropy(z, y),
    "sum over timesteps": lambda z, y: sum(cross_entropy(a, b) for a, b in zip(z, y, strict=True)),
    "nll": lambda z, y: functional.nll_loss(z.log_softmax(-1).reshape(-1, V), y.reshape(-1)),
}


def check(found: Any, expected: Sequence[float], rel: float = 1e-4) -> None:
    assert found.tolist() == pytest.approx(list(expected), rel=rel, abs=rel)


def expected_of(losses: Sequence[float], constants: Sequence[float]) -> list[float]:
    return [1 - loss / constant for loss, constant in zip(losses, constants, strict=True)]


def spied(loss_of: Loss, kept: list[tuple[Tensor, Tensor]]) -> Loss:
    """The same loss, which keeps the outputs and targets that it saw."""

    def loss(z: Tensor, y: Tensor) -> Tensor:
        kept.append((z.detach().double().clone(), y))
        return loss_of(z, y)

    return loss


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("kind", CROSS_ENTROPIES)
def test_cross_entropy(kind: str, dtype: torch.dtype, tmp_path: Path) -> None:
    loss_of, targets, kept = CROSS_ENTROPIES[kind], classes(T, N), []
    lr = 1e-4 if kind == "x1000" else 0.02
    found, constants = trained(tmp_path, Net(dtype=dtype), spied(loss_of, kept), targets, lr=lr, dtype=dtype)
    guessed = [q.expand(T, N, V) for q in constant_logits(targets, V)]
    at_constant = [loss_of(q, y).item() for q, y in zip(guessed, targets, strict=True)]
    check(constants, at_constant)
    check(found, expected_of([loss_of(z, y).item() for z, y in kept], at_constant))


def test_cross_entropy_at_the_last_step_with_padding_or_a_constant(tmp_path: Path) -> None:
    targets, kept = classes(N), []
    found, constants = trained(tmp_path / "last", Net(last=True), spied(cross_entropy, kept), targets)
    at_constant = [
        cross_entropy(q.expand(N, V), y).item() for q, y in zip(constant_logits(targets, V), targets, strict=True)
    ]
    check(constants, at_constant)
    check(found, expected_of([cross_entropy(z, y).item() for z, y in kept], at_constant))

    targets, kept = classes(T, N, pad=True), []
    found, constants = trained(tmp_path / "padded", Net(), spied(cross_entropy, kept), targets)
    guessed = [q.expand(T, N, V) for q in constant_logits(targets, V)]
    at_constant = [cross_entropy(q, y).item() for q, y in zip(guessed, targets, strict=True)]
    check(constants, at_constant)
    check(found, expected_of([cross_entropy(z, y).item() for z, y in kept], at_constant))

    # a constant in the logged loss changes no share, and what a constant prediction has is then not known
    shifted, none = trained(tmp_path / "shifted", Net(), lambda z, y: cross_entropy(z, y) + 3, classes(T, N))
    assert np.isfinite(shifted).all()
    assert np.isnan(none).all()


def test_label_smoothing(tmp_path: Path) -> None:
    targets, kept = classes(T, N), []
    found, constants = trained(
        tmp_path, Net(), spied(lambda z, y: cross_entropy(z, y, label_smoothing=0.1), kept), targets
    )
    smooth = [0.9 * functional.one_hot(y.flatten(), V).double() + 0.1 / V for y in targets]
    means = [torch.cat(smooth[: step + 1]).mean(0) for step in range(len(smooth))]
    at_constant = [-(y * q.log()).sum(1).mean().item() for y, q in zip(smooth, means, strict=True)]
    losses = [cross_entropy(z, y, label_smoothing=0.1).item() for z, y in kept]
    check(constants, at_constant, 1e-3)
    check(found, expected_of(losses, at_constant), 1e-3)


def test_a_model_that_is_sure(tmp_path: Path) -> None:
    """Of a probability near 1 float32 leaves little; the targets are known all the same."""
    targets = classes(T, N)
    for y in targets:
        y.zero_()
        y[::2] = 1
    kept: list[tuple[Tensor, Tensor]] = []

    class Sure(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = nn.RNN(2, 2), nn.Linear(2, V)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(functional.one_hot(x, 2).float() + 0 * self.rnn(functional.one_hot(x, 2).float())[0])

    sure = Sure()
    with torch.no_grad():
        sure.head.weight[:2] = torch.eye(2) * 14
    found, constants = trained(tmp_path, sure, spied(cross_entropy, kept), targets, x=targets[0], lr=1e-3)
    assert cross_entropy(*kept[0]) < 1e-5
    check(found, [1.0] * STEPS, 1e-4)
    check(constants, [-(4 / 7 * math.log(4 / 7) + 3 / 7 * math.log(3 / 7))] * STEPS)


def test_bfloat16_autocast(tmp_path: Path) -> None:
    targets, kept = classes(T, N), []
    autocast = lambda: torch.autocast("cpu", torch.bfloat16)  # noqa: E731
    found, constants = trained(tmp_path, Net(), spied(cross_entropy, kept), targets, around=autocast)
    guessed = [q.expand(T, N, V) for q in constant_logits(targets, V)]
    at_constant = [cross_entropy(q, y).item() for q, y in zip(guessed, targets, strict=True)]
    check(constants, at_constant, 0.02)
    check(found, expected_of([cross_entropy(z, y).item() for z, y in kept], at_constant), 0.02)


def test_binary_cross_entropy(tmp_path: Path) -> None:
    generator, kept = torch.Generator().manual_seed(3), []
    targets = [(torch.rand(T, N, 2, generator=generator) < torch.tensor([0.2, 0.7])).float() for _ in range(STEPS)]
    loss_of = functional.binary_cross_entropy_with_logits
    found, constants = trained(tmp_path, Net(2), spied(loss_of, kept), targets)
    rates = [torch.stack(targets[: step + 1]).mean((0, 1, 2)).double() for step in range(STEPS)]
    at_constant = [loss_of(q.logit().expand(T, N, 2), y.double()).item() for q, y in zip(rates, targets, strict=True)]
    check(constants, at_constant)
    check(found, expected_of([loss_of(z, y.double()).item() for z, y in kept], at_constant))


CLASS_WEIGHTS = torch.tensor([1.0, 2, 5, 5, 5])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_class_weights(reduction: str, tmp_path: Path) -> None:
    """The best constant predicts each class by its share of the weights."""
    targets, kept = classes(T, N), []
    weighted = lambda z, y: cross_entropy(z, y, weight=CLASS_WEIGHTS.to(z.dtype), reduction=reduction)  # noqa: E731
    lr = 0.1 if reduction == "mean" else 1e-3
    found, constants = trained(tmp_path, Net(), spied(weighted, kept), targets, lr=lr)
    # each step counts alike, whatever the weights of its targets
    counts = [torch.bincount(y.flatten(), minlength=V).double() * CLASS_WEIGHTS for y in targets]
    shares = torch.stack([each / each.sum() for each in counts]).cumsum(0)
    guessed = [(each / each.sum()).log().expand(T, N, V) for each in shares]
    at_constant = [weighted(q, y).item() for q, y in zip(guessed, targets, strict=True)]
    check(constants, at_constant, 1e-3)
    check(found, expected_of([weighted(z, y).item() for z, y in kept], at_constant), 1e-3)


def test_a_weight_of_positives(tmp_path: Path) -> None:
    """The best constant predicts w n1 / (w n1 + n0)."""
    generator, kept, w = torch.Generator().manual_seed(3), [], 4.0
    targets = [(torch.rand(T, N, 2, generator=generator) < torch.tensor([0.1, 0.3])).float() for _ in range(STEPS)]
    weighted = lambda z, y: functional.binary_cross_entropy_with_logits(  # noqa: E731
        z, y, pos_weight=torch.tensor(w, dtype=z.dtype)
    )
    found, constants = trained(tmp_path, Net(2), spied(weighted, kept), targets)
    rates = [torch.stack(targets[: step + 1]).double().mean((0, 1, 2)) for step in range(STEPS)]
    best = [(w * rate / (w * rate + 1 - rate)).logit().expand(T, N, 2) for rate in rates]
    at_constant = [weighted(q, y.double()).item() for q, y in zip(best, targets, strict=True)]
    check(constants, at_constant, 1e-3)
    check(found, expected_of([weighted(z, y.double()).item() for z, y in kept], at_constant), 1e-3)


def test_a_single_number_fits_no_binary_cross_entropy(tmp_path: Path) -> None:
    """Of one output any loss has a scale; only that of a mean or a sum is taken for one."""
    targets = [torch.full((1, 1), 1.0 + step) for step in range(STEPS)]
    loss_of = lambda z, y: 0.3 * (z - y).abs().sum()  # noqa: E731
    found, _ = trained(tmp_path, Net(1, last=True), loss_of, targets, x=torch.randn(T, 1, 3))
    assert np.isnan(found).all()


SQUARES: dict[str, tuple[Loss, int]] = {
    "mean": (functional.mse_loss, 0),
    "sum": (lambda z, y: functional.mse_loss(z, y, reduction="sum"), 0),
    "half": (lambda z, y: functional.mse_loss(z, y) / 2, 0),
    "sum over outputs, mean over the rest": (lambda z, y: (z - y).square().sum(-1).mean(), 0),
    "x1000": (lambda z, y: 1000 * functional.mse_loss(z, y), 2),
    "x1e-3": (lambda z, y: 1e-3 * functional.mse_loss(z, y), 2),
    "+ 3": (lambda z, y: functional.mse_loss(z, y) + 3, 2),
    "- 30": (lambda z, y: functional.mse_loss(z, y) - 30, 2),
}


def numbers_of(*shape: int, count: int = STEPS, loc: float = 4.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    scales = 1 + torch.rand(count, generator=generator)
    return [loc + scale * torch.randn(*shape, generator=generator) for scale in scales]


def rates_of(targets: Sequence[Tensor], known_from: int = 0) -> list[float]:
    """The mean squared error of the mean over all targets from ``known_from`` up to each of them, by column."""
    found = []
    for step, y in enumerate(targets):
        mean = torch.cat([each.reshape(-1, y.shape[-1]) for each in targets[min(known_from, step) : step + 1]]).mean(0)
        found.append((y.double() - mean.double()).square().mean().item())
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("kind", SQUARES)
def test_squared_error(kind: str, dtype: torch.dtype, tmp_path: Path) -> None:
    """That of a mean or a sum is known at once, a scaled or shifted one after three recorded steps."""
    (loss_of, first), kept = SQUARES[kind], []
    targets = [y.to(dtype) for y in numbers_of(T, N, 2)]
    lr = {"sum": 1e-3, "x1000": 1e-4, "x1e-3": 100.0}.get(kind, 0.1)
    found, constants = trained(tmp_path, Net(2, dtype=dtype), spied(loss_of, kept), targets, lr=lr, dtype=dtype)
    squares = [(z - y.double()).square().mean().item() for z, y in kept]
    assert np.isnan(found[:first]).all()
    check(found[first:], expected_of(squares, rates_of(targets, first))[first:], 1e-3)
    scale = (loss_of(*kept[-1]) / squares[-1]).item()
    if (first and "+" in kind) or "-" in kind.removeprefix("x1e-3"):
        assert np.isnan(constants).all()
    else:
        check(constants[first:] / scale, rates_of(targets, first)[first:], 1e-3)


def test_a_squared_error_in_bfloat16(tmp_path: Path) -> None:
    targets, kept = numbers_of(T, N, 1), []
    autocast = lambda: torch.autocast("cpu", torch.bfloat16)  # noqa: E731
    found, _ = trained(tmp_path, Net(1), spied(functional.mse_loss, kept), targets, around=autocast)
    squares = [(z - y.double()).square().mean().item() for z, y in kept]
    check(found, expected_of(squares, rates_of(targets)), 0.03)


def test_two_backward_passes_a_step(tmp_path: Path) -> None:
    targets, kept = classes(T, N, count=2 * STEPS), []
    found, constants = trained(tmp_path / "ce", Net(), spied(cross_entropy, kept), targets, passes=2)
    joined = [torch.stack(targets[2 * step : 2 * step + 2]) for step in range(STEPS)]
    guessed = [q.expand(2, T, N, V) for q in constant_logits(joined, V)]
    at_constant = [cross_entropy(q, y).item() for q, y in zip(guessed, joined, strict=True)]
    losses = [cross_entropy(z, y).item() for z, y in kept]
    check(constants, at_constant)
    check(found, expected_of([(losses[2 * s] + losses[2 * s + 1]) / 2 for s in range(STEPS)], at_constant))

    numbers, kept = numbers_of(T, N, 1, count=2 * STEPS), []
    found, _ = trained(tmp_path / "mse", Net(1), spied(functional.mse_loss, kept), numbers, passes=2)
    squares = [(z - y.double()).square().mean().item() for z, y in kept]
    pairs = [torch.stack(numbers[2 * step : 2 * step + 2]) for step in range(STEPS)]
    check(found, expected_of([(squares[2 * s] + squares[2 * s + 1]) / 2 for s in range(STEPS)], rates_of(pairs)), 1e-3)


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("kind", ["cross-entropy", "squared"])
def test_a_loss_scaler(kind: str, given: bool, tmp_path: Path) -> None:
    """Gradients carry its scale, which changes nothing."""
    scaler, kept = torch.amp.GradScaler("cpu", init_scale=2.0**10), []
    loss_of = cross_entropy if kind == "cross-entropy" else functional.mse_loss
    targets = classes(T, N) if kind == "cross-entropy" else numbers_of(T, N, 1)
    model = Net() if kind == "cross-entropy" else Net(1)
    generator = torch.Generator().manual_seed(5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watched = graddiag.watch(model, optimizer, run="r", root=tmp_path, scaler=scaler if given else None)
    with watched as recorder:
        for y in targets:
            optimizer.zero_grad()
            loss = spied(loss_of, kept)(model(torch.randn(T, N, 3, generator=generator)), y)
            recorder.log(loss=loss)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    steps = graddiag.load_run(tmp_path / "r").steps
    losses = [loss_of(z, y if kind == "cross-entropy" else y.double()).item() for z, y in kept]
    if kind == "squared":
        at_constant = rates_of(targets)
    else:
        guessed = [q.expand(T, N, V) for q in constant_logits(targets, V)]
        at_constant = [cross_entropy(q, y).item() for q, y in zip(guessed, targets, strict=True)]
    check(column(steps, schema.EXPLAINED), expected_of(losses, at_constant), 1e-3)
    check(column(steps, schema.CONSTANT_LOSS), at_constant, 1e-3)


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


@pytest.mark.parametrize("whole", [True, False], ids=["the same batch", "new batches"])
@pytest.mark.parametrize("kind", OTHERS)
def test_of_another_loss_nothing_is_claimed(kind: str, whole: bool, tmp_path: Path) -> None:
    """On the same batch a training is smooth, so that neighbouring steps lie nearly on a line whatever the loss."""
    loss_of, out, discrete = OTHERS[kind]
    count = 60
    targets = classes(T, N, count=count) if discrete else numbers_of(T, N, 1 if "NLL" in kind else 2, count=count)
    x = torch.randn(T, N, 3, generator=torch.Generator().manual_seed(9))
    targets = targets[:1] * count if whole else targets
    found, constants = trained(tmp_path, Net(out), loss_of, targets, x=x if whole else None, lr=0.05)
    assert np.isnan(found).all(), found
    assert np.isnan(constants).all()


class Headless(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.w = nn.GRU(3, H), nn.Parameter(torch.randn(H, V) / 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.rnn(x)[0] @ self.w


def test_without_a_linear_layer_nothing_is_known(tmp_path: Path) -> None:
    found, constants = trained(tmp_path, Headless(), cross_entropy, classes(T, N))
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


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
