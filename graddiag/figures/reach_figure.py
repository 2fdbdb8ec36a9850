"""How far the gradient travels: transport gain by timestep, exponent and arriving share over training."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import Reach
from graddiag.figures.curves_figure import add_named_line
from graddiag.figures.frame import BODY, PANEL, apply_layout, empty_figure, index_axis, log_axis, panels, set_yaxes
from graddiag.figures.lines import PanelPosition, add_band, add_band_entry, positive
from graddiag.figures.theme import PALETTES, Style, Theme, arm_styles, safe

REACH_TITLE: Final = "Reach of the gradient over training"
TRANSPORT_TITLE: Final = "Gradient gain per timestep"


def reach(results: Reach | Sequence[Reach], *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """Over training: the mean transport gain above (1 keeps the gradient's size), and below the ratio of ||dL/dh|| at
    the first timestep to that at the last; log scales."""
    results = (results,) if isinstance(results, Reach) else tuple(results)
    drawn = [each for each in results if each.missing is None]
    if not drawn:
        return empty_figure(_why(results), theme, title=REACH_TITLE if title else None)
    heads = ("mean transport gain", "‖dL/dh‖, first timestep / last")
    figure = panels(2, 1, heads, shared_xaxes=True, vertical_spacing=0.14)
    styles = arm_styles([each.source for each in drawn], theme)
    for row, lines in enumerate(
        ([np.exp(each.exponent_by_step) for each in drawn], [each.ratio_by_step for each in drawn]), start=1
    ):
        for each, line, style in zip(drawn, lines, styles, strict=True):
            add_named_line(figure, each.steps, positive(line), each.source, style, PanelPosition(row))
        title_text = ("gain per timestep", "ratio of norms")[row - 1]
        set_yaxes(figure, title_text=title_text, row=row, col=1, **log_axis(_ends(lines)))
        _add_one(figure, theme, row)
    index_axis(figure, "step", row=2, col=1)
    return apply_layout(figure, theme, title=REACH_TITLE if title else None, body=2 * PANEL, heads=True)


def transport(results: Reach | Sequence[Reach], *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """The transport gain by timestep: geometric mean over the recorded steps, with the band from 10 to 90%."""
    results = (results,) if isinstance(results, Reach) else tuple(results)
    drawn = [each for each in results if each.missing is None]
    if not drawn:
        return empty_figure(_why(results), theme, title=TRANSPORT_TITLE if title else None)
    figure = panels(1, 1)
    for each, style in zip(drawn, arm_styles([each.source for each in drawn], theme), strict=True):
        _add_band(figure, each, style)
        add_named_line(figure, each.timesteps, positive(each.gain_by_timestep), each.source, style, PanelPosition())
    if any(len(trace.x) for trace in figure.data if trace.fill):
        add_band_entry(figure, "10 to 90% of the steps", theme)
    _add_one(figure, theme, 1)
    bounds = [bound for each in drawn for bound in (each.gain_low, each.gain_high)]
    set_yaxes(figure, title_text="gain per timestep", **log_axis(_ends(bounds)))
    index_axis(figure, "timestep")
    return apply_layout(figure, theme, title=TRANSPORT_TITLE if title else None, body=BODY)


def _add_band(figure: go.Figure, each: Reach, style: Style) -> None:
    known = np.isfinite(each.gain_low) & (each.gain_low > 0)
    names = (f"{safe(each.source.label)}: 10 to 90%", safe(each.source.arm_label))
    add_band(figure, each.timesteps[known], (each.gain_low[known], each.gain_high[known]), style, names)


def _add_one(figure: go.Figure, theme: Theme, row: int) -> None:
    """The line at 1: the gradient keeps its size."""
    line = {"color": PALETTES[theme].muted, "width": 1, "dash": "dot"}
    figure.add_hline(y=1, line=line, row=row, col=1)


def _ends(values: Sequence[np.ndarray]) -> list[float]:
    found = [each[np.isfinite(each) & (each > 0)] for each in values]
    return [float(end) for each in found if len(each) for end in (each.min(), each.max())]


def _why(results: Sequence[Reach]) -> str:
    return next((each.missing for each in results if each.missing), "There is no run to draw.")
