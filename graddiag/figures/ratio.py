"""The ratio of two runs by step and timestep: at 1 the colour of the ground, both ways as far."""

from typing import Final

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import CellState, HeatRatio, signal_title
from graddiag.figures.frame import apply_layout, empty_figure, index_axis, panels, set_layout
from graddiag.figures.heat import BAR, PANEL, around_one, color_bar, edges
from graddiag.figures.theme import PALETTES, Palette, Theme, safe

RATIO_TITLE: Final = "Ratio of two runs by step and timestep"


def heat_ratio(result: HeatRatio, *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """One panel, step to the right and timestep upwards, on a diverging log scale about 1."""
    if result.missing:
        return empty_figure(result.missing, theme, title=f"{RATIO_TITLE}: {safe(result.title)}" if title else None)
    palette, figure = PALETTES[theme], panels(1, 1)
    at = {"x": result.steps, "y": result.timesteps, "hoverongaps": False}
    hover = "step %{x}, timestep %{y}<br>10<sup>%{z:.2f}</sup><extra>ratio</extra>"
    figure.add_trace(go.Heatmap(z=result.values.T, coloraxis="coloraxis", hovertemplate=hover, **at))
    for state, words, color in _kinds(result, palette):
        flat = np.where(state == result.states.T, np.float32(1), np.float32(np.nan))
        hint = f"step %{{x}}, timestep %{{y}}<br>{words}<extra></extra>"
        scale = [[0, color], [1, color]]
        figure.add_trace(go.Heatmap(z=flat, colorscale=scale, showscale=False, hovertemplate=hint, **at))
        marker = {"symbol": "square", "size": 11, "color": color, "line": {"width": 1, "color": palette.muted}}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", name=words, marker=marker))
    set_layout(figure, coloraxis=_color_axis(result, palette))
    legend = any(trace.type == "scatter" for trace in figure.data)
    apply_layout(
        figure, theme, title=f"{RATIO_TITLE}: {safe(result.title)}" if title else None, body=PANEL + BAR, legend=legend
    )
    index_axis(figure, "step", showgrid=False, range=edges([result.steps]))
    index_axis(figure, "timestep", "y", showgrid=False, range=edges([result.timesteps]))
    return set_layout(figure, margin_b=BAR)


def _kinds(result: HeatRatio, palette: Palette) -> list[tuple[CellState, str, str]]:
    treated, baseline = safe(result.treated.arm_label), safe(result.baseline.arm_label)
    kinds = [
        (CellState.ZERO, f"exactly zero in {treated}", palette.zero),
        (CellState.MISSING, f"not measured in both, or zero in {baseline}", palette.missing),
        (CellState.NAN, "NaN in either", palette.nan),
        (CellState.INF, "inf in either", palette.inf),
    ]
    return [kind for kind in kinds if (result.states == kind[0]).any()]


def _color_axis(result: HeatRatio, palette: Palette) -> dict[str, object]:
    shown = np.abs(result.values[np.isfinite(result.values)])
    over = f"{safe(result.treated.arm_label)} / {safe(result.baseline.arm_label)}"
    bar = color_bar(f"{signal_title(result.signal)}<br>{over}")
    return around_one(float(shown.max()) if len(shown) else 0.0, bar, palette)
