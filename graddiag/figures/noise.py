"""The cosine between successive gradients, and the share of signal that is told from it."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import GradientNoise
from graddiag.figures.curves import add_named_line
from graddiag.figures.frame import BODY, dressed, nothing, panels
from graddiag.figures.lines import Place, add_oddities, as_float32
from graddiag.figures.theme import PALETTES, Theme, arm_styles, safe


def noise(results: GradientNoise | Sequence[GradientNoise], *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """The cosine at each recorded step, faint; over it the estimated share of signal by part of the training. Near 1 a
    gradient repeats the one before, near 0 it is noise, below 0 it turns back."""
    results = (results,) if isinstance(results, GradientNoise) else tuple(results)
    drawn = [each for each in results if each.missing is None]
    name = "Cosine between successive gradients"
    if not drawn:
        why = next((each.missing for each in results if each.missing), "There is no run to draw.")
        return nothing(why, theme, title=name if title else None)
    figure = panels(1, 1)
    for each, style in zip(drawn, arm_styles([each.source for each in drawn], theme), strict=True):
        add_named_line(figure, each.steps, each.cosine.values, each.source, style, Place())
        figure.data[-1].opacity = 0.35
        _add_blocks(figure, each, style.color)
    names = [safe(each.source.label) for each in drawn]
    add_oddities(figure, [(each.steps, each.cosine) for each in drawn], theme, log=False, names=names)
    figure.add_hline(y=0, line={"color": PALETTES[theme].muted, "width": 1, "dash": "dot"})
    figure.update_yaxes(title_text="cosine with the step before")
    figure.update_xaxes(title_text="step")
    return dressed(figure, theme, title=name if title else None, body=BODY)


def _add_blocks(figure: go.Figure, each: GradientNoise, color: str) -> None:
    known = [block for block in each.blocks if block.signal is not None]
    figure.add_trace(
        go.Scatter(
            x=np.array([(block.first + block.last) / 2 for block in known]),
            y=as_float32(np.array([block.signal for block in known], dtype=float)),
            mode="lines+markers",
            name=safe(f"{each.source.arm_label}: signal"),
            legendgroup=safe(each.source.arm_label),
            showlegend=False,
            line={"color": color, "width": 2},
            hovertemplate=f"signal %{{y:.3f}}<extra>{safe(each.source.label)}</extra>",
        )
    )
