"""A snapshot: each unit of a layer at each timestep."""

from typing import Final

import plotly.graph_objects as go

from graddiag.analysis.timesteps.snapshots import UnitHeat
from graddiag.figures.frame import empty_figure
from graddiag.figures.heat_scale import Limits
from graddiag.figures.matrix import Cells, Scale, draw
from graddiag.figures.theme import Theme

UNITS_TITLE: Final = "Signal by unit and timestep"


def unit_heat(
    result: UnitHeat, *, theme: Theme = "light", title: bool = True, limits: Limits | None = None
) -> go.Figure:
    """One column of a snapshot, timestep to the right and unit upwards: gradients on a log scale, shares and
    activations on a linear one. ``limits``: the ends of the log scale, to share it (``limits_of``)."""
    name = f"{UNITS_TITLE}: {result.title}" if title else None
    if result.missing is not None:
        return empty_figure(result.missing, theme, title=name)
    scale: Scale = "log" if not result.linear else "signed" if result.signed else "share"
    axes = (("timestep", result.timesteps), ("unit", result.units))
    bar = f"{result.title}<br>{result.unit}"
    return draw(Cells(result.values.T, result.states.T, *axes, scale, bar, limits=limits), theme, name)
