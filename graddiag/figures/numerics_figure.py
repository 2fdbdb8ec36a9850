"""The share of exact zeros in each parameter's gradient."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import Numerics
from graddiag.figures.frame import apply_layout, empty_figure, panels, set_xaxes, set_yaxes
from graddiag.figures.lines import as_float32
from graddiag.figures.theme import Style, Theme, arm_styles, safe

ZEROS_TITLE: Final = "Exact zeros in the gradient"

_MOST: Final = 20
_ROW, _AXIS = 18, 60
_SMALLEST, _RING, _RINGS = 7, 5, 2  # pixels: equal shares of two runs are a dot on a larger one
_KINDS: Final = (("median", "circle"), ("largest", "circle-open"))


def numerics(results: Numerics | Sequence[Numerics], *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """By parameter, the twenty with most of them in any run: the share of zeros in the median step, and the largest
    (hollow), in the colour of the arm."""
    results = (results,) if isinstance(results, Numerics) else tuple(results)
    drawn = [each for each in results if each.missing is None and each.zeros]
    name = ZEROS_TITLE if title else None
    if not drawn:
        return empty_figure(_why(results), theme, title=name)
    rows = _rows(drawn)
    figure = panels(1, 1)
    styles = arm_styles([one.source for one in drawn], theme)
    for place, (each, style) in enumerate(zip(drawn, styles, strict=True), start=1):
        size = _SMALLEST + _RING * min(len(drawn) - place, _RINGS)
        _add(figure, each, rows, style, size, alone=len(drawn) == 1)
    set_xaxes(figure, title_text="share of entries that are 0", range=[-0.03, 1.03], tickformat=".0%")
    set_yaxes(figure, type="category", categoryorder="array", categoryarray=[safe(row) for row in rows])
    return apply_layout(figure, theme, title=name, body=_AXIS + _ROW * len(rows))


def _rows(drawn: Sequence[Numerics]) -> list[str]:
    """The parameters to draw, from the bottom up: the one with most zeros in the median step of any run is on top."""
    most: dict[str, float] = {}
    for zeros in (zeros for each in drawn for zeros in each.zeros):
        most[zeros.parameter] = max(zeros.median, most.get(zeros.parameter, 0.0))
    return sorted(most, key=lambda parameter: -most[parameter])[:_MOST][::-1]


def _add(figure: go.Figure, each: Numerics, rows: Sequence[str], style: Style, size: int, *, alone: bool) -> None:
    shown = [zeros for zeros in each.zeros[::-1] if zeros.parameter in rows]
    for what, symbol in _KINDS:
        name = what if alone else f"{safe(each.source.arm_label)}: {what}"
        figure.add_trace(
            go.Scatter(
                x=as_float32(np.array([getattr(zeros, what) for zeros in shown])),
                y=[safe(zeros.parameter) for zeros in shown],
                mode="markers",
                name=name,
                legendgroup=name,
                showlegend=not any(trace.name == name for trace in figure.data),
                marker={"symbol": symbol, "color": style.color, "size": size},
                hovertemplate=f"%{{y}}: %{{x:.1%}} ({what})<extra>{safe(each.source.label)}</extra>",
            )
        )


def _why(results: Sequence[Numerics]) -> str:
    return next((each.missing for each in results if each.missing), "The share of exact zeros was not recorded.")
