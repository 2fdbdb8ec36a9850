"""Karpathy's plot: each unit of a gate by how often it is saturated on either side."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import GateUnits, UnitSaturation
from graddiag.figures.frame import apply_layout, empty_figure, panels, set_xaxes, set_yaxes
from graddiag.figures.lines import MOST_POINTS, add_entry, as_float32
from graddiag.figures.theme import PALETTES, Style, Theme, arm_styles, safe

GATE_UNITS_TITLE: Final = "Saturation of each unit"

_PANEL: Final = 250
_COLUMNS: Final = 2
_ENDS: Final = (0.2, 0.5, 1.0)


def gate_units(results: GateUnits | Sequence[GateUnits], *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """A panel a gate, a dot a unit: the share of its activations that is left-saturated (below .1; of a tanh below -.9)
    against the right-saturated one (above .9). On the dotted line, where the axes reach to 1, a unit is always
    saturated; at 0, 0 never."""
    results = (results,) if isinstance(results, GateUnits) else tuple(results)
    drawn = [each for each in results if each.missing is None]
    if not drawn:
        return empty_figure(_why(results), theme, title=GATE_UNITS_TITLE if title else None)
    titles = {gate.gate: gate.title for each in drawn for gate in each.gates}
    columns = min(_COLUMNS, len(titles))
    rows = -(-len(titles) // columns)
    spacing = {"horizontal_spacing": 0.14, "vertical_spacing": 0.28 / rows}
    figure = panels(rows, columns, list(titles.values()), **spacing)
    for each, style in zip(drawn, arm_styles([one.source for one in drawn], theme), strict=True):
        for gate in each.gates:
            _add_units(figure, each, gate, style, _place(list(titles).index(gate.gate), columns))
    end = _end(figure)
    if end == _ENDS[-1]:
        line = {"color": PALETTES[theme].muted, "width": 1, "dash": "dot"}
        for index in range(len(titles)):
            row, column = _place(index, columns)
            figure.add_shape(type="line", x0=0, y0=1, x1=1, y1=0, line=line, row=row, col=column)
        add_entry(figure, "always saturated", line=line)
    limits = [-0.04 * end, 1.04 * end]
    set_xaxes(figure, title_text="share left-saturated (low)", range=limits, tickformat=".0%")
    set_yaxes(figure, title_text="share right-saturated (high)", range=limits, tickformat=".0%")
    return apply_layout(figure, theme, title=GATE_UNITS_TITLE if title else None, body=rows * _PANEL, heads=True)


def _end(figure: go.Figure) -> float:
    """Where the axes of all panels end: at a fifth, at half or at the whole, whichever holds every dot."""
    sides = [side for trace in figure.data for side in (trace.x, trace.y)]
    shares = [float(share) for side in sides for share in side if share is not None]
    return next((end for end in _ENDS if max(shares, default=0.0) <= end), _ENDS[-1])


def _place(index: int, columns: int) -> tuple[int, int]:
    return index // columns + 1, index % columns + 1


def _add_units(
    figure: go.Figure, each: GateUnits, gate: UnitSaturation, style: Style, place: tuple[int, int]
) -> None:  # fmt: skip
    """One dot a unit; a side that the gate has not (a relu's high one) is drawn at 0."""
    low, high = (np.where(np.isnan(side), 0.0, side) for side in (gate.low, gate.high))
    known = np.flatnonzero(np.isfinite(gate.low) | np.isfinite(gate.high))
    kept = known[np.unique(np.linspace(0, len(known) - 1, min(len(known), MOST_POINTS)).astype(int))]
    name = safe(each.source.arm_label)
    figure.add_trace(
        go.Scatter(
            x=as_float32(low[kept]),
            y=as_float32(high[kept]),
            mode="markers",
            marker={"color": style.color, "size": 6, "opacity": 0.6},
            name=name,
            legendgroup=name,
            showlegend=not any(trace.name == name for trace in figure.data),
            text=[f"unit {unit}" for unit in kept],
            hovertemplate=f"%{{text}}: left %{{x:.0%}}, right %{{y:.0%}}<extra>{safe(each.source.label)}</extra>",
        ),
        row=place[0],
        col=place[1],
    )


def _why(results: Sequence[GateUnits]) -> str:
    return next((each.missing for each in results if each.missing), "There is no run to draw.")
