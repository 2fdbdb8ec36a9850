"""sum: the recurrent network that sums its inputs, and the one that says which of two sums is larger.

    h_t = h_{t-1} + x_t, y = h_T:                  dL/dx_t = dL/dy at every t: nothing vanishes, nothing explodes
    h_t = h_{t-1} + x_t - x'_t, p = sigmoid(h_T):  +1 for what is added to one sum, -1 for the other

Both are one linear unit whose recurrent weight is 1. The preset measures their gradients with graddiag, then trains a
unit that starts elsewhere and shows its weight over training, and the gradient at the first timestep.

Source: Hochreiter & Schmidhuber (1997), section 3.2, the constant error carousel.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

import graddiag
from graddiag import schema
from graddiag.analysis import number
from graddiag.figures.chart import Axis, Chart, Curve, chart
from graddiag.lab.training import seeded
from graddiag.nn import RNN
from graddiag.presets.bench import Bench
from graddiag.presets.pages import grid, picture, recorded
from graddiag.presets.preset import Preset, PresetSummary, Settings
from graddiag.report.content import ReportPart

Task = Literal["sum", "larger sum"]
TASKS: Final[tuple[Task, ...]] = ("sum", "larger sum")
INPUTS: Final[Mapping[Task, int]] = {"sum": 1, "larger sum": 2}


class SumSettings(Settings):
    length: int = Field(30, ge=2, description="T, timesteps of a sequence.")
    batch: int = Field(32, ge=1, description="Sequences of a batch.")
    start: float = Field(0.8, description="Recurrent weight from which training starts; 1 sums.")
    lr: float = Field(0.02, gt=0, description="Learning rate of Adam.")
    steps: int = Field(800, ge=1, description="Steps of training.")
    seed: int = Field(0, ge=0, description="Seed of the numbers.")


@dataclass(frozen=True)
class Summed:
    """What was trained: its loss and its recurrent weight at each step, |dL/dx_t| before and after, and its run."""

    task: Task
    losses: np.ndarray
    weights: np.ndarray
    before: np.ndarray
    after: np.ndarray
    right: float
    run: Path


class Unit(nn.Module):
    """One linear recurrent unit: h_t = w h_{t-1} + u . x_t, no bias; its last state is the answer, [N]."""

    def __init__(self, inputs: int, w: float, u: Tensor) -> None:
        super().__init__()
        self.recurrent = RNN(inputs, 1, nonlinearity="identity", bias=False)
        with torch.no_grad():
            self.weight.fill_(w)
            self.recurrent.get_parameter("weight_ih_l0").copy_(u.reshape(1, inputs))

    @property
    def weight(self) -> nn.Parameter:
        """w, [1, 1]."""
        return self.recurrent.get_parameter("weight_hh_l0")

    def forward(self, x: Tensor) -> Tensor:
        """x [T, N, inputs]; h_T [N]."""
        states, _ = self.recurrent(x)
        last: Tensor = states[-1, :, 0]
        return last


def exact(task: Task) -> Unit:
    """The unit that does it: weights of 1, and for the larger of two sums +1 and -1."""
    return Unit(INPUTS[task], 1.0, torch.tensor([1.0] if task == "sum" else [1.0, -1.0]))


def summarize(settings: SumSettings, bench: Bench) -> PresetSummary:
    """The gradients of the exact units, and what training makes of others."""
    reached = {task: input_gradients(exact(task), _numbers(settings, task)) for task in TASKS}
    learned = [learn_sums(settings, task, bench) for task in TASKS]
    spread = float((reached["sum"] - 1).abs().max())
    seen = (
        f"In the unit that sums, dy/dx_t is 1 at every one of {settings.length} timesteps (the largest difference "
        f"measured is {number(spread)}); in the one that compares it is +1 for one sum and -1 for the other.",
        *(_learned(each, settings) for each in learned),
    )
    parts = (
        ReportPart(
            "The exact units",
            tables=(grid("dy/dx_t, over the batch", _table(reached)),),
            pictures=(picture("What an input counts for", _REACH, chart, _reach(settings, learned)),),
        ),
        ReportPart(
            "Trained",
            pictures=(
                picture("The recurrent weight", _WEIGHT, chart, _weights(learned)),
                *recorded([graddiag.load_run(each.run) for each in learned]),
            ),
        ),
    )
    return PresetSummary(seen, parts, tuple(each.run for each in learned))


def input_gradients(unit: Unit, x: Tensor) -> Tensor:
    """dy/dx_t of every sample, [T, N, inputs]."""
    x = x.clone().requires_grad_()
    return torch.autograd.grad(unit(x).sum(), x)[0]


def learn_sums(settings: SumSettings, task: Task, bench: Bench) -> Summed:
    """Trains a unit that starts at another recurrent weight, and records it."""
    chance = torch.Generator().manual_seed(settings.seed)
    losses, weights, right = [], [], []
    with seeded(settings.seed, 1):
        unit = Unit(INPUTS[task], settings.start, torch.full((INPUTS[task],), 0.5))
        probe = _numbers(settings, task)
        before = _size(unit, probe)
        optimizer = torch.optim.Adam(unit.parameters(), lr=settings.lr)
        with graddiag.watch(
            unit,
            optimizer,
            **bench.watched(task),
            task=task,
            model="rnn",
            seed=settings.seed,
            arm=task,
            loss_reduction="mean over batch, at the last timestep",
            every=max(1, settings.steps // 200),
            config={**settings.model_dump(), "distance": settings.length - 1},
        ) as recorder:
            for _ in bench.steps(f"training {task}", settings.steps):
                x = torch.rand(settings.length, settings.batch, INPUTS[task], generator=chance)
                y = unit(x)
                target, loss = _asked(task, x, y)
                optimizer.zero_grad()
                loss.backward()
                recorder.log(loss=loss.item())
                weights.append(unit.weight.item())
                losses.append(loss.item())
                right.append(((y > 0) == (target > 0.5)).double().mean().item())
                optimizer.step()
        after = _size(unit, probe)
    return Summed(task, np.array(losses), np.array(weights), before, after, float(np.mean(right[-50:])), recorder.path)


def _asked(task: Task, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """What is to be said of x, [N], and the loss of saying y: squared error of a sum, cross-entropy of a comparison."""
    if task == "sum":
        target = x.sum(0)[:, 0]
        return target, mse_loss(y, target)
    target = (x[..., 0].sum(0) > x[..., 1].sum(0)).to(y.dtype)
    return target, binary_cross_entropy_with_logits(y, target)


def _numbers(settings: SumSettings, task: Task) -> Tensor:
    """A batch that stays the same, from U(0, 1), [T, N, inputs]."""
    chance = torch.Generator().manual_seed(settings.seed + 1)
    return torch.rand(settings.length, settings.batch, INPUTS[task], generator=chance)


def _size(unit: Unit, x: Tensor) -> np.ndarray:
    """|dy/dx_t| at each timestep, a mean over samples and inputs, [T]."""
    return input_gradients(unit, x).abs().mean(dim=(1, 2)).double().numpy()


def _learned(each: Summed, settings: SumSettings) -> str:
    ratio_before, ratio_after = each.before[0] / each.before[-1], each.after[0] / each.after[-1]
    right = "" if each.task == "sum" else f" It then says the larger sum in {each.right:.0%} of the last batches."
    return (
        f"{each.task}: training takes the recurrent weight from {settings.start:g} to {number(each.weights[-1])}; the "
        f"first input counts {number(float(ratio_before))} of the last one before it, and {number(float(ratio_after))} "
        f"after it.{right}"
    )


def _table(reached: Mapping[Task, Tensor]) -> pd.DataFrame:
    rows = []
    for task, found in reached.items():
        for column in range(found.shape[-1]):
            part = found[..., column]
            name = "x" if column == 0 else "x'"
            rows.append({"unit": f"{task}, {name}", "smallest": part.min().item(), "largest": part.max().item()})
    return pd.DataFrame(rows)


def _reach(settings: SumSettings, learned: list[Summed]) -> Chart:
    t = np.arange(settings.length)
    curves = [Curve("the exact unit", t, np.ones(settings.length), dashed=True)]
    for each in learned:
        curves += [
            Curve(f"{each.task}, before training", t, each.before),
            Curve(f"{each.task}, after", t, each.after),
        ]
    return Chart(Axis("timestep t"), Axis("|dy/dx|, mean over the batch", log=True), tuple(curves))


def _weights(learned: list[Summed]) -> Chart:
    curves = tuple(Curve(each.task, np.arange(len(each.weights)), each.weights) for each in learned)
    return Chart(Axis(schema.STEP), Axis("recurrent weight w"), curves, ((1.0, "it sums"),))


_REACH: Final = "A flat line counts every input alike; one that falls to the left forgets the early ones; log scale."
_WEIGHT: Final = "w to the power of the distance is what an input counts for, so 1 is the only weight that sums."

PRESETS: Final = {"sum": Preset(SumSettings, quick={"steps": 150, "length": 12}, summarize=summarize)}
