"""The credit matrix: which loss timestep reaches which state."""

from typing import Final

import plotly.graph_objects as go

from graddiag.analysis.flow.credit import UNIT, CreditMatrix
from graddiag.figures.frame import empty_figure
from graddiag.figures.heat_scale import Limits
from graddiag.figures.matrix import Cells, draw
from graddiag.figures.theme import PALETTES, Theme

CREDIT_TITLE: Final = "Credit of each timestep for each loss"


def credit(
    result: CreditMatrix, *, theme: Theme = "light", title: bool = True, limits: Limits | None = None, most: int = 240
) -> go.Figure:
    """||dL_s/dh_t||, state timestep t to the right and loss timestep s upwards, on a log scale; behind s there is
    nothing. Of many timesteps at most ``most`` of either are drawn, evenly spaced, with the last.
    ``limits``: the ends of the scale, to share it (``limits_of``)."""
    name = CREDIT_TITLE if title else None
    if result.missing is not None:
        return empty_figure(result.missing, theme, title=name)
    rows, columns = (_spaced(size, most) for size, most in zip(result.values.shape, (most, most), strict=True))
    cells = Cells(
        result.values[rows][:, columns],
        result.states[rows][:, columns],
        ("timestep t", result.timesteps[columns]),
        ("loss timestep s", result.loss_timesteps[rows]),
        "log",
        f"‖dL<sub>s</sub>/dh<sub>t</sub>‖<br>{UNIT}",
        "after the loss timestep",
        limits,
        PALETTES[theme].outside,
    )
    return draw(cells, theme, name)


def _spaced(size: int, most: int) -> slice:
    """At most ``most`` of so many, evenly spaced, with the last."""
    step = -(-size // most) if size else 1
    return slice((size - 1) % step if size else 0, None, step)
