"""Omega, the regulariser against vanishing gradients, as it was measured: over training and by timestep."""

from collections.abc import Sequence

import plotly.graph_objects as go

from graddiag.analysis import Omega
from graddiag.figures.curves import add_lines, drawn_values
from graddiag.figures.frame import PANEL, dressed, log_axis, nothing, panels
from graddiag.figures.lines import Place
from graddiag.figures.theme import Theme


def omega(results: Omega | Sequence[Omega], *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """What each step back through time costs on average, over training above and by timestep below; log scales, on
    which a timestep that keeps the gradient's size exactly is marked as zero. Results of one form go together."""
    results = (results,) if isinstance(results, Omega) else tuple(results)
    drawn = [each for each in results if each.missing is None]
    name = f"Ω a timestep, {' and '.join(dict.fromkeys(each.words for each in drawn))}"
    if not drawn:
        return nothing(_why(results), theme, title="Ω a timestep" if title else None)
    figure = panels(2, 1, ("over training", "by timestep"), vertical_spacing=0.24)
    by_step = [(each.source, each.steps, each.per_timestep) for each in drawn]
    by_timestep = [(each.source, each.timesteps, each.by_timestep) for each in drawn]
    for row, (lines, axis) in enumerate(((by_step, "step"), (by_timestep, "timestep")), start=1):
        add_lines(figure, lines, theme, log=True, place=Place(row))
        figure.update_yaxes(row=row, col=1, **log_axis(drawn_values([line for _, _, line in lines])))
        figure.update_xaxes(title_text=axis, row=row, col=1)
    figure.update_yaxes(title_text="Ω a timestep")
    return dressed(figure, theme, title=name if title else None, body=2 * PANEL + 40, heads=True)


def _why(results: Sequence[Omega]) -> str:
    return next((each.missing for each in results if each.missing), "There is no run to draw.")
