"""Updates against weights over training, beside the rule of thumb."""

import math
from collections.abc import Sequence
from typing import Any, Final

import plotly.graph_objects as go

from graddiag.analysis import RULE_OF_THUMB, Updates, number
from graddiag.figures.curves_figure import add_named_line
from graddiag.figures.frame import BODY, apply_layout, empty_figure, index_axis, log_axis, panels, set_yaxes
from graddiag.figures.lines import PanelPosition, add_entry, add_nonfinite_markers, positive
from graddiag.figures.theme import PALETTES, Theme, arm_styles, safe

UPDATES_TITLE: Final = "Size of the updates relative to the weights"


def updates(results: Updates | Sequence[Updates], *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """The norm of the update over the norm of the weights at the recorded steps, log scale; dotted: 1e-3."""
    results = (results,) if isinstance(results, Updates) else tuple(results)
    drawn = [each for each in results if each.missing is None]
    if not drawn:
        why = next((each.missing for each in results if each.missing), "There is no run to draw.")
        return empty_figure(why, theme, title=UPDATES_TITLE if title else None)
    figure = panels(1, 1)
    for each, style in zip(drawn, arm_styles([each.source for each in drawn], theme), strict=True):
        add_named_line(figure, each.steps, positive(each.ratio.values), each.source, style, PanelPosition())
    names = [safe(each.source.label) for each in drawn]
    add_nonfinite_markers(figure, [(each.steps, each.ratio) for each in drawn], theme, log=True, names=names)
    line = {"color": PALETTES[theme].muted, "width": 1, "dash": "dot"}
    figure.add_hline(y=RULE_OF_THUMB, line=line)
    add_entry(figure, f"rule of thumb {number(RULE_OF_THUMB)}", line=line)
    values = [float(value) for each in drawn for value in each.ratio.values if value > 0]
    set_yaxes(figure, title_text="‖update‖ / ‖weights‖", **_axis([*values, RULE_OF_THUMB]))
    index_axis(figure, "step")
    return apply_layout(figure, theme, title=UPDATES_TITLE if title else None, body=BODY)


def _axis(values: Sequence[float]) -> dict[str, Any]:
    """A log axis with room beyond the smallest and the largest, so that no line lies on its edge."""
    placed = [math.log10(value) for value in values if 0 < value < math.inf]
    room = 0.08 * (max(placed) - min(placed)) + 0.05
    return {**log_axis(values), "range": [min(placed) - room, max(placed) + room]}
