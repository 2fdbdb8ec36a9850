"""The contribution of each timestep to the gradient of the shared recurrent weight, and how far they cancel.

Legend: G_t what timestep t adds to dL/dW_hh, which is exactly sum_t G_t, since one tied weight enters the graph T
times; a_t = ||G_t|| (Frobenius), cos_t the cosine between G_t and the sum. S recorded steps, T timesteps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.frames import indexed, stacked
from graddiag.analysis.selection import Selection
from graddiag.analysis.timesteps.grid import Grid, StepMeans, chunks
from graddiag.analysis.values import Floats, Ints, Result, Series, Source, series, source_of
from graddiag.analysis.words import number, percent, plural
from graddiag.deprecation import renamed_attribute
from graddiag.run import Run

_NAMES = (schema.GRAD_W_HH, schema.GRAD_W_HH_COSINE)


@dataclass(frozen=True)
class WeightContributions(Result):
    """How the gradient of W_hh is made up, in one layer and call; units of the loss, before clipping.

    By timestep [T], over the steps at which all of a sequence is finite: share: mean of a_t / sum a (shares of a step
    add up to 1); cosine: mean of cos_t over the steps where it is known.
    By recorded step [S]: cancellation: ||sum G_t|| / sum ||G_t||, 1 where all timesteps pull the same way, 0 where they
    undo one another; the norm of the sum is sum_t a_t cos_t, exactly, so no other column is needed (they are stored in
    float32, so below about 1e-7 it is rounding). effective_timesteps: the effective number of timesteps,
    (sum a)^2 / sum a^2, a participation ratio: T where all contribute alike, 1 where one alone does; it counts equal
    shares, whatever way they pull.
    A step with a NaN or inf among its G_t is non-finite in both; one whose G_t are all exactly 0 is missing: the
    weight has no gradient to share; ``steps_without_gradient`` counts these. Medians are over the other steps.
    Where a step ran the module several times on separate sequences, this is one call's part of the weight's gradient.
    """

    source: Source
    selection: Selection
    length: int
    steps: Ints
    timesteps: Ints
    share: Series
    cosine: Series
    cancellation: Series
    effective_timesteps: Series
    median_cancellation: float | None
    median_effective_timesteps: float | None
    steps_without_gradient: int
    missing: str | None = None

    teaching = renamed_attribute("teaching", "effective_timesteps")
    median_teaching = renamed_attribute("median_teaching", "median_effective_timesteps")
    untaught = renamed_attribute("untaught", "steps_without_gradient")

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        of = f"Timesteps that contribute to the recurrent weight of {self.selection.short}"
        if self.median_effective_timesteps is None:
            return Caption(of, {"": "at no recorded step is its gradient finite and above 0"})
        most = int(np.nanargmax(self.share.values))
        found = {f"{{}} of {self.length:,} (effective number, median)": number(self.median_effective_timesteps)}
        if self.median_cancellation is not None:
            found["{} of their summed length is left after cancellation"] = percent(self.median_cancellation)
        found["most by"] = f"timestep {most}, {percent(float(self.share.values[most]))}"
        if self.steps_without_gradient:
            found["none at"] = plural(self.steps_without_gradient, "step")
        return Caption(of, found)

    def to_frame(self) -> pd.DataFrame:
        """One row per step, then one row per timestep."""
        over = indexed({schema.STEP: self.steps}, self.effective_timesteps, self.cancellation)
        along = indexed({schema.TIMESTEP: self.timesteps}, self.share, self.cosine)
        return stacked(over, along, names=(schema.STEP, schema.TIMESTEP))


def weight_contributions(run: Run, selection: Selection) -> WeightContributions:
    """What each timestep adds to the gradient of the recurrent weight of one layer.

    Source: the sum over timesteps is that of back-propagation through time (Werbos 1990); the participation ratio is
    that of Bell & Dean (1970).
    """
    share, cosine = StepMeans(), StepMeans()
    parts = []
    for grid in chunks(run, selection, _NAMES):
        part = _contributions(grid)
        absent = grid.missing[schema.GRAD_W_HH] | part.nothing[:, None]
        share.add(part.shares, absent)
        cosine.add(grid.values[schema.GRAD_W_HH_COSINE], grid.missing[schema.GRAD_W_HH_COSINE])
        parts.append(replace(part, shares=np.zeros((0, 0))))
    steps, cancellation, effective_timesteps = (np.concatenate([p[at] for p in map(_lines, parts)]) for at in range(3))
    nothing, unmeasured = (np.concatenate([p[at] for p in map(_flags, parts)]) for at in range(2))
    length, title = share.length, "cosine of G with the sum of G"
    return WeightContributions(
        source_of(run),
        selection,
        length,
        steps.astype(np.int64),
        np.arange(length),
        series("share", "share of Σ‖G‖", "share, mean over steps", *share.mean(length)),
        series(schema.GRAD_W_HH_COSINE, title, "1, mean over steps", *cosine.mean(length)),
        series("cancellation", "‖ΣG‖ / Σ‖G‖", "1: all timesteps pull the same way", cancellation, unmeasured),
        series("effective_timesteps", "effective number of timesteps", "timesteps", effective_timesteps, nothing),
        _median(cancellation[~unmeasured]),
        _median(effective_timesteps),
        sum(part.steps_without_gradient for part in parts),
        _what_is_missing(parts, selection),
    )


@dataclass(frozen=True)
class _Contributions:
    """Of a chunk of steps [S]: shares [S, T], NaN in a step that is not finite; cancellation and effective_timesteps
    [S]; where there is nothing to share, and where the cancellation was not measured, [S]."""

    steps: Ints
    shares: Floats
    cancellation: Floats
    effective_timesteps: Floats
    nothing: NDArray[np.bool_]
    unmeasured: NDArray[np.bool_]
    steps_without_gradient: int
    recorded: bool


def _contributions(grid: Grid) -> _Contributions:
    norms, cosines = (grid.values[name] for name in _NAMES)
    absent, no_cosine = (grid.missing[name] for name in _NAMES)
    length = np.where(absent, 0.0, norms)
    scale = length.max(axis=1, initial=0.0)
    known = np.isfinite(length).all(axis=1) & ~absent.all(axis=1)
    usable = known & (scale > 0)
    scaled = np.where(usable[:, None], length / np.where(usable, scale, 1.0)[:, None], 0.0)
    total, squares = scaled.sum(axis=1), np.square(scaled).sum(axis=1)
    along = (scaled * np.where(scaled > 0, cosines, 0.0)).sum(axis=1)
    nothing = absent.all(axis=1) | (known & (scale == 0))
    return _Contributions(
        grid.steps,
        np.where(usable[:, None], scaled / np.where(usable, total, 1.0)[:, None], np.nan),
        np.clip(_ratio(along, total, usable), 0.0, 1.0),
        _ratio(total**2, squares, usable),
        nothing,
        nothing | (no_cosine & (scaled > 0)).any(axis=1),
        int((known & (scale == 0)).sum()),
        not absent.all(),
    )


def _lines(part: _Contributions) -> tuple[NDArray[np.generic], Floats, Floats]:
    return part.steps, part.cancellation, part.effective_timesteps


def _flags(part: _Contributions) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    return part.nothing, part.unmeasured


def _ratio(a: Floats, b: Floats, usable: NDArray[np.bool_]) -> Floats:
    return np.where(usable, a / np.where(usable, b, 1.0), np.nan)


def _median(values: Floats) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else None


def _what_is_missing(parts: Sequence[_Contributions], selection: Selection) -> str | None:
    if not any(len(part.steps) for part in parts):
        return f"No timestep was recorded for {selection.label}."
    if not any(part.recorded for part in parts):
        return f"What each timestep adds to the recurrent weight was not recorded for {selection.label}."
    if all(part.nothing.all() for part in parts):
        return f"The recurrent weight of {selection.label} got no gradient from any timestep at any recorded step."
    return None
