"""The gradient by layer over training: how it changes across depth."""

from typing import Final

import plotly.graph_objects as go

from graddiag.analysis import Depth
from graddiag.figures.frame import BODY, apply_layout, empty_figure, index_axis, log_axis, panels, set_yaxes
from graddiag.figures.lines import add_line, add_nonfinite_markers, positive
from graddiag.figures.theme import PALETTES, Style, Theme, safe

DEPTH_TITLE: Final = "Gradient across depth"

_ARMS: Final = 2  # colours that stand for clipping off and on in the other figures


def depth(result: Depth, *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """One run's ||dL/dh|| by layer over training, over all timesteps together; log scale; the lower a layer, the finer
    its dashes."""
    drawn = [each for each in result.layers if each.typical is not None]
    if result.missing or not drawn:
        return empty_figure(result.missing or "No layer has a gradient.", theme, title=DEPTH_TITLE if title else None)
    figure, colors = panels(1, 1), PALETTES[theme].arms[_ARMS:]
    for place, each in enumerate(drawn):
        style = Style(colors[place % len(colors)], "solid" if place == len(drawn) - 1 else f"{2 + 2 * place}px,2px")
        hover = f"%{{x}}: %{{y:.4g}}<extra>{safe(each.selection.label)}</extra>"
        add_line(figure, each.steps, positive(each.norm.values), style, safe(each.selection.label), hovertemplate=hover)
    names = [safe(each.selection.label) for each in drawn]
    add_nonfinite_markers(figure, [(each.steps, each.norm) for each in drawn], theme, log=True, names=names)
    values = [float(value) for each in drawn for value in each.norm.values if value > 0]
    set_yaxes(figure, title_text="‖dL/dh‖ over timesteps, L2, before clipping", **log_axis(values))
    index_axis(figure, "step")
    return apply_layout(figure, theme, title=DEPTH_TITLE if title else None, body=BODY)
