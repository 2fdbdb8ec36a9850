"""Gates as small multiples: a row a gate, its mean on the left, its saturation on the right."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import GateHistory, GateProfile, GateSeries, Series, Source
from graddiag.figures.frame import apply_layout, empty_figure, index_axis, panels, set_yaxes
from graddiag.figures.lines import PanelPosition, add_line, add_nonfinite_markers, as_float32, decimated
from graddiag.figures.theme import Style, Theme, arm_styles, safe

GATES_TITLE: Final = "Gates over training"
GATE_PROFILE_TITLE: Final = "Gates along the sequence"

_PANEL, _GAP = 150, 34
_ENDS: Final = (0.25, 0.5, 1.0)

Drawn = tuple[Source, np.ndarray, tuple[GateSeries, ...]]


def gates(results: GateHistory | Sequence[GateHistory], *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """Gates over training: a row a gate; its mean activation on the left; on the right the share
    saturated high, upwards from 0, and low, downwards."""
    results = (results,) if isinstance(results, GateHistory) else tuple(results)
    drawn = [(each.source, each.steps, each.gates) for each in results if each.missing is None]
    why = next((each.missing for each in results if each.missing), "There is no run to draw.")
    return _figure(drawn, GATES_TITLE, "step", why, theme, title)


def gate_profile(
    results: GateProfile | Sequence[GateProfile], *, theme: Theme = "light", title: bool = True
) -> go.Figure:
    """Gates over the timesteps of a sequence, laid out as ``gates``."""
    results = (results,) if isinstance(results, GateProfile) else tuple(results)
    drawn = [(each.source, each.timesteps, each.gates) for each in results if each.missing is None]
    why = next((each.missing for each in results if each.missing), "There is no run to draw.")
    return _figure(drawn, GATE_PROFILE_TITLE, "timestep", why, theme, title)


def _figure(drawn: Sequence[Drawn], name: str, axis: str, why: str, theme: Theme, title: bool) -> go.Figure:
    if not drawn:
        return empty_figure(why, theme, title=name if title else None)
    titles = {gate.gate: gate.title for _, _, found in drawn for gate in found}
    heads = [words for gate in titles.values() for words in (gate, "saturated")]
    spacing = {"horizontal_spacing": 0.2, "vertical_spacing": _GAP / (_PANEL * len(titles))}
    figure = panels(len(titles), 2, heads, shared_xaxes=True, **spacing)
    styles = arm_styles([source for source, _, _ in drawn], theme)
    for (source, x, found), style in zip(drawn, styles, strict=True):
        for gate in found:
            row = list(titles).index(gate.gate) + 1
            _add_line(figure, source, x, gate.mean, gate.mean.values, style, PanelPosition(row, 1))
            _add_line(figure, source, x, gate.high, gate.high.values, style, PanelPosition(row, 2))
            _add_line(figure, source, x, gate.low, -gate.low.values, style, PanelPosition(row, 2))
    for row, name_of in enumerate(titles, start=1):
        means = [(x, gate.mean) for _, x, found in drawn for gate in found if gate.gate == name_of]
        add_nonfinite_markers(figure, means, theme, log=False, place=PanelPosition(row, 1))
    saturation = _saturation_axis(drawn)
    for row in range(1, len(titles) + 1):
        set_yaxes(figure, title_text="mean activation", row=row, col=1)
        set_yaxes(figure, title_text="share, ↓ low ↑ high", row=row, col=2, **saturation)
    for column in (1, 2):
        index_axis(figure, axis, row=len(titles), col=column)
    return apply_layout(figure, theme, title=name if title else None, body=_PANEL * len(titles) + 20, heads=True)


def _saturation_axis(drawn: Sequence[Drawn]) -> dict[str, Any]:
    """One axis for all gates, as far down as up: the smallest of 25, 50 and 100 % that holds every share."""
    sides = [side.values for _, _, found in drawn for gate in found for side in (gate.high, gate.low)]
    largest = max((float(side[np.isfinite(side)].max(initial=0.0)) for side in sides), default=0.0)
    end = next((end for end in _ENDS if largest <= end), _ENDS[-1])
    ticks = [-end, -end / 2, 0.0, end / 2, end]
    texts = [f"{100 * abs(tick):.3g}%" if tick else "0" for tick in ticks]
    return {"range": [-1.05 * end, 1.05 * end], "tickvals": ticks, "ticktext": texts}


def _add_line(
    figure: go.Figure, source: Source, x: np.ndarray, series: Series, y: np.ndarray, style: Style, place: PanelPosition
) -> None:
    name = safe(source.arm_label)
    first = not any(trace.name == name for trace in figure.data)
    kept = decimated(y)
    add_line(
        figure,
        x,
        y,
        style,
        name,
        place,
        showlegend=first,
        customdata=as_float32(series.values[kept]),
        hovertemplate=f"%{{x}}, {series.title}: %{{customdata:.3f}}<extra>{safe(source.label)}</extra>",
    )
