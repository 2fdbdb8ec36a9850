"""Views of one layer: its gates, its cells, its units."""

from collections.abc import Mapping
from typing import Any, Final

from graddiag import analysis, figures
from graddiag.figures.cell import CELL_PATH_TITLE, TIME_CONSTANTS_TITLE
from graddiag.figures.dead import DEAD_UNITS_TITLE
from graddiag.figures.gates_figure import GATE_PROFILE_TITLE, GATES_TITLE
from graddiag.figures.units import GATE_UNITS_TITLE
from graddiag.views.declaration import View, ViewContext


def _at_step(context: ViewContext) -> Mapping[str, Any]:
    return {"step": context.step, "selection": context.selection}


VIEWS: Final = (
    View(
        "gates", GATES_TITLE, "gates", analysis.gate_history, figures.gates, "layer", few_runs=True, half=True,
    ),
    View(
        "gate-profile", GATE_PROFILE_TITLE, "gates", analysis.gate_profile, figures.gate_profile, "layer",
        arguments=_at_step, few_runs=True, at_step=True, half=True, detail=True,
    ),
    View(
        "cell-path", CELL_PATH_TITLE, "gates", analysis.cell_path, figures.cell_path, "layer",
        optional=True, detail=True,
    ),
    View(
        "time-constants", TIME_CONSTANTS_TITLE, "gates", analysis.time_constants, figures.time_constants, "layer",
        optional=True, detail=True,
    ),
    View(
        "gate-units", GATE_UNITS_TITLE, "gates", analysis.gate_units, figures.gate_units, "layer",
        few_runs=True, optional=True, detail=True,
    ),
    View(
        "dead-units", DEAD_UNITS_TITLE, "gates", analysis.dead_units, figures.dead_units, "layer",
        shown=lambda each: bool(len(each.dead)), few_runs=True, optional=True,
    ),
)  # fmt: skip
