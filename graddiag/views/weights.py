"""Views of the recurrent weights: their gradient by timestep, their spectra, and what snapshots hold of a layer."""

import math
from collections.abc import Mapping
from typing import Any, Final

from graddiag import analysis, figures
from graddiag.figures.credit_figure import CREDIT_TITLE
from graddiag.figures.exponents import LYAPUNOV_HISTORY_TITLE
from graddiag.figures.snapshots import UNITS_TITLE
from graddiag.figures.spectrum_figure import SPECTRUM_HISTORY_TITLE, SPECTRUM_TITLE
from graddiag.figures.weights import CONTRIBUTIONS_TITLE, WEIGHTS_TITLE
from graddiag.views.declaration import View, ViewContext

_CONTRIBUTIONS: Final = (
    "Top: the number of timesteps that would give this gradient if they contributed equally. Bottom: the norm of the "
    "sum of the contributions over the sum of their norms (1: no cancellation)."
)
_MOST_CELLS: Final = 60_000
_MOST_CREDIT: Final = 240  # timesteps of a credit matrix


def _unit_heat(context: ViewContext) -> Mapping[str, Any]:
    return {
        "step": context.last_step,
        "selection": context.selection,
        "column": context.column,
        "max_cells": min(_MOST_CELLS, context.snapshot_cells),
    }


def _snapshot(context: ViewContext) -> Mapping[str, Any]:
    return {"step": context.last_step, "selection": context.selection}


def _fewer_timesteps(context: ViewContext) -> Mapping[str, Any]:
    return {"most": min(_MOST_CREDIT, math.isqrt(context.snapshot_cells // 2))}


VIEWS: Final = (
    View(
        "weights", WEIGHTS_TITLE, "weights", analysis.weight_contributions, figures.weight_contributions, "layer",
        optional=True, half=True, detail=True,
    ),
    View(
        "effective-timesteps", CONTRIBUTIONS_TITLE, "weights", analysis.weight_contributions,
        figures.effective_timesteps, "layer", caption=lambda found: [_CONTRIBUTIONS],
        optional=True, half=True, detail=True,
    ),
    View(
        "spectrum", SPECTRUM_HISTORY_TITLE, "weights", analysis.spectrum_history, figures.spectrum_history,
        optional=True,
    ),
    View(
        "lyapunov", LYAPUNOV_HISTORY_TITLE, "weights", analysis.lyapunov_history, figures.lyapunov_history, "layer",
        optional=True, detail=True,
    ),
    View(
        "snapshot", UNITS_TITLE, "weights", analysis.unit_heat, figures.unit_heat, "layer", arguments=_unit_heat,
        separate=True, common_scale=True, few_runs=True, snapshot=True, half=True, optional=True, detail=True,
    ),
    View(
        "credit", CREDIT_TITLE, "weights", analysis.credit_matrix, figures.credit, "layer", arguments=_snapshot,
        options=_fewer_timesteps, separate=True, common_scale=True, few_runs=True, snapshot=True, half=True,
        optional=True, detail=True,
    ),
    View(
        "eigenvalues", SPECTRUM_TITLE, "weights", analysis.weight_spectra, figures.spectrum,
        arguments=lambda context: {"step": context.last_step, "selection": context.selection},
        separate=True, few_runs=True, snapshot=True, optional=True, detail=True,
    ),
)  # fmt: skip
