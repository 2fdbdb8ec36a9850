"""What the cell of an LSTM carries: its share of the gradient, and for how long it keeps a state."""

from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go

from graddiag.analysis import CellPath, TimeConstants
from graddiag.figures.curves_figure import add_log_panels
from graddiag.figures.frame import PANEL, apply_layout, empty_figure, panels, set_yaxes
from graddiag.figures.theme import PALETTES, Theme

CELL_PATH_TITLE: Final = "Gradient along the cell path"
TIME_CONSTANTS_TITLE: Final = "Time constants of the cells"

Results = Sequence[CellPath] | Sequence[TimeConstants]


def cell_path(results: CellPath | Sequence[CellPath], *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """The gradient that came along the cell over all of dL/dc, norms, by timestep above and over training below; a
    ratio above the dotted line at 1 shows that the rest, through gates and h, opposes it. Log scales."""
    found: Sequence[CellPath] = (results,) if isinstance(results, CellPath) else tuple(results)
    heads = ("by timestep, median over steps", "over training, median over timesteps")
    figure = _figure(found, CELL_PATH_TITLE, heads, theme, title)
    if any(each.missing is None for each in found):
        for row in (1, 2):
            line = {"color": PALETTES[theme].muted, "width": 1, "dash": "dot"}
            figure.add_hline(y=1, line=line, row=row, col=1)
        set_yaxes(figure, title_text="‖cell path‖ / ‖dL/dc‖")
    return figure


def time_constants(
    results: TimeConstants | Sequence[TimeConstants], *, theme: Theme = "light", title: bool = True
) -> go.Figure:
    """-1 / ln of the mean of the gate that keeps the state, in timesteps: by timestep above, over training below."""
    found: Sequence[TimeConstants] = (results,) if isinstance(results, TimeConstants) else tuple(results)
    heads = ("by timestep, of the mean over steps", "over training, of the mean over timesteps")
    figure = _figure(found, TIME_CONSTANTS_TITLE, heads, theme, title)
    if any(each.missing is None for each in found):
        set_yaxes(figure, title_text="timesteps")
    return figure


def _figure(results: Results, name: str, heads: tuple[str, str], theme: Theme, title: bool) -> go.Figure:
    drawn = [each for each in results if each.missing is None]
    if not drawn:
        return empty_figure(_why(results), theme, title=name if title else None)
    figure = panels(2, 1, heads, vertical_spacing=0.24)
    by_timestep = [(each.source, each.timesteps, each.by_timestep) for each in drawn]
    by_step = [(each.source, each.steps, each.by_step) for each in drawn]
    add_log_panels(figure, [(by_timestep, "timestep"), (by_step, "step")], theme)
    return apply_layout(figure, theme, title=name if title else None, body=2 * PANEL + 40, heads=True)


def _why(results: Results) -> str:
    return next((each.missing for each in results if each.missing), "There is no run to draw.")
