"""The layers of a run side by side: the gradient from one layer to the layer below, and how far it travels in each."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.flow import transport
from graddiag.analysis.flow.reach import Reach, reach
from graddiag.analysis.frames import indexed, stacked
from graddiag.analysis.selection import Selection, recorded_steps, selections
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.timesteps.grid import ends_of
from graddiag.analysis.values import Floats, Ints, Result, Series, Source, series, source_of
from graddiag.analysis.words import listed, number, plural
from graddiag.run import Run, numbers

_UNIT: Final = "L2 over timesteps, batch and units, units of the loss, before clipping"


@dataclass(frozen=True)
class LayerNorm:
    """One layer: ||dL/dh|| over all its timesteps together, a Series over the recorded steps; typical: its geometric
    mean over the steps where it is finite and above 0, None where it is nowhere. bounded: [S], True where a norm that
    makes it up is too large or too small for the float32 of a run, so that it says no more than that."""

    selection: Selection
    steps: Ints
    norm: Series
    typical: float | None
    bounded: NDArray[np.bool_]


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
            return _why_no_ratio(self.source, self.layers)
        worst = max(self.ratios, key=lambda each: abs(np.log(each.typical)))
        where = f"from {worst.upper.short} down to layer {worst.lower.layer}"
        by = f"{number(worst.typical)} in the geometric mean"
        told = f"the gradient of {self.source.label} is multiplied by {by} {where}"
        if len(self.ratios) == 1:
            return f"Across depth {told}."
        of = " of the deepest module" if len({each.selection.module for each in self.layers}) > 1 else ""
        return f"Across depth {told}; from top to bottom{of} by {number(self.across)}."

    def to_frame(self) -> pd.DataFrame:
        """A row a step of a layer."""
        parts = [
            indexed({"layer": np.repeat(each.selection.label, len(each.steps)), schema.STEP: each.steps}, each.norm)
            for each in self.layers
        ]
        return stacked(*parts) if parts else pd.DataFrame()


def depth(run: Run) -> Depth:
    """How the gradient changes from layer to layer; NaN, inf, 0 and what float32 cannot hold are left out of every
    ratio. Layers that are separate modules are not compared: a run does not say how they are joined.

    Source: definition above; the norm is that of Pascanu, Mikolov & Bengio (2013), section 2, of a whole layer.
    """
    layers = tuple(_layer(run, each) for each in selections(run))
    if not any(each.typical is not None for each in layers):
        missing = "No gradient of any layer is finite and above 0." if layers else "No timestep was recorded."
        return Depth(source_of(run), layers, (), None, missing)
    pairs = [(lower, upper) for lower in layers for upper in layers if _above(lower.selection, upper.selection)]
    ratios = tuple(each for each in (_ratio(*pair) for pair in pairs) if each is not None)
    return Depth(source_of(run), layers, ratios, _across(ratios))


def _why_no_ratio(source: Source, layers: tuple[LayerNorm, ...]) -> str:
    """Why no layer stands against the one below it, in a sentence."""
    if len({(each.selection.module, each.selection.layer) for each in layers}) == 1:
        return f"{source.label} has one recurrent layer: there is no depth to cross."
    silent = [each.selection.label for each in layers if each.typical is None]
    if silent:
        return f"In {source.label} there is no gradient that is finite and above 0 of {listed(silent)} to compare."
    if any(_above(lower.selection, upper.selection) for lower in layers for upper in layers):
        why = "within what float32 holds " if any(each.bounded.any() for each in layers) else ""
        return f"No step of {source.label} has the gradient {why}of two layers that lie one above the other."
    norms = [f"{number(each.typical)} of {each.selection.label}" for each in layers]
    return (
        f"The recurrent layers of {source.label} are separate modules, and a run does not say which lies above "
        f"which: no ratio is given. Their gradients, as they ran: {listed(norms)}."
    )


def _layer(run: Run, selection: Selection) -> LayerNorm:
    parts = [_norms(run, selection, ends) for ends in ends_of(recorded_steps(run, selection))]
    steps, total, absent, bounded = (
        np.concatenate([part[at] for part in parts]) if parts else np.zeros(0) for at in range(4)
    )
    line = series(schema.GRAD_H, f"Gradient of {selection.label}", _UNIT, total, absent.astype(bool))
    usable = np.isfinite(line.values) & (line.values > 0)
    typical = float(np.exp(np.log(line.values[usable]).mean())) if usable.any() else None
    return LayerNorm(selection, steps.astype(np.int64), line, typical, bounded.astype(bool))


Norms = tuple[Ints, Floats, NDArray[np.bool_], NDArray[np.bool_]]


def _norms(run: Run, selection: Selection, ends: tuple[int, int]) -> Norms:
    """The steps between ``ends`` with the norm of a whole layer at each, whether none was measured, whether bounded."""
    where = {**selection.where, schema.STEP: range(ends[0], ends[1] + 1)}
    rows = run.read(schema.TABLE_TIMESTEPS, columns=[schema.STEP, schema.GRAD_H], where=where)
    norms, missing = numbers(rows[schema.GRAD_H])
    steps, places = np.unique(rows[schema.STEP].to_numpy(dtype=np.int64), return_inverse=True)
    counted = np.bincount(places[~missing], minlength=len(steps))
    with np.errstate(invalid="ignore"):
        total = np.sqrt(np.bincount(places[~missing], norms[~missing] ** 2, len(steps)))
    return steps, total, counted == 0, _bounded(norms, places, len(steps))


def _bounded(norms: Floats, places: Ints, steps: int) -> NDArray[np.bool_]:
    """The steps whose largest norm is at one of the bounds of float32, [S]."""
    if not transport.at_bounds(norms).any():
        return np.zeros(steps, dtype=bool)
    above = np.bincount(places, norms > transport.FLOAT32_LEAST, steps) > 0
    least = np.bincount(places, norms == transport.FLOAT32_LEAST, steps) > 0
    return (np.bincount(places, norms == transport.FLOAT32_MOST, steps) > 0) | (least & ~above)


def _above(lower: Selection, upper: Selection) -> bool:
    """Whether ``upper`` is the next layer of the same module, direction and call."""
    same = (lower.module, lower.direction, lower.call) == (upper.module, upper.direction, upper.call)
    return same and upper.layer == lower.layer + 1


def _ratio(lower: LayerNorm, upper: LayerNorm) -> LayerRatio | None:
    steps, below, above = np.intersect1d(lower.steps, upper.steps, return_indices=True)
    numerator, denominator = lower.norm.values[below], upper.norm.values[above]
    bounded = lower.bounded[below] | upper.bounded[above]
    usable = np.isfinite(numerator) & np.isfinite(denominator) & (numerator > 0) & (denominator > 0) & ~bounded
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


@dataclass(frozen=True)
class LayerReaches(Result):
    """The reach of each layer and direction of a run; those that could not be measured say why themselves."""

    source: Source
    layers: tuple[Reach, ...]
    missing: str | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        known = [each for each in self.layers if each.horizon is not None]
        least = min(known, key=lambda each: each.horizon or 0.0)
        assert least.horizon is not None
        length = plural(least.length, "timestep")
        of, where = "Where the gradient reaches back least", least.selection.short
        if math.isinf(least.horizon):
            return Caption(of, {"": f"{where}, where it does not fade over the {length}"})
        return Caption(of, {f"{where}, where it falls to 1/e in {{}} of {length}": number(least.horizon)})

    def to_frame(self) -> pd.DataFrame:
        """A row a layer."""
        rows = [
            (each.selection.label, each.exponent, *(each.exponent_interval or (None, None)), each.horizon, each.ratio)
            for each in self.layers
        ]
        return pd.DataFrame(
            rows, columns=["layer", "exponent", "exponent_low", "exponent_high", "horizon", "first_over_last"]
        )


def reaches(run: Run, *, thresholds: Thresholds | None = None) -> LayerReaches:
    """The reach of every layer and direction of a run, in the order of ``selections``."""
    found = tuple(reach(run, each, thresholds=thresholds) for each in selections(run))
    return LayerReaches(source_of(run), found, _none_measured(found))


def _none_measured(found: tuple[Reach, ...]) -> str | None:
    if not found:
        return "No timestep of any recurrent layer was recorded."
    return None if any(each.exponent is not None for each in found) else found[0].missing
