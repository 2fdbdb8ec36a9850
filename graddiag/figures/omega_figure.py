"""Omega, the regulariser against vanishing gradients, as it was measured: over training and by timestep."""

from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go

from graddiag.analysis import Omega
from graddiag.figures.curves_figure import add_log_panels
from graddiag.figures.frame import PANEL, apply_layout, empty_figure, panels, set_yaxes
from graddiag.figures.theme import Theme

OMEGA_TITLE: Final = "Omega, the vanishing-gradient regularizer"


def omega(results: Omega | Sequence[Omega], *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """What each step back through time costs on average, over training above and by timestep below; log scales, on
    which a timestep that keeps the gradient's size exactly is marked as zero. Results of one form go together."""
    results = (results,) if isinstance(results, Omega) else tuple(results)
    drawn = [each for each in results if each.missing is None]
    name = f"{OMEGA_TITLE}: {' and '.join(dict.fromkeys(each.words for each in drawn))}"
    if not drawn:
        return empty_figure(_why(results), theme, title=OMEGA_TITLE if title else None)
    figure = panels(2, 1, ("over training, mean over timesteps", "by timestep, mean over steps"), vertical_spacing=0.24)
    by_step = [(each.source, each.steps, each.per_timestep) for each in drawn]
    by_timestep = [(each.source, each.timesteps, each.by_timestep) for each in drawn]
    add_log_panels(figure, [(by_step, "step"), (by_timestep, "timestep")], theme)
    set_yaxes(figure, title_text="Ω per timestep")
    return apply_layout(figure, theme, title=name if title else None, body=2 * PANEL + 40, heads=True)


def _why(results: Sequence[Omega]) -> str:
    return next((each.missing for each in results if each.missing), "There is no run to draw.")
