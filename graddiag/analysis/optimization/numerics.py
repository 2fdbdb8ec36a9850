"""Numerics: where NaN and inf began, what underflows, exact zeros, and dead units."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.gates.units import DeadUnits, dead_units
from graddiag.analysis.optimization.norms import NormHistory, norm_history
from graddiag.analysis.selection import Selection, evenly_spaced, optional_scalars, recorded_steps, selections
from graddiag.analysis.timesteps.grid import chunks
from graddiag.analysis.values import Floats, Ints, Result, Source, is_nonfinite, source_of, states_of
from graddiag.analysis.words import number, percent, plural
from graddiag.run import Run, numbers

Pass = Literal["forward", "backward"]


@dataclass(frozen=True)
class NonfiniteOrigin(Result):
    """The first NaN or inf of a run.

    step, where, message, value: of the first event of that kind; step alone where no event was recorded but the loss
    or the norms are NaN or inf. events: how many such events; steps: how many steps hold a NaN or inf in the loss,
    the gradient or its norm, and last_step the last of them.
    during, module, layer, direction, timestep: in which pass and at which timestep of which layer it began, following
    the computation; None where that step's timesteps were not recorded, or were all finite (then it began in the loss,
    or outside the recurrent layers).
    """

    source: Source
    found: bool
    step: int | None
    where: str | None
    message: str | None
    value: float | None
    events: int
    steps: int
    last_step: int | None
    missing: str | None = None
    during: Pass | None = None
    module: str | None = None
    layer: int | None = None
    direction: str | None = None
    timestep: int | None = None

    @property
    def caption(self) -> str:
        if self.missing:
            return self.missing
        if not self.found:
            return f"No NaN or inf was met in {self.source.label}."
        where = f" at {self.where}" if self.where else ""
        value = f" ({number(self.value)})" if self.value is not None else ""
        more = f" {plural(self.steps, 'step')} of {self.source.label} held NaN or inf."
        return f"The first NaN or inf{value} came at step {self.step}{where}. {self.message or ''}".rstrip() + more


def nonfinite_origin(run: Run) -> NonfiniteOrigin:
    """Where the first NaN or inf of a run began, as far as it was recorded.

    Source: definition above, none other: first by step, then in the order in which the step computes.
    """
    names = [schema.STEP, schema.WHERE, schema.VALUE, schema.MESSAGE]
    events = run.read(schema.TABLE_EVENTS, columns=names, where={schema.KIND: schema.EVENT_NONFINITE})
    history = norm_history(run)
    bad = _nonfinite_of(run, history)
    source = source_of(run)
    if not len(events) and not len(bad):
        missing = None if len(history.steps) else "No step was recorded."
        return NonfiniteOrigin(source, False, None, None, None, None, 0, 0, None, missing)
    steps = events[schema.STEP].to_numpy(dtype=np.int64)
    seen = np.union1d(bad, steps)
    step, last = int(seen[0]), int(seen[-1])
    where, message, value = _told(events[steps == step])
    began = _began(run, step)
    return NonfiniteOrigin(source, True, step, where, message, value, len(events), len(seen), last, None, *began)


def _told(events: pd.DataFrame) -> tuple[str | None, str | None, float | None]:
    """Where, message and value of the first of ``events``, None where there is none."""
    if not len(events):
        return None, None, None
    values, absent = numbers(events[schema.VALUE])
    where, message = (_text(events[name].iloc[0]) for name in (schema.WHERE, schema.MESSAGE))
    return where, message, None if absent[0] else float(values[0])


def _began(run: Run, step: int) -> tuple[Pass | None, str | None, int | None, str | None, int | None]:
    """Pass, module, layer, direction and timestep of the first NaN or inf of a step: the forward pass is searched
    first, in the order in which the layers ran and along time, then the backward pass, the other way round."""
    columns = [*schema.TRACE_KEYS, schema.TIMESTEP, schema.H_RMS, schema.GRAD_H]
    rows = run.read(schema.TABLE_TIMESTEPS, columns=columns, where={schema.STEP: step})
    layers = selections(run) if len(rows) else ()
    searched: tuple[tuple[Pass, str, tuple[Selection, ...]], ...] = (
        ("forward", schema.H_RMS, layers),
        ("backward", schema.GRAD_H, layers[::-1]),
    )
    for during, column, order in searched:
        values, missing = numbers(rows[column])
        bad = rows[~np.isfinite(values) & ~missing]
        for layer in order if len(bad) else ():
            times = bad[schema.TIMESTEP][(bad[list(schema.TRACE_KEYS)] == pd.Series(layer.where)).all(axis=1)]
            if len(times):
                along = (during == "forward") is not layer.reverse
                at = int(times.min() if along else times.max())
                return during, layer.module, layer.layer, layer.direction, at
    return None, None, None, None, None


def nonfinite_steps(run: Run) -> Ints:
    """The steps whose loss or gradient norm is NaN or inf, or whose gradient held such entries; ascending."""
    return _nonfinite_of(run, norm_history(run))


def _nonfinite_of(run: Run, history: NormHistory) -> Ints:
    bad = (history.nonfinite > 0) | is_nonfinite(history.before.states)
    loss = run.read(schema.TABLE_STEPS, columns=[schema.LOSS])[schema.LOSS]
    return history.steps[bad | is_nonfinite(states_of(*numbers(loss)))]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


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
