"""Numerics: where NaN and inf began, what underflows, exact zeros, and dead units."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.captions import Caption
from graddiag.analysis.gates.dead_units import DeadUnits, dead_units
from graddiag.analysis.optimization.nonfinite import NonfiniteOrigin, nonfinite_origin
from graddiag.analysis.optional import optional_scalars
from graddiag.analysis.selection import Selection, evenly_spaced, recorded_steps, selections
from graddiag.analysis.timesteps.chunks import chunks
from graddiag.analysis.values import Floats, Ints, Result, Source, source_of
from graddiag.analysis.words import percent, plural
from graddiag.run import Run, numbers

_NOTHING: Final = "No loss, gradient or norm of this run was recorded."

# smallest normal number and smallest number above 0 of each dtype
SMALLEST: Final = {
    "float16": (2.0**-14, 2.0**-24),
    "bfloat16": (2.0**-126, 2.0**-133),
    "float32": (2.0**-126, 2.0**-149),
    "float64": (2.0**-1022, 2.0**-1074),
}
AMP_SCALE: Final = "amp_scale"
# of a run's environment
DTYPE: Final = "dtype"
ACTIVATIONS: Final = "activations"

# a run stores norms as float32: of a wider type it cannot tell what became of the smallest
_TOLD: Final = ("float16", "bfloat16", "float32")


@dataclass(frozen=True)
class Zeros:
    """The share of exact zeros in the gradient of one parameter: in the median of the recorded steps, and at most."""

    parameter: str
    median: float
    largest: float
    largest_step: int


@dataclass(frozen=True)
class Underflow:
    """Small gradients in one layer and their underflow, by the norms ||dL/dh_t|| at the recorded steps.

    cells: timesteps at those steps with a finite norm. below: those whose norm, times the step's loss scale where there
    is one, is above 0 and below the smallest normal number of the dtype: then every entry of the gradient is, and has
    lost digits. gone: those with a norm of exactly 0 at a step at which some other timestep's has lost digits, so that
    it is likely to have gone the same way.
    """

    selection: Selection
    cells: int
    below: int
    gone: int

    @property
    def lost(self) -> int:
        return self.below + self.gone


@dataclass(frozen=True)
class Numerics(Result):
    """The run's arithmetic.

    dtype: of the parameters, activations: of the recurrent layers' activations and gradients, which under autocast are
    narrower; the narrowest where there are several, None where the run does not give it. loss_scale: the smallest and
    largest scale of a GradScaler, None without one. origin: the first NaN or inf. zeros: by parameter, the most zeros
    first; a row of an embedding that no token used is 0 by right. underflow: by layer, in the type of the activations,
    or of the parameters where that is all that is known; None where neither is, and for float64. dead: by layer.
    unknown: what could not be known.
    """

    source: Source
    dtype: str | None
    loss_scale: tuple[float, float] | None
    origin: NonfiniteOrigin
    zeros: tuple[Zeros, ...]
    underflow: tuple[Underflow, ...] | None
    dead: tuple[DeadUnits, ...]
    unknown: tuple[str, ...]
    missing: str | None = None
    activations: str | None = None

    @property
    def caption(self) -> str:
        if self.missing:
            return self.missing
        parts = [self.origin.caption]
        if self.underflow:
            lost = sum(each.lost for each in self.underflow)
            cells = sum(each.cells for each in self.underflow)
            kind = self.activations or self.dtype
            count = f"{lost:,}" if lost else "None"
            parts.append(f"{count} of {plural(cells, 'gradient')} of single timesteps underflowed in {kind}.")
        if self.zeros and self.zeros[0].median > 0:
            most = self.zeros[0]
            parts.append(f"Most exact zeros are in the gradient of {most.parameter}: {percent(most.median)}.")
        return " ".join(parts)

    @property
    def caption_parts(self) -> Caption:
        """Of several runs: where the first NaN or inf is, what underflowed, and where most zeros are."""
        found = {"first NaN or inf:": f"at step {self.origin.step}" if self.origin.found else "none"}
        if self.underflow:
            lost, cells = sum(each.lost for each in self.underflow), sum(each.cells for each in self.underflow)
            kind = self.activations or self.dtype
            found[f"{{}} gradients of single timesteps underflowed in {kind}"] = f"{lost:,} of {cells:,}"
        if self.zeros and self.zeros[0].median > 0:
            found[f"most exact zeros in {self.zeros[0].parameter},"] = percent(self.zeros[0].median)
        return Caption("Numerics", found)

    def to_frame(self) -> pd.DataFrame:
        """A row a parameter: the share of exact zeros in its gradient."""
        rows = [(each.parameter, each.median, each.largest, each.largest_step) for each in self.zeros]
        return pd.DataFrame(rows, columns=["parameter", "zeros_median", "zeros_largest", "largest_step"])


def numerics(run: Run) -> Numerics:
    """What can be known about the arithmetic of a run: NaN and inf, underflow, exact zeros, dead units.

    Source: definitions above; the smallest numbers of each type are those of IEEE 754 and of bfloat16. What a loss
    scale does against underflow: Micikevicius et al. (2018), section 3.2.
    """
    steps = recorded_steps(run)
    layers, looked = selections(run, recorded=steps), evenly_spaced(steps)
    dtype, activations, scales = _dtype(run, DTYPE), _dtype(run, ACTIVATIONS), _loss_scales(run)
    kind, scale = activations or dtype, _ends(scales)
    zeros = _zeros(run)
    dead = tuple(dead_units(run, each) for each in layers)
    lost = tuple(_underflow(run, each, looked, kind, scales) for each in layers) if kind in _TOLD else None
    origin = nonfinite_origin(run)
    return Numerics(
        source_of(run),
        dtype,
        scale,
        origin,
        zeros,
        lost,
        dead,
        tuple(_unknown(kind, activations, scale, zeros, dead)),
        None if origin.found or zeros or _any_number(run, layers) else _NOTHING,
        activations,
    )


def _any_number(run: Run, layers: Sequence[Selection]) -> bool:
    """Whether a loss, a norm or a gradient at a timestep was recorded, whatever it is."""
    scalars = run.read(schema.TABLE_STEPS, columns=[schema.LOSS, schema.GRAD_NORM])
    if any(not numbers(scalars[name])[1].all() for name in scalars):
        return True
    grids = (grid for layer in layers for grid in chunks(run, layer, [schema.GRAD_H]))
    return any(not grid.missing[schema.GRAD_H].all() for grid in grids)


def _dtype(run: Run, of: str) -> str | None:
    """The narrowest of the parameters' or the activations' types, as the run's environment says it."""
    named = [name.strip() for name in run.manifest.environment.get(of, "").split(",")]
    known = [name for name in SMALLEST if name in named]
    return known[0] if known else None


