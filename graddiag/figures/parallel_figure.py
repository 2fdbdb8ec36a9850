"""Every run of an experiment as a line across uprights, its settings and what it came to: parallel coordinates."""

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import plotly.graph_objects as go

from graddiag.analysis import Experiment, number, scalar_title
from graddiag.analysis.comparison.experiment import Member
from graddiag.figures.experiment import member_styles
from graddiag.figures.frame import BODY, apply_layout, empty_figure, panels, set_xaxes, set_yaxes
from graddiag.figures.theme import FONT_SIZE, PALETTES, Style, Theme, safe

PARALLEL_TITLE: Final = "Every run across its settings"

_LETTERS, _SHORTEST = 48, 8  # of all heads side by side on a phone; of the shortest line that one is broken into


@dataclass(frozen=True)
class _Axis:
    """One upright of the parallel coordinates: its head, the number of a run on it, and whether it is a log one."""

    head: str
    of: Callable[[Member], float | None]
    log: bool = False


def parallel(result: Experiment, *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """A line a run across uprights: arm, length, seed and other settings, those that differ, largest norm and the value
    at the end.

    Each upright is scaled to its own smallest and largest number, which label its ends. A run lacks a point where
    its number is not known, NaN or inf.
    """
    if not result.members:
        return empty_figure("There is no run to draw.", theme, title=PARALLEL_TITLE if title else None)
    axes = [axis for axis in _axes(result) if _ends(axis, result.members)]
    figure, styles = panels(1, 1), member_styles(result, theme)
    for each in result.members:
        figure.add_trace(_across(each, axes, result, styles[each.source.arm_label], figure))
    for place, axis in enumerate(axes):
        _add_upright(figure, place, axis, result, theme)
        words = f"{axis.head} (log)" if axis.log else axis.head
        head = "<br>".join(_wrapped(words, max(_SHORTEST, _LETTERS // len(axes))))
        figure.add_annotation(x=place, y=1.12, text=head, showarrow=False, yanchor="bottom")
    set_xaxes(figure, range=[-0.45, len(axes) - 0.55], visible=False)
    set_yaxes(figure, range=[-0.18, 1.42], visible=False)
    apply_layout(figure, theme, title=PARALLEL_TITLE if title else None, body=BODY + 80)
    figure.update_annotations(font={"size": FONT_SIZE - 2})  # many of them have to stand side by side on a phone
    return figure


def _axes(result: Experiment) -> list[_Axis]:
    settings = dict.fromkeys(name for each in result.members for name in each.settings)
    told = {
        "arm": _Axis("arm", lambda each: float(result.arms.index(each.source.arm_label))),
        "length": _Axis("length", lambda each: each.length),
        "seed": _Axis("seed", lambda each: each.source.seed),
    }
    return [
        *(axis for name, axis in told.items() if name not in result.shared),
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
    heights, words = [], []
    for axis in axes:
        low, high = _ends(axis, result.members) or (0.0, 1.0)
        value = _number(axis, each)
        heights.append(None if value is None else 0.5 if low == high else (value - low) / (high - low))
        words.append(f"{safe(axis.head)} {safe(_shown(axis, axis.of(each), result))}")
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


def _wrapped(head: str, width: int) -> list[str]:
    """``head`` as markup in lines of about ``width`` letters, parted at spaces and behind underscores."""
    lines = textwrap.wrap(head.replace("_", "_ "), width, break_long_words=False)
    return [safe(line.replace("_ ", "_")) for line in lines]


def _shown(axis: _Axis, value: float | None, result: Experiment) -> str:
    if axis.head == "arm" and value is not None:
        return result.arms[round(value)]
    return number(value)
