"""The course of the loss: the loss itself, its level, where it jumps, and the loss of guessing."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import LossDynamics
from graddiag.figures.curves import LOSS_TITLE, add_named_line
from graddiag.figures.frame import BODY, apply_layout, empty_figure, index_axis, panels
from graddiag.figures.lines import MOST_POINTS, PanelPosition, add_nonfinite_markers, as_float32
from graddiag.figures.theme import PALETTES, Theme, arm_styles, safe


def loss(results: LossDynamics | Sequence[LossDynamics], *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """The loss over steps, faint, with its level by block above it, a mark at each jump, and a line at the loss of
    guessing where the configuration says it; a run too short to judge is drawn without a level."""
    results = (results,) if isinstance(results, LossDynamics) else tuple(results)
    drawn = [each for each in results if each.loss.measured]
    if not drawn:
        return empty_figure(_why(results), theme, title=LOSS_TITLE if title else None)
    figure = panels(1, 1)
    for each, style in zip(drawn, arm_styles([each.source for each in drawn], theme), strict=True):
        add_named_line(figure, each.steps, each.loss.values, each.source, style, PanelPosition())
        figure.data[-1].opacity = 0.35
        if each.course is not None:
            _add_marks(figure, each.level_steps, each.levels, each, style.color, "lines+markers", "level")
        _add_marks(figure, each.jumps, each.heights, each, style.color, "markers", "jump")
    for chance in sorted({each.chance for each in drawn if each.chance is not None}):
        line = {"color": PALETTES[theme].threshold, "dash": "dot", "width": 1.2}
        figure.add_hline(y=chance, line=line, annotation_text="guessing", annotation_position="bottom right")
    names = [safe(each.source.label) for each in drawn]
    add_nonfinite_markers(figure, [(each.steps, each.loss) for each in drawn], theme, log=False, names=names)
    figure.update_yaxes(title_text="loss, as logged")
    index_axis(figure, "step")
    return apply_layout(figure, theme, title=LOSS_TITLE if title else None, body=BODY)


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
