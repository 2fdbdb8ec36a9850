"""Units of a layer: which units of a gate are saturated, with Karpathy's plot of the two shares, and which are dead."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.frames import indexed, stacked
from graddiag.analysis.selection import Selection
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.timesteps.grid import UnitMeans
from graddiag.analysis.timesteps.snapshots import snapshot_parts
from graddiag.analysis.values import Floats, Ints, Result, Source, source_of
from graddiag.analysis.words import gate_name, gate_title, plural, span
from graddiag.deprecation import renamed_attribute
from graddiag.kinds import GATES
from graddiag.run import Run, numbers

# a unit is stuck where at least this share of all its activations is saturated on one side
STUCK: Final = 0.99

_SIDES: Final = (schema.SATURATED_LOW, schema.SATURATED_HIGH)


@dataclass(frozen=True)
class UnitSaturation:
    """One gate, unit by unit [U]: low (left-saturated) and high (right-saturated) share of its activations over batch,
    timesteps and snapshots; NaN where not known. shut, open: units with at least STUCK of them on that side (of a tanh:
    at -1 and at 1)."""

    gate: str
    title: str
    low: Floats
    high: Floats

    @property
    def shut(self) -> Ints:
        return np.flatnonzero(self.low >= STUCK)

    @property
    def open(self) -> Ints:
        return np.flatnonzero(self.high >= STUCK)


@dataclass(frozen=True)
class GateUnits(Result):
    """The gates of one layer, unit by unit, by all its snapshots. An activation is saturated below .1 or above .9 of a
    sigmoid, below -.9 or above .9 of a tanh; a relu is low at 0 and has no high side.

    The snapshot uses each activation of each sample: a unit that is low for half of the samples
    and high for the others is saturated here, although its mean over the batch is not.
    """

    source: Source
    selection: Selection
    steps: Ints
    units: int
    gates: tuple[UnitSaturation, ...]
    missing: str | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        stuck = {
            f"{gate_name(gate.gate)}:": f"{len(gate.open)} open, {len(gate.shut)} shut"
            for gate in self.gates
            if len(gate.open) or len(gate.shut)
        }
        when = f"{plural(len(self.steps), 'snapshot')} of {span(int(self.steps[0]), int(self.steps[-1]))}"
        of = f"Stuck units of {self.selection.short}, of {self.units:,}, by {when}"
        return Caption(of, stuck or {"": "none"})

    def to_frame(self) -> pd.DataFrame:
        """A row a unit of a gate: the shares of its activations that are saturated low and high."""
        parts = [
            indexed(
                {"gate": np.repeat(each.gate, len(each.low)), schema.UNIT: np.arange(len(each.low))},
                saturated_low=each.low,
                saturated_high=each.high,
            )
            for each in self.gates
        ]
        return stacked(*parts) if parts else pd.DataFrame()


def gate_units(run: Run, selection: Selection) -> GateUnits:
    """Saturation by unit, over all snapshots of one layer.

    Source: Karpathy, Johnson & Li (2016), section 4.2, figure 4.
    """
    names = [schema.gate_column(side, gate) for gate in GATES for side in _SIDES]
    sums, taken = {name: UnitMeans() for name in names}, []
    for frame in snapshot_parts(run, selection, [schema.UNIT, *names]):
        taken.append(frame[schema.STEP].unique())
        units = frame[schema.UNIT].to_numpy(dtype=np.int64)
        for name, shares in sums.items():
            shares.add(units, numbers(frame[name])[0])
    steps = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *taken]))
    count = max((len(shares.count) for shares in sums.values()), default=0)
    gates = tuple(each for gate in GATES if (each := _gate(gate, sums)) is not None)
    return GateUnits(source_of(run), selection, steps, count, gates, _what_is_missing(steps, gates, selection))


def _gate(gate: str, sums: Mapping[str, UnitMeans]) -> UnitSaturation | None:
    low, high = (sums[schema.gate_column(side, gate)].mean() for side in _SIDES)
    if not (np.isfinite(low).any() or np.isfinite(high).any()):
        return None
    return UnitSaturation(gate, gate_title(gate), low, high)


def _what_is_missing(steps: Ints, gates: tuple[UnitSaturation, ...], selection: Selection) -> str | None:
    if not len(steps):
        return f"No snapshot was taken of {selection.label}: watch(..., snapshot_every=...) takes them."
    if not gates:
        return f"The snapshots of {selection.label} hold no saturation of any gate."
    return None


_ACTIVATIONS: Final = tuple(
    c.name for c in schema.TABLES[schema.TABLE_SNAPSHOTS].columns if schema.ACTIVATION in c.name
)


@dataclass(frozen=True)
class DeadUnits(Result):
    """The dead units of one layer, by its later snapshots: an observation of these steps, not a proof for others.

    steps: of all snapshots; judged: those of the last ``Thresholds.judged_share`` of them, two at least where there are
    two. units: how many the layer has. silent: units whose activations (of every gate, mean over the batch) are one
    finite number at all timesteps of the judged snapshots; a relu unit is silent at 0. without_gradient: units whose
    gradient dL/dh is exactly 0 at all timesteps of them. dead: either; since: for each of these the step of the first
    snapshot from which on it stays dead. A number that is NaN, inf or missing makes no unit dead.
    """

    source: Source
    selection: Selection
    steps: Ints
    units: int
    silent: Ints
    without_gradient: Ints
    missing: str | None = None
    judged: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    since: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    untaught = renamed_attribute("untaught", "without_gradient")

    @property
    def dead(self) -> Ints:
        return np.union1d(self.silent, self.without_gradient)

    @property
    def share(self) -> float | None:
        return len(self.dead) / self.units if self.units else None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        when = f"{plural(len(self.judged), 'snapshot')} of {span(int(self.judged[0]), int(self.judged[-1]))}"
        of = f"Dead of the {plural(self.units, 'unit')} of {self.selection.short}, by {when}"
        never, without_gradient = f"{len(self.silent):,}", f"{len(self.without_gradient):,}"
        return Caption(of, {"{} never change": never, "{} get no gradient": without_gradient})

    def to_frame(self) -> pd.DataFrame:
        """A row a dead unit."""
        silent, without_gradient = np.isin(self.dead, self.silent), np.isin(self.dead, self.without_gradient)
        return indexed({schema.UNIT: self.dead}, silent=silent, without_gradient=without_gradient, since=self.since)


def dead_units(run: Run, selection: Selection, *, thresholds: Thresholds | None = None) -> DeadUnits:
    """The units of one layer that do nothing, or learn nothing, in any of the later snapshots.

    Source: Lu, Shin, Su & Karniadakis (2020), section 2, for units that are constant; the rest is the definition above.
    """
    tallies = list(_tallies(run, selection))
    found = np.array([each.step for each in tallies], dtype=np.int64)
    none = np.zeros(0, dtype=np.int64)
    source = source_of(run)
    missing: str | None
    if not len(found):
        missing = f"No snapshot was taken of {selection.label}: watch(..., snapshot_every=...) takes them."
        return DeadUnits(source, selection, found, 0, none, none, missing)
    units = max(len(each.without_gradient) for each in tallies)
    whole = [each for each in tallies if len(each.without_gradient) == units]
    measured = any(each.recorded.any() or each.taught for each in whole)
    missing = None if measured else f"The snapshots of {selection.label} hold neither a gradient nor an activation."
    judged = whole[_first_judged(len(whole), (thresholds or Thresholds()).judged_share) :]
    silent, without_gradient = _silent(judged), _without_gradient(judged)
    at = np.array([each.step for each in judged], dtype=np.int64)
    since = _since(whole, silent | without_gradient)
    return DeadUnits(
        source, selection, found, units, np.flatnonzero(silent), np.flatnonzero(without_gradient), missing, at, since
    )


def _first_judged(count: int, share: float) -> int:
    """The index of the first snapshot of the last ``share``: a single one is too little where there are two."""
    return max(0, min(int(count * (1 - share)), count - 2))


@dataclass(frozen=True)
class _Tally:
    """Of one snapshot, at ``step``: the smallest and largest activation by gate, [gates, units], NaN where one is not
    known; whether a gate was recorded, [gates]; units whose gradient is 0 throughout, [units]; whether a gradient was
    recorded at all; rows per unit."""

    step: int
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    recorded: NDArray[np.bool_]
    without_gradient: NDArray[np.bool_]
    taught: bool
    timesteps: int


_Columns = dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]


def _tallies(run: Run, selection: Selection) -> Iterator[_Tally]:
    for part in snapshot_parts(run, selection, [schema.UNIT, schema.GRAD_H, *_ACTIVATIONS]):
        steps, units = (part[name].to_numpy(dtype=np.int64) for name in (schema.STEP, schema.UNIT))
        columns = {name: numbers(part[name]) for name in (schema.GRAD_H, *_ACTIVATIONS)}
        for step in np.unique(steps):
            rows = steps == step
            own = {name: (values[rows], missing[rows]) for name, (values, missing) in columns.items()}
            yield _tally(int(step), units[rows], own)


def _tally(step: int, units: Ints, columns: _Columns) -> _Tally:
    order, count = np.argsort(units, kind="stable"), int(units.max()) + 1
    starts = np.searchsorted(units[order], np.arange(count))
    grad, absent = columns[schema.GRAD_H]
    without_gradient = np.logical_and.reduceat(grad[order] == 0, starts)
    values = [columns[name] for name in _ACTIVATIONS]
    low = np.stack([np.minimum.reduceat(each[order], starts) for each, _ in values])
    high = np.stack([np.maximum.reduceat(each[order], starts) for each, _ in values])
    recorded = np.array([not missing.all() for _, missing in values])
    return _Tally(step, low, high, recorded, without_gradient, not absent.all(), len(units) // count)


def _silent(tallies: list[_Tally]) -> NDArray[np.bool_]:
    """Whether each unit's activation is one and the same finite number at more than one place, in every gate that was
    recorded, [units]."""
    gates = np.logical_and.reduce([each.recorded for each in tallies])
    if not gates.any() or sum(each.timesteps for each in tallies) < 2:
        return np.zeros(len(tallies[0].without_gradient), dtype=bool)
    low = np.min([each.low for each in tallies], axis=0)
    high = np.max([each.high for each in tallies], axis=0)
    return np.asarray(((low == high) & np.isfinite(low))[gates].all(axis=0))


def _without_gradient(tallies: list[_Tally]) -> NDArray[np.bool_]:
    return np.asarray(np.logical_and.reduce([each.without_gradient for each in tallies]))


def _since(tallies: list[_Tally], dead: NDArray[np.bool_]) -> Ints:
    """For each dead unit the step of the first snapshot from which on it is dead, by all those after."""
    steps = np.full(len(dead), tallies[-1].step, dtype=np.int64)
    still = dead.copy()
    for first in range(len(tallies) - 1, -1, -1):
        later = tallies[first:]
        held = _silent(later) | _without_gradient(later)
        # a last snapshot alone may be too little to tell silence
        still &= held | (first == len(tallies) - 1)
        steps[still] = tallies[first].step
    return steps[dead]
