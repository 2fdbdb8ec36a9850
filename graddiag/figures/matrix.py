"""One picture of cells, each a value, exactly zero, missing, NaN or inf."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import CellState, CreditMatrix
from graddiag.analysis.timesteps.snapshots import UnitHeat
from graddiag.figures.frame import apply_layout, log_ticks, panels, set_layout, set_xaxes, set_yaxes
from graddiag.figures.heat import BAR, PANEL, color_bar, log10, special_states
from graddiag.figures.heat_scale import Limits
from graddiag.figures.theme import PALETTES, Palette, Theme

Scale = Literal["log", "share", "signed"]


@dataclass(frozen=True)
class Cells:
    """What to draw: values and states (CellState) [Y, X]; names of the axes with the places of the cells; the
    scale: log, or linear from 0 to 1 (share), or from -1 to 1 (signed); the words of the colour bar, as markup; how
    missing is called; the ends of a log scale, by default those of the values; and a separate colour for missing."""

    values: np.ndarray
    states: np.ndarray
    x: tuple[str, np.ndarray]
    y: tuple[str, np.ndarray]
    scale: Scale
    bar: str
    missing: str = "not measured"
    limits: Limits | None = None
    missing_color: str | None = None


def draw(cells: Cells, theme: Theme, title: str | None) -> go.Figure:
    """The cells, and over them one flat colour for each kind of cell that is no value."""
    palette, figure = PALETTES[theme], panels(1, 1)
    hover = f"{cells.y[0]} %{{y}}, {cells.x[0]} %{{x}}<br>"
    at = {"x": cells.x[1], "y": cells.y[1], "hoverongaps": False}
    log = cells.scale == "log"
    z = log10(cells.values) if log else cells.values.astype(np.float32)
    text = f"{hover}{'10<sup>%{z:.2f}</sup>' if log else '%{z:.3f}'}<extra></extra>"
    figure.add_trace(go.Heatmap(z=z, coloraxis="coloraxis", hovertemplate=text, **at))
    for state, words, color in _kinds(cells, palette):
        flat = np.where(cells.states == state, np.float32(1), np.float32(np.nan))
        flat_scale = [[0, color], [1, color]]
        hint = f"{hover}{words}<extra></extra>"
        figure.add_trace(go.Heatmap(z=flat, colorscale=flat_scale, showscale=False, hovertemplate=hint, **at))
        marker = {"symbol": "square", "size": 11, "color": color, "line": {"width": 1, "color": palette.muted}}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", name=words, marker=marker))
    set_layout(figure, coloraxis=_color_axis(cells, palette))
    legend = any(trace.type == "scatter" for trace in figure.data)
    apply_layout(figure, theme, title=title, body=PANEL + BAR, legend=legend)
    set_xaxes(figure, showgrid=False, title_text=cells.x[0])
    set_yaxes(figure, showgrid=False, title_text=cells.y[0])
    return set_layout(figure, margin_b=BAR)


def limits_of(results: Sequence[UnitHeat | CreditMatrix]) -> Limits | None:
    """The smallest and the largest value above 0 of all ``results``, for one colour scale; None where there is none."""
    values = np.concatenate([np.asarray(each.values, dtype=np.float64).ravel() for each in results] or [np.zeros(0)])
    shown = values[(values > 0) & np.isfinite(values)]
    return (float(shown.min()), float(shown.max())) if len(shown) else None


def _kinds(cells: Cells, palette: Palette) -> list[tuple[CellState, str, str]]:
    """The kinds of cell that are no value, as far as there are any; on a linear scale zero is a value."""
    named = {CellState.MISSING: cells.missing}
    colors = {CellState.MISSING: cells.missing_color} if cells.missing_color else {}
    return [
        (state, named.get(state, words), colors.get(state, color))
        for state, words, color in special_states(palette, cells.scale != "log")
        if (cells.states == state).any()
    ]


def _color_axis(cells: Cells, palette: Palette) -> dict[str, Any]:
    bar = color_bar(cells.bar)
    if cells.scale != "log":
        signed = cells.scale == "signed"
        scale = palette.diverging if signed else palette.scale
        return {"colorscale": scale, "cmin": -1 if signed else 0, "cmax": 1, "colorbar": bar}
    shown = cells.values[cells.values > 0]
    ends = cells.limits or ((float(shown.min()), float(shown.max())) if len(shown) else (0.1, 1.0))
    low, high = math.log10(ends[0]), math.log10(ends[1])
    low, high = (low, high) if high - low > 0.1 else (low - 0.3, high + 0.3)
    ticks, texts = log_ticks(low, high)
    ticked = {**bar, "tickvals": ticks, "ticktext": texts}
    return {"colorscale": palette.scale, "cmin": low, "cmax": high, "colorbar": ticked}
