"""remedies: what each remedy does for a task whose gradient vanishes, and for one whose gradient explodes.

A plain RNN fails at both. On recall its gradient vanishes: the first symbol is asked after a gap. On text with a high
learning rate its gradient explodes. Every arm changes that training by one remedy, from the same seeds: initialization,
a term of the loss, connections, the cell, or for the second task the clip policy. The table has the share of runs
that succeed with its interval, the horizon at the first step and at the end, and what a step costs.

Sources: those of the remedies, in docs/lab.md; Clopper & Pearson (1934) for the intervals.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from pydantic import Field

from graddiag import analysis, schema
from graddiag.analysis import Experiment, Goal, experiment
from graddiag.analysis.words import plural
from graddiag.figures import multiples, success
from graddiag.lab.sweeps import SweepSpec, sweep_spec
from graddiag.presets.bench import Bench
from graddiag.presets.pages import folders, grid, listed, picture
from graddiag.presets.preset import Preset, PresetSummary, Settings
from graddiag.report.content import ReportPart
from graddiag.run import Run

BASELINE: Final = schema.BASELINE_ARM
UNTIL: Final = 0.05
ENOUGH: Final = 5
VANISHING: Final = "vanishing"
EXPLODING: Final = "exploding"

_FAR: Final[Mapping[str, Mapping[str, Any]]] = {
    BASELINE: {},
    "Omega": {"omega": 2.0},
    "orthogonal initialization": {"init": "orthogonal"},
    "IRNN": {"init": "identity", "nonlinearity": "relu"},
    "residual": {"residual": True},
    "LSTM": {"model": "lstm"},
    "LSTM, chrono": {"model": "lstm", "init": "chrono"},
    "GRU": {"model": "gru"},
    "minGRU": {"model": "mingru"},
    "orthogonal RNN": {"model": "orthogonal"},
    "coRNN": {"model": "cornn"},
}
_WILD: Final[Mapping[str, Mapping[str, Any]]] = {
    BASELINE: {},
    "clip norm:0.5": {"clip": "norm:0.5"},
    "clip value:0.05": {"clip": "value:0.05"},
    "clip auto:10": {"clip": "auto:10"},
    "clip zclip": {"clip": "zclip"},
    "clip agc:0.01": {"clip": "agc:0.01"},
    "a tenth of the rate": {},
    "LSTM": {"model": "lstm"},
}


class Remedies(Settings):
    """Sizes of the default: 55 trainings of recall, 40 of text."""

    seeds: int = Field(5, ge=1, description="Seeds of every arm.")
    gap: int = Field(40, ge=1, description="Gap of recall, timesteps.")
    steps: int = Field(300, ge=1, description="Steps of a training of recall, unless it has solved the task before.")
    lr: float = Field(0.003, gt=0, description="Learning rate of Adam on recall, in every arm.")
    hidden: int = Field(32, ge=1, description="Units of the recurrent layer.")
    text_steps: int = Field(100, ge=1, description="Steps of a training of text.")
    text_lr: float = Field(5.0, gt=0, description="Learning rate of SGD on text.")
    below: float = Field(2.0, gt=0, description="A run on text succeeds with a loss of at most this in the end.")


def sweeps(settings: Remedies) -> Sequence[SweepSpec]:
    """Recall with the remedies for a gradient that vanishes; text with those for one that explodes."""
    recall = {
        "hidden": settings.hidden,
        "steps": settings.steps,
        "optimizer": "adam",
        "lr": settings.lr,
        "clip": "norm:1.0",
        "until_error": UNTIL,
        "every": max(1, settings.steps // 10),
    }
    text = {
        "hidden": settings.hidden,
        "steps": settings.text_steps,
        "lr": settings.text_lr,
        "every": max(1, settings.text_steps // 10),
    }
    wild = {**_WILD, "a tenth of the rate": {"lr": settings.text_lr / 10}}
    return (
        _spec(VANISHING, "recall", {"settings": recall, "arms": _FAR, "lengths": [settings.gap]}, settings.seeds),
        _spec(EXPLODING, "text", {"settings": text, "arms": wild}, settings.seeds),
    )


def _spec(name: str, task: str, given: Mapping[str, Any], seeds: int) -> SweepSpec:
    about = {"name": f"lab-remedies-{name}", "task": task, "model": "rnn", "seeds": list(range(seeds))}
    return sweep_spec({**about, **given})


def summarize(settings: Remedies, bench: Bench) -> PresetSummary:
    """Trains all of it, and tells which remedies let how many runs succeed."""
    specs = dict(zip((VANISHING, EXPLODING), sweeps(settings), strict=True))
    runs = bench.sweep([spec.model_copy(update={"name": bench.named(name)}) for name, spec in specs.items()])
    goals = {VANISHING: Goal("error", UNTIL), EXPLODING: Goal(schema.LOSS, settings.below)}
    seen, parts = [], []
    for name in specs:
        own = tuple(run for run in runs if run.manifest.experiment == bench.named(name))
        found = experiment(own, goals[name])
        seen.append(_told(name, found))
        parts.append(_part(name, found, remedy_table(found, own)))
    if settings.seeds < ENOUGH:
        seen.append(
            f"This size compares no remedies: {plural(settings.seeds, 'seed')} of each, where {ENOUGH} are few."
        )
    return PresetSummary(tuple(seen), tuple(parts), folders(runs))


def remedy_table(found: Experiment, runs: Sequence[Run]) -> pd.DataFrame:
    """A row for each arm: runs that succeeded, the 95% interval of their share, and medians over seeds: steps until the
    end, the horizon in timesteps at the first recorded step and at the last, and the time of a step against that of the
    baseline. inf: the gradient does not fade; NaN: no gain was measured."""
    cost = {arm: float(np.median([_seconds(run) for run in _of(runs, arm)])) for arm in found.arms}
    rows = []
    for rate in found.rates:
        own = _of(runs, rate.arm)
        horizons = np.array([_horizons(run) for run in own])
        rows.append(
            {
                "arm": rate.arm,
                "succeeded": f"{rate.successes} of {rate.runs}",
                "95% interval": f"{rate.interval[0]:.0%} to {rate.interval[1]:.0%}",
                "steps": float(np.median([len(run.steps) for run in own])),
                "horizon at the start": float(np.median(horizons[:, 0])),
                "at the end": float(np.median(horizons[:, 1])),
                "time of a step": cost[rate.arm] / cost[found.arms[0]],
            }
        )
    return pd.DataFrame(rows)


def _of(runs: Sequence[Run], arm: str) -> list[Run]:
    return [run for run in runs if run.manifest.arm == arm]


def _seconds(run: Run) -> float:
    """The median time between two steps, of which few are recorded; NaN of a run of one step."""
    between = run.steps[schema.WALL_TIME].diff().dropna()
    return float(between.median()) if len(between) else float("nan")


def _horizons(run: Run) -> tuple[float, float]:
    """The memory horizon at the first and at the last recorded step."""
    found = analysis.reach(run, analysis.selections(run)[0]).horizon_by_step
    return (float(found[0]), float(found[-1])) if len(found) else (np.nan, np.nan)


def _told(name: str, found: Experiment) -> str:
    baseline, *others = found.rates
    which = "recall, where the gradient vanishes" if name == VANISHING else "text, where the gradient explodes"
    rest = [each.arm for each in others if each.successes <= baseline.successes]
    told = f"On {which}, the plain RNN succeeds in {baseline.successes} of {baseline.runs} runs."
    more = [f"{each.arm} ({each.successes})" for each in others if each.arm not in rest]
    helped = f" More runs succeed with {listed(more)}." if more else " No remedy lets more runs succeed."
    return told + helped + (f" No more do with {listed(rest)}." if rest and more else "")


def _part(name: str, found: Experiment, table: pd.DataFrame) -> ReportPart:
    return ReportPart(
        f"The {name} gradient",
        tables=(grid(f"Remedies for the {name} gradient", table),),
        pictures=(
            picture(f"Success by remedy, {name}", _SUCCESS, success, found, title=False),
            picture(f"Every run, {name}", _COURSES, multiples, found, title=False),
        ),
    )


_SUCCESS: Final = "The share of seeds that succeed with each remedy, with its 95% interval."
_COURSES: Final = "Each line is a run; it succeeds where it ends below the dotted line."

PRESETS: Final = {
    "remedies": Preset(
        Remedies,
        quick={"seeds": 1, "gap": 10, "steps": 15, "hidden": 8, "text_steps": 10},
        summarize=summarize,
        sweeps=sweeps,
    )
}
