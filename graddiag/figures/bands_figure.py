"""Arms over seeds: a line at the median, a band from the smallest to the largest run."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import Bands, scalar_title
from graddiag.analysis.comparison.bands import Band
from graddiag.figures.curves_figure import add_named_line
from graddiag.figures.frame import BODY, apply_layout, empty_figure, index_axis, log_axis, panels, set_yaxes
from graddiag.figures.lines import PanelPosition, add_band
from graddiag.figures.theme import Style, Theme, arm_styles, safe


def bands(result: Bands, *, theme: Theme = "light", title: bool = True, log: bool = False) -> go.Figure:
    """One panel: for each arm the median over its runs, and the range in a paler shade; ``log`` for a log axis."""
    name = bands_title(result.name)
    if result.missing:
        return empty_figure(result.missing, theme, title=safe(name) if title else None)
    figure = panels(1, 1)
    for band, style in zip(result.bands, arm_styles([band.source for band in result.bands], theme), strict=True):
        _add_range(figure, band, style, log)
        median = np.where(band.median > 0, band.median, np.nan) if log else band.median
        add_named_line(figure, band.steps, median, band.source, style, PanelPosition())
    set_yaxes(figure, title_text=safe(result.title.lower()), **(_log(result) if log else {}))
    index_axis(figure, "step")
    return apply_layout(figure, theme, title=safe(name) if title else None, body=BODY)


def bands_title(name: str) -> str:
    """The title of the bands of the scalar ``name``."""
    return f"{scalar_title(name)} over seeds"


def _add_range(figure: go.Figure, band: Band, style: Style, log: bool) -> None:
    shown = np.isfinite(band.low) & ((band.low > 0) | (not log))
    group = safe(band.source.arm_label)
    add_band(figure, band.steps[shown], (band.low[shown], band.high[shown]), style, (f"{group}: range", group))


def _log(result: Bands) -> dict[str, Any]:
    found = [each[each > 0] for band in result.bands for each in (band.low, band.high)]
    return log_axis([float(end) for each in found if len(each) for end in (each.min(), each.max())])
