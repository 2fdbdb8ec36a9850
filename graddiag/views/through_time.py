"""Views of one layer: the gradient on its way back through time."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from graddiag import analysis, figures
from graddiag.figures.curves_figure import PROFILE_TITLE
from graddiag.figures.heat import HEAT_TITLE
from graddiag.figures.horizon_figure import HORIZON_TITLE
from graddiag.figures.omega_figure import OMEGA_TITLE
from graddiag.figures.ratio import RATIO_TITLE
from graddiag.figures.reach_figure import REACH_TITLE, TRANSPORT_TITLE
from graddiag.figures.truncation_figure import TRUNCATION_TITLE
from graddiag.views.declaration import View, ViewContext

_REACH: Final = (
    "Top: the mean gradient gain of one timestep (1 preserves the norm). Bottom: the gradient at the first timestep "
    "over that at the last."
)
_HORIZON: Final = (
    "The number of timesteps over which the gradient falls to 1/e. Where it is below the length of the sequence, "
    "earlier timesteps hardly contribute."
)


def _heat(context: ViewContext) -> Mapping[str, Any]:
    return {
        "signal": context.signal,
        "selection": context.selection,
        "max_cells": context.max_cells,
        "reduce": context.reduce,
        "steps": context.steps,
        "timesteps": context.timesteps,
    }


def _profile(context: ViewContext) -> Mapping[str, Any]:
    return {"step": context.step, "selection": context.selection, "signals": (context.signal,)}


def _gradient_profile(context: ViewContext) -> Mapping[str, Any]:
    return {"step": context.step, "selection": context.selection}


def _horizon_caption(reaches: Sequence[analysis.Reach]) -> Sequence[str]:
    """Whether each horizon covers the sequence and the task, as far as it is known."""
    return analysis.horizon_captions(reaches) or [_HORIZON]


VIEWS: Final = (
    View(
        "heat", HEAT_TITLE, "through time", analysis.heat, figures.heatmap, "layer",
        arguments=_heat, options=lambda context: {"scale": context.scale}, few_runs=True,
    ),
    View(
        "ratio", RATIO_TITLE, "through time", analysis.heat_ratio, figures.heat_ratio, "pair",
        arguments=_heat, optional=True,
    ),
    View(
        "profile", PROFILE_TITLE, "through time", analysis.profile, figures.profile, "layer",
        arguments=_profile, at_step=True,
    ),
    View("transport", TRANSPORT_TITLE, "through time", analysis.reach, figures.transport, "layer", detail=True),
    View(
        "reach", REACH_TITLE, "through time", analysis.reach, figures.reach, "layer",
        caption=lambda reaches: [_REACH],
    ),
    View("horizon", HORIZON_TITLE, "through time", analysis.reach, figures.horizon, "layer", caption=_horizon_caption),
    View(
        "truncation", TRUNCATION_TITLE, "through time", analysis.truncation, figures.truncation, "layer",
        support=((analysis.profile, _gradient_profile),), shown=lambda each: each.missing is None and each.found,
        optional=True,
    ),
    View(
        "omega", OMEGA_TITLE, "through time", analysis.omega, figures.omega, "layer",
        applies=lambda run: bool(run.manifest.config.get("omega")), optional=True, detail=True,
    ),
)  # fmt: skip
