"""An experiment in pictures: success by length and arm, every run as a small curve and as a line across settings."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import Experiment, number, scalar_title
from graddiag.analysis.experiment import Member, Rate
from graddiag.figures.frame import BODY, dressed, nothing, panels
from graddiag.figures.lines import as_float32
from graddiag.figures.tables import noted
from graddiag.figures.theme import FONT_SIZE, PALETTES, Style, Theme, arm_styles, safe

_PANEL, _GAP = 170, 40
_SPREAD: Final = 0.08  # between arms at one length, so that their intervals stand side by side
_MOST_COLUMNS: Final = 6
_ROOM: Final = 0.5  # of the range without them: how far above the largest values may lie and be shown


def success(result: Experiment, *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """The share of runs that succeeded, with its 95% interval: a point for each arm at each length."""
    name = "Success by length and arm"
    if result.missing:
        return nothing(result.missing, theme, title=name if title else None)
    figure, styles = panels(1, 1), _styles(result, theme)
    for place, arm in enumerate(result.arms):
        found = [rate for rate in result.rates if rate.arm == arm]
        shift = _SPREAD * (place - (len(result.arms) - 1) / 2)
        figure.add_trace(_points(result, found, styles[arm], shift))
    ticks = list(range(len(result.lengths)))
    figure.update_xaxes(
        title_text="length of the sequence, timesteps", tickvals=ticks, ticktext=_lengths(result.lengths)
    )
    figure.update_xaxes(range=[-0.5, len(ticks) - 0.5])
    figure.update_yaxes(title_text="share of runs that succeeded", range=[-0.04, 1.04], tickformat=".0%")
    return dressed(figure, theme, title=name if title else None, body=BODY)


def _points(result: Experiment, found: Sequence[Rate], style: Style, shift: float) -> go.Scatter:
    shares = np.array([rate.successes / rate.runs for rate in found])
    low, high = (np.array([rate.interval[end] for rate in found]) for end in (0, 1))
    words = [
        f"{rate.successes} of {rate.runs} runs, {rate.interval[0]:.0%} to {rate.interval[1]:.0%}" for rate in found
    ]
    name = safe(found[0].arm) if found else ""
    return go.Scatter(
        x=[result.lengths.index(rate.length) + shift for rate in found],
        y=shares,
        error_y={"type": "data", "array": high - shares, "arrayminus": shares - low, "thickness": 1.4, "width": 5},
        mode="lines+markers",
        line={"color": style.color, "dash": style.dash, "width": 1.4},
        marker={"size": 9, "color": style.color},
        name=name,
        text=words,
        hovertemplate=f"%{{text}}<extra>{name}</extra>",
        meta=noted(x=_lengths([rate.length for rate in found])),
    )


def multiples(result: Experiment, *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """A panel for each arm (row) and length (column), a line for each run, on shared axes; the goal is dotted.
    Where the largest twentieth of the values would leave the others no room, the axis is cut and says so."""
    name = f"{scalar_title(result.goal.name)} of every run"
    drawn = [each for each in result.members if len(each.steps)]
    if not drawn:
        return nothing(result.missing or "There is no run to draw.", theme, title=safe(name) if title else None)
    lengths = result.lengths[:_MOST_COLUMNS]
    rows, columns, styles = len(result.arms), len(lengths), _styles(result, theme)
    heads = [_head(arm, length, len(result.lengths)) for arm in result.arms for length in lengths]
    spacing = {"horizontal_spacing": 0.04, "vertical_spacing": _GAP / (_PANEL * rows)}
    figure = panels(rows, columns, heads, shared_xaxes="all", shared_yaxes="all", **spacing)
    for each in drawn:
        if each.length in lengths:
            arm = each.source.arm_label
            row, column = result.arms.index(arm) + 1, lengths.index(each.length) + 1
            figure.add_trace(_curve(each, styles[arm]), row=row, col=column)
    line = {"color": PALETTES[theme].muted, "width": 1, "dash": "dot"}
    figure.add_hline(y=result.goal.below, line=line, row="all", col="all")
    figure.update_xaxes(title_text="step", row=rows)
    limits, largest = _range(drawn, result.goal.below), max((_largest(each) for each in drawn), default=0.0)
    cut = f", cut at {number(limits[1])}" if largest > limits[1] else ""
    figure.update_yaxes(title_text=f"{safe(scalar_title(result.goal.name).lower())}{cut}", col=1)
    figure.update_yaxes(range=limits)
    return dressed(
        figure, theme, title=safe(name) if title else None, body=_PANEL * rows + 40, heads=True, legend=False
    )


def _largest(each: Member) -> float:
    return float(np.max(each.values, initial=-np.inf, where=np.isfinite(each.values)))


def _curve(each: Member, style: Style) -> go.Scatter:
    hover = f"step %{{x}}: %{{y:.4g}}<extra>{safe(each.source.label)}</extra>"
    return go.Scatter(
        x=each.steps,
        y=as_float32(each.values),
        mode="lines" if np.isfinite(each.values).sum() > 1 else "lines+markers",
        line={"color": style.color, "width": 1.2},
        opacity=0.85,
        name=safe(each.source.label),
        hovertemplate=hover,
    )


def _range(drawn: Sequence[Member], below: float) -> list[float]:
    """What 95 of 100 values lie in, with the goal, or all of them where the others do not lie far above: a run that
    explodes leaves the others to be seen."""
    values = np.concatenate([each.values[np.isfinite(each.values)] for each in drawn])
    if not len(values):
        return [0.0, 1.0]
    low, high = float(np.quantile(values, 0.0)), float(np.quantile(values, 0.95))
    low, high = min(low, below), max(high, below)
    if values.max() - high <= _ROOM * (high - low):
        high = max(high, float(values.max()))
    margin = 0.05 * ((high - low) or 1.0)
    return [low - margin, high + margin]


@dataclass(frozen=True)
class _Axis:
    """One upright of the parallel coordinates: its head, the number of a run on it, and whether it is a log one."""

    head: str
    of: Callable[[Member], float | None]
    log: bool = False


def parallel(result: Experiment, *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """A line a run across uprights: arm, length, seed, the settings that differ, largest norm and the value at the end.

    Each upright is scaled to its own smallest and largest number, which stand at its ends. A run lacks a point where
    its number is not known, NaN or inf.
    """
    name = "Every run across its settings"
    if not result.members:
        return nothing("There is no run to draw.", theme, title=name if title else None)
    axes = [axis for axis in _axes(result) if _ends(axis, result.members)]
    figure, styles = panels(1, 1), _styles(result, theme)
    for each in result.members:
        figure.add_trace(_across(each, axes, result, styles[each.source.arm_label], figure))
    for place, axis in enumerate(axes):
        _add_upright(figure, place, axis, result, theme)
    figure.update_xaxes(range=[-0.45, len(axes) - 0.55], visible=False)
    figure.update_yaxes(range=[-0.18, 1.42], visible=False)
    dressed(figure, theme, title=name if title else None, body=BODY + 80)
    figure.update_annotations(font={"size": FONT_SIZE - 2})  # many of them have to stand side by side on a phone
    return figure


def _axes(result: Experiment) -> list[_Axis]:
    settings = dict.fromkeys(name for each in result.members for name in each.settings)
    return [
        _Axis("arm", lambda each: float(result.arms.index(each.source.arm_label))),
        _Axis("length", lambda each: each.length),
        _Axis("seed", lambda each: each.source.seed),
        *(_Axis(name, lambda each, name=name: each.settings.get(name), _decades(result, name)) for name in settings),  # type: ignore[misc]
        _Axis("largest norm", lambda each: each.largest_norm, log=True),
        _Axis(scalar_title(result.goal.name).lower() + " at the end", lambda each: each.final),
    ]


def _decades(result: Experiment, name: str) -> bool:
    found = [each.settings[name] for each in result.members if name in each.settings]
    return min(found) > 0 and max(found) / min(found) > 30


def _number(axis: _Axis, each: Member) -> float | None:
    value = axis.of(each)
    if value is None or not math.isfinite(value) or (axis.log and value <= 0):
        return None
    return math.log10(value) if axis.log else float(value)


def _ends(axis: _Axis, members: Sequence[Member]) -> tuple[float, float] | None:
    found = [value for each in members if (value := _number(axis, each)) is not None]
    return (min(found), max(found)) if found else None


def _across(each: Member, axes: Sequence[_Axis], result: Experiment, style: Style, figure: go.Figure) -> go.Scatter:
    heights, words, told = [], [], []
    for axis in axes:
        low, high = _ends(axis, result.members) or (0.0, 1.0)
        value = _number(axis, each)
        heights.append(None if value is None else 0.5 if low == high else (value - low) / (high - low))
        words.append(f"{safe(axis.head)} {safe(_shown(axis, axis.of(each), result))}")
        told.append(safe(each.source.arm_label) if axis.head == "arm" else axis.of(each))
    name = safe(each.source.arm_label)
    return go.Scatter(
        x=list(range(len(axes))),
        y=heights,
        mode="lines+markers",
        line={"color": style.color, "dash": style.dash, "width": 1.3},
        marker={"size": 5, "color": style.color, "symbol": "circle" if each.success else "circle-open"},
        opacity=0.8,
        name=name,
        legendgroup=name,
        showlegend=not any(trace.name == name for trace in figure.data),
        text=words,
        hovertemplate=f"%{{text}}<extra>{safe(each.source.label)}</extra>",
        customdata=told,
        meta=noted(x=[safe(axis.head) for axis in axes], x_title="setting or result", y_title="value"),
    )


def _add_upright(figure: go.Figure, place: int, axis: _Axis, result: Experiment, theme: Theme) -> None:
    palette = PALETTES[theme]
    figure.add_shape(type="line", x0=place, x1=place, y0=0, y1=1, line={"color": palette.muted, "width": 1})
    low, high = _ends(axis, result.members) or (0.0, 1.0)
    back = (lambda value: 10.0**value) if axis.log else float
    ends = [(0.5, low)] if low == high else [(0.0, low), (1.0, high)]
    for height, value in ends:
        words = _shown(axis, back(value), result)
        beside = {"xanchor": "left", "xshift": 7} if low == high else {"yshift": -10 if height == 0 else 10}
        figure.add_annotation(x=place, y=height, text=safe(words), showarrow=False, **beside)
    head = safe(axis.head).replace(" ", "<br>").replace("_", "_<br>")
    figure.add_annotation(x=place, y=1.12, text=head, showarrow=False, yanchor="bottom")


def _shown(axis: _Axis, value: float | None, result: Experiment) -> str:
    if axis.head == "arm" and value is not None:
        return result.arms[round(value)]
    return number(value)


def _styles(result: Experiment, theme: Theme) -> dict[str, Style]:
    sources: dict[str, Any] = {each.source.arm_label: each.source for each in reversed(result.members)}
    return dict(zip(sources, arm_styles(list(sources.values()), theme), strict=True))


def _lengths(lengths: Sequence[int | None]) -> list[str]:
    return ["not told" if length is None else str(length) for length in lengths]


def _head(arm: str, length: int | None, lengths: int) -> str:
    return f"{arm}, length {length}" if length is not None and lengths > 1 else arm
