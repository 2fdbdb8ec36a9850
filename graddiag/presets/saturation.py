"""saturation: one sigmoid unit, and a small classifier, under cross-entropy and under squared error.

    p = sigmoid(z), target 1:   C = -ln p,        dC/dz = p - 1
                                C = (1 - p)^2 / 2, dC/dz = (p - 1) p (1 - p)

The factor p (1 - p) is the slope of the sigmoid. A unit that is surely wrong sits where it is 0, and under squared
error learns nothing from its worst mistakes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

import graddiag
from graddiag.analysis import number
from graddiag.analysis.values import Floats
from graddiag.figures.chart import Axis, Chart, Curve, chart
from graddiag.figures.lessons import escape, slopes
from graddiag.lab.training import seeded
from graddiag.lessons import losses
from graddiag.presets.bench import Bench
from graddiag.presets.pages import grid, picture
from graddiag.presets.preset import Preset, PresetSummary, Settings
from graddiag.report.content import ReportPart

_POINTS: Final = (losses.CROSS_ENTROPY, losses.SQUARED_ERROR)


class Saturation(Settings):
    z: float = Field(-10.0, description="Where the unit starts; its target is p = 1, which is z far above 0.")
    unit_lr: float = Field(1.0, gt=0, description="Learning rate of the one unit.")
    unit_steps: int = Field(2000, ge=1, le=100_000, description="Steps of gradient descent of the one unit.")
    samples: int = Field(400, ge=2, description="Points that the classifier learns to tell apart, two clouds of them.")
    hidden: int = Field(16, ge=1, description="Hidden units of the classifier.")
    bias: float = Field(-10.0, description="Bias of the classifier's output at the start: all answers are surely 0.")
    lr: float = Field(0.5, gt=0, description="Learning rate of the classifier, SGD on all samples.")
    steps: int = Field(2000, ge=1, description="Steps of the classifier.")
    seed: int = Field(0, ge=0, description="Seed of the points and of the weights.")


@dataclass(frozen=True)
class Learned:
    """A training of the classifier: its loss, the share of wrong answers of class 1, mean |dC/dz|, [steps] each."""

    loss: str
    losses: Floats
    missed: Floats
    slope: Floats
    run: Path


def summarize(settings: Saturation, bench: Bench) -> PresetSummary:
    """Slopes at a point, the descent of one unit, and the classifier from a saturated start, under both losses."""
    point, descent = losses.slopes(settings.z), losses.escape(settings.z, settings.unit_lr, settings.unit_steps)
    learned = [classify(settings, loss, bench) for loss in _POINTS]
    at = point.chosen
    ends = {loss: float(descent.p[loss].values[-1]) for loss in _POINTS}
    seen = (
        f"At z = {settings.z:g}, where the answer is p = {number(at.p)} and should be 1, cross-entropy pulls with "
        f"dC/dz = {at.cross_entropy_slope:.5g} and squared error with {at.squared_error_slope:.3g}.",
        f"After {settings.unit_steps} steps from there the unit says p = {number(ends[_POINTS[0]])} under "
        f"cross-entropy and p = {number(ends[_POINTS[1]])} under squared error.",
        f"A classifier whose output starts at a bias of {settings.bias:g} misses {learned[0].missed[-1]:.0%} of "
        f"class 1 after {settings.steps} steps under cross-entropy, and {learned[1].missed[-1]:.0%} under squared "
        "error.",
    )
    parts = (
        ReportPart(
            "One unit",
            tables=(grid("What a wrong answer costs", costs()),),
            pictures=(
                picture("The slope of both losses", _SLOPES, slopes, point),
                picture("A saturated start", "p over the steps of gradient descent from the same z.", escape, descent),
            ),
        ),
        ReportPart(
            "A classifier",
            pictures=(
                picture("Class 1 that is missed", _MISSED, chart, _chart(learned, "missed", "share missed")),
                picture("The slope it learns from", _PULL, chart, _chart(learned, "slope", "mean |dC/dz|", log=True)),
            ),
        ),
    )
    return PresetSummary(seen, parts, tuple(each.run for each in learned))


def costs() -> pd.DataFrame:
    """Both losses and their slopes at some answers p with the target 1."""
    rows = [losses.unit_loss(losses.logit(p)) for p in (0.5, 0.01, 0.0001)]
    return pd.DataFrame(
        {
            "p": [row.p for row in rows],
            "-ln p": [row.cross_entropy for row in rows],
            "½(1 - p)²": [row.squared_error for row in rows],
            "d(-ln p)/dz": [row.cross_entropy_slope for row in rows],
            "d(½(1 - p)²)/dz": [row.squared_error_slope for row in rows],
        }
    )


def classify(settings: Saturation, loss: str, bench: Bench) -> Learned:
    """Trains the classifier under ``loss`` and records it; the points and the weights are those of the seed."""
    points, targets = clouds(settings.samples, torch.Generator().manual_seed(settings.seed))
    seen: list[tuple[float, float, float]] = []
    with seeded(settings.seed, 1):
        model = _model(settings)
        optimizer = torch.optim.SGD(model.parameters(), lr=settings.lr)
        with graddiag.watch(
            model,
            optimizer,
            **bench.watched(loss),
            task="two clouds",
            model="mlp",
            seed=settings.seed,
            arm=loss,
            config=settings.model_dump(),
            loss_reduction="mean over samples",
            every=max(1, settings.steps // 200),
        ) as recorder:
            for _ in bench.steps(f"training under {loss}", settings.steps):
                z = model(points).squeeze(1)
                z.retain_grad()
                cost = _loss(loss, z, targets)
                optimizer.zero_grad()
                cost.backward()
                recorder.log(loss=cost.item())
                optimizer.step()
                assert z.grad is not None
                missed = (z[targets == 1] < 0).double().mean()
                seen.append((cost.item(), missed.item(), (z.grad.abs().mean() * len(z)).item()))
    losses_seen, missed_seen, slopes_seen = np.array(seen).T
    return Learned(loss, losses_seen, missed_seen, slopes_seen, recorder.path)


def clouds(samples: int, chance: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two clouds of points in the plane, [samples, 2], and which one each is from, [samples], 0 or 1."""
    targets = (torch.arange(samples) % 2).float()
    centres = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])[targets.long()]
    return centres + 0.5 * torch.randn(samples, 2, generator=chance), targets


