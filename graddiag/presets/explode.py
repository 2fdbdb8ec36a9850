"""explode-vanish: how a gradient grows or shrinks on its way back through an RNN, measured against theory.

W_hh is gain x orthogonal, the loss is at the last timestep. In a linear network ||dL/dh_t|| is gain^(T-t) times that at
the end, exactly; with tanh, relu or sigmoid the slopes of the units come in, and gain times the largest slope is a
bound. The exponent is ln of what one step back multiplies the norm with. Then the error surface of one unit over 50
steps, and gradient descent that starts on the cliff in it; and two trainings, one that explodes and one that vanishes.

Source: Pascanu, Mikolov & Bengio (2013), sections 2.1 and 2.3, figure 6.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Final

import numpy as np
import pandas as pd
from pydantic import Field

from graddiag import schema
from graddiag.analysis import number
from graddiag.figures.chart import Axis, Chart, Curve, chart
from graddiag.figures.lesson_maps import cliff
from graddiag.figures.lessons import decay as decay_figure
from graddiag.kinds import Nonlinearity
from graddiag.lab.sweeps import SweepSpec, sweep_spec
from graddiag.lessons.cliff import descend, section, surface
from graddiag.lessons.values import Descent, Surface
from graddiag.lessons.vanishing import decay
from graddiag.presets.bench import Bench
from graddiag.presets.pages import folders, grid, picture, recorded
from graddiag.presets.preset import Preset, PresetSummary, Settings
from graddiag.report.content import ReportPart
from graddiag.run import Run

LARGEST_SLOPE: Final = {"identity": 1.0, "tanh": 1.0, "relu": 1.0, "sigmoid": 0.25, "truncated-relu": 1.0}
W: Final = 4.6  # a recurrent weight at which the error surface has its wall
FREE: Final = "baseline"
CLIPPED: Final = "clipped"


class ExplodeVanish(Settings):
    nonlinearities: tuple[Nonlinearity, ...] = Field(
        ("identity", "tanh", "relu", "sigmoid"), min_length=1, description="What the units do; identity is linear."
    )
    gains: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (0.5, 0.7, 0.9, 1.0, 1.1, 1.3, 1.6, 2.0), min_length=1, description="Gains: the spectral radius of W_hh."
    )
    lengths: tuple[Annotated[int, Field(ge=2)], ...] = Field(
        (10, 30, 60, 100), min_length=1, description="Timesteps of a sequence, T."
    )
    drive: float = Field(0.5, ge=0, description="Standard deviation of the inputs.")
    descent_lr: float = Field(0.01, gt=0, description="Learning rate of the descent on the error surface.")
    descent_clip: float = Field(1.0, gt=0, description="Threshold of the norm in the descent that is clipped.")
    descent_steps: int = Field(60, ge=1, description="Steps of the descent.")
    lr: float = Field(5.0, gt=0, description="Learning rate of the training that explodes, of characters.")
    steps: int = Field(200, ge=2, description="Steps of that training; of the one that vanishes, twice as many.")
    gap: int = Field(60, ge=2, description="Gap of the recall task, over which the gradient of an RNN vanishes.")
    seed: int = Field(0, ge=0, description="Seed of the trainings.")


def sweeps(settings: ExplodeVanish) -> Sequence[SweepSpec]:
    """Characters with and without clipping, at a rate that is too high without; and recall over a long gap."""
    every = max(1, settings.steps // 100)
    common = {"task": "text", "model": "rnn", "seeds": [settings.seed]}
    text = {
        **common,
        "name": "lab-explode-vanish-text",
        "settings": {"lr": settings.lr, "steps": settings.steps, "every": every},
        "arms": {FREE: {}, CLIPPED: {"clip": "norm:0.5"}},
    }
    recall = {
        **common,
        "name": "lab-explode-vanish-recall",
        "task": "recall",
        "settings": {"steps": 2 * settings.steps, "every": 2 * every, "clip": "norm:1"},
        "arms": {FREE: {}, "gru": {"model": "gru"}},
        "lengths": [settings.gap],
    }
    return sweep_spec(text), sweep_spec(recall)


def summarize(settings: ExplodeVanish, bench: Bench) -> PresetSummary:
    """Measured exponents against theory, two descents on the cliff, and the two trainings."""
    found = exponents(settings)
    descents = [
        descend(on_the_cliff(), settings.descent_lr, clip, settings.descent_steps)
        for clip in ("none", f"norm:{settings.descent_clip!r}")
    ]
    specs = [
        spec.model_copy(update={"name": bench.named(spec.name.removeprefix("lab-explode-vanish-"))})
        for spec in sweeps(settings)
    ]
    runs = bench.sweep(specs)
    text, recall = runs[:2], runs[2:]
    seen = (
        _linear(found),
        _others(found),
        _cliff(descents),
        _text(text),
        _recall(recall, settings),
    )
    exact = grid("Exponents at the longest length", _table(found, settings))
    steps = picture("Two descents from the cliff", _CLIFF, cliff, surface(), descents)
    close = picture("The start of both, close up", _CLOSE, cliff, around(on_the_cliff()), descents)
    parts = (
        ReportPart("Against theory", tables=(exact,), pictures=(*_curves(found, settings), _decay(settings))),
        ReportPart("The cliff", tuple(each.caption for each in descents), pictures=(steps, close)),
        ReportPart("A training that explodes", pictures=recorded(text)),
        ReportPart("A training that vanishes", pictures=recorded(recall)),
    )
    return PresetSummary(seen, parts, folders(runs))


def on_the_cliff() -> tuple[float, float]:
    """w, and the b at which the gradient of the error is largest there."""
    found = section(W)
    return W, float(found.b[np.argmax(found.grad_norm.values)])


def around(point: tuple[float, float]) -> Surface:
    """The error surface close to a point (w, b)."""
    w, b = point
    return surface((w - _NEAR, w + _NEAR), (b - _NEAR, b + _NEAR))


def exponents(settings: ExplodeVanish) -> pd.DataFrame:
    """A row for each nonlinearity, gain and length: the measured exponent, ln gain, and the bound; -inf where the
    gradient is exactly 0 at the first timestep."""
    rows = []
    for nonlinearity in settings.nonlinearities:
        for length in settings.lengths:
            for gain in settings.gains:
                factor = decay(gain, length, nonlinearity, settings.drive).factor
                rows.append(
                    {
                        "nonlinearity": nonlinearity,
                        "length": length,
                        "gain": gain,
                        "exponent": math.log(factor) if factor > 0 else -math.inf,
                        "theory": math.log(gain),
                        "bound": math.log(gain * LARGEST_SLOPE[nonlinearity]),
                    }
                )
    return pd.DataFrame(rows)


def _linear(found: pd.DataFrame) -> str:
    linear = found[found["nonlinearity"] == "identity"]
    if linear.empty:
        return "The linear network was not asked for, so there is no exact theory to hold the others against."
    off = float((linear["exponent"] - linear["theory"]).abs().max())
    return (
        f"In the linear network the measured exponent is ln of the gain, at every gain and length; the largest "
        f"difference is {number(off)}."
    )


def _others(found: pd.DataFrame) -> str:
    """From which gain on each of the other networks grows, over the longest of the lengths."""
    told, longest = [], found["length"].max()
    for name, rows in found[found["nonlinearity"] != "identity"].groupby("nonlinearity", sort=False):
        within = bool((rows["exponent"] <= rows["bound"] + 1e-9).all())
        growing = rows[(rows["exponent"] > 0) & (rows["length"] == longest)]["gain"]
        grows = f"grows from a gain of {growing.min():g} on" if len(growing) else "never grows"
        told.append(f"{name} {grows}, {'always within' if within else 'not always within'} its bound")
    return f"Over {longest} timesteps {'; '.join(told)}." if told else "No other network was asked for."


def _cliff(descents: Sequence[Descent]) -> str:
    free, clipped = descents
    return (
        f"On the error surface, from the steepest point of the wall at w = {W:g}, the longest step without clipping is "
        f"{number(free.length)} and with it {number(clipped.length)}; the error starts at "
        f"{number(float(free.errors[0]))}, and the lowest one is {number(float(free.errors.min()))} without and "
        f"{number(float(clipped.errors.min()))} with clipping."
    )


def _text(runs: Sequence[Run]) -> str:
    told = []
    for run in runs:
        norms = run.steps[schema.GRAD_NORM]
        told.append(f"{run.manifest.arm}: largest norm {number(float(norms.max()))}, last loss {number(_last(run))}")
    grown, chance = number(_arrives(runs[0])), number(float(runs[0].manifest.config["chance_loss"]))
    return (
        f"A tanh RNN on characters, large weights: on its way from the last timestep to the first the gradient of the "
        f"first step grows {grown}-fold; {'; '.join(told)}. By chance the loss is {chance}."
    )


def _recall(runs: Sequence[Run], settings: ExplodeVanish) -> str:
    told = [f"{run.manifest.arm} {number(_arrives(run))}" for run in runs]
    return (
        f"Recall over {settings.gap} timesteps: share of the gradient at the last timestep that reaches the "
        f"first one, at the first step: {', '.join(told)}."
    )


def _last(run: Run) -> float:
    return float(run.steps[schema.LOSS].iloc[-1])


def _arrives(run: Run) -> float:
    """||dL/dh|| at the first timestep over the last one, at the first recorded step."""
    frame = run.timesteps
    first = frame[frame[schema.STEP] == frame[schema.STEP].min()].sort_values(schema.TIMESTEP)[schema.GRAD_H]
    return float(first.iloc[0]) / float(first.iloc[-1])


def _table(found: pd.DataFrame, settings: ExplodeVanish) -> pd.DataFrame:
    longest = found[found["length"] == max(settings.lengths)]
    wide = longest.pivot(index="gain", columns="nonlinearity", values="exponent")[list(settings.nonlinearities)]
    wide.insert(0, "ln gain", np.log(wide.index.to_numpy()))
    return wide.reset_index().rename_axis(columns=None)


def _curves(found: pd.DataFrame, settings: ExplodeVanish) -> tuple[Any, ...]:
    """Exponent over gain at the longest length, and over the length at the largest gain."""
    return (
        picture("Exponent over the gain", _GAIN, chart, _over(found, "gain", "length", max(settings.lengths))),
        picture("Exponent over the length", _LENGTH, chart, _over(found, "length", "gain", max(settings.gains))),
    )


def _over(found: pd.DataFrame, along: str, fixed: str, at: float) -> Chart:
    rows = found[found[fixed] == at]
    curves = []
    for name, part in rows.groupby("nonlinearity", sort=False):
        y = part["exponent"].replace(-np.inf, np.nan).to_numpy()
        curves.append(Curve(str(name), part[along].to_numpy(float), y, mode="lines+markers"))
    first = rows[rows["nonlinearity"] == rows["nonlinearity"].iloc[0]]
    curves.append(Curve("ln gain", first[along].to_numpy(float), first["theory"].to_numpy(), dashed=True))
    unit = "gain, the spectral radius of W_hh" if along == "gain" else "length of the sequence, timesteps"
    return Chart(Axis(unit), Axis("exponent, per timestep"), tuple(curves), ((0.0, "neither grows nor shrinks"),))


def _decay(settings: ExplodeVanish) -> Any:
    found = decay(1.1, max(settings.lengths), "tanh", settings.drive)
    return picture("The way back through a tanh network at a gain of 1.1", found.caption, decay_figure, found)


_GAIN: Final = "Above 0 the gradient grows on its way back, below it shrinks; only the linear network follows its gain."
_LENGTH: Final = "The same at the largest gain: what a network does over a few timesteps it need not do over many."
_CLIFF: Final = "The ground is the error; each path is a descent that starts at the white point."
_CLOSE: Final = (
    "Around the start: the step without clipping leaves the picture, the clipped ones go down the wall and stay."
)
_NEAR: Final = 0.05  # of w and of b, on each side of the start

PRESETS: Final = {
    "explode-vanish": Preset(
        ExplodeVanish,
        quick={"lengths": (10, 30), "gains": (0.7, 1.0, 1.5), "steps": 30, "gap": 20},
        summarize=summarize,
        sweeps=sweeps,
    )
}
