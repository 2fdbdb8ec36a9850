"""Dead units: which units of each layer never change, and which get no gradient."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from graddiag.analysis import DeadUnits
from graddiag.figures.frame import apply_layout, empty_figure, panels, set_xaxes, set_yaxes
from graddiag.figures.lines import MOST_POINTS
from graddiag.figures.theme import PALETTES, Theme, safe

DEAD_UNITS_TITLE: Final = "Dead units"
_ROW, _AXIS = 44, 60
_KINDS: Final = (
    ("never changes", "silent", "line-ns-open", 0.16),
    ("gets no gradient", "without_gradient", "x-thin-open", -0.16),
)


def dead_units(results: DeadUnits | Sequence[DeadUnits], *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """A row a layer of a run, its units to the right: a stroke at one that never changes, a cross at one that gets no
    gradient, by all the snapshots of the run. The line is as long as the layer has units."""
    results = (results,) if isinstance(results, DeadUnits) else tuple(results)
    drawn = [each for each in results if each.missing is None and each.units]
    if not drawn:
        return empty_figure(_why(results), theme, title=DEAD_UNITS_TITLE if title else None)
    figure, palette = panels(1, 1), PALETTES[theme]
    labels = [_label(each, drawn) for each in drawn]
    for row, each in enumerate(drawn):
        line = {"color": palette.muted, "width": 1}
        figure.add_shape(type="line", x0=-0.5, x1=each.units - 0.5, y0=row, y1=row, line=line)
    for (words, which, symbol, shift), color in zip(_KINDS, palette.arms[:2], strict=True):
        found = [(row, _few(getattr(each, which))) for row, each in enumerate(drawn)]
        marker = {"symbol": symbol, "size": 9, "color": color, "line": {"width": 2, "color": color}}
        figure.add_trace(
            go.Scatter(
                x=np.concatenate([units for _, units in found]),
                y=np.concatenate([np.full(len(units), row + shift) for row, units in found]),
                mode="markers",
                marker=marker,
                name=words,
                hovertemplate=f"unit %{{x}} {words}<extra></extra>",
            )
        )
    most = max(each.units for each in drawn)
    set_xaxes(figure, title_text="unit", range=[-1, most])
    set_yaxes(figure, tickvals=list(range(len(drawn))), ticktext=labels, range=[len(drawn) - 0.5, -0.5])
    return apply_layout(figure, theme, title=DEAD_UNITS_TITLE if title else None, body=_AXIS + _ROW * len(drawn))


def _label(each: DeadUnits, drawn: Sequence[DeadUnits]) -> str:
    """The run where there are several, the layer, and how many of its units are dead."""
    whose = f"{safe(each.source.label)}<br>" if len({one.source for one in drawn}) > 1 else ""
    return f"{whose}{safe(each.selection.label)}: {len(each.dead)} of {each.units}"


def _few(units: NDArray[np.int64]) -> NDArray[np.int64]:
    most = MOST_POINTS // 8
    return units[np.unique(np.linspace(0, len(units) - 1, min(len(units), most)).astype(int))]


def _why(results: Sequence[DeadUnits]) -> str:
    return next((each.missing for each in results if each.missing), "There is no unit to draw.")
