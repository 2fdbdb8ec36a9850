"""Events over training: a row a kind, a mark an event."""

from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go

from graddiag.analysis import Events
from graddiag.figures.frame import apply_layout, empty_figure, index_axis, panels, set_yaxes
from graddiag.figures.theme import PALETTES, Theme, arm_styles, safe

EVENTS_TITLE: Final = "Events"

_ROW, _AXIS = 34, 70
_SYMBOLS: Final = ("x", "triangle-up", "diamond", "square", "circle", "cross", "star")


def events(results: Events | Sequence[Events], *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """Steps to the right, a row for each kind that any of the runs has; the colour is that of the arm, the sign that of
    the kind; the message is the hover text."""
    results = (results,) if isinstance(results, Events) else tuple(results)
    drawn = [each for each in results if each.missing is None]
    if not drawn:
        why = next((each.missing for each in results if each.missing), "There is no run to draw.")
        return empty_figure(why, theme, title=EVENTS_TITLE if title else None)
    titles = list(dict.fromkeys(kind.title for each in drawn for kind in each.kinds))
    figure = panels(1, 1)
    for each, style in zip(drawn, arm_styles([each.source for each in drawn], theme), strict=True):
        for kind in each.kinds:
            marker = {"color": style.color, "size": 9, "symbol": _SYMBOLS[titles.index(kind.title) % len(_SYMBOLS)]}
            line = {"width": 1, "color": PALETTES[theme].text}
            figure.add_trace(
                go.Scatter(
                    x=kind.steps,
                    y=[safe(kind.title)] * len(kind.steps),
                    mode="markers",
                    marker={**marker, "line": line},
                    name=safe(each.source.arm_label),
                    legendgroup=safe(each.source.arm_label),
                    showlegend=not any(trace.name == safe(each.source.arm_label) for trace in figure.data),
                    text=[safe(message) for message in kind.messages],
                    hovertemplate=f"step %{{x}}: %{{text}}<extra>{safe(each.source.label)}</extra>",
                )
            )
    spans = [end for each in drawn for end in each.span]
    margin = 0.02 * max(1, max(spans) - min(spans))
    index_axis(figure, "step", range=[min(spans) - margin, max(spans) + margin])
    set_yaxes(figure, type="category", categoryorder="array", categoryarray=[safe(each) for each in reversed(titles)])
    return apply_layout(figure, theme, title=EVENTS_TITLE if title else None, body=_ROW * len(titles) + _AXIS)
