"""A heatmap to point at: the line of the chosen step, and a mark for every step that a click can take hold of."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from graddiag.figures.frame import set_layout, set_xaxes, set_yaxes
from graddiag.figures.theme import FONT_SIZE, PALETTES, Theme

PICKED: Final = "steps"  # the name of the marks
MOST_MARKS: Final = 600
_CHOSEN: Final = "chosen step"


def pickable(
    figure: go.Figure, steps: Sequence[Any], step: int | None, *, boxes: bool = False, theme: Theme = "light"
) -> go.Figure:
    """``figure``, whose panels have steps [S] on their x axis, with a line at ``step`` and marks along the middle.

    A click anywhere takes the mark whose step is nearest, since hovering compares steps alone. With ``boxes`` a drag
    selects a box instead, of steps and timesteps.
    """
    panels = list(dict.fromkeys((trace.xaxis, trace.yaxis, _middle(trace)) for trace in _heatmaps(figure)))
    kept = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), MOST_MARKS)).astype(int))
    for x, y, middle in {panel[:2]: panel for panel in panels}.values():
        figure.add_trace(
            go.Scatter(
                x=np.asarray(steps)[kept],
                y=np.full(len(kept), middle),
                xaxis=x,
                yaxis=y,
                name=PICKED,
                mode="markers",
                marker={"size": 8, "opacity": 0},
                selected={"marker": {"opacity": 0}},
                unselected={"marker": {"opacity": 0}},
                hoverinfo="none",
                showlegend=False,
            )
        )
        if step is not None and len(kept) > 1 and steps[0] <= step <= steps[-1]:
            mark_step(figure, step, x or "x", y or "y", theme)
    if boxes:
        return set_layout(figure, dragmode="select", selectdirection="any")
    set_xaxes(figure, fixedrange=True)
    set_yaxes(figure, fixedrange=True)
    return set_layout(figure, dragmode="pan", hovermode="x")


def mark_step(figure: go.Figure, step: int, x: str, y: str, theme: Theme = "light") -> None:
    """A line at the chosen ``step`` in the panel of the axes ``x`` and ``y``; in the first of them it has its name."""
    palette, words = PALETTES[theme], f"step {step:,}"
    color = palette.nan
    on_colors = bool(_heatmaps(figure))  # where the name needs a ground of its own; over lines a veil, which hides none
    layer = "above" if on_colors else "below"
    ends = {"x0": step, "x1": step, "xref": x, "y0": 0, "y1": 1, "yref": f"{y} domain"}
    if on_colors:
        figure.add_shape(type="line", layer=layer, line={"color": palette.hover, "width": 4}, **ends)
    figure.add_shape(type="line", layer=layer, line={"color": color, "width": 1.5}, **ends)
    if any(note.name == _CHOSEN for note in figure.layout.annotations):
        return
    side = "right" if step > _center(figure, x) else "left"
    place = {"x": step, "xref": x, "xanchor": side, "y": 1, "yref": f"{y} domain", "yanchor": "top"}
    ground = palette.hover if on_colors else palette.veil
    look = {"font": {"size": FONT_SIZE - 1, "color": color}, "borderpad": 1, "bgcolor": ground}
    figure.add_annotation(name=_CHOSEN, text=words, showarrow=False, **look, **place)


def _center(figure: go.Figure, x: str) -> float:
    """Of the steps that an axis shows: names stand on the side of them that has room."""
    shown = figure.layout[f"xaxis{x[1:]}"].range
    ends = shown or [end for trace in figure.data if (trace.xaxis or "x") == x for end in _ends(trace.x)]
    return (min(ends) + max(ends)) / 2 if ends else 0.0


def _ends(x: Any) -> list[float]:
    known = [value for value in (() if x is None else x) if value is not None]
    return [min(known), max(known)] if known else []


def _heatmaps(figure: go.Figure) -> list[Any]:
    return [trace for trace in figure.data if trace.type == "heatmap"]


def _middle(trace: Any) -> float:
    return float(np.median(np.asarray(trace.y))) if len(trace.y) else 0.0
