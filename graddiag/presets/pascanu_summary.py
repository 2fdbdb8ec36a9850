"""What the preset pascanu says of its experiments: sentences and tables, out of what was measured."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from graddiag import analysis, schema
from graddiag.analysis import Experiment, number
from graddiag.analysis.comparison.experiment import VALIDATION_ERROR, Rate, final_value
from graddiag.analysis.optimization.loss import chance_of
from graddiag.analysis.words import plural
from graddiag.presets.pages import listed
from graddiag.run import Run

LAST: Final = 100  # steps over which the loss at the end is taken
_SELDOM: Final = 0.01  # of the steps: a threshold that hardly ever acts


def of_main(found: Experiment, length: int) -> str:
    """How many runs of each arm solved the main length, and what clipping and Omega each made of it."""
    sgd, clipped, omega = (rate.successes for rate in _rates(found, length))
    told = f"Temporal order over {length} timesteps is solved by {_counted(_rates(found, length))}."
    return f"{told} {_change('Clipping', clipped - sgd)}; {_change('Omega beside it', omega - clipped)}."


def at_length(found: Experiment, runs: Sequence[Run], length: int) -> str:
    """The same at another length, and why clipping changes nothing where it does not."""
    rates = _rates(found, length)
    here = [run for run in runs if run.manifest.config["length"] == length]
    return f"Over {length} timesteps: {_counted(rates)}. {_with_clipping(rates, here)}"


def at_low_rate(found: Experiment, runs: Sequence[Run], lr: float) -> str:
    """The same at the low learning rate."""
    rates = found.rates
    return f"At a learning rate of {lr:g}: {_counted(rates)}. {_with_clipping(rates, runs)}"


def of_task(task: str, found: Experiment, runs: Sequence[Run]) -> str:
    """How many runs of each arm solved another task, and whether a loss ended in NaN or inf."""
    told = f"The task {task}, length {found.lengths[0]}: {_counted(found.rates)}."
    lost = [run.manifest.arm for run in runs if not np.isfinite(run.steps[schema.LOSS].iloc[-1])]
    if not lost:
        return told
    return f"{told} In NaN or inf ended {listed([f'{lost.count(arm)} with {arm}' for arm in dict.fromkeys(lost)])}."


def solved_table(found: Mapping[str, Experiment]) -> pd.DataFrame:
    """A row for each task, arm and length: runs, how many solved it, and the interval of their share."""
    rows = [
        {
            "task": task,
            "arm": rate.arm,
            "length": rate.length,
            "solved": rate.successes,
            "runs": rate.runs,
            "95% interval": f"{rate.interval[0]:.0%} to {rate.interval[1]:.0%}",
        }
        for task, each in found.items()
        for rate in each.rates
    ]
    return pd.DataFrame(rows)


def task_table(found: Mapping[str, Experiment], runs: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """``solved_table``, and how far the runs came: means over seeds of steps, validation error and loss, and chance."""
    rows = []
    for rate, (task, arm) in _each_rate(found):
        own = [run for run in runs[task] if run.manifest.arm == arm]
        rows.append(
            {
                "task": task,
                "arm": arm,
                "length": rate.length,
                "solved": f"{rate.successes} of {rate.runs}",
                "steps": float(np.mean([len(run.steps) for run in own])),
                "validation error": float(np.mean([final_value(run, VALIDATION_ERROR) for run in own])),
                "loss": _end(own, schema.LOSS),
                "loss by chance": chance_of(own[0]),
            }
        )
    return pd.DataFrame(rows)


def _each_rate(found: Mapping[str, Experiment]) -> list[tuple[Rate, tuple[str, str]]]:
    return [(rate, (task, rate.arm)) for task, each in found.items() for rate in each.rates]


def _rates(found: Experiment, length: int) -> tuple[Rate, ...]:
    return tuple(rate for rate in found.rates if rate.length == length)


def _counted(rates: Sequence[Rate]) -> str:
    return listed([f"{rate.successes} of {rate.runs} with {rate.arm}" for rate in rates])


def _change(what: str, runs: int) -> str:
    if runs == 0:
        return f"{what} changes nothing"
    return f"{what} {'wins' if runs > 0 else 'loses'} {plural(abs(runs), 'run')}"


def _with_clipping(rates: Sequence[Rate], runs: Sequence[Run]) -> str:
    """What clipping made of it: won, lost, or nothing, with what its runs' gradients were like."""
    sgd, clipped = rates[0], rates[1]
    if clipped.successes != sgd.successes:
        return f"{_change('Clipping', clipped.successes - sgd.successes)}."
    if sgd.successes == sgd.runs:
        return "There is nothing for clipping to help with."
    own = [run for run in runs if run.manifest.arm == clipped.arm]
    acted, arrived = _acted(own), _arrived(own)
    often = "hardly ever acted" if acted < _SELDOM else f"acted at {acted:.0%} of the steps"
    if arrived is None:
        return f"Clipping does not help: it {often}."
    reached = f"{number(arrived)} of the gradient at the last timestep reached the first, in the median"
    return f"Clipping does not help: it {often}, and {reached}."


def _acted(runs: Sequence[Run]) -> float:
    """The share of steps at which clipping changed the gradient, over all runs."""
    return float(pd.concat([run.steps[schema.CLIP_COEFFICIENT] < 1 for run in runs]).mean())


def _arrived(runs: Sequence[Run]) -> float | None:
    """||dL/dh|| at the first timestep over the last: the median over runs of each run's median."""
    ratios = [analysis.reach(run, analysis.selections(run)[0]).ratio for run in runs]
    known = [ratio for ratio in ratios if ratio is not None]
    return float(np.median(known)) if known else None


def _end(runs: Sequence[Run], column: str) -> float:
    return float(np.mean([run.steps[column].tail(LAST).mean() for run in runs]))
