"""A snapshot: each unit of a layer at each timestep."""

import plotly.graph_objects as go

from graddiag.analysis.snapshots import UnitHeat
from graddiag.figures.frame import nothing
from graddiag.figures.matrix import Cells, Scale, draw
from graddiag.figures.theme import Theme


def unit_heat(result: UnitHeat, *, theme: Theme = "light", title: bool = True) -> go.Figure:
    """One column of a snapshot, timestep to the right and unit upwards: gradients on a log scale, shares and
    activations on a linear one."""
    name = f"{result.title} by unit and timestep" if title else None
    if result.missing is not None:
        return nothing(result.missing, theme, title=name)
    scale: Scale = "log" if not result.linear else "signed" if result.signed else "share"
    axes = (("timestep", result.timesteps), ("unit", result.units))
    return draw(Cells(result.values.T, result.states.T, *axes, scale, f"{result.title}<br>{result.unit}"), theme, name)
