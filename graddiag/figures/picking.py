"""A heatmap to point at: where the chosen step stands, and a mark for every step that a click can take hold of."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from graddiag.figures.theme import PALETTES, Theme

PICKED: Final = "steps"  # the name of the marks
MOST_MARKS: Final = 600


def pickable(
    figure: go.Figure, steps: Sequence[Any], step: int | None, *, boxes: bool = False, theme: Theme = "light"
) -> go.Figure:
    """``figure``, whose panels have steps [S] on their x axis, with a line at ``step`` and marks along the middle.

    A click anywhere takes the mark whose step is nearest, since hovering compares steps alone. With ``boxes`` a drag
    selects a box instead: a page of Streamlit hears of one or of the other.
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
            line = {"color": PALETTES[theme].nan, "width": 1.5}
            figure.add_shape(
                type="line", x0=step, x1=step, y0=0, y1=1, xref=x or "x", yref=f"{y or 'y'} domain", line=line
            )
    if boxes:
        return figure.update_layout(dragmode="select", selectdirection="any")
    figure.update_xaxes(fixedrange=True)
    figure.update_yaxes(fixedrange=True)
    return figure.update_layout(dragmode="pan", hovermode="x")


def _heatmaps(figure: go.Figure) -> list[Any]:
    return [trace for trace in figure.data if trace.type == "heatmap"]


def _middle(trace: Any) -> float:
    return float(np.median(np.asarray(trace.y))) if len(trace.y) else 0.0