def _loss_scales(run: Run) -> tuple[Ints, Floats] | None:
    """The steps that have a loss scale, and their scales; None where none has."""
    found = optional_scalars(run, schema.STEP, AMP_SCALE)
    if found is None:
        return None
    steps, scales = found
    known = np.isfinite(scales) & (scales > 0)
    return (steps[known].astype(np.int64), scales[known]) if known.any() else None


def _ends(scales: tuple[Ints, Floats] | None) -> tuple[float, float] | None:
    return None if scales is None else (float(scales[1].min()), float(scales[1].max()))


def _zeros(run: Run) -> tuple[Zeros, ...]:
    rows = run.read(schema.TABLE_PARAMETERS, columns=[schema.STEP, schema.PARAMETER, schema.ZEROS])
    shares = numbers(rows[schema.ZEROS])[0]
    names, steps = rows[schema.PARAMETER].to_numpy(dtype=object), rows[schema.STEP].to_numpy(dtype=np.int64)
    found = []
    for name in dict.fromkeys(names):
        chosen = np.flatnonzero((names == name) & np.isfinite(shares))
        if len(chosen):
            top = chosen[shares[chosen].argmax()]
            found.append(Zeros(str(name), float(np.median(shares[chosen])), float(shares[top]), int(steps[top])))
    return tuple(sorted(found, key=lambda each: -each.median))


def _underflow(run: Run, selection: Selection, steps: Ints, kind: str, scales: tuple[Ints, Floats] | None) -> Underflow:
    columns = [schema.STEP, schema.TIMESTEP, schema.GRAD_H]
    where = {**selection.where, schema.STEP: [int(step) for step in steps]}
    rows = run.read(schema.TABLE_TIMESTEPS, columns=columns, where=where)
    norms = numbers(rows[schema.GRAD_H])[0]
    at = rows[schema.STEP].to_numpy(dtype=np.int64)
    below = (norms > 0) & (norms * _scale_at(at, scales) < SMALLEST[kind][0])
    return Underflow(selection, int(np.isfinite(norms).sum()), int(below.sum()), _gone(at, norms, below))


def _scale_at(steps: Ints, scales: tuple[Ints, Floats] | None) -> Floats:
    """What the loss was multiplied by at each of ``steps``; 1 where nothing says so."""
    if scales is None:
        return np.ones(len(steps))
    at = np.minimum(np.searchsorted(scales[0], steps), len(scales[0]) - 1)
    return np.where(scales[0][at] == steps, scales[1][at], 1.0)


def _gone(steps: Ints, norms: Floats, below: NDArray[np.bool_]) -> int:
    """Norms of exactly 0 at the steps at which some norm has lost digits."""
    return int((np.isin(steps, steps[below]) & (norms == 0)).sum())


def _unknown(
    kind: str | None,
    activations: str | None,
    scale: tuple[float, float] | None,
    zeros: Sequence[Zeros],
    dead: Sequence[DeadUnits],
) -> list[str]:
    said = []
    if kind is None:
        said.append("The run does not say of which type its parameters are: underflow cannot be judged.")
    elif kind not in _TOLD:
        said.append(f"A run stores norms as float32: what underflows in {kind} cannot be seen.")
    if scale is not None and activations is None:
        said.append(
            "A loss scale was used: activations may be of float16, whose underflow shows in the zeros of the gradients "
            "alone."
        )
    if not zeros:
        said.append("The share of exact zeros was not recorded (runs of schema 2 and later have it).")
    if all(each.missing for each in dead):
        said.append("No snapshot was taken: dead units are not known.")
    return said
