"""Where back-propagation is cut short: the gradient along the sequence with the cut."""

from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go

from graddiag import schema
from graddiag.analysis import Profile, Truncation
from graddiag.figures.curves_figure import add_lines, drawn_values
from graddiag.figures.frame import BODY, apply_layout, empty_figure, index_axis, log_axis, panels, set_yaxes
from graddiag.figures.lines import PanelPosition, add_entry
from graddiag.figures.theme import PALETTES, Theme, arm_styles, safe

TRUNCATION_TITLE: Final = "Where back-propagation ends"


def truncation(
    results: Sequence[Truncation], profiles: Sequence[Profile], *, theme: Theme = "light", title: bool = True
) -> go.Figure:
    """||dL/dh|| by timestep, a line a run, log scale: the ``profiles`` of the runs of ``results``, over all their
    steps. Timesteps with a gradient of exactly 0 are marked; a vertical line is at the first timestep that still
    gets one where the graph is cut, and one where the window is too short for the task."""
    drawn = [
        (found, each, line)
        for found, each in zip(results, profiles, strict=True)
        if found.missing is None and each.missing is None
        for line in each.series
        if line.name == schema.GRAD_H
    ]
    if not drawn:
        return empty_figure(_why(results), theme, title=TRUNCATION_TITLE if title else None)
    figure = panels(1, 1)
    lines = [(found.source, each.timesteps, line) for found, each, line in drawn]
    add_lines(figure, lines, theme, log=True, place=PanelPosition())
    for (found, _, _), style in zip(drawn, arm_styles([each for each, _, _ in lines], theme), strict=True):
        if found.cut_timestep is not None:
            _add_mark(figure, found.cut_timestep, f"{safe(found.source.arm_label)}: cut", style.color, "dash")
        if found.window_short and found.distance is not None:
            end = found.window - 1
            words = f"task looks back {found.distance:,}: beyond here"
            beyond = end + 1 if found.selection.reverse else -1
            _add_mark(figure, beyond, words, PALETTES[theme].muted, "dot")
    set_yaxes(figure, title_text="‖dL/dh‖, L2, before clipping", **log_axis(drawn_values([x[2] for x in drawn])))
    index_axis(figure, "timestep")
    return apply_layout(figure, theme, title=TRUNCATION_TITLE if title else None, body=BODY)


def _add_mark(figure: go.Figure, at: int, words: str, color: str, dash: str) -> None:
    line = {"color": color, "dash": dash, "width": 1.4}
    figure.add_vline(x=at, line=line)
    if not any(trace.name == words for trace in figure.data):
        add_entry(figure, words, line=line)


def _why(results: Sequence[Truncation]) -> str:
    return next((each.missing for each in results if each.missing), "There is no run to draw.")
