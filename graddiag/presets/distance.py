"""distance: over which gap each kind of network learns, and whether its memory horizon predicted it.

A symbol is to be said again after a gap of noise (recall), and a word is asked late that only an early one tells
(cloze: "the clouds are in the sky", "I grew up in France ... I speak fluent French"). The memory horizon is measured at
the first step, before anything is learned: -1 / (mean ln transport gain), the timesteps after which 1/e of a gradient
is left. That is when a forecast is worth something: later a horizon is long because the network has learned.

Sources: Hochreiter (1991); Bengio, Simard & Frasconi (1994); Olah (2015) for the sentences.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import pandas as pd
from pydantic import Field

from graddiag import analysis
from graddiag.figures import horizon
from graddiag.figures.chart import chart
from graddiag.kinds import CELL_TYPES, ModelKind
from graddiag.lab.sweeps import SweepSpec, sweep_spec
from graddiag.presets.bench import Bench
from graddiag.presets.distance_summary import (
    farthest,
    limits,
    outcomes,
    over_gap,
    over_left,
    predicted_order,
    predicted_pairs,
    table,
    training,
)
from graddiag.presets.pages import folders, grid, picture, recorded
from graddiag.presets.preset import Preset, PresetSummary, Settings
from graddiag.report.content import ReportPart
from graddiag.run import Run

UNTIL: Final = 0.02


class Distance(Settings):
    models: tuple[ModelKind, ...] = Field(("rnn", "gru", "lstm"), min_length=1, description="Kinds of network.")
    gaps: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (2, 5, 10, 20, 50, 100, 200), min_length=1, description="Gaps of recall, timesteps."
    )
    sentence_gaps: tuple[Annotated[int, Field(ge=3)], ...] = Field(
        (5, 20, 60), description="Gaps of cloze, 3 timesteps or more; none leaves it out."
    )
    seeds: int = Field(2, ge=1, description="Seeds of every training of recall.")
    sentence_seeds: int = Field(1, ge=1, description="Seeds of every training of cloze.")
    hidden: int = Field(50, ge=1, description="Units of the recurrent layer.")
    steps: int = Field(1500, ge=100, description="Steps of a training, unless the task is solved before.")
    lr: float = Field(0.001, gt=0, description="Learning rate of Adam.")
    forget_bias: float = Field(2.0, description="Bias of the gate that keeps the state of LSTM and GRU, at the start.")
    clip: float = Field(1.0, gt=0, description="Threshold of the norm.")


def sweeps(settings: Distance) -> Sequence[SweepSpec]:
    """Every kind of network over every gap, for the two tasks; the longest gaps first, as they take the longest."""
    arms = {model: _arm(model, settings) for model in dict.fromkeys(settings.models)}
    given = {
        "hidden": settings.hidden,
        "steps": settings.steps,
        "until_error": UNTIL,
        "optimizer": "adam",
        "lr": settings.lr,
        "clip": f"norm:{settings.clip!r}",
        "every": max(1, settings.steps // 50),
    }
    asked = (("recall", settings.gaps, settings.seeds), ("cloze", settings.sentence_gaps, settings.sentence_seeds))
    return tuple(
        sweep_spec(
            {
                "name": f"lab-distance-{task}",
                "task": task,
                "model": settings.models[0],
                "settings": given,
                "arms": arms,
                "seeds": list(range(seeds)),
                "lengths": sorted(gaps, reverse=True),
            }
        )
        for task, gaps, seeds in asked
        if gaps
    )


def _arm(model: ModelKind, settings: Distance) -> dict[str, Any]:
    bias = {} if CELL_TYPES[model].keeping is None else {"forget_bias": settings.forget_bias}
    return {"model": model, **bias}


def summarize(settings: Distance, bench: Bench) -> PresetSummary:
    """Trains all of it, and reports how far each network learned, and how well its first horizon predicted that."""
    specs = {spec.task: spec.model_copy(update={"name": bench.named(spec.task)}) for spec in sweeps(settings)}
    runs = bench.sweep(list(specs.values()))
    found = outcomes(runs)
    by_task = {task: found[found["task"] == task] for task in specs}
    seen = [
        *(farthest(rows, task) for task, rows in by_task.items()),
        *(limits(rows, task) for task, rows in by_task.items()),
        predicted_order(by_task),
        predicted_pairs(found),
        training(found),
    ]
    parts = [_part(task, rows) for task, rows in by_task.items()]
    parts.append(_prediction(found))
    parts.append(_within(runs, found))
    return PresetSummary(tuple(seen), tuple(parts), folders(runs))


def _part(task: str, rows: pd.DataFrame) -> ReportPart:
    return ReportPart(
        f"The task {task}",
        tables=(grid(f"What was learned of {task}", table(rows)),),
        pictures=(picture(f"Accuracy over the gap, {task}", _ACCURACY, chart, over_gap(rows)),),
    )


def _prediction(found: pd.DataFrame) -> ReportPart:
    drawn = picture("Accuracy over what is left of the gradient", _LEFT, chart, over_left(found))
    return ReportPart("Did the horizon predict it?", pictures=(drawn,))


def _within(runs: Sequence[Run], found: pd.DataFrame) -> ReportPart:
    """The gradient of the first seed at the shortest gap of the first task that it missed, or at the longest."""
    first = found[(found["task"] == found["task"].iloc[0]) & (found["seed"] == 0)]
    missed = first[~first["learned"]]
    gap = int(missed["gap"].min()) if len(missed) else int(first["gap"].max())
    shown = [
        run
        for run in runs
        if (run.manifest.task, run.manifest.config["distance"], run.manifest.seed) == (first["task"].iloc[0], gap, 0)
    ]
    reaches = [analysis.reach(run, analysis.selections(run)[0]) for run in shown]
    drawn = picture("The horizon while it learns", _HORIZON, horizon, reaches, title=False)
    return ReportPart(f"The gradient over a gap of {gap}, first seed", pictures=(drawn, *recorded(shown)))


_ACCURACY: Final = (
    "Right answers at the end of training, the mean over seeds with the lowest and the highest; a dashed line is at "
    "each network's horizon at the first step; log scale of the gap."
)
_LEFT: Final = (
    "Each point is a training: what its first step leaves of a gradient over the gap, exp(-gap / horizon), and how "
    "often it is right in the end. If the horizon decided everything, all points would lie on one curve."
)
_HORIZON: Final = "The memory horizon at each recorded step, of the networks over the same gap; log scale."

PRESETS: Final = {
    "distance": Preset(
        Distance,
        quick={
            "models": ("rnn", "gru"),
            "gaps": (2, 60),
            "sentence_gaps": (5,),
            "seeds": 1,
            "hidden": 30,
            "steps": 100,
            "lr": 0.003,
        },
        summarize=summarize,
        sweeps=sweeps,
    )
}
