"""How long a cell keeps what it holds, by its gate: -1 / ln f timesteps in an LSTM, -1 / ln z in a GRU."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.frames import indexed, stacked
from graddiag.analysis.selection import Selection
from graddiag.analysis.timesteps.grid import StepMeans, UnitMeans, gate_grids, recorded_gate_steps
from graddiag.analysis.timesteps.snapshots import snapshot_parts
from graddiag.analysis.values import Floats, Ints, Result, Series, Source, series, source_of
from graddiag.analysis.words import gate_name, gate_title, number, plural
from graddiag.kinds import GATES, KEEPING, CellType, keeping_gates, type_by_gates
from graddiag.run import Run, numbers


@dataclass(frozen=True)
class RecordedCell:
    """type: None where no gate was recorded, or gates of no known cell; is_relu: it is an RNN whose activation has no
    high side. carried: mean activation of the gate that keeps the state. saturated: share of a plain RNN's activations
    that are saturated. Both are means over the timesteps of the later half of the recorded steps, None where the cell
    has no such number."""

    type: CellType | None = None
    is_relu: bool = False
    carried: float | None = None
    saturated: float | None = None


def cell_of(run: Run, selection: Selection, steps: Ints) -> RecordedCell:
    """The cell of one layer, by its gates at ``steps``."""
    columns = [schema.STEP, schema.GATE, schema.MEAN, schema.SATURATED_LOW, schema.SATURATED_HIGH]
    where = {**selection.where, schema.STEP: [int(step) for step in steps]}
    rows = run.read(schema.TABLE_GATES, columns=columns, where=where) if len(steps) else None
    if rows is None or not len(rows):
        return RecordedCell()
    kind = type_by_gates(set(rows[schema.GATE]))
    late = rows[rows[schema.STEP] >= int(steps[len(steps) // 2])]
    if kind is None:
        return RecordedCell()
    if kind.keeping is None:
        (low, no_low), (high, no_high) = (numbers(late[name]) for name in columns[3:])
        relu = len(late) > 0 and bool(no_high.all()) and not bool(no_low.all())
        return RecordedCell(kind, relu, saturated=None if relu else _mean(low + high))
    keeping = late[late[schema.GATE] == kind.keeping.name]
    return RecordedCell(kind, carried=_mean(numbers(keeping[schema.MEAN])[0]))


def _mean(values: np.ndarray) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None


@dataclass(frozen=True)
class TimeConstants(Result):
    """-1 / ln of a gate's mean, in timesteps: after so many 1/e of a state is left if the gate stays there and nothing
    else reaches it. 0 at a mean of 0, inf at 1.

    It is the time constant of the mean over batch and units, not the mean of the units' own: a few units that keep for
    long hide behind many that do not. by_unit shows those.

    by_timestep [T]: of the mean over recorded steps; by_step [S]: of the mean over timesteps. by_unit [U]: of each
    unit's mean over batch, timesteps and snapshots, empty where no snapshot was taken. usual: of the mean over all
    steps and timesteps; None where not known.
    """

    source: Source
    selection: Selection
    gate: str | None
    steps: Ints
    timesteps: Ints
    by_timestep: Series
    by_step: Series
    by_unit: Floats
    usual: float | None
    missing: str | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        assert self.gate is not None
        found = {"{} timesteps, over all recorded steps": number(self.usual)}
        known = self.by_unit[~np.isnan(self.by_unit)]
        if len(known):
            found[f"longest of {plural(len(known), 'unit')}"] = number(float(known.max()))
        of = f"How long {self.selection.short} keeps a state, to 1/e, by its mean {gate_name(self.gate)}"
        return Caption(of, found)

    def to_frame(self) -> pd.DataFrame:
        """One row per step, then one row per timestep."""
        over = indexed({schema.STEP: self.steps}, self.by_step)
        along = indexed({schema.TIMESTEP: self.timesteps}, self.by_timestep)
        return stacked(over, along, names=(schema.STEP, schema.TIMESTEP))


def time_constants(run: Run, selection: Selection) -> TimeConstants:
    """How long the cells of one layer keep what they hold, by timestep, over training and by unit.

    Source: Gers, Schmidhuber & Cummins (2000), the forget gate; Tallec & Ollivier (2018) for its time constant.
    """
    recorded = recorded_gate_steps(run, selection)
    gate = _keeping_gate(run, selection, recorded)
    by_timestep = StepMeans()
    found, absent = np.full(len(recorded), np.nan), np.ones(len(recorded), dtype=bool)
    for part, grids in gate_grids(run, selection, recorded, [schema.MEAN], gate) if gate else ():
        for grid in grids.values():
            values, missing = grid.values[schema.MEAN], grid.missing[schema.MEAN]
            by_timestep.add(values, missing)
            found[part], absent[part] = _row_means(values), missing.all(axis=1)
    usual = by_timestep.overall()
    means, unmeasured = by_timestep.mean(by_timestep.length)
    return TimeConstants(
        source_of(run),
        selection,
        gate,
        recorded,
        np.arange(by_timestep.length),
        _constants(means, unmeasured),
        _constants(found, absent),
        np.zeros(0) if gate is None else _by_unit(run, selection, gate),
        None if usual is None else float(_constant(np.array([usual]))[0]),
        _what_is_missing(gate, selection, absent, usual),
    )


def _keeping_gate(run: Run, selection: Selection, recorded: Ints) -> str | None:
    """The gate that keeps the state, as the first and last recorded steps have it."""
    if not len(recorded):
        return None
    where = {**selection.where, schema.STEP: [int(recorded[0]), int(recorded[-1])]}
    gates = set(run.read(schema.TABLE_GATES, columns=[schema.GATE], where=where)[schema.GATE])
    return next((gate for gate in GATES if gate in gates and gate in KEEPING), None)


def _row_means(values: Floats) -> Floats:
    finite = np.isfinite(values)
    count = finite.sum(axis=1)
    return np.where(count > 0, np.where(finite, values, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def _constant(means: Floats) -> Floats:
    """-1 / ln of each mean; NaN where it is outside 0 to 1."""
    inside = (means > 0) & (means < 1)
    constants = -1 / np.log(np.where(inside, means, 0.5))
    return np.where(inside, constants, np.where(means == 0, 0.0, np.where(means == 1, np.inf, np.nan)))


def _constants(means: Floats, missing: NDArray[np.bool_]) -> Series:
    return series("time_constant", "time constant", "timesteps", _constant(means), missing)


def _by_unit(run: Run, selection: Selection, gate: str) -> Floats:
    """Of each unit's mean over all snapshots [U], NaN where none of its activations is finite."""
    column = schema.gate_column(schema.ACTIVATION, gate)
    means = UnitMeans()
    for frame in snapshot_parts(run, selection, [schema.UNIT, column]):
        means.add(frame[schema.UNIT].to_numpy(dtype=np.int64), numbers(frame[column])[0])
    return _constant(means.mean())


def _what_is_missing(
    gate: str | None, selection: Selection, absent: NDArray[np.bool_], usual: float | None
) -> str | None:  # fmt: skip
    if gate is None:
        return f"No gate that keeps a state ({keeping_gates()}) was recorded for {selection.label}."
    if absent.all():
        return f"The mean of the {gate_title(gate)} was not recorded for {selection.label}."
    return f"No mean of the {gate_title(gate)} of {selection.label} is finite." if usual is None else None
