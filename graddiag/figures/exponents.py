"""Lyapunov exponents over training."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis.flow.exponents import UNIT, LyapunovHistory
from graddiag.figures.curves_figure import add_named_line
from graddiag.figures.frame import BODY, apply_layout, empty_figure, index_axis, panels, set_yaxes
from graddiag.figures.lines import (
    MOST_POINTS,
    PanelPosition,
    add_band,
    add_band_entry,
    add_entry,
    add_line,
    add_nonfinite_markers,
    decimated,
)
from graddiag.figures.theme import PALETTES, Style, Theme, arm_styles, safe

LYAPUNOV_HISTORY_TITLE: Final = "Lyapunov exponents over training"

_FAINT: Final = 0.35


def lyapunov_history(
    results: LyapunovHistory | Sequence[LyapunovHistory], *, theme: Theme = "light", title: bool = True
) -> go.Figure:
    """The largest exponent of each run over training, with a band from the smallest to the largest sample, thin lines
    for the exponents after it, and a line at 0, above which the state's dynamics stretch."""
    results = (results,) if isinstance(results, LyapunovHistory) else tuple(results)
    drawn = [each for each in results if each.missing is None]
    name = LYAPUNOV_HISTORY_TITLE if title else None
    if not drawn:
        why = next((each.missing for each in results if each.missing), "There is no run to draw.")
        return empty_figure(why, theme, title=name)
    figure = panels(1, 1)
    for each, style in zip(drawn, arm_styles([each.source for each in drawn], theme), strict=True):
        _add_band(figure, each, style)
        _add_others(figure, each, style)
        add_named_line(figure, each.steps, each.exponents[0].mean.values, each.source, style, PanelPosition())
    add_nonfinite_markers(figure, [(each.steps, each.exponents[0].mean) for each in drawn], theme, log=False)
    if any(trace.fill for trace in figure.data):
        add_band_entry(figure, "smallest to largest sample", theme)
    if any(len(each.exponents) > 1 for each in drawn):
        thin = {"color": PALETTES[theme].muted, "width": 1.6}
        add_entry(figure, "further exponents", line=thin, opacity=_FAINT)
    figure.add_hline(y=0, line={"color": PALETTES[theme].muted, "width": 1, "dash": "dot"})
    index_axis(figure, "step")
    set_yaxes(figure, title_text=f"exponent, {UNIT}")
    return apply_layout(figure, theme, title=name, body=BODY)


def _add_band(figure: go.Figure, each: LyapunovHistory, style: Style) -> None:
    """The samples of the largest exponent, where there are several."""
    low, high = each.exponents[0].low.values, each.exponents[0].high.values
    shown = np.flatnonzero(np.isfinite(low) & np.isfinite(high) & (each.samples > 1))
    if not len(shown):
        return
    shown = shown[decimated(high[shown], MOST_POINTS // 2)]
    name = safe(each.source.arm_label)
    names = (f"{name}: smallest to largest sample", name)
    add_band(figure, each.steps[shown], (low[shown], high[shown]), style, names)


def _add_others(figure: go.Figure, each: LyapunovHistory, style: Style) -> None:
    """All exponents but the largest."""
    group = safe(each.source.arm_label)
    for course in each.exponents[1:]:
        label = f"{safe(each.source.label)}, {course.mean.title}"
        hover = f"%{{x}}: %{{y:.4g}}<extra>{label}</extra>"
        add_line(
            figure,
            each.steps,
            course.mean.values,
            style,
            label,
            legendgroup=group,
            showlegend=False,
            opacity=_FAINT,
            hovertemplate=hover,
        )