def _model(settings: Saturation) -> nn.Sequential:
    """Drawn from torch's global generator: seed it first."""
    head = nn.Linear(settings.hidden, 1)
    model = nn.Sequential(nn.Linear(2, settings.hidden), nn.Tanh(), head)
    nn.init.constant_(head.bias, settings.bias)
    return model


def _loss(name: str, z: Tensor, targets: Tensor) -> Tensor:
    if name == losses.CROSS_ENTROPY:
        return binary_cross_entropy_with_logits(z, targets)
    return 0.5 * (torch.sigmoid(z) - targets).square().mean()


def _chart(learned: list[Learned], field: str, title: str, *, log: bool = False) -> Chart:
    curves = tuple(Curve(each.loss, np.arange(len(each.losses)), getattr(each, field)) for each in learned)
    return Chart(Axis("step"), Axis(title, log=log), curves)


_SLOPES: Final = "Where the answer is surely wrong, far to the left, squared error has hardly any slope left."
_MISSED: Final = (
    "The share of class 1 that the classifier calls class 0: from a saturated start squared error stays there."
)
_PULL: Final = "How strongly a sample pulls at the output on average; on the plateau squared error pulls at nothing."

PRESETS: Final = {
    "saturation": Preset(Saturation, quick={"unit_steps": 500, "steps": 500, "samples": 100}, summarize=summarize)
}
