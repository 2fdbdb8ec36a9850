"""Dead units: those that never change, and those that nothing teaches, by the snapshots of a run."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.selection import Selection
from graddiag.analysis.values import Ints, Result, Source, source_of
from graddiag.analysis.words import plural, span
from graddiag.run import Run, numbers

_ACTIVATIONS: Final = tuple(
    c.name for c in schema.TABLES[schema.TABLE_SNAPSHOTS].columns if schema.ACTIVATION in c.name
)


@dataclass(frozen=True)
class DeadUnits(Result):
    """The dead units of one layer, by all its snapshots: an observation of these steps, not a proof for others.

    units: how many the layer has. silent: units whose activations (of every gate, mean over the batch) are the same at
    all timesteps of all snapshots; a relu unit is silent at 0. untaught: units whose gradient dL/dh is exactly 0 at all
    timesteps of all snapshots. dead: either. A number that is NaN, inf or missing makes no unit dead.
    """

    source: Source
    selection: Selection
    steps: Ints
    units: int
    silent: Ints
    untaught: Ints
    missing: str | None = None

    @property
    def dead(self) -> Ints:
        return np.union1d(self.silent, self.untaught)

    @property
    def share(self) -> float | None:
        return len(self.dead) / self.units if self.units else None

    @property
    def caption(self) -> str:
        if self.missing:
            return self.missing
        when = f"{plural(len(self.steps), 'snapshot')} ({span(int(self.steps[0]), int(self.steps[-1]))})"
        return (
            f"In {self.selection.label} of {self.source.label} {len(self.silent)} of {plural(self.units, 'unit')} "
            f"never change and {len(self.untaught)} get no gradient, by {when}."
        )


def dead_units(run: Run, selection: Selection) -> DeadUnits:
    """The units of one layer that do nothing, or learn nothing, in any snapshot."""
    steps = run.read(schema.TABLE_SNAPSHOTS, columns=[schema.STEP], where=selection.where)[schema.STEP]
    found = np.unique(steps.to_numpy(dtype=np.int64))
    none = np.zeros(0, dtype=np.int64)
    source = source_of(run)
    missing: str | None
    if not len(found):
        missing = f"No snapshot was taken of {selection.label}: watch(..., snapshot_every=...) takes them."
        return DeadUnits(source, selection, found, 0, none, none, missing)
    tallies = [_tally(run, selection, int(step)) for step in found]
    units = max(len(each.untaught) for each in tallies)
    whole = [each for each in tallies if len(each.untaught) == units]
    untaught = np.logical_and.reduce([each.untaught for each in whole])
    measured = any(each.recorded.any() or each.taught for each in whole)
    missing = None if measured else f"The snapshots of {selection.label} hold neither a gradient nor an activation."
    return DeadUnits(source, selection, found, units, _silent(whole), np.flatnonzero(untaught), missing)


@dataclass(frozen=True)
class _Tally:
    """Of one snapshot: the smallest and largest activation by gate, [gates, units], NaN where one is not known; whether
    a gate was recorded, [gates]; units whose gradient is 0 throughout, [units]; whether a gradient was recorded at all;
    rows per unit."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    recorded: NDArray[np.bool_]
    untaught: NDArray[np.bool_]
    taught: bool
    timesteps: int


def _tally(run: Run, selection: Selection, step: int) -> _Tally:
    columns = [schema.UNIT, schema.GRAD_H, *_ACTIVATIONS]
    rows = run.read(schema.TABLE_SNAPSHOTS, columns=columns, where={**selection.where, schema.STEP: step})
    units = rows[schema.UNIT].to_numpy(dtype=np.int64)
    order, count = np.argsort(units, kind="stable"), int(units.max()) + 1
    starts = np.searchsorted(units[order], np.arange(count))
    grad, absent = numbers(rows[schema.GRAD_H])
    untaught = np.logical_and.reduceat(grad[order] == 0, starts)
    values = [numbers(rows[name]) for name in _ACTIVATIONS]
    low = np.stack([np.minimum.reduceat(each[order], starts) for each, _ in values])
    high = np.stack([np.maximum.reduceat(each[order], starts) for each, _ in values])
    recorded = np.array([not missing.all() for _, missing in values])
    return _Tally(low, high, recorded, untaught, not absent.all(), len(rows) // count)


def _silent(tallies: list[_Tally]) -> Ints:
    """Units whose activation is one and the same number at more than one place, in every gate that was recorded."""
    gates = np.logical_and.reduce([each.recorded for each in tallies])
    if not gates.any() or sum(each.timesteps for each in tallies) < 2:
        return np.zeros(0, dtype=np.int64)
    low = np.min([each.low for each in tallies], axis=0)
    high = np.max([each.high for each in tallies], axis=0)
    return np.flatnonzero((low[gates] == high[gates]).all(axis=0))
