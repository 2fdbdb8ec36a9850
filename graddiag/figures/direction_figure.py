"""Whether clipping turned the gradient: the cosine at every clipped step."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import DirectionChange
from graddiag.figures.frame import BODY, apply_layout, empty_figure, index_axis, panels, set_yaxes
from graddiag.figures.lines import MOST_POINTS, add_nonfinite_markers, as_float32, decimated
from graddiag.figures.theme import PALETTES, Theme, arm_styles, safe

DIRECTION_TITLE: Final = "Direction of the gradient after clipping"


def direction(
    results: DirectionChange | Sequence[DirectionChange], *, theme: Theme = "light", title: bool = True
) -> go.Figure:
    """A dot a clipped step: the cosine of the gradient after clipping with that before, or where it was not measured
    the least that it can be (hollow). 1 is not turned at all."""
    results = (results,) if isinstance(results, DirectionChange) else tuple(results)
    drawn = [each for each in results if each.missing is None and len(each.steps)]
    if not drawn:
        return empty_figure(_why(results), theme, title=DIRECTION_TITLE if title else None)
    figure = panels(1, 1)
    for each, style in zip(drawn, arm_styles([one.source for one in drawn], theme), strict=True):
        kept = decimated(each.cosine.values, MOST_POINTS)
        bounded = each.direction == "bounded"
        name = f"{safe(each.source.arm_label)}{': at least' if bounded else ''}"
        figure.add_trace(
            go.Scatter(
                x=each.steps[kept],
                y=as_float32(each.cosine.values[kept]),
                mode="markers",
                marker={"color": style.color, "size": 6, "symbol": "circle-open" if bounded else "circle"},
                name=name,
                legendgroup=name,
                showlegend=not any(trace.name == name for trace in figure.data),
                hovertemplate=f"%{{x}}: %{{y:.4g}}<extra>{safe(each.source.label)}</extra>",
            )
        )
    names = [safe(each.source.label) for each in drawn]
    add_nonfinite_markers(figure, [(each.steps, each.cosine) for each in drawn], theme, log=False, names=names)
    figure.add_hline(y=1, line={"color": PALETTES[theme].muted, "width": 1, "dash": "dot"})
    low = min((float(np.nanmin(each.cosine.values)) for each in drawn if each.cosine.measured), default=0.0)
    set_yaxes(figure, title_text="cosine, after with before", range=[min(low, 0.95) - 0.03, 1.03])
    index_axis(figure, "step")
    return apply_layout(figure, theme, title=DIRECTION_TITLE if title else None, body=BODY)


def _why(results: Sequence[DirectionChange]) -> str:
    return next((each.missing or each.caption for each in results), "There is no run to draw.")
