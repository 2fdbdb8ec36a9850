"""The contribution of each timestep to the recurrent weight gradient, and how far the contributions cancel."""

from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go

from graddiag.analysis import Series, Source, WeightContributions
from graddiag.analysis.values import Ints
from graddiag.figures.curves_figure import add_lines, drawn_values
from graddiag.figures.frame import PANEL, apply_layout, empty_figure, index_axis, log_axis, panels, set_yaxes
from graddiag.figures.lines import PanelPosition
from graddiag.figures.theme import Theme

WEIGHTS_TITLE: Final = "Contribution of each timestep to the weight gradient"
CONTRIBUTIONS_TITLE: Final = "Contributing timesteps and cancellation"

_BY_TIMESTEP: Final = ("share of Σ‖G‖, mean over steps", "cosine of G with the sum of G, mean over steps")
_OVER_STEPS: Final = ("effective number of timesteps", "cancellation ‖ΣG‖ / Σ‖G‖")
_UNITS: Final = {_BY_TIMESTEP: ("share", "cosine"), _OVER_STEPS: ("timesteps", "share")}


def weight_contributions(
    results: WeightContributions | Sequence[WeightContributions], *, theme: Theme = "light", title: bool = True
) -> go.Figure:
    """By timestep: its share of the lengths of all contributions to W_hh, log scale, and its cosine with their sum."""
    results = (results,) if isinstance(results, WeightContributions) else tuple(results)
    lines = [
        [(each.source, each.timesteps, each.share) for each in _held(results)],
        [(each.source, each.timesteps, each.cosine) for each in _held(results)],
    ]
    figure = _figure(
        lines, _BY_TIMESTEP, "timestep", (True, False), _why(results), theme, WEIGHTS_TITLE if title else None
    )
    if _held(results):
        set_yaxes(figure, range=[-1.05, 1.05], row=2, col=1)
    return figure


def effective_timesteps(
    results: WeightContributions | Sequence[WeightContributions], *, theme: Theme = "light", title: bool = True
) -> go.Figure:
    """Over training: the effective number of contributing timesteps, and the cancellation between them."""
    results = (results,) if isinstance(results, WeightContributions) else tuple(results)
    lines = [
        [(each.source, each.steps, each.effective_timesteps) for each in _held(results)],
        [(each.source, each.steps, each.cancellation) for each in _held(results)],
    ]
    return _figure(
        lines, _OVER_STEPS, "step", (True, True), _why(results), theme, CONTRIBUTIONS_TITLE if title else None
    )


Lines = list[tuple[Source, Ints, Series]]


def _figure(
    lines: list[Lines],
    heads: tuple[str, str],
    axis: str,
    logs: Sequence[bool],
    why: str,
    theme: Theme,
    title: str | None,
) -> go.Figure:
    if not lines[0]:
        return empty_figure(why, theme, title=title)
    figure = panels(len(lines), 1, heads, shared_xaxes=True, vertical_spacing=0.14)
    for row, (each, log, unit) in enumerate(zip(lines, logs, _UNITS[heads], strict=True), start=1):
        set_yaxes(figure, title_text=unit, row=row, col=1)
        add_lines(figure, each, theme, log=log, place=PanelPosition(row))
        if log:
            set_yaxes(figure, row=row, col=1, **log_axis(drawn_values([line for _, _, line in each])))
    index_axis(figure, axis, row=len(lines), col=1)
    return apply_layout(figure, theme, title=title, body=len(lines) * PANEL, heads=True)


def _held(results: Sequence[WeightContributions]) -> list[WeightContributions]:
    return [each for each in results if each.missing is None]


def _why(results: Sequence[WeightContributions]) -> str:
    return next((each.missing for each in results if each.missing), "There is no run to draw.")
