"""The cosine between successive gradients, and the share of signal that is estimated from it."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import GradientNoise
from graddiag.figures.curves_figure import add_named_line
from graddiag.figures.frame import BODY, apply_layout, empty_figure, index_axis, panels, set_yaxes
from graddiag.figures.lines import PanelPosition, add_nonfinite_markers, as_float32
from graddiag.figures.theme import PALETTES, Theme, arm_styles, safe

NOISE_TITLE: Final = "Gradient noise"


def noise(results: GradientNoise | Sequence[GradientNoise], *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """The cosine at each recorded step; where a share of signal is known by part of the training, faint, with that over
    it. Near 1 a gradient repeats the one before, near 0 it is noise, below 0 it turns back."""
    results = (results,) if isinstance(results, GradientNoise) else tuple(results)
    drawn = [each for each in results if each.missing is None]
    if not drawn:
        why = next((each.missing for each in results if each.missing), "There is no run to draw.")
        return empty_figure(why, theme, title=NOISE_TITLE if title else None)
    figure = panels(1, 1)
    for each, style in zip(drawn, arm_styles([each.source for each in drawn], theme), strict=True):
        add_named_line(figure, each.steps, each.cosine.values, each.source, style, PanelPosition())
        if any(block.signal is not None for block in each.blocks):
            figure.data[-1].opacity = 0.35
            _add_blocks(figure, each, style.color)
        else:
            figure.data[-1].opacity = 1
    names = [safe(each.source.label) for each in drawn]
    add_nonfinite_markers(figure, [(each.steps, each.cosine) for each in drawn], theme, log=False, names=names)
    figure.add_hline(y=0, line={"color": PALETTES[theme].muted, "width": 1, "dash": "dot"})
    set_yaxes(figure, title_text="cosine with the step before")
    index_axis(figure, "step")
    return apply_layout(figure, theme, title=NOISE_TITLE if title else None, body=BODY)


def _add_blocks(figure: go.Figure, each: GradientNoise, color: str) -> None:
    name = safe(f"{each.source.arm_label}: signal, by part")
    known = [block for block in each.blocks if block.signal is not None]
    figure.add_trace(
        go.Scatter(
            x=np.array([(block.first + block.last) / 2 for block in known]),
            y=as_float32(np.array([block.signal for block in known], dtype=float)),
            mode="lines+markers",
            name=name,
            legendgroup=name,
            showlegend=not any(trace.name == name for trace in figure.data),
            line={"color": color, "width": 2},
            hovertemplate=f"signal %{{y:.3f}}<extra>{safe(each.source.label)}</extra>",
        )
    )
