"""The pictures of each layer and direction: the gradient on its way back through time, and the gates."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from graddiag import analysis, figures, schema
from graddiag.analysis import Reach, Selection
from graddiag.report.content import Part
from graddiag.report.pictures import Drawing, one_each, part_of
from graddiag.report.plots import Place
from graddiag.report.request import Tell
from graddiag.run import Run

_REACH: Final = (
    "Above, the mean gain of one step back through time (1 keeps the gradient's size); below, how much of the gradient "
    "at the last timestep there is at the first: what falls there is out of reach."
)
_HORIZON: Final = (
    "The number of timesteps over which the gradient falls to 1/e: where the line lies below the length of the "
    "sequence, what came earlier hardly counts."
)
_TEACHING: Final = (
    "Above, the number of timesteps that share the teaching of the recurrent weight evenly or as good as; below, what "
    "is left of the lengths of their contributions when they are summed (1: all pull the same way)."
)
_ONE_SCALE: Final = "The colour scale is the same for all runs."


def time_parts(chapter: str, runs: Sequence[Run], shown: Sequence[Run], max_cells: int, tell: Tell) -> tuple[Part, ...]:
    """A part for each layer and direction of the runs.

    Heatmaps, gates and single steps are of the runs ``shown`` alone; a heatmap is binned to ``max_cells`` cells.
    """
    found = analysis.common_selections(runs)
    if found:
        places = [(selection, runs, shown) for selection in found]
    else:
        places = [(selection, [run], [run]) for run in shown for selection in analysis.selections(run)]
    parts = []
    for number, (selection, each, few) in enumerate(places):
        tell(f"drawing {selection.label}")
        drawings = [
            *_through_time(selection, each, few, max_cells),
            *_gates(selection, each, few),
            *_single_steps(selection, few, max_cells),
        ]
        at = partial(Place, chapter, layer=selection.label, number=number)
        parts.append(part_of(f"Through time: {selection.label}", drawings, at))
    return tuple(parts)


def _through_time(selection: Selection, runs: Sequence[Run], shown: Sequence[Run], max_cells: int) -> list[Drawing]:
    heats = [analysis.heat(run, schema.GRAD_H, selection, max_cells=max_cells) for run in shown]
    reaches = [analysis.reach(run, selection) for run in runs]
    profiles = [analysis.profile(run, _all_steps(run, selection), selection) for run in runs]
    weights = [analysis.weights_in_time(run, selection) for run in runs]
    exponents = [analysis.lyapunov_history(run, selection) for run in runs]
    cuts = [(run, found) for run in runs if (found := analysis.truncation(run, selection)).missing is None]
    cuts = cuts if any(found.found for _, found in cuts) else []
    ends = analysis.captions([found for _, found in cuts])
    along = [analysis.profile(run, _all_steps(run, selection), selection) for run, _ in cuts]
    omegas = [analysis.omega(run, selection) for run in runs if run.manifest.config.get("omega")]

    def cut(held: Sequence[Any], **how: Any) -> Any:
        return figures.truncation(held, along, **how)

    return [
        Drawing("heat", "Gradient at each step and timestep", heats, figures.heatmap),
        Drawing("profile", "Gradient along the sequence", profiles, figures.profile),
        Drawing("transport", "Transport gain along the sequence", reaches, figures.transport),
        Drawing("reach", "Reach over training", reaches, figures.reach, words=[_REACH]),
        Drawing("horizon", "Memory horizon over training", reaches, figures.horizon, words=_covered(reaches)),
        Drawing("truncation", "Where back-propagation ends", [each for _, each in cuts], cut, True, ends),
        Drawing("weights", "Contribution of each timestep to dL/dW_hh", weights, figures.weights_in_time, True),
        Drawing("lyapunov", "Lyapunov exponents over training", exponents, figures.lyapunov_history, optional=True),
        Drawing("teaching", "How many timesteps teach", weights, figures.teaching, True, [_TEACHING]),
        Drawing("omega", "Omega, the cost of vanishing", omegas, figures.omega, optional=True),
    ]


def _gates(selection: Selection, runs: Sequence[Run], shown: Sequence[Run]) -> list[Drawing]:
    gates = [analysis.gate_history(run, selection) for run in shown]
    along = [analysis.gate_profile(run, _all_steps(run, selection), selection) for run in shown]
    cells = [analysis.cell_path(run, selection) for run in runs]
    constants = [analysis.time_constants(run, selection) for run in runs]
    units = [analysis.gate_units(run, selection) for run in shown]
    dead = [found for run in shown if len((found := analysis.dead_units(run, selection)).dead)]
    return [
        Drawing("gates", "Gates over training", gates, figures.gates),
        Drawing("gate-profile", "Gates along the sequence", along, figures.gate_profile),
        Drawing("cell-path", "Gradient along the cell", cells, figures.cell_path, optional=True),
        Drawing("time-constants", "Time constants of the cells", constants, figures.time_constants, optional=True),
        Drawing("gate-units", "Saturation of each unit", units, figures.gate_units, optional=True),
        Drawing("dead-units", "Dead units", dead, figures.dead_units, optional=True),
    ]


def _single_steps(selection: Selection, shown: Sequence[Run], max_cells: int) -> list[Drawing]:
    """Of the last step that has it: the snapshot of each unit, and the credit of each timestep for each loss."""
    last = [(run, _all_steps(run, selection)[1]) for run in shown]
    units = [analysis.unit_heat(run, step, selection, max_cells=max_cells // 2) for run, step in last]
    credit = [analysis.credit_matrix(run, step, selection) for run, step in last[:2]]
    draw_credit = partial(figures.credit, most=min(240, math.isqrt(max_cells // 4)))
    return [
        *_alike("snapshot", "Gradient of each unit", units, figures.unit_heat),
        *_alike("credit", "Credit of each timestep for each loss", credit, draw_credit),
    ]


def _alike(name: str, title: str, results: Sequence[Any], draw: Callable[..., Any]) -> list[Drawing]:
    """A drawing for each result, all on one colour scale."""
    words = [_ONE_SCALE] if sum(each.missing is None for each in results) > 1 else []
    return one_each(name, title, results, draw, *words, limits=figures.limits_of(results))


def _covered(reaches: Sequence[Reach]) -> list[str]:
    """Whether each horizon covers the sequence and the task, as far as it is known."""
    return list(analysis.horizon_captions(reaches)) or [_HORIZON]


def _all_steps(run: Run, selection: Selection) -> tuple[int, int]:
    steps = analysis.recorded_steps(run, selection)
    return (int(steps[0]), int(steps[-1])) if len(steps) else (0, 0)
