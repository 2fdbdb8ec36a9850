"""A forest plot of effects: arm less baseline, seed by seed, with the interval where there is one."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import Comparison, Effect, number
from graddiag.analysis.comparison.effects import SUCCESS
from graddiag.analysis.words import plural
from graddiag.figures.frame import apply_layout, empty_figure, panels, set_xaxes, set_yaxes
from graddiag.figures.theme import PALETTES, Style, Theme, arm_styles, safe

EFFECTS_TITLE: Final = "Effects, pair by pair"

_ROW, _GAP = 88, 56
_LINE: Final = 48  # letters of a head that a phone has room for
_DIFFERENCE: Final = "arm less baseline"


def effects(comparison: Comparison, *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """One row per metric, each on a separate axis: every pair a small point, the median difference a diamond with its
    interval (given for five or more pairs; see ``analysis.medians``), of success the difference of the two rates.

    Left of 0 the arm has less than the baseline, right of it more. A pair with an infinite difference, one of whose
    runs ended in NaN or inf or never reached the target, is a triangle at the end of the axis.
    """
    shown = [each for each in comparison.effects if each.n]
    if comparison.missing or not shown:
        return empty_figure(
            comparison.missing or "No effect could be measured.", theme, title=EFFECTS_TITLE if title else None
        )
    metrics = list(dict.fromkeys(each.metric for each in shown))
    heads = [_head([each for each in shown if each.metric == metric]) for metric in metrics]
    figure = panels(len(metrics), 1, ["-"] * len(metrics), vertical_spacing=_GAP / (_ROW * len(metrics)))
    for note, head in zip(figure.layout.annotations, heads, strict=True):
        note.text = head
    sources = {arm.arm: arm.runs[0].source for arm in comparison.arms}
    styles = dict(zip(sources, arm_styles(list(sources.values()), theme), strict=True))
    for row, metric in enumerate(metrics, start=1):
        found = [each for each in shown if each.metric == metric]
        limits = _range(found)
        for height, effect in enumerate(found):
            _add(figure, effect, styles[effect.arm], -height, row, limits)
        set_xaxes(figure, range=limits, row=row, col=1)
        figure.add_vline(x=0, line={"color": PALETTES[theme].muted, "width": 1, "dash": "dot"}, row=row, col=1)
    apply_layout(figure, theme, title=EFFECTS_TITLE if title else None, body=_ROW * len(metrics), heads=True)
    set_yaxes(figure, visible=False)
    set_xaxes(figure, nticks=6)
    return _titles_left(figure)


def _head(found: Sequence[Effect]) -> str:
    first = found[0]
    amounts = safe("; ".join(f"{f'{each.arm} ' if len(found) > 1 else ''}{_amount(each)}" for each in found))
    never = f"; never reached: {sum(each.never[1] for each in found)}, of the baseline {first.never[0]}"
    told = f"{amounts}{never if any(any(each.never) for each in found) else ''}"
    return f"{first.title}:{'<br>' if len(first.title) + len(told) > _LINE else ' '}{told}"


def _amount(effect: Effect) -> str:
    sign = "+" if effect.difference is not None and effect.difference > 0 else ""
    return f"{sign}{effect.estimate}"


def _add(figure: go.Figure, effect: Effect, style: Style, height: float, row: int, limits: Sequence[float]) -> None:
    name = safe(f"{effect.arm} less {effect.baseline_arm}")
    seen = any(trace.name == name for trace in figure.data)
    pairs = list(zip(_names(effect), effect.baseline_values, effect.values, strict=True))
    gaps = np.array([math.nan if gap is None else gap for gap in effect.differences])
    symbols = np.select([gaps == -math.inf, gaps == math.inf], ["triangle-left", "triangle-right"], "circle")
    figure.add_trace(
        go.Scatter(
            x=np.clip(gaps, limits[0], limits[1]),
            y=np.full(len(gaps), height),
            mode="markers",
            marker={"color": style.color, "size": 7, "opacity": 0.55, "symbol": symbols},
            name=f"{name}, one pair",
            legendgroup=name,
            showlegend=False,
            text=[f"{name}: {number(before)} to {number(after)}" for name, before, after in pairs],
            hovertemplate="%{text}<extra></extra>",
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
            error_x=_bar(effect, style, limits),
            name=name,
            legendgroup=name,
            showlegend=not seen,
            hovertemplate=f"{_middle(effect)} %{{x:+.4g}}<br>{safe(effect.note)}<extra></extra>",
            text=[safe(f"{_middle(effect)} of {plural(effect.n, 'pair')}{', ' if effect.note else ''}{effect.note}")],
        ),
        row=row,
        col=1,
    )


def _middle(effect: Effect) -> str:
    return "difference of the rates" if effect.metric == SUCCESS else "median"


def _names(effect: Effect) -> list[str]:
    """What to call each pair: its seed, and its length where they have several."""
    several = len(set(effect.lengths)) > 1
    return [
        f"seed {seed}, length {length}" if several else f"seed {seed}"
        for seed, length in zip(effect.seeds, effect.lengths, strict=True)
    ]


def _range(found: Sequence[Effect]) -> list[float]:
    """From the least to the most of pairs, intervals and 0, with room for the signs at the ends."""
    gaps = [gap for each in found for gap in each.differences if gap is not None]
    ends = [end for each in found for end in (each.interval or ())]
    known = [0.0, *(value for value in (*gaps, *ends) if math.isfinite(value))]
    room = 0.06 * (max(known) - min(known)) or 1.0
    return [min(known) - room, max(known) + room]


def _bar(effect: Effect, style: Style, limits: Sequence[float]) -> dict[str, Any] | None:
    """The interval about the median; an infinite end goes to the end of the axis."""
    if effect.interval is None or effect.difference is None:
        return None
    (low, high), middle = np.clip(effect.interval, limits[0], limits[1]).tolist(), effect.difference
    ends = {"array": [high - middle], "arrayminus": [middle - low]}
    return {"type": "data", "symmetric": False, **ends, "color": style.color, "thickness": 2}


def _titles_left(figure: go.Figure) -> go.Figure:
    figure.update_annotations(x=0, xanchor="left", align="left")
    return figure
