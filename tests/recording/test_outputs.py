"""What the model explains beyond a constant prediction, against the targets that the loss was computed from."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import graddiag
from graddiag import schema
from tests.recording.outputs import (
    STEPS,
    Loss,
    N,
    Net,
    T,
    V,
    check,
    classes,
    column,
    constant_logits,
    cross_entropy,
    expected_of,
    numbers_of,
    rates_of,
    spied,
    trained,
)

pytestmark = pytest.mark.usefixtures("seeded")


CROSS_ENTROPIES: dict[str, Loss] = {
    "mean": cross_entropy,
    "sum": lambda z, y: cross_entropy(z, y, reduction="sum"),
    "x1000": lambda z, y: 1000 * cross_entropy(z, y),
    "sum over timesteps": lambda z, y: sum(cross_entropy(a, b) for a, b in zip(z, y, strict=True)),
    "nll": lambda z, y: functional.nll_loss(z.log_softmax(-1).reshape(-1, V), y.reshape(-1)),
}


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


@pytest.mark.parametrize("divided", [True, False])
@pytest.mark.parametrize("logged", ["as it was", "as it was divided"])
@pytest.mark.parametrize("kind", ["mean", "half of the mean", "sum over the outputs"])
def test_accumulated_squared_errors_of_which_the_last_one_is_logged(
    kind: str, logged: str, divided: bool, tmp_path: Path
) -> None:
    passes, targets = 3, numbers_of(T, N, 2, count=3 * STEPS)
    own = {
        "mean": lambda z, y: (z - y).square().mean(),
        "half of the mean": lambda z, y: 0.5 * (z - y).square().mean(),
        "sum over the outputs": lambda z, y: (z - y).square().sum(-1).mean(),
    }[kind]
    share = 1 / passes if divided else 1.0
    torch.manual_seed(0)
    model, kept, logs = Net(2), [], []
    generator = torch.Generator().manual_seed(5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path) as recorder:
        for step in range(STEPS):
            optimizer.zero_grad()
            for y in targets[passes * step : passes * (step + 1)]:
                z = model(torch.randn(T, N, 3, generator=generator))
                loss = own(z, y)
                (share * loss).backward()
                kept.append((z.detach().double(), y))
            logs.append(loss.item() if logged == "as it was" else share * loss.item())
            recorder.log(loss=logs[-1])
            optimizer.step()
    steps = graddiag.load_run(tmp_path / "r").steps
    parts = [list(range(passes * step, passes * (step + 1))) for step in range(STEPS)]
    lost = [np.mean([own(kept[at][0], kept[at][1].double()).item() for at in part]) for part in parts]
    constants = []
    for step, part in enumerate(parts):
        seen = torch.cat([y.reshape(-1, 2) for y in targets[: passes * (step + 1)]]).double().mean(0)
        constants.append(np.mean([own(seen.expand(T, N, 2), targets[at].double()).item() for at in part]))
    check(column(steps, schema.EXPLAINED), expected_of(lost, constants))
    unit = share if logged == "as it was divided" else 1.0
    check(column(steps, schema.CONSTANT_LOSS), [unit * each for each in constants])


def test_of_accumulated_absolute_errors_nothing_is_claimed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, targets = Net(2), numbers_of(T, N, 2, count=2 * STEPS)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path) as recorder:
        for step in range(STEPS):
            optimizer.zero_grad()
            for y in targets[2 * step : 2 * step + 2]:
                loss = (model(torch.randn(T, N, 3)) - y).abs().mean()
                (loss / 2).backward()
            recorder.log(loss=loss)
            optimizer.step()
    assert np.isnan(column(graddiag.load_run(tmp_path / "r").steps, schema.EXPLAINED)).all()
