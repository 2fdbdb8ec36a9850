"""The gradient across depth: how it changes from one layer to the layer below, beside how it changes through time."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis.selection import Selection, selections
from graddiag.analysis.values import Floats, Ints, Result, Series, Source, series, source_of
from graddiag.analysis.words import number
from graddiag.run import Run, numbers

_UNIT: Final = "L2 over timesteps, batch and units, units of the loss, before clipping"


@dataclass(frozen=True)
class LayerNorm:
    """One layer: ||dL/dh|| over all its timesteps together, a Series over the recorded steps; typical: its geometric
    mean over the steps where it is finite and above 0, None where it is nowhere."""

    selection: Selection
    steps: Ints
    norm: Series
    typical: float | None


@dataclass(frozen=True)
class LayerRatio:
    """One step down in depth: the gradient of ``lower`` over that of ``upper``, [S] steps that both have; typical: the
    geometric mean, with the 10 and 90 % quantiles."""

    lower: Selection
    upper: Selection
    steps: Ints
    ratio: Floats
    typical: float
    low: float
    high: float


@dataclass(frozen=True)
class Depth(Result):
    """The gradient by layer and its ratio from layer to layer, within each module, direction and call.

    norm_l = sqrt(sum_t ||dL/dh_t^l||^2); ratio = norm_l / norm_{l+1}: above 1 the gradient grows on its way down, below
    1 it shrinks. Layers of unlike width are compared as they are. across: the product of the typical ratios from top to
    bottom of the deepest stack, None for a single layer.
    """

    source: Source
    layers: tuple[LayerNorm, ...]
    ratios: tuple[LayerRatio, ...]
    across: float | None
    missing: str | None = None

    @property
    def caption(self) -> str:
        if self.missing:
            return self.missing
        if not self.ratios:
            return f"{self.source.label} has one recurrent layer: there is no depth to cross."
        worst = max(self.ratios, key=lambda each: abs(np.log(each.typical)))
        where = f"from {worst.upper.label} down to layer {worst.lower.layer}"
        return (
            f"Across depth the gradient of {self.source.label} is multiplied by {number(worst.typical)} {where}; from "
            f"top to bottom by {number(self.across)}."
        )


def depth(run: Run) -> Depth:
    """How the gradient changes from layer to layer; NaN, inf and 0 are left out of every mean."""
    layers = tuple(_layer(run, each) for each in selections(run))
    if not any(each.typical is not None for each in layers):
        missing = "No gradient of any layer is finite and above 0." if layers else "No timestep was recorded."
        return Depth(source_of(run), layers, (), None, missing)
    pairs = [(lower, upper) for lower in layers for upper in layers if _above(lower.selection, upper.selection)]
    ratios = tuple(each for each in (_ratio(*pair) for pair in pairs) if each is not None)
    return Depth(source_of(run), layers, ratios, _across(ratios))


def _layer(run: Run, selection: Selection) -> LayerNorm:
    rows = run.read(schema.TABLE_TIMESTEPS, columns=[schema.STEP, schema.GRAD_H], where=selection.where)
    norms, missing = numbers(rows[schema.GRAD_H])
    steps, places = np.unique(rows[schema.STEP].to_numpy(dtype=np.int64), return_inverse=True)
    counted = np.bincount(places[~missing], minlength=len(steps))
    with np.errstate(invalid="ignore"):
        total = np.sqrt(np.bincount(places[~missing], norms[~missing] ** 2, len(steps)))
    line = series(schema.GRAD_H, f"Gradient of {selection.label}", _UNIT, total, counted == 0)
    usable = np.isfinite(line.values) & (line.values > 0)
    typical = float(np.exp(np.log(line.values[usable]).mean())) if usable.any() else None
    return LayerNorm(selection, steps, line, typical)


def _above(lower: Selection, upper: Selection) -> bool:
    """Whether ``upper`` is the next layer of the same module, direction and call."""
    same = (lower.module, lower.direction, lower.call) == (upper.module, upper.direction, upper.call)
    return same and upper.layer == lower.layer + 1


def _ratio(lower: LayerNorm, upper: LayerNorm) -> LayerRatio | None:
    steps, below, above = np.intersect1d(lower.steps, upper.steps, return_indices=True)
    numerator, denominator = lower.norm.values[below], upper.norm.values[above]
    usable = np.isfinite(numerator) & np.isfinite(denominator) & (numerator > 0) & (denominator > 0)
    if not usable.any():
        return None
    ratio = np.where(usable, numerator / np.where(usable, denominator, 1.0), np.nan)
    low, high = (float(each) for each in np.quantile(ratio[usable], [0.1, 0.9]))
    typical = float(np.exp(np.log(ratio[usable]).mean()))
    return LayerRatio(lower.selection, upper.selection, steps, ratio, typical, low, high)


def _across(ratios: tuple[LayerRatio, ...]) -> float | None:
    stacks: dict[tuple[str, str, int], list[float]] = {}
    for each in ratios:
        s = each.lower
        stacks.setdefault((s.module, s.direction, s.call), []).append(each.typical)
    return float(np.prod(max(stacks.values(), key=len))) if stacks else None
