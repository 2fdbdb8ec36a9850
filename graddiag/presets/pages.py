"""How a preset shows something: pictures and tables for its report."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import pandas as pd

from graddiag import analysis, figures, schema
from graddiag.report.content import ReportGrid
from graddiag.report.plots import FigurePlace, Picture
from graddiag.run import Run
from graddiag.store import slug
from graddiag.views import view
from graddiag.views.table import table_of, to_csv

R = TypeVar("R")


def picture(title: str, caption: str, draw: Callable[..., Any], /, *results: Any, **how: Any) -> Picture:
    """``draw(*results, theme=..., **how)`` with a title above it and one sentence below that says what to see.

    The title is unique within a report: it names the figure's file.
    """
    place = FigurePlace(slug(title, fallback="figure"), "figure")
    return Picture(place, title, (caption,), partial(draw, *results, **how), lambda: to_csv(table_of(*results)))


def recorded(runs: Sequence[Run]) -> tuple[Picture, ...]:
    """What most presets show of their runs: the norm before and after clipping, and where in the sequence the gradient
    is large, a picture a layer with a panel a run."""
    norms = [analysis.norm_history(run) for run in runs]
    found = [picture(view("norms").title, _NORM, figures.norms, norms, title=False)]
    for selection in analysis.common_selections(runs):
        heats = [analysis.heat(run, schema.GRAD_H, selection, max_cells=_CELLS // len(runs)) for run in runs]
        name = f"Gradient through time, {selection.label}"
        found.append(picture(name, _TIME, figures.heatmap, heats, title=False))
    return tuple(found)


def folders(runs: Sequence[Run]) -> tuple[Path, ...]:
    """Where the runs lie."""
    return tuple(run.path for run in runs if run.path is not None)


def grid(caption: str, frame: pd.DataFrame) -> ReportGrid:
    """A table with numbers as people write them; the first column names the row."""
    return ReportGrid.of(caption, frame)


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


_CELLS: Final = 20_000  # of all panels of a heatmap together
_NORM: Final = "The norm of all gradients together at each step, before clipping above and after it below; log scale."
_TIME: Final = "How large dL/dh is at each timestep, from step to step, before clipping; log scale."
