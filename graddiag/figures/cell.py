"""What the cell of an LSTM carries: its share of the gradient, and for how long it keeps a state."""

from collections.abc import Sequence

import plotly.graph_objects as go

from graddiag.analysis import CellPath, TimeConstants
from graddiag.figures.curves import add_lines, drawn_values
from graddiag.figures.frame import PANEL, dressed, log_axis, nothing, panels
from graddiag.figures.lines import Place
from graddiag.figures.theme import PALETTES, Theme

Results = Sequence[CellPath] | Sequence[TimeConstants]


def cell_path(results: CellPath | Sequence[CellPath], *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """The gradient that came along the cell over all of dL/dc, norms, by timestep above and over training below; a
    ratio above the dotted line at 1 shows that the rest, through gates and h, opposes it. Log scales."""
    found: Sequence[CellPath] = (results,) if isinstance(results, CellPath) else tuple(results)
    figure = _figure(found, "The cell path's part of dL/dc", theme, title)
    if any(each.missing is None for each in found):
        for row in (1, 2):
            line = {"color": PALETTES[theme].muted, "width": 1, "dash": "dot"}
            figure.add_hline(y=1, line=line, row=row, col=1)
        figure.update_yaxes(title_text="‖cell path‖ / ‖dL/dc‖")
    return figure


def time_constants(
    results: TimeConstants | Sequence[TimeConstants], *, theme: Theme = "light", title: bool = True
) -> go.Figure:
    """-1 / ln of the mean of the gate that keeps the state, in timesteps: by timestep above, over training below."""
    found: Sequence[TimeConstants] = (results,) if isinstance(results, TimeConstants) else tuple(results)
    figure = _figure(found, "Time constants of the cells", theme, title)
    if any(each.missing is None for each in found):
        figure.update_yaxes(title_text="timesteps")
    return figure


def _figure(results: Results, name: str, theme: Theme, title: bool) -> go.Figure:
    drawn = [each for each in results if each.missing is None]
    if not drawn:
        return nothing(_why(results), theme, title=name if title else None)
    figure = panels(2, 1, ("by timestep", "over training"), vertical_spacing=0.24)
    by_timestep = [(each.source, each.timesteps, each.by_timestep) for each in drawn]
    by_step = [(each.source, each.steps, each.by_step) for each in drawn]
    for row, (lines, axis) in enumerate(((by_timestep, "timestep"), (by_step, "step")), start=1):
        add_lines(figure, lines, theme, log=True, place=Place(row))
        figure.update_yaxes(row=row, col=1, **log_axis(drawn_values([line for _, _, line in lines])))
        figure.update_xaxes(title_text=axis, row=row, col=1)
    return dressed(figure, theme, title=name if title else None, body=2 * PANEL + 40, heads=True)


def _why(results: Results) -> str:
    return next((each.missing for each in results if each.missing), "There is no run to draw.")
