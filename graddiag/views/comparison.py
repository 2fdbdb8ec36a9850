"""Views of several runs together: effects, bands over seeds, and the runs of an experiment."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd
import plotly.graph_objects as go

from graddiag import analysis, figures, schema
from graddiag.analysis import Bands, Comparison, Experiment, number
from graddiag.figures.bands_figure import bands_title
from graddiag.figures.effects_figure import EFFECTS_TITLE
from graddiag.figures.experiment import MULTIPLES_TITLE, SUCCESS_TITLE
from graddiag.figures.parallel_figure import PARALLEL_TITLE
from graddiag.views.declaration import View, ViewContext, always

_EFFECTS: Final = (
    "Each point is a pair of runs of one seed, the diamond the median difference and the bar its interval, given for "
    "five or more pairs. Where the bar crosses 0, the difference is not significantly different from 0."
)


def _log_bands(found: Bands, *, theme: Any, title: bool) -> go.Figure:
    return figures.bands(found, theme=theme, title=title, log=True)


def _scalar(name: str) -> Any:
    return lambda context: {"name": name}


def _several_runs_an_arm(found: Bands) -> bool:
    return found.missing is None and any(band.runs.max(initial=0) > 1 for band in found.bands)


def _has_effects(found: Comparison) -> bool:
    return found.missing is None and any(each.n for each in found.effects)


def _goal(context: ViewContext) -> Mapping[str, Any]:
    return {"goal": context.goal}


def _rates(found: Experiment) -> pd.DataFrame:
    """A row an arm and length: how many runs succeeded, with the 95% interval of the rate."""
    rows = [(each.arm, each.length, each.successes, each.runs, *each.interval) for each in found.rates]
    return pd.DataFrame(rows, columns=["arm", "length", "successes", "runs", "low", "high"])


def _courses(found: Experiment) -> pd.DataFrame:
    """A row a point of the curve of a run."""
    rows = [
        (each.source.run, each.source.arm_label, each.source.seed, each.length, step, value)
        for each in found.members
        for step, value in zip(each.steps, each.values, strict=True)
    ]
    return pd.DataFrame(rows, columns=["run", "arm", "seed", "length", schema.STEP, found.goal.name])


def _every_run(results: Sequence[Experiment]) -> Sequence[str]:
    (found,) = results
    broken = sum(each.nonfinite > 0 for each in found.members)
    lost = f" In {broken} of them some steps are NaN or inf: their lines have gaps." if broken else ""
    return [f"One line per run; the dotted line is the goal, {number(found.goal.below)}.{lost}"]


def _across(results: Sequence[Experiment]) -> Sequence[str]:
    (found,) = results
    same = ", ".join(f"{name} {value}" for name, value in found.shared.items())
    left_out = f" The same in all runs and left out: {same}." if same else ""
    won = {each.success for each in found.members}
    dots = " A full dot is a run that succeeded, a ring one that did not." if len(won) > 1 else ""
    result = "its result; the largest norm is that before clipping"
    return [f"One line per run, from its settings to {result}.{dots}{left_out}"]


VIEWS: Final = (
    View(
        "effects", EFFECTS_TITLE, "comparison", analysis.compare, figures.effects, "experiment",
        shown=_has_effects, caption=lambda found: [_EFFECTS], optional=True,
    ),
    View(
        "loss-bands", bands_title(schema.LOSS), "comparison", analysis.bands, figures.bands, "experiment",
        arguments=_scalar(schema.LOSS), shown=_several_runs_an_arm, optional=True, half=True,
    ),
    View(
        "norm-bands", bands_title(schema.GRAD_NORM), "comparison", analysis.bands, _log_bands, "experiment",
        arguments=_scalar(schema.GRAD_NORM), shown=_several_runs_an_arm, optional=True, half=True,
    ),
    View(
        "success", SUCCESS_TITLE, "experiment", analysis.experiment, figures.success, "experiment",
        arguments=_goal, shown=always, frame=_rates,
    ),
    View(
        "multiples", MULTIPLES_TITLE, "experiment", analysis.experiment, figures.multiples, "experiment",
        arguments=_goal, shown=always, caption=_every_run, frame=_courses,
    ),
    View(
        "parallel", PARALLEL_TITLE, "experiment", analysis.experiment, figures.parallel, "experiment",
        arguments=_goal, shown=always, caption=_across,
    ),
)  # fmt: skip
