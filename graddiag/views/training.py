"""Views of a training over its steps: loss, norms, events."""

from collections.abc import Sequence
from typing import Any, Final

import plotly.graph_objects as go

from graddiag import analysis, figures
from graddiag.analysis import ClipStatistics, Curves, LossDynamics, NormHistory
from graddiag.figures.curves_figure import COEFFICIENT_TITLE, LOSS_TITLE, NORMS_TITLE
from graddiag.figures.events_figure import EVENTS_TITLE
from graddiag.figures.line_options import LineOptions
from graddiag.figures.theme import Theme
from graddiag.views.declaration import TIMES, View, line_options, no_arguments, own_captions


def _norms(
    norms: Sequence[NormHistory], times: Sequence[Curves], *, theme: Theme, title: bool, lines: LineOptions
) -> go.Figure:
    return figures.norms(norms, theme=theme, title=title, lines=lines.timed(times))


def _norms_caption(norms: Sequence[NormHistory], times: Sequence[Curves]) -> Sequence[str]:
    return own_captions(norms)


def _loss(
    curves: Sequence[Curves],
    dynamics: Sequence[LossDynamics],
    times: Sequence[Curves],
    *,
    theme: Theme,
    title: bool,
    lines: LineOptions,
) -> go.Figure:
    """With level and jumps where they are known of all runs, else as logged."""
    lines = lines.timed(times)
    if _judged(dynamics):
        return figures.loss(dynamics, theme=theme, title=title, lines=lines)
    return figures.curves(curves, theme=theme, title=title, lines=lines)


def _loss_caption(curves: Sequence[Curves], dynamics: Sequence[LossDynamics], times: Sequence[Curves]) -> Sequence[str]:
    return own_captions(dynamics if _judged(dynamics) else curves)


def _judged(dynamics: Sequence[Any]) -> bool:
    return all(each.missing is None for each in dynamics)


def _coefficient(
    norms: Sequence[NormHistory],
    statistics: Sequence[ClipStatistics],
    times: Sequence[Curves],
    *,
    theme: Theme,
    title: bool,
    lines: LineOptions,
) -> go.Figure:
    return figures.clip_coefficient(norms, theme=theme, title=title, lines=lines.timed(times))


def _coefficient_caption(
    norms: Sequence[NormHistory], statistics: Sequence[ClipStatistics], times: Sequence[Curves]
) -> Sequence[str]:
    return own_captions(statistics)


VIEWS: Final = (
    View(
        "norms", NORMS_TITLE, "training", analysis.norm_history, _norms,
        support=(TIMES,), options=line_options, caption=_norms_caption,
    ),
    View("events", EVENTS_TITLE, "training", analysis.events, figures.events, optional=True, detail=True),
    View(
        "loss", LOSS_TITLE, "training", analysis.loss_curve, _loss,
        support=((analysis.loss_dynamics, no_arguments), TIMES), options=line_options, caption=_loss_caption,
        half=True,
    ),
    View(
        "coefficient", COEFFICIENT_TITLE, "training", analysis.norm_history, _coefficient,
        support=((analysis.clip_statistics, no_arguments), TIMES), options=line_options, caption=_coefficient_caption,
        shown=lambda each: each.source.clipped and each.coefficient.measured, optional=True, half=True, detail=True,
    ),
)  # fmt: skip
