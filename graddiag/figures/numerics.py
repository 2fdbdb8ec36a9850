"""The share of exact zeros in each parameter's gradient."""

from typing import Final

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import Numerics
from graddiag.figures.frame import dressed, nothing, panels
from graddiag.figures.lines import as_float32
from graddiag.figures.theme import PALETTES, Theme, safe

_MOST: Final = 20
_ROW, _AXIS = 18, 60


def numerics(result: Numerics, *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """By parameter, the twenty with most of them: the share of zeros in the median step, and the largest (hollow)."""
    name = "Exact zeros in the gradient"
    if result.missing or not result.zeros:
        why = result.missing or "The share of exact zeros was not recorded."
        return nothing(why, theme, title=name if title else None)
    shown = result.zeros[:_MOST][::-1]
    names, colors = [safe(each.parameter) for each in shown], PALETTES[theme].arms
    figure = panels(1, 1)
    for what, symbol in (("median", "circle"), ("largest", "circle-open")):
        shares = as_float32(np.array([getattr(each, what) for each in shown]))
        marker = {"symbol": symbol, "color": colors[0], "size": 8}
        hover = f"%{{y}}: %{{x:.1%}} ({what})<extra></extra>"
        trace = go.Scatter(x=shares, y=names, mode="markers", name=what, marker=marker, hovertemplate=hover)
        figure.add_trace(trace)
    figure.update_xaxes(title_text="share of entries that are 0", range=[-0.03, 1.03], tickformat=".0%")
    return dressed(figure, theme, title=name if title else None, body=_AXIS + _ROW * len(shown))
