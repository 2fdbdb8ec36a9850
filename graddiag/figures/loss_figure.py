"""The course of the loss: the loss itself, its level, where it jumps, and the loss of guessing."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import LossDynamics
from graddiag.figures.curves_figure import LOSS_TITLE, add_lines, value_axis
from graddiag.figures.frame import BODY, apply_layout, empty_figure, panels, set_yaxes
from graddiag.figures.line_options import AS_USUAL, LineOptions
from graddiag.figures.lines import MOST_POINTS, PanelPosition, as_float32
from graddiag.figures.theme import PALETTES, Theme, arm_styles, safe


def loss(
    results: LossDynamics | Sequence[LossDynamics],
    *,
    theme: Theme = "light",
    title: bool = True,
    lines: LineOptions = AS_USUAL,
) -> go.Figure:
    """The loss over steps, faint, with its level by block above it, a mark at each jump, and a line at the loss of
    guessing where the configuration says it; a run too short to judge is drawn without a level. Smoothed, the moving
    average takes the place of the levels."""
    results = (results,) if isinstance(results, LossDynamics) else tuple(results)
    drawn = [each for each in results if each.loss.measured]
    if not drawn:
        return empty_figure(_why(results), theme, title=LOSS_TITLE if title else None)
    figure, log = panels(1, 1), lines.log(usual=False)
    add_lines(
        figure, [(each.source, each.steps, each.loss) for each in drawn], theme,
        log=log, place=PanelPosition(), options=lines,
    )  # fmt: skip
    if not lines.smoothing:
        figure.update_traces(opacity=0.35, selector={"mode": "lines"})
    for each, style in zip(drawn, arm_styles([each.source for each in drawn], theme), strict=True):
        if not lines.smoothing:
            _add_level(figure, each, style.color, lines)
        x, kept = lines.x(each.source, each.jumps)
        _add_marks(figure, x, each.heights[kept], each, style.color, "markers", "jump")
    for chance in sorted({each.chance for each in drawn if each.chance is not None and (each.chance > 0 or not log)}):
        line = {"color": PALETTES[theme].threshold, "dash": "dot", "width": 1.2}
        figure.add_hline(y=chance, line=line, annotation_text="guessing", annotation_position="bottom right")
    axis = value_axis([each.loss for each in drawn], log=log) if log else {}
    set_yaxes(figure, title_text="loss, as logged", **axis)
    lines.x_axis(figure)
    return apply_layout(figure, theme, title=LOSS_TITLE if title else None, body=BODY)


def _add_level(figure: go.Figure, each: LossDynamics, color: str, lines: LineOptions) -> None:
    if each.course is not None:
        x, kept = lines.x(each.source, each.level_steps)
        _add_marks(figure, x, each.levels[kept], each, color, "lines+markers", "level")


def _add_marks(
    figure: go.Figure, x: np.ndarray, y: np.ndarray, each: LossDynamics, color: str, mode: str, what: str
) -> None:
    if not len(x):
        return
    symbol = "triangle-up-open" if what == "jump" else "circle"
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_POINTS)).astype(int))
    figure.add_trace(
        go.Scatter(
            x=x[kept],
            y=as_float32(y[kept]),
            mode=mode,
            name=safe(f"{each.source.arm_label}: {what}"),
            legendgroup=safe(each.source.arm_label),
            showlegend=False,
            line={"color": color, "width": 2},
            marker={"symbol": symbol, "size": 6, "color": color},
            hovertemplate=f"%{{x}}: {what} %{{y:.4g}}<extra>{safe(each.source.label)}</extra>",
        )
    )


def _why(results: Sequence[LossDynamics]) -> str:
    return next((each.missing or "No loss is finite." for each in results), "There is no run to draw.")
