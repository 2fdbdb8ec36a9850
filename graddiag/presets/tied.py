"""tied: one weight, used at every timestep: what each of them adds to its gradient, and how much of it cancels.

    dL/dW_hh = sum_t G_t,  G_t = delta_t^T h_{t-1}

G_t is what W_hh would get if each timestep had a separate weight. Their sum is what autograd gives; where they point
in different ways they cancel, and what is left is ||sum_t G_t|| / sum_t ||G_t||.

Source: Rumelhart, Hinton & Williams (1986); Werbos (1990); Pascanu, Mikolov & Bengio (2013), equation 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor, nn

import graddiag
from graddiag import analysis
from graddiag.analysis import WeightContributions, number
from graddiag.figures import effective_timesteps, weight_contributions
from graddiag.figures.chart import Axis, Chart, Curve, chart
from graddiag.kinds import CELL_TYPES, ModelKind
from graddiag.lab.sweeps import SweepSpec, sweep_spec
from graddiag.presets.bench import Bench
from graddiag.presets.pages import folders, grid, listed, picture, recorded
from graddiag.presets.preset import Preset, PresetSummary, Settings
from graddiag.report.content import ReportPart
from graddiag.views import view


class Tied(Settings):
    models: tuple[ModelKind, ...] = Field(("rnn", "gru", "lstm"), min_length=1, description="Kinds of network.")
    length: int = Field(30, ge=4, description="T, timesteps of a sequence.")
    hidden: int = Field(32, ge=1, description="Units of the recurrent layer.")
    steps: int = Field(800, ge=1, description="Steps of training, on the recall task with a gap of that length.")
    lr: float = Field(0.003, gt=0, description="Learning rate of Adam.")
    seed: int = Field(0, ge=0, description="Seed of weights and batches.")


@dataclass(frozen=True)
class Sums:
    """One network: ||G_t|| [T], the norm of their sum, how far that is from autograd's, relative, and what is left."""

    model: str
    norms: np.ndarray
    total: float
    off: float
    left: float


def sweeps(settings: Tied) -> Sequence[SweepSpec]:
    """Each kind of network on the recall task."""
    given = {
        "hidden": settings.hidden,
        "steps": settings.steps,
        "optimizer": "adam",
        "lr": settings.lr,
        "clip": "norm:1",
        "every": max(1, settings.steps // 200),
    }
    arms = {model: {"model": model} for model in settings.models}
    spec = {"name": "lab-tied", "task": "recall", "model": settings.models[0], "settings": given, "arms": arms}
    return (sweep_spec({**spec, "seeds": [settings.seed], "lengths": [settings.length]}),)


def summarize(settings: Tied, bench: Bench) -> PresetSummary:
    """The sum against autograd at the start, and its course over training."""
    at_start = [sums(model, settings) for model in settings.models]
    runs = bench.sweep([spec.model_copy(update={"name": bench.experiment}) for spec in sweeps(settings)])
    courses = [weights for run in runs for weights in [analysis.weight_contributions(run, analysis.selections(run)[0])]]
    worst = max(each.off for each in at_start)
    seen = (
        f"The contributions of {settings.length} timesteps sum to the gradient that autograd gives for W_hh, to a "
        f"relative difference of {number(worst)} at most, in float64, for {listed(settings.models)}.",
        f"Before training what is left of them, ||sum G|| / sum ||G||, is "
        f"{listed([f'{number(each.left)} in the {each.model}' for each in at_start])}.",
        *(_course(each) for each in courses),
    )
    parts = (
        ReportPart(
            "At the start",
            tables=(grid("Sums against autograd", _table(at_start)),),
            pictures=(picture("What each timestep adds", _ADDS, chart, _chart(at_start)),),
        ),
        ReportPart(
            "Over training",
            pictures=(
                picture("Contributions and their sum", _COURSE, weight_contributions, courses, title=False),
                picture(view("effective-timesteps").title, _EFFECTIVE, effective_timesteps, courses, title=False),
            ),
        ),
        ReportPart("The gradient", pictures=recorded(runs)),
    )
    return PresetSummary(seen, parts, folders(runs))


def sums(model: ModelKind, settings: Tied) -> Sums:
    """G_t of torch's own layer on random inputs with a loss at every timestep, by graddiag.capture, in float64."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(settings.seed)
        layer = getattr(nn, CELL_TYPES[model].title)(4, settings.hidden).double()
        x, weight = (
            torch.randn(settings.length, 8, 4).double(),
            torch.randn(settings.length, 8, settings.hidden).double(),
        )
    with graddiag.capture(layer) as captured:
        (layer(x)[0] * weight).mean().backward()
    each = contributions(captured.traces[0])
    found, truth = each.sum(0), layer.weight_hh_l0.grad
    norms = each.flatten(1).norm(dim=1)
    off = ((found - truth).norm() / truth.norm()).item()
    return Sums(model, norms.numpy(), found.norm().item(), off, (found.norm() / norms.sum()).item())


def contributions(trace: graddiag.Trace) -> Tensor:
    """G_t = delta_t^T h_{t-1}, summed over the batch, [T, rows of W_hh, H]."""
    assert trace.grad_a_hh is not None
    before = torch.cat([trace.h0.unsqueeze(0), trace.h[:-1]])
    return torch.einsum("tnr,tnh->trh", trace.grad_a_hh, before)


def _course(found: WeightContributions) -> str:
    if found.missing:
        return found.missing
    return found.caption


def _table(found: list[Sums]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "network": [each.model for each in found],
            "norm of the sum": [each.total for each in found],
            "relative difference to autograd": [each.off for each in found],
            "what is left": [each.left for each in found],
        }
    )


def _chart(found: list[Sums]) -> Chart:
    curves = tuple(Curve(each.model, np.arange(len(each.norms)), each.norms) for each in found)
    return Chart(Axis("timestep t"), Axis("‖G‖, over all of W_hh", log=True), curves)


_ADDS: Final = "How much each timestep adds to the gradient of W_hh, on random inputs before training; log scale."
_COURSE: Final = "What the timesteps add in all, and what is left when it is summed: the gap between is what cancels."
_EFFECTIVE: Final = "How large the contribution of each timestep is: where it is dark, nothing is learned from it."

PRESETS: Final = {
    "tied": Preset(
        Tied,
        quick={"models": ("rnn", "lstm"), "steps": 100, "length": 12, "hidden": 16},
        summarize=summarize,
        sweeps=sweeps,
    )
}
