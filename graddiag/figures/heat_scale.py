"""The colour scale of heatmaps: from which value to which, of all panels together or of each its own."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
import plotly.graph_objects as go

from graddiag.analysis import Heat
from graddiag.figures.theme import Palette

Limits = tuple[float, float]
HeatScale = Literal["robust", "full", "own"]

PERCENTILES: Final = (1, 99)
_GAIN: Final = 0.5  # of the range between the percentiles, in decades: what an end must take off to be left out
_ROUNDING: Final = 1e-5  # decades, of float32
_SIDES: Final = (("above the scale", "triangle-up"), ("below the scale", "triangle-down"))


def shared_limits(heats: Sequence[Heat]) -> Limits | None:
    """The smallest and the largest positive value of ``heats``; None where there is none."""
    lows, highs = [h.low for h in heats if h.low is not None], [h.high for h in heats if h.high is not None]
    return (min(lows), max(highs)) if lows and highs else None


def robust_limits(heats: Sequence[Heat]) -> Limits | None:
    """Limits that a few extreme cells do not stretch.

    An end is the percentile (1 or 99, of the positive values of each heat; over several heats the outermost) where the
    values beyond it reach further than half of what lies between the percentiles, in decades; else the outermost value.
    """
    full = shared_limits(heats)
    if full is None:
        return None
    shown = [each.values[each.values > 0] for each in heats]
    inner = np.array([np.percentile(each, PERCENTILES, method="nearest") for each in shown if len(each)])
    low, high = float(inner[:, 0].min()), float(inner[:, 1].max())
    least = _GAIN * math.log10(high / low)
    below, above = math.log10(low / full[0]), math.log10(full[1] / high)
    return (low if below > least else full[0], high if above > least else full[1])


def limits_of_scale(heats: Sequence[Heat], scale: HeatScale) -> Limits | None:
    """The limits that all of ``heats`` share: ``robust_limits``, or with "full" from the smallest to the largest."""
    return robust_limits(heats) if scale == "robust" else shared_limits(heats)


def outside_marks(heat: Heat, axis: Mapping[str, Any], palette: Palette) -> Iterator[go.Scatter]:
    """A triangle in each cell whose value is above the colour axis, or below it: its colour is that of the end."""
    if heat.signed:
        return
    decades = np.log10(heat.values, out=np.full(heat.values.shape, np.nan), where=heat.values > 0)
    sides = (decades > axis["cmax"] + _ROUNDING, decades < axis["cmin"] - _ROUNDING)
    for cells, (words, symbol) in zip(sides, _SIDES, strict=True):
        steps, timesteps = np.nonzero(cells)
        if len(steps):
            marker = {
                "symbol": symbol,
                "size": 5,
                "color": palette.outside,
                "line": {"width": 0.6, "color": palette.text},
            }
            yield go.Scatter(
                x=heat.steps[steps], y=heat.timesteps[timesteps], mode="markers", marker=marker, hoverinfo="skip",
                name=words, legendgroup=words, showlegend=False,
            )  # fmt: skip
