"""The pictures of a chapter: results of analyses, drawn as the dashboard draws them."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from graddiag import analysis, figures, schema
from graddiag.analysis import Selection
from graddiag.report.content import Part
from graddiag.report.plots import Picture, picture
from graddiag.run import Run


def training_part(id: str, runs: Sequence[Run]) -> Part:
    """Loss and gradient norms over the steps, all runs in one picture each."""
    norms = [analysis.norm_history(run) for run in runs]
    drawn = (
        (f"{id}-loss", "Loss", [analysis.loss_curve(run) for run in runs], figures.curves),
        (f"{id}-norms", "Gradient norm before and after clipping", norms, figures.norms),
        (f"{id}-coefficient", "Clip coefficient", norms, figures.clip_coefficient),
    )
    return _part("Training", drawn)


def time_parts(id: str, runs: Sequence[Run], shown: Sequence[Run], max_cells: int) -> tuple[Part, ...]:
    """For each layer and direction of the runs: the gradient through time, and the gates.

    Heatmaps are of the runs ``shown`` alone, binned to ``max_cells`` cells each.
    """
    found = analysis.common_selections(runs)
    if found:
        places = [(selection, runs, shown) for selection in found]
    else:
        places = [(selection, [run], [run]) for run in shown for selection in analysis.selections(run)]
    return tuple(
        _time_part(f"{id}-{number}", selection, each, few, max_cells)
        for number, (selection, each, few) in enumerate(places)
    )


def _time_part(id: str, selection: Selection, runs: Sequence[Run], shown: Sequence[Run], max_cells: int) -> Part:
    heats = [analysis.heat(run, schema.GRAD_H, selection, max_cells=max_cells) for run in shown]
    reaches = [analysis.reach(run, selection) for run in runs]
    profiles = [analysis.profile(run, _all_steps(run, selection), selection) for run in runs]
    gates = [analysis.gate_history(run, selection) for run in shown]
    along = [analysis.gate_profile(run, _all_steps(run, selection), selection) for run in shown]
    drawn = (
        (f"{id}-heat", "Gradient at each step and timestep", heats, figures.heatmap),
        (f"{id}-profile", "Gradient along the sequence", profiles, figures.profile),
        (f"{id}-transport", "Transport gain along the sequence", reaches, figures.transport),
        (f"{id}-reach", "Reach over training", reaches, figures.reach),
        (f"{id}-gates", "Gates over training", gates, figures.gates),
        (f"{id}-gate-profile", "Gates along the sequence", along, figures.gate_profile),
    )
    return _part(f"Through time: {selection.label}", drawn)


def _all_steps(run: Run, selection: Selection) -> tuple[int, int]:
    steps = analysis.recorded_steps(run, selection)
    return (int(steps[0]), int(steps[-1])) if len(steps) else (0, 0)


def _part(heading: str, drawn: Iterable[tuple[str, str, Sequence[Any], Callable[..., Any]]]) -> Part:
    """Pictures of the results that hold something; for the others the sentence that says what is missing.

    A caption that stands under an earlier picture already, of the same result, is not repeated.
    """
    pictures: list[Picture] = []
    missing: list[str] = []
    said: set[str] = set()
    for id, title, results, draw in drawn:
        held = [result for result in results if result.missing is None]
        if held:
            captions = [result.caption for result in held if result.caption not in said]
            said.update(captions)
            pictures.append(picture(id, title, captions, partial(draw, held, title=False)))
        else:
            missing.extend(f"{title}: {result.missing}" for result in results[:1])
    return Part(heading, tuple(missing), pictures=tuple(pictures))
