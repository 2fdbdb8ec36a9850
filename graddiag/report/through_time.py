"""The pictures of each layer and direction: the gradient on its way back through time, and the gates."""

from collections.abc import Sequence
from functools import partial

from graddiag import analysis, figures, schema
from graddiag.analysis import Selection
from graddiag.report.content import Part
from graddiag.report.pictures import Drawing, one_each, part_of
from graddiag.report.plots import Place
from graddiag.report.request import Tell
from graddiag.run import Run


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
    return [
        Drawing("heat", "Gradient at each step and timestep", heats, figures.heatmap),
        Drawing("profile", "Gradient along the sequence", profiles, figures.profile),
        Drawing("transport", "Transport gain along the sequence", reaches, figures.transport),
        Drawing("reach", "Reach over training", reaches, figures.reach),
        Drawing("weights", "Contribution of each timestep to dL/dW_hh", weights, figures.weights_in_time, True),
        Drawing("lyapunov", "Lyapunov exponents over training", exponents, figures.lyapunov_history, optional=True),
    ]


def _gates(selection: Selection, runs: Sequence[Run], shown: Sequence[Run]) -> list[Drawing]:
    gates = [analysis.gate_history(run, selection) for run in shown]
    along = [analysis.gate_profile(run, _all_steps(run, selection), selection) for run in shown]
    cells = [analysis.cell_path(run, selection) for run in runs]
    units = [analysis.gate_units(run, selection) for run in shown]
    return [
        Drawing("gates", "Gates over training", gates, figures.gates),
        Drawing("gate-profile", "Gates along the sequence", along, figures.gate_profile),
        Drawing("cell-path", "Gradient along the cell", cells, figures.cell_path, optional=True),
        Drawing("gate-units", "Saturation of each unit", units, figures.gate_units, optional=True),
    ]


def _single_steps(selection: Selection, shown: Sequence[Run], max_cells: int) -> list[Drawing]:
    """Of the last step that has it: the snapshot of each unit, and the credit of each timestep for each loss."""
    last = [(run, _all_steps(run, selection)[1]) for run in shown]
    units = [analysis.unit_heat(run, step, selection, max_cells=max_cells) for run, step in last]
    credit = [analysis.credit_matrix(run, step, selection) for run, step in last[:2]]
    return [
        *one_each("snapshot", "Gradient of each unit", units, figures.unit_heat),
        *one_each("credit", "Credit of each timestep for each loss", credit, figures.credit),
    ]


def _all_steps(run: Run, selection: Selection) -> tuple[int, int]:
    steps = analysis.recorded_steps(run, selection)
    return (int(steps[0]), int(steps[-1])) if len(steps) else (0, 0)
