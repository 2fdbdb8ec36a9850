"""A forest plot of effects: arm less baseline, seed by seed, with the interval where there is one."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import Comparison, Effect, number
from graddiag.analysis.words import plural
from graddiag.figures.frame import dressed, nothing, panels
from graddiag.figures.tables import noted
from graddiag.figures.theme import PALETTES, Style, Theme, arm_styles, safe

_ROW, _GAP = 88, 56
_LINE: Final = 48  # letters of a head that a phone has room for
_DIFFERENCE: Final = "arm less baseline"


def effects(comparison: Comparison, *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """A row a metric, each on an axis of its own: every pair a small point, their mean a diamond with its 95% interval
    (by Student's t of two to four pairs, by the bootstrap of more).

    Left of 0 the arm has less than the baseline, right of it more.
    """
    shown = [each for each in comparison.effects if each.difference is not None]
    name = "Effects: arm less baseline, pair by pair"
    if comparison.missing or not shown:
        return nothing(comparison.missing or "No effect could be measured.", theme, title=name if title else None)
    metrics = list(dict.fromkeys(each.metric for each in shown))
    heads = [_head([each for each in shown if each.metric == metric]) for metric in metrics]
    figure = panels(len(metrics), 1, ["-"] * len(metrics), vertical_spacing=_GAP / (_ROW * len(metrics)))
    for note, head in zip(figure.layout.annotations, heads, strict=True):
        note.text = head
    sources = {arm.arm: arm.runs[0].source for arm in comparison.arms}
    styles = dict(zip(sources, arm_styles(list(sources.values()), theme), strict=True))
    for row, metric in enumerate(metrics, start=1):
        for height, effect in enumerate(each for each in shown if each.metric == metric):
            _add(figure, effect, styles[effect.arm], -height, row)
        figure.add_vline(x=0, line={"color": PALETTES[theme].muted, "width": 1, "dash": "dot"}, row=row, col=1)
    dressed(figure, theme, title=name if title else None, body=_ROW * len(metrics), heads=True)
    figure.update_yaxes(visible=False)
    figure.update_xaxes(nticks=6)
    for row, metric in enumerate(metrics, start=1):
        figure.update_xaxes(range=_range([each for each in shown if each.metric == metric]), row=row, col=1)
    return _titles_left(figure)


def _head(found: Sequence[Effect]) -> str:
    first = found[0]
    amounts = safe("; ".join(_amount(each, len(found) > 1) for each in found))
    never = f"; never reached: {sum(each.never[1] for each in found)}, of the baseline {first.never[0]}"
    told = f"{amounts}{never if any(any(each.never) for each in found) else ''}"
    return f"{first.title}:{'<br>' if len(first.title) + len(told) > _LINE else ' '}{told}"


def _amount(effect: Effect, named: bool) -> str:
    assert effect.difference is not None
    arm = f"{effect.arm} " if named else ""
    interval = f" (95%: {number(effect.interval[0])} to {number(effect.interval[1])})" if effect.interval else ""
    return f"{arm}{'+' if effect.difference > 0 else ''}{number(effect.difference)}{interval}"


def _add(figure: go.Figure, effect: Effect, style: Style, height: float, row: int) -> None:
    name = safe(f"{effect.arm} less {effect.baseline_arm}")
    seen = any(trace.name == name for trace in figure.data)
    pairs = list(zip(_names(effect), effect.baseline_values, effect.values, strict=True))
    gaps = np.array([_gap(before, after) for _, before, after in pairs])
    figure.add_trace(
        go.Scatter(
            x=gaps,
            y=np.full(len(gaps), height),
            mode="markers",
            marker={"color": style.color, "size": 7, "opacity": 0.55},
            name=f"{name}, one pair",
            legendgroup=name,
            showlegend=False,
            text=[f"{name}: {number(before)} to {number(after)}" for name, before, after in pairs],
            hovertemplate="%{text}, %{x:+.4g}<extra></extra>",
            meta=noted(x_title=_DIFFERENCE, y_title=""),
            customdata=[""] * len(pairs),
        ),
        row=row,
        col=1,
    )
    figure.add_trace(
        go.Scatter(
            x=[effect.difference],
            y=[height],
            mode="markers",
            marker={"color": style.color, "size": 11, "symbol": "diamond"},
            error_x=_bar(effect, style),
            name=name,
            legendgroup=name,
            showlegend=not seen,
            hovertemplate=f"mean %{{x:+.4g}}, {plural(effect.n, 'pair')}<br>{safe(effect.note)}<extra></extra>",
            customdata=[""],
            text=[safe(f"mean of {plural(effect.n, 'pair')}{', ' if effect.note else ''}{effect.note}")],
            meta=noted(x_title=_DIFFERENCE, y_title=""),
        ),
        row=row,
        col=1,
    )


def _names(effect: Effect) -> list[str]:
    """What to call each pair: its seed, and its length where they have several."""
    several = len(set(effect.lengths)) > 1
    return [
        f"seed {seed}, length {length}" if several else f"seed {seed}"
        for seed, length in zip(effect.seeds, effect.lengths, strict=True)
    ]


def _range(found: Sequence[Effect]) -> list[float]:
    """From the least to the most of pairs, intervals and 0, with room for the signs at the ends."""
    gaps = [_gap(*pair) for each in found for pair in zip(each.baseline_values, each.values, strict=True)]
    ends = [end for each in found for end in (each.interval or ())]
    known = [0.0, *(value for value in (*gaps, *ends) if math.isfinite(value))]
    room = 0.06 * (max(known) - min(known)) or 1.0
    return [min(known) - room, max(known) + room]


def _bar(effect: Effect, style: Style) -> dict[str, Any] | None:
    if effect.interval is None or effect.difference is None:
        return None
    (low, high), middle = effect.interval, effect.difference
    ends = {"array": [high - middle], "arrayminus": [middle - low]}
    return {"type": "data", "symmetric": False, **ends, "color": style.color, "thickness": 2}


def _gap(before: float | None, after: float | None) -> float:
    return math.nan if before is None or after is None else after - before


def _titles_left(figure: go.Figure) -> go.Figure:
    figure.update_annotations(x=0, xanchor="left", align="left")
    return figure
