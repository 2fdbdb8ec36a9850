"""An experiment in pictures: success by length and arm, and every run as a small curve."""

import textwrap
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import Experiment, number, scalar_title
from graddiag.analysis.comparison.experiment import Member, Rate
from graddiag.analysis.values import Floats
from graddiag.figures.frame import BODY, apply_layout, empty_figure, index_axis, panels, set_xaxes, set_yaxes
from graddiag.figures.lines import as_float32
from graddiag.figures.theme import PALETTES, Style, Theme, arm_styles, safe

SUCCESS_TITLE: Final = "Success"
MULTIPLES_TITLE: Final = "Every run"

_PANEL, _GAP = 170, 40
_ARM, _AXIS, _NAME = 36, 50, 24  # pixels of an arm and of the axis below them; letters of a name on one line
_LENGTH: Final = "length of the sequence, timesteps"
_SHARE: Final = "share of runs that succeeded"
_SPREAD: Final = 0.08  # between arms at one length, so that their intervals stand side by side
_MOST_COLUMNS: Final = 6
_NEAR_ZERO: Final = 0.5  # of the largest value shown: from there on down the axis begins at 0
_ROOM: Final = 0.5  # of the range without them: how far above the largest values may lie and be shown


def success(result: Experiment, *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """The share of runs that succeeded, with its 95% interval: of several lengths a point for each arm at each length,
    of one a line for each arm."""
    if result.missing:
        return empty_figure(result.missing, theme, title=SUCCESS_TITLE if title else None)
    figure = _by_length(result, theme) if len(result.lengths) > 1 else _by_arm(result, theme)
    body = BODY if len(result.lengths) > 1 else _ARM * len(result.arms) + _AXIS
    return apply_layout(
        figure, theme, title=SUCCESS_TITLE if title else None, body=body, legend=len(result.lengths) > 1
    )


def _by_length(result: Experiment, theme: Theme) -> go.Figure:
    figure, styles = panels(1, 1), member_styles(result, theme)
    for place, arm in enumerate(result.arms):
        found = [rate for rate in result.rates if rate.arm == arm]
        shift = _SPREAD * (place - (len(result.arms) - 1) / 2)
        across = [result.lengths.index(rate.length) + shift for rate in found]
        shares, bars = _shares(found)
        figure.add_trace(_points(found, styles[arm], x=across, y=shares, error_y=bars))
    ticks = list(range(len(result.lengths)))
    set_xaxes(figure, title_text=_LENGTH, tickvals=ticks, ticktext=_lengths(result.lengths))
    set_xaxes(figure, range=[-0.5, len(ticks) - 0.5])
    set_yaxes(figure, title_text=_SHARE, range=[-0.04, 1.04], tickformat=".0%")
    return figure


def _by_arm(result: Experiment, theme: Theme) -> go.Figure:
    figure, styles = panels(1, 1), member_styles(result, theme)
    for place, arm in enumerate(result.arms):
        found = [rate for rate in result.rates if rate.arm == arm]
        shares, bars = _shares(found)
        figure.add_trace(_points(found, styles[arm], x=shares, y=[place] * len(found), error_x=bars))
    names = ["<br>".join(safe(line) for line in textwrap.wrap(arm, _NAME)) for arm in result.arms]
    set_yaxes(figure, tickvals=list(range(len(names))), ticktext=names, range=[len(names) - 0.5, -0.5])
    set_xaxes(figure, title_text=_SHARE, range=[-0.04, 1.04], tickformat=".0%")
    return figure


def _shares(found: Sequence[Rate]) -> tuple[Floats, dict[str, Any]]:
    """The rates, and the bars that are their intervals."""
    shares = np.array([rate.successes / rate.runs for rate in found])
    low, high = (np.array([rate.interval[end] for rate in found]) for end in (0, 1))
    return shares, {"type": "data", "array": high - shares, "arrayminus": shares - low, "thickness": 1.4, "width": 5}


def _points(found: Sequence[Rate], style: Style, **places: Any) -> go.Scatter:
    name = safe(found[0].arm) if found else ""
    return go.Scatter(
        mode="lines+markers",
        line={"color": style.color, "dash": style.dash, "width": 1.4},
        marker={"size": 9, "color": style.color},
        name=name,
        text=[
            f"{rate.successes} of {rate.runs} runs, {rate.interval[0]:.0%} to {rate.interval[1]:.0%}" for rate in found
        ],
        hovertemplate=f"%{{text}}<extra>{name}</extra>",
        **places,
    )


def multiples(result: Experiment, *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """A panel for each arm (row) and length (column), a line for each run, on shared axes; the goal is dotted.
    Where the largest twentieth of the values would squeeze the others, the axis is cut and says so."""
    name = f"{MULTIPLES_TITLE}: {scalar_title(result.goal.name)}"
    drawn = [each for each in result.members if len(each.steps)]
    if not drawn:
        return empty_figure(result.missing or "There is no run to draw.", theme, title=safe(name) if title else None)
    lengths = result.lengths[:_MOST_COLUMNS]
    rows, columns, styles = len(result.arms), len(lengths), member_styles(result, theme)
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
    index_axis(figure, "step", row=rows)
    limits, largest = _range(drawn, result.goal.below), max((_largest(each) for each in drawn), default=0.0)
    cut = f", cut at {number(limits[1])}" if largest > limits[1] else ""
    set_yaxes(figure, title_text=f"{safe(scalar_title(result.goal.name).lower())}{cut}", col=1)
    set_yaxes(figure, range=limits)
    apply_layout(figure, theme, title=safe(name) if title else None, body=_PANEL * rows + 40, heads=True, legend=False)
    place = {"x": 1, "xref": "x domain", "xanchor": "right", "y": result.goal.below, "yanchor": "bottom"}
    figure.add_annotation(text=f"goal {number(result.goal.below)}", showarrow=False, font_color=line["color"], **place)
    return figure


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
    if 0 < low <= _NEAR_ZERO * high:
        low = 0.0
    margin = 0.05 * ((high - low) or 1.0)
    return [low - margin, high + margin]


def member_styles(result: Experiment, theme: Theme) -> dict[str, Style]:
    """The style of each arm."""
    sources: dict[str, Any] = {each.source.arm_label: each.source for each in reversed(result.members)}
    return dict(zip(sources, arm_styles(list(sources.values()), theme), strict=True))


def _lengths(lengths: Sequence[int | None]) -> list[str]:
    return ["unknown" if length is None else str(length) for length in lengths]


def _head(arm: str, length: int | None, lengths: int) -> str:
    return f"{arm}, length {length}" if length is not None and lengths > 1 else arm
