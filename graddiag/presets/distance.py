"""distance: over which gap each kind of network learns, and whether its memory horizon foretold it.

A symbol is to be said again after a gap of noise (recall), and a word is asked late that only an early one tells
(cloze: "the clouds are in the sky", "I grew up in France ... I speak fluent French"). The memory horizon is measured at
the first step, before anything is learned: -1 / (mean ln transport gain), the timesteps after which 1/e of a gradient
is left.

Sources: Hochreiter (1991); Bengio, Simard & Frasconi (1994); Olah (2015) for the sentences.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from graddiag import analysis
from graddiag.analysis import number
from graddiag.figures.chart import Axis, Chart, Curve, chart
from graddiag.lab.sweeps import SweepSpec, sweep_spec
from graddiag.presets.bench import Bench
from graddiag.presets.pages import folders, grid, picture, recorded
from graddiag.presets.preset import Preset, Settings, Told
from graddiag.report.content import Part
from graddiag.run import Run

SOLVED: Final = 0.05  # the share of wrong answers, in the mean over the last batches, up to which a gap is learned
LAST: Final = 50

Model = Literal["rnn", "gru", "lstm"]


class Distance(Settings):
    models: tuple[Model, ...] = Field(("rnn", "gru", "lstm"), min_length=1, description="Kinds of network.")
    gaps: tuple[int, ...] = Field((2, 5, 10, 20, 50, 100, 200), description="Gaps of the recall task, in timesteps.")
    sentence_gaps: tuple[int, ...] = Field((5, 20, 60), description="Gaps of the cloze task, 3 or more.")
    hidden: int = Field(50, ge=1, description="Units of the recurrent layer.")
    steps: int = Field(600, ge=100, description="Steps of a training, unless the task is solved before.")
    lr: float = Field(0.003, gt=0, description="Learning rate of Adam.")
    forget_bias: float = Field(2.0, description="Bias of the gate that keeps the state of LSTM and GRU, at the start.")
    clip: float = Field(1.0, gt=0, description="Threshold of the norm.")
    seeds: int = Field(1, ge=1, description="Seeds of every training.")


def sweeps(settings: Distance) -> Sequence[SweepSpec]:
    """Every kind of network over every gap, for the two tasks."""
    arms = {model: _arm(model, settings) for model in settings.models}
    given = {
        "hidden": settings.hidden,
        "steps": settings.steps,
        "until_error": 0.02,
        "optimizer": "adam",
        "lr": settings.lr,
        "clip": f"norm:{settings.clip!r}",
        "every": max(1, settings.steps // 20),
    }
    asked = (("recall", settings.gaps), ("cloze", settings.sentence_gaps))
    return tuple(
        sweep_spec(
            {
                "name": f"lab-distance-{task}",
                "task": task,
                "model": settings.models[0],
                "settings": given,
                "arms": arms,
                "seeds": list(range(settings.seeds)),
                "lengths": list(gaps),
            }
        )
        for task, gaps in asked
        if gaps
    )


def _arm(model: str, settings: Distance) -> dict[str, Any]:
    return {"model": model} if model == "rnn" else {"model": model, "forget_bias": settings.forget_bias}


def tell(settings: Distance, bench: Bench) -> Told:
    """Trains all of it, and tells how far each network learned, and how well its first horizon foretold that."""
    specs = [
        spec.model_copy(update={"name": bench.named(spec.name.removeprefix("lab-distance-"))})
        for spec in sweeps(settings)
    ]
    runs = bench.sweep(specs)
    found = outcomes(runs)
    seen = [_farthest(found, task) for task in dict.fromkeys(found["task"])]
    seen.append(_foretold(found))
    parts = [
        Part(
            f"The task {task}",
            tables=(grid(f"What was learned of {task}", _table(found[found["task"] == task])),),
            pictures=(picture(f"Wrong answers over the gap, {task}", _WRONG, chart, _over_gap(found, task)),),
        )
        for task in dict.fromkeys(found["task"])
    ]
    parts.append(
        Part("Did the horizon foretell it?", pictures=(picture("Horizons to cover", _COVER, chart, _covered(found)),))
    )
    longest = max(found["gap"][found["task"] == found["task"].iloc[0]])
    shown = [run for run in runs if run.manifest.config.get("distance") == longest and run.manifest.seed == 0]
    parts.append(Part("The gradient at the longest gap", pictures=recorded(shown)))
    return Told(tuple(seen), tuple(parts), folders(runs))


def outcomes(runs: Sequence[Run]) -> pd.DataFrame:
    """A row a run: task, network, gap, seed, share of wrong answers at the end, steps, and of the first recorded step
    the horizon in timesteps and ||dL/dh|| at the first timestep over the last."""
    rows = []
    for run in runs:
        reach = analysis.reach(run, analysis.selections(run)[0])
        config, wrong = run.manifest.config, run.steps["error"].tail(LAST).mean()
        rows.append(
            {
                "task": run.manifest.task,
                "network": run.manifest.arm,
                "gap": int(config["distance"]),
                "seed": run.manifest.seed,
                "wrong at the end": float(wrong),
                "steps": len(run.steps),
                "horizon at the start": _first(reach.horizon_by_step),
                "arrives at the start": _first(reach.ratio_by_step),
            }
        )
    return pd.DataFrame(rows)


def _first(values: np.ndarray) -> float:
    return float(values[0]) if len(values) else float("nan")


def _farthest(found: pd.DataFrame, task: str) -> str:
    told = []
    for network, rows in found[found["task"] == task].groupby("network", sort=False):
        share = rows.groupby("gap")["wrong at the end"].max()
        solved = share[share <= SOLVED]
        missed = share[share > SOLVED]
        so_far = f"{solved.index.max()} timesteps" if len(solved) else "none of the gaps"
        stops = f", first fails at {missed.index.min()}" if len(missed) else ", the longest that was tried"
        told.append(f"{network} learns {so_far}{stops}")
    return f"{task}: {'; '.join(told)}."


def _foretold(found: pd.DataFrame) -> str:
    """How well one cut through gap / horizon parts the runs that solved their task from those that did not."""
    known = found.dropna(subset="horizon at the start")
    cover, solved = (known["gap"] / known["horizon at the start"]).to_numpy(), _solved(known)
    if solved.all() or not solved.any():
        return "Whether the horizon foretold it cannot be said: all trainings ended alike."
    cuts = np.sort(cover)
    right = [int(((cover <= cut) == solved).sum()) for cut in cuts]
    best = int(np.argmax(right))
    return (
        f"Measured at the first step, before anything was learned, a gap of up to {number(float(cuts[best]))} horizons "
        f"against a longer one tells solved from unsolved in {right[best]} of {len(known)} trainings; the more common "
        f"outcome alone is {int(max(solved.sum(), len(solved) - solved.sum()))} of {len(known)}."
    )


def _solved(found: pd.DataFrame) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    return (found["wrong at the end"] <= SOLVED).to_numpy()


def _table(found: pd.DataFrame) -> pd.DataFrame:
    return found.drop(columns="task")[["network", "gap", "wrong at the end", "steps", *_FIRST]]


def _over_gap(found: pd.DataFrame, task: str) -> Chart:
    curves = []
    for network, rows in found[found["task"] == task].groupby("network", sort=False):
        mean = rows.groupby("gap")["wrong at the end"].mean()
        curves.append(Curve(str(network), mean.index.to_numpy(), mean.to_numpy(), mode="lines+markers"))
    axis = Axis("gap, timesteps", log=True)
    return Chart(axis, Axis("share of wrong answers", limits=(-0.03, 1.0)), tuple(curves), ((SOLVED, "solved"),))


def _covered(found: pd.DataFrame) -> Chart:
    curves = []
    for network, rows in found.groupby("network", sort=False):
        cover = (rows["gap"] / rows["horizon at the start"]).to_numpy()
        texts = tuple(f"{task}, gap {gap}" for task, gap in zip(rows["task"], rows["gap"], strict=True))
        curves.append(Curve(str(network), cover, rows["wrong at the end"].to_numpy(), mode="markers", texts=texts))
    x = Axis("gap over the horizon at the first step", log=True)
    return Chart(x, Axis("share of wrong answers", limits=(-0.03, 1.0)), tuple(curves), ((SOLVED, "solved"),))


_FIRST: Final = ["horizon at the start", "arrives at the start"]
_WRONG: Final = "Below the dotted line a gap is learned; log scale of the gap."
_COVER: Final = "Each point is a training: how many horizons its gap was when it started, and how wrong it ended."

PRESETS: Final = {
    "distance": Preset(
        Distance,
        quick={"models": ("rnn", "gru"), "gaps": (2, 60), "sentence_gaps": (5,), "hidden": 30, "steps": 150},
        tell=tell,
        sweeps=sweeps,
    )
}
