"""The memory horizon: over training against the distance it has to cover, and layer by layer."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import LayerReaches, Reach, number
from graddiag.figures.curves_figure import add_named_line
from graddiag.figures.frame import BODY, apply_layout, empty_figure, index_axis, log_axis, panels, set_xaxes, set_yaxes
from graddiag.figures.lines import MOST_POINTS, PanelPosition, positive
from graddiag.figures.theme import PALETTES, Style, Theme, arm_styles, safe

HORIZON_TITLE: Final = "Memory horizon over training"
LAYERS_TITLE: Final = "Gradient gain per timestep, layer by layer"

_ROW: Final = 44
_SPREAD: Final = 0.5
_FAR: Final = 5.0  # times the largest horizon: a line beyond would squash the curves
_ENDLESS: Final = "does not fade"


def horizon(results: Reach | Sequence[Reach], *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """The horizon in timesteps at each recorded step, log scale; steps at which the gradient does not fade are marked
    on top; lines at the length of the sequence and at the task's distance, where that is known. The axis fits the
    curves: a line that is far from them is named in the legend alone."""
    results = (results,) if isinstance(results, Reach) else tuple(results)
    drawn = [each for each in results if each.missing is None]
    if not drawn:
        return empty_figure(_why(results), theme, title=HORIZON_TITLE if title else None)
    figure = panels(1, 1)
    shown = [float(end) for each in drawn for end in _ends(each)]
    distances = _distances(drawn)
    far = {distance: where for distance, _ in distances if (where := _beyond(distance, shown))}
    bounds = [*shown, *(float(distance) for distance, _ in distances if distance not in far)]
    for each, style in zip(drawn, arm_styles([one.source for one in drawn], theme), strict=True):
        line = np.where(np.isfinite(each.horizon_by_step), each.horizon_by_step, np.nan)
        add_named_line(figure, each.steps, positive(line), each.source, style, PanelPosition())
        _add_endless(figure, each, style, max(bounds))
    for distance, words in distances:
        _add_level(figure, drawn, distance, words, far.get(distance, ""), theme)
    set_yaxes(figure, title_text="timesteps", **{**_range(bounds), **log_axis(bounds)} if far else log_axis(bounds))
    index_axis(figure, "step")
    return apply_layout(figure, theme, title=HORIZON_TITLE if title else None, body=BODY)


def layers(results: LayerReaches | Sequence[LayerReaches], *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """A row a layer and direction: its mean transport gain exp(exponent) with the 95% interval over steps; left of the
    line at 1 the gradient fades, right of it grows. Log scale."""
    results = (results,) if isinstance(results, LayerReaches) else tuple(results)
    drawn = [each for each in results if each.missing is None]
    if not drawn:
        return empty_figure(_why(results), theme, title=LAYERS_TITLE if title else None)
    rows = list(dict.fromkeys(safe(one.selection.label) for each in drawn for one in each.layers))
    figure = panels(1, 1)
    styles = arm_styles([one.source for one in drawn], theme)
    for place, (each, style) in enumerate(zip(drawn, styles, strict=True)):
        _add_layers(figure, each, style, rows, (place - (len(drawn) - 1) / 2) * _SPREAD / len(drawn))
    gains = [float(end) for each in drawn for one in each.layers for end in _gain_ends(one)]
    figure.add_vline(x=1, line={"color": PALETTES[theme].muted, "width": 1, "dash": "dot"}, row=1, col=1)
    set_xaxes(figure, title_text="mean transport gain<br>95% interval over steps", **log_axis([*gains, 1.0]))
    set_yaxes(figure, tickvals=list(range(len(rows))), ticktext=rows, range=[len(rows) - 0.5, -0.5])
    return apply_layout(figure, theme, title=LAYERS_TITLE if title else None, body=60 + _ROW * len(rows))


def _ends(each: Reach) -> list[float]:
    finite = each.horizon_by_step[np.isfinite(each.horizon_by_step) & (each.horizon_by_step > 0)]
    return [finite.min(), finite.max()] if len(finite) else []


def _beyond(distance: int, shown: Sequence[float]) -> str:
    """Where a line at ``distance`` lies that would squash the curves, whose ends are ``shown``; empty where it fits."""
    if not shown:
        return ""
    return "above" if distance > _FAR * max(shown) else "below" if distance < min(shown) / _FAR else ""


def _range(bounds: Sequence[float]) -> dict[str, Any]:
    """A log axis that does not reach to the lines beyond it, with room about what it shows."""
    low, high = math.log10(min(bounds)), math.log10(max(bounds))
    room = 0.08 * (high - low) + 0.05
    return {"range": [low - room, high + room]}


def _distances(drawn: Sequence[Reach]) -> list[tuple[int, str]]:
    lengths = [(each.length, "length of the sequence") for each in drawn]
    tasks = [(each.distance, "task's distance") for each in drawn if each.distance is not None]
    return sorted(set(lengths + tasks))


def _add_endless(figure: go.Figure, each: Reach, style: Style, top: float) -> None:
    at = each.steps[np.isposinf(each.horizon_by_step)]
    if not len(at):
        return
    kept = at[np.unique(np.linspace(0, len(at) - 1, min(len(at), MOST_POINTS // 4)).astype(int))]
    figure.add_trace(
        go.Scatter(
            x=kept,
            y=np.full(len(kept), top, dtype=np.float32),
            mode="markers",
            marker={"symbol": "triangle-up-open", "color": style.color, "size": 7},
            name=_ENDLESS,
            legendgroup=_ENDLESS,
            showlegend=not any(trace.name == _ENDLESS for trace in figure.data),
            hovertemplate=f"%{{x}}: {_ENDLESS}<extra>{safe(each.source.label)}</extra>",
        )
    )


def _add_level(
    figure: go.Figure, drawn: Sequence[Reach], distance: int, words: str, beyond: str, theme: Theme
) -> None:  # fmt: skip
    ends = [int(end) for each in drawn for end in (each.steps[0], each.steps[-1])]
    figure.add_trace(
        go.Scatter(
            x=[min(ends), max(ends)],
            y=[distance, distance],
            mode="lines",
            name=f"{words} {distance:,}{f', {beyond} the axis' if beyond else ''}",
            line={
                "color": PALETTES[theme].threshold,
                "dash": "dot" if words.startswith("length") else "dash",
                "width": 1,
            },
            hovertemplate=f"{words} %{{y}}<extra></extra>",
        )
    )


def _add_layers(figure: go.Figure, each: LayerReaches, style: Style, rows: Sequence[str], offset: float) -> None:
    known = [one for one in each.layers if one.exponent is not None]
    gains = [math.exp(one.exponent or 0.0) for one in known]
    ends = [_gain_ends(one) for one in known]
    name = safe(each.source.arm_label)
    figure.add_trace(
        go.Scatter(
            x=np.array(gains),
            y=np.array([rows.index(safe(one.selection.label)) + offset for one in known]),
            mode="markers",
            marker={"color": style.color, "size": 9, "symbol": "diamond"},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [high - gain for gain, (_, high) in zip(gains, ends, strict=True)],
                "arrayminus": [gain - low for gain, (low, _) in zip(gains, ends, strict=True)],
                "color": style.color,
            },
            name=name,
            legendgroup=name,
            showlegend=not any(trace.name == name for trace in figure.data),
            text=[f"{safe(one.selection.label)}: horizon {number(one.horizon)} timesteps" for one in known],
            hovertemplate=f"%{{x:.4g}}, %{{text}}<extra>{safe(each.source.label)}</extra>",
        )
    )


def _gain_ends(one: Reach) -> tuple[float, ...]:
    """The ends of the interval of the mean gain, the gain itself twice where there is no interval."""
    if one.exponent is None:
        return ()
    return tuple(math.exp(end) for end in one.exponent_interval or (one.exponent, one.exponent))


def _why(results: Sequence[Reach] | Sequence[LayerReaches]) -> str:
    return next((each.missing for each in results if each.missing), "There is no run to draw.")
