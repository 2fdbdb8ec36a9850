"""Sharpness times learning rate against the edge of stability."""

from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go

from graddiag.analysis.optimization.updates import EDGE, EdgeOfStability
from graddiag.figures.curves_figure import add_lines, drawn_values
from graddiag.figures.frame import BODY, apply_layout, empty_figure, index_axis, log_axis, panels, set_yaxes
from graddiag.figures.lines import PanelPosition, add_entry
from graddiag.figures.theme import PALETTES, Theme

STABILITY_TITLE: Final = "Edge of stability"


def stability(
    results: EdgeOfStability | Sequence[EdgeOfStability], *, theme: Theme = "light", title: bool = True
) -> go.Figure:
    """Sharpness times learning rate over steps, log scale, with the line at 2: above it descent on a quadratic
    diverges."""
    results = (results,) if isinstance(results, EdgeOfStability) else tuple(results)
    drawn = [each for each in results if each.missing is None]
    if not drawn:
        why = next((each.missing for each in results if each.missing), "There is no run to draw.")
        return empty_figure(why, theme, title=STABILITY_TITLE if title else None)
    figure = panels(1, 1)
    add_lines(
        figure, [(each.source, each.steps, each.product) for each in drawn], theme, log=True, place=PanelPosition()
    )
    line = {"color": PALETTES[theme].threshold, "dash": "dot", "width": 1.2}
    figure.add_hline(y=EDGE, line=line)
    add_entry(figure, "edge: 2", line=line)
    set_yaxes(
        figure,
        title_text="sharpness \N{MULTIPLICATION SIGN} lr",
        **log_axis([*drawn_values([one.product for one in drawn]), EDGE]),
    )
    index_axis(figure, "step")
    return apply_layout(figure, theme, title=STABILITY_TITLE if title else None, body=BODY)
