"""The pictures of a report: the views of its runs, as the dashboard draws them, or the sentence why there are none."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

from graddiag import analysis
from graddiag.analysis import Selection
from graddiag.report.content import ReportPart
from graddiag.report.plots import FigurePlace, Picture
from graddiag.report.request import OnProgress
from graddiag.run import Run
from graddiag.views import VIEWS, Plot, View, ViewContext, ViewSection

DIGITS: Final = 5  # of numbers in the tables of a report; an export of the run has all of them
_RUN_PARTS: Final[tuple[tuple[ViewSection, str], ...]] = (
    ("training", "Training"),
    ("health", "Health"),
    ("clipping", "Clipping"),
    ("weights", "Recurrent weights"),
)


def run_parts(
    chapter: str, runs: Sequence[Run], shown: Sequence[Run], on_progress: OnProgress
) -> tuple[ReportPart, ...]:
    """A part for each section of views of whole runs. Views of few runs are of the runs ``shown`` alone."""
    on_progress(
        f"drawing the training of {len(runs)} runs" if len(runs) > 1 else f"drawing the training of {runs[0].name}"
    )
    context = ViewContext(step=_all_steps(runs, None))
    parts = []
    for section, heading in _RUN_PARTS:
        views = [each for each in VIEWS if each.section == section and each.scope == "run"]
        parts.append(_part(heading, _plots(views, runs, shown, context), chapter))
    return tuple(part for part in parts if part.pictures or part.sentences)


def layer_parts(
    chapter: str, runs: Sequence[Run], shown: Sequence[Run], max_cells: int, on_progress: OnProgress
) -> tuple[ReportPart, ...]:
    """A part for each layer and direction of the runs; a heatmap is binned to ``max_cells`` cells."""
    found = analysis.common_selections(runs)
    if found:
        layers = [(selection, runs, shown) for selection in found]
    else:
        layers = [(selection, [run], [run]) for run in shown for selection in analysis.selections(run)]
    views = [each for each in VIEWS if each.scope in ("layer", "pair")]
    parts = []
    for number, (selection, each, few) in enumerate(layers):
        on_progress(f"drawing {selection.label}")
        context = ViewContext(
            selection=selection, step=_all_steps(each, selection), max_cells=max_cells, snapshot_cells=max_cells // 2
        )
        parts.append(
            _part(f"Through time: {selection.label}", _plots(views, each, few, context), chapter, number, selection)
        )
    return tuple(parts)


def comparison_pictures(chapter: str, runs: Sequence[Run]) -> tuple[Picture, ...]:
    """The views of the runs against each other."""
    views = [each for each in VIEWS if each.section == "comparison"]
    return _part("", _plots(views, runs, runs, ViewContext()), chapter).pictures


def _plots(
    views: Iterable[View], runs: Sequence[Run], shown: Sequence[Run], context: ViewContext
) -> list[tuple[str, bool, Plot]]:
    """Each plot with its name (the view's key, numbered where each run has its own), and whether it is a detail."""
    plots = []
    for view in views:
        found = view.plots(shown if view.few_runs else runs, context)
        for number, plot in enumerate(found, start=1):
            plots.append((f"{view.key}-{number}" if view.separate else view.key, view.detail, plot))
    return plots


def _part(
    heading: str, plots: Iterable[tuple[str, bool, Plot]], chapter: str, number: int = 0, layer: Selection | None = None
) -> ReportPart:
    """Pictures of what was measured; for the rest the sentence that says what is missing."""
    pictures: list[Picture] = []
    missing: list[str] = []
    place = partial(FigurePlace, chapter, layer=None if layer is None else layer.label, number=number)
    for name, detail, plot in plots:
        if plot.missing is None:
            csv = partial(plot.csv, DIGITS)
            pictures.append(Picture(place(name), plot.title, plot.captions, plot.figure, csv, detail))
        else:
            missing.append(f"{plot.title}: {plot.missing}")
    return ReportPart(heading, tuple(missing), pictures=tuple(pictures))


def _all_steps(runs: Sequence[Run], selection: Selection | None) -> tuple[int, int]:
    """The first and the last recorded step of all runs."""
    recorded = [steps for run in runs if len(steps := analysis.recorded_steps(run, selection))]
    if not recorded:
        return (0, 0)
    return (min(int(steps[0]) for steps in recorded), max(int(steps[-1]) for steps in recorded))
