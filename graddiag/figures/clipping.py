"""What a threshold would have done, and what clipping left of the learning rate."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import EffectiveLr, RecommendedThresholds, WhatIf, number
from graddiag.figures.curves_figure import add_lines, add_named_line, drawn_values
from graddiag.figures.frame import (
    BODY,
    PANEL,
    apply_layout,
    empty_figure,
    index_axis,
    log_axis,
    panels,
    set_xaxes,
    set_yaxes,
)
from graddiag.figures.lines import PanelPosition, add_entry, add_line, as_float32, positive
from graddiag.figures.theme import PALETTES, Style, Theme, arm_styles, safe

WHAT_IF_TITLE: Final = "What each threshold would clip"
EFFECTIVE_LR_TITLE: Final = "Effective learning rate"

_HEADS: Final = (
    "share of the steps clipped",
    "clip coefficient, mean, and median (dotted line)",
    "mean effective learning rate",
)


def what_if(
    results: WhatIf | Sequence[WhatIf],
    recommended: RecommendedThresholds | None = None,
    *,
    theme: Theme = "light",
    title: bool = True,
) -> go.Figure:
    """By threshold on a log axis: the share of the recorded steps it clips, the mean and median coefficient it leaves,
    and the mean of learning rate x coefficient; vertical lines at the run's own threshold and at the ``recommended``
    one, a band over the recommended range."""
    results = (results,) if isinstance(results, WhatIf) else tuple(results)
    drawn = [each for each in results if each.missing is None]
    if not drawn:
        return empty_figure(_why(results), theme, title=WHAT_IF_TITLE if title else None)
    with_lr = any(np.isfinite(each.drawn.mean_lr).any() for each in drawn)
    rows = 3 if with_lr else 2
    figure = panels(rows, 1, _HEADS[:rows], shared_xaxes=True, vertical_spacing=0.09)
    for each, style in zip(drawn, arm_styles([one.source for one in drawn], theme), strict=True):
        _add_what_if(figure, each, style, with_lr)
    _add_marks(figure, drawn, recommended, theme)
    set_yaxes(figure, title_text="share of steps", range=[-0.03, 1.03], tickformat=".0%", row=1, col=1)
    set_yaxes(figure, title_text="norm after / before", range=[-0.03, 1.03], row=2, col=1)
    if with_lr:
        rates = [float(rate) for each in drawn for rate in each.drawn.mean_lr if rate > 0]
        set_yaxes(figure, title_text="lr \N{MULTIPLICATION SIGN} coefficient", row=3, col=1, **log_axis(rates))
    ends = [float(end) for each in drawn for end in each.drawn.thresholds[[0, -1]]]
    set_xaxes(figure, **log_axis(ends))
    set_xaxes(figure, title_text="threshold C, L2 over all parameters", row=rows, col=1)
    return apply_layout(figure, theme, title=WHAT_IF_TITLE if title else None, body=rows * PANEL, heads=True)


def effective_lr(
    results: EffectiveLr | Sequence[EffectiveLr], *, theme: Theme = "light", title: bool = True
) -> go.Figure:
    """Learning rate x clip coefficient over steps, on a log axis; NaN, inf and exact zeros are marked."""
    results = (results,) if isinstance(results, EffectiveLr) else tuple(results)
    drawn = [each for each in results if each.missing is None]
    if not drawn:
        return empty_figure(_why(results), theme, title=EFFECTIVE_LR_TITLE if title else None)
    figure = panels(1, 1)
    add_lines(
        figure, [(each.source, each.steps, each.effective) for each in drawn], theme, log=True, place=PanelPosition()
    )
    for each in drawn:
        _add_nominal(figure, each, theme)
    lines = [line for each in drawn for line in (each.lr, each.effective)]
    set_yaxes(figure, title_text="lr \N{MULTIPLICATION SIGN} coefficient", **log_axis(drawn_values(lines)))
    index_axis(figure, "step")
    return apply_layout(figure, theme, title=EFFECTIVE_LR_TITLE if title else None, body=BODY)


def _add_what_if(figure: go.Figure, each: WhatIf, style: Style, with_lr: bool) -> None:
    found = each.drawn
    x = found.thresholds
    add_named_line(figure, x, found.clipped_share, each.source, style, PanelPosition(1))
    add_named_line(figure, x, found.mean_coefficient, each.source, style, PanelPosition(2))
    figure.add_trace(
        go.Scatter(
            x=x,
            y=as_float32(found.median_coefficient),
            mode="lines",
            name=f"{safe(each.source.arm_label)}: median",
            legendgroup=safe(each.source.arm_label),
            showlegend=False,
            line={"color": style.color, "dash": "dot", "width": 1.4},
            hovertemplate="%{x:.4g}: median %{y:.4g}<extra></extra>",
        ),
        row=2,
        col=1,
    )
    if with_lr:
        add_named_line(figure, x, positive(found.mean_lr), each.source, style, PanelPosition(3))


def _add_marks(
    figure: go.Figure, drawn: Sequence[WhatIf], recommended: RecommendedThresholds | None, theme: Theme
) -> None:  # fmt: skip
    palette = PALETTES[theme]
    for threshold in sorted({each.threshold for each in drawn if each.threshold is not None}):
        line = {"color": palette.threshold, "dash": "dot", "width": 1.2}
        figure.add_vline(x=threshold, line=line, row="all", col=1)
        add_entry(figure, f"set: C = {number(threshold)}", line=line)
    if recommended is None or recommended.low is None or recommended.high is None:
        return
    band = {"fillcolor": palette.zero, "opacity": 0.18, "line_width": 0, "layer": "below"}
    figure.add_vrect(x0=recommended.low, x1=recommended.high, row="all", col=1, **band)
    start = {"color": palette.zero, "dash": "solid", "width": 2}
    figure.add_vline(x=recommended.safety_net, line=start, row="all", col=1)
    whose = f", by {safe(recommended.source.arm_label)}" if len(drawn) > 1 else ""
    add_entry(figure, f"suggested: C = {number(recommended.safety_net)}{whose}", line=start)
    words = f"reasonable: {number(recommended.low)} to {number(recommended.high)}{whose}"
    add_entry(figure, words, marker={"symbol": "square", "color": palette.zero, "opacity": 0.5, "size": 10})


def _add_nominal(figure: go.Figure, each: EffectiveLr, theme: Theme) -> None:
    """The learning rate as it was set, where it is not just the effective one."""
    style = Style(PALETTES[theme].muted, "dot")
    name = "as set"
    seen = any(trace.name == name for trace in figure.data)
    hover = f"%{{x}}: lr %{{y:.4g}}<extra>{safe(each.source.label)}</extra>"
    add_line(figure, each.steps, positive(each.lr.values), style, name, showlegend=not seen, hovertemplate=hover)


def _why(results: Sequence[WhatIf | EffectiveLr]) -> str:
    return next((each.missing for each in results if each.missing), "There is no run to draw.")
