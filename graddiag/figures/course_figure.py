"""A training at a glance: the loss above, the gradient norm below, over the same steps."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import TrainingCourse
from graddiag.figures.curves_figure import add_lines, drawn_values, value_axis
from graddiag.figures.frame import apply_layout, empty_figure, panels, set_yaxes
from graddiag.figures.line_options import AS_USUAL, LineOptions
from graddiag.figures.lines import PanelPosition
from graddiag.figures.theme import PALETTES, Theme

COURSE_TITLE: Final = "Loss and gradient norm"

_PANEL, _AXIS = 125, 40
_EVENTS: Final = "event"


def course(
    results: TrainingCourse | Sequence[TrainingCourse],
    *,
    theme: Theme = "light",
    title: bool = True,
    lines: LineOptions = AS_USUAL,
) -> go.Figure:
    """A line a run: the loss on a linear axis with a line at the loss of chance; below it the gradient norm before
    clipping on a log axis with the threshold, and ticks at its foot where events were recorded; unless ``lines`` says
    otherwise. A panel without anything to show is left out."""
    results = (results,) if isinstance(results, TrainingCourse) else tuple(results)
    drawn = [each for each in results if each.missing is None]
    if not drawn:
        why = next((each.missing for each in results if each.missing), "There is no run to draw.")
        return empty_figure(why, theme, title=COURSE_TITLE if title else None)
    lost = [each for each in drawn if each.loss.loss.measured]
    normed = [each for each in drawn if each.norms.missing is None]
    rows = bool(lost) + bool(normed)
    figure = panels(rows, 1, shared_xaxes=True, vertical_spacing=0.08)
    if lost:
        _add_losses(figure, lost, theme, lines)
    if normed:
        _add_norms(figure, normed, theme, rows, lines)
    lines.x_axis(figure, row=rows)
    several = len(drawn) > 1 or any(trace.showlegend for trace in figure.data[1:])
    return apply_layout(
        figure, theme, title=COURSE_TITLE if title else None, body=_PANEL * rows + _AXIS, legend=several
    )


def _add_losses(figure: go.Figure, drawn: Sequence[TrainingCourse], theme: Theme, lines: LineOptions) -> None:
    found, log = [(each.source, each.loss.steps, each.loss.loss) for each in drawn], lines.log(usual=False)
    add_lines(figure, found, theme, log=log, place=PanelPosition(1), options=lines)
    axis = value_axis([line for _, _, line in found], log=log) if log else {}
    set_yaxes(figure, title_text="loss", row=1, col=1, **axis)
    for chance in sorted({each.loss.chance for each in drawn if each.loss.chance is not None}):
        _add_level(figure, chance, "chance", theme, row=1)


def _add_norms(figure: go.Figure, drawn: Sequence[TrainingCourse], theme: Theme, row: int, lines: LineOptions) -> None:
    found, log = [(each.source, each.norms.steps, each.norms.before) for each in drawn], lines.log(usual=True)
    add_lines(figure, found, theme, log=log, place=PanelPosition(row), options=lines)
    values = drawn_values([line for _, _, line in found])
    axis = value_axis([line for _, _, line in found], log=log)
    set_yaxes(figure, title_text="gradient norm", row=row, col=1, **axis)
    for threshold in sorted({each.norms.threshold for each in drawn if each.norms.threshold is not None}):
        _add_level(figure, threshold, f"threshold {threshold:g}", theme, row=row)
    steps = np.unique(np.concatenate([lines.x(each.source, each.event_steps)[0] for each in drawn]))
    if len(steps) and values:
        _add_events(figure, steps, min(values) if log else 0.0, theme, row)


def _add_level(figure: go.Figure, level: float, words: str, theme: Theme, row: int) -> None:
    line = {"color": PALETTES[theme].threshold, "dash": "dot", "width": 1.2}
    axis = figure.get_subplot(row, 1).yaxis
    if axis.type == "log" and level <= 0:
        return
    figure.add_hline(y=level, line=line, row=row, col=1)
    place = {"x": 1, "xref": "x domain", "xanchor": "right", "yanchor": "bottom", "bgcolor": PALETTES[theme].veil}
    at = math.log10(level) if axis.type == "log" else level
    figure.add_annotation(y=at, text=words, showarrow=False, row=row, col=1, **place)


def _add_events(figure: go.Figure, steps: np.ndarray, height: float, theme: Theme, row: int) -> None:
    marker = {"symbol": "line-ns-open", "size": 9, "color": PALETTES[theme].inf, "line": {"width": 2}}
    figure.add_trace(
        go.Scatter(
            x=steps,
            y=np.full(len(steps), height),
            mode="markers",
            name=_EVENTS,
            marker=marker,
            hovertemplate="%{x}: event, see Events<extra></extra>",
        ),
        row=row,
        col=1,
    )
