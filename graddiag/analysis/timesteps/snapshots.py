"""Snapshots: one layer at one step, unit by unit through the sequence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.frames import cells
from graddiag.analysis.selection import Selection, steps_of
from graddiag.analysis.timesteps.heat import binned, bins
from graddiag.analysis.values import CellState, Ints, Result, Source, States, source_of, states_of
from graddiag.analysis.words import gate_title, number, plural
from graddiag.errors import SettingError
from graddiag.run import Run, numbers

NO_SNAPSHOTS: Final = "None was taken: watch(..., snapshot_every=100) takes one at every hundredth step."

# rows that are held at once, of as many snapshots as they are: some 4 MB a column
_ROWS_AT_ONCE: Final = 500_000

_MEASURES: Final = {
    schema.ACTIVATION: ("Activation of the {}", "mean over the batch"),
    schema.SATURATED_LOW: ("The {} saturated low", "share of the batch"),
    schema.SATURATED_HIGH: ("The {} saturated high", "share of the batch"),
}


@dataclass(frozen=True)
class UnitHeat(Result):
    """A column of ``snapshots`` on a grid of bins [T, U], each of ``timestep_bin`` timesteps by ``unit_bin`` units.

    values: float32, NaN unless states is value or zero; of a bin of several cells the entry of largest size. states:
    CellState. timesteps and units: the first of each bin. linear: shares and activations, which have a linear scale;
    signed: activations between -1 and 1.
    """

    source: Source
    selection: Selection
    step: int | None
    column: str
    title: str
    unit: str
    timesteps: Ints
    units: Ints
    timestep_bin: int
    unit_bin: int
    values: NDArray[np.float32]
    states: States
    missing: str | None = None

    @property
    def linear(self) -> bool:
        return self.column != schema.GRAD_H

    @property
    def signed(self) -> bool:
        return self.column in [schema.gate_column(schema.ACTIVATION, gate) for gate in "gnh"]

    @property
    def caption(self) -> str:
        if self.missing:
            return self.missing
        found = f"{self.title} of each unit at each timestep, at step {self.step} of {self.source.label}"
        shown = self.values[np.isfinite(self.values)]
        if not len(shown):
            return f"{found}: no number is finite."
        zero = int((self.states == CellState.ZERO).sum())
        zeros = f"; {plural(zero, 'cell')} exactly zero" if zero and not self.linear else ""
        return f"{found}: from {number(float(shown.min()))} to {number(float(shown.max()))}{zeros}."

    def to_frame(self) -> pd.DataFrame:
        """A row a cell, by the first timestep and unit in it."""
        at = (schema.TIMESTEP, self.timesteps), (schema.UNIT, self.units)
        return cells(*at, self.column, self.values, self.states)


def snapshot_steps(run: Run, selection: Selection | None = None, table: str = schema.TABLE_SNAPSHOTS) -> Ints:
    """The steps at which snapshots were taken, ascending; of one layer, or of any."""
    return steps_of(run, table, selection)


def snapshot_parts(run: Run, selection: Selection, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """The snapshots of one layer with their step, whole and several at a time, so that few passes over the files do and
    memory does not grow with the training; in the order of the steps."""
    steps, rows = _rows_by_step(run, selection)
    parts = (rows.cumsum() - rows) // _ROWS_AT_ONCE
    for part in np.unique(parts):
        where = {**selection.where, schema.STEP: steps[parts == part].tolist()}
        yield run.read(schema.TABLE_SNAPSHOTS, columns=[schema.STEP, *columns], where=where)


def _rows_by_step(run: Run, selection: Selection) -> tuple[Ints, Ints]:
    """The steps of the snapshots of a layer and the rows of each, [S]: its timesteps, which are the rows of unit 0,
    times the units that the first has."""
    where = {**selection.where, schema.UNIT: 0}
    of_one = run.read(schema.TABLE_SNAPSHOTS, columns=[schema.STEP], where=where)[schema.STEP].to_numpy(dtype=np.int64)
    steps, timesteps = np.unique(of_one, return_counts=True)
    first = {**selection.where, schema.STEP: steps[:1].tolist(), schema.TIMESTEP: 0}
    return steps, timesteps * len(run.read(schema.TABLE_SNAPSHOTS, columns=[schema.STEP], where=first))


def nearest(steps: Ints, step: int) -> int:
    """The one of ``steps``, of which there is one at least, that is nearest to ``step``."""
    return int(steps[np.abs(steps - step).argmin()])


def rows_nearest(
    run: Run, table: str, columns: Sequence[str], step: int, selection: Selection
) -> tuple[int | None, pd.DataFrame]:
    """One layer's rows of the snapshot nearest to ``step``, and the step that it is of; None and no rows if none is.

    A layer as a rule ran at every snapshot: the steps of all are tried first, which is a fraction of the reading.
    """
    for steps in (snapshot_steps(run, table=table), snapshot_steps(run, selection, table)):
        chosen = nearest(steps, step) if len(steps) else -1
        rows = run.read(table, columns=columns, where={**selection.where, schema.STEP: chosen})
        if len(rows) or not len(steps):
            break
    return (chosen, rows) if len(rows) else (None, rows)


def snapshot_columns(run: Run, selection: Selection) -> tuple[str, ...]:
    """The columns of ``snapshots`` that hold anything for a layer at its last snapshot, in the order of the schema."""
    names = _measured()
    _, rows = rows_nearest(run, schema.TABLE_SNAPSHOTS, names, np.iinfo(np.int32).max, selection)
    return tuple(name for name in names if len(rows) and not numbers(rows[name])[1].all())


def snapshot_title(column: str) -> str:
    """A column of ``snapshots`` in words."""
    return _words(column)[0]


def unit_heat(
    run: Run, step: int, selection: Selection, column: str = schema.GRAD_H, *, max_cells: int = 60_000
) -> UnitHeat:
    """``column`` of one layer by timestep and unit, of the snapshot nearest to ``step``, in at most ``max_cells`` bins.

    Raises:
        SettingError: ``snapshots`` has no such column.
    """
    table = schema.TABLES[schema.TABLE_SNAPSHOTS]
    if column not in table.names or table.column(column).key:
        raise SettingError(f"unit_heat(column={column!r}): the table snapshots measures {', '.join(_measured())}.")
    chosen, rows = rows_nearest(run, schema.TABLE_SNAPSHOTS, [schema.TIMESTEP, schema.UNIT, column], step, selection)
    t, u = (rows[name].to_numpy(dtype=np.int64) for name in (schema.TIMESTEP, schema.UNIT))
    shape = (int(t.max()) + 1, int(u.max()) + 1) if len(rows) else (0, 0)
    values, absent = np.full(shape, np.nan), np.ones(shape, dtype=bool)
    values[t, u], absent[t, u] = numbers(rows[column])
    states = states_of(values, absent)
    unit_bin, timestep_bin = bins(shape[::-1], max_cells)
    shown, kinds = binned(values, states, timestep_bin, unit_bin, "max", True)
    title, unit = _words(column)
    missing = None if len(rows) else f"No snapshot of {selection.label}. {NO_SNAPSHOTS}"
    if missing is None and absent.all():
        missing = f"{title} was not recorded for {selection.label}."
    times, units = np.arange(shape[0])[::timestep_bin], np.arange(shape[1])[::unit_bin]
    of = (source_of(run), selection, chosen, column, title, unit)
    return UnitHeat(*of, times, units, timestep_bin, unit_bin, shown, kinds, missing)


def _measured() -> list[str]:
    return [column.name for column in schema.TABLES[schema.TABLE_SNAPSHOTS].columns if not column.key]


def _words(column: str) -> tuple[str, str]:
    if column == schema.GRAD_H:
        return "Total gradient ‖dL/dh‖", "L2 over batch, units of the loss, before clipping"
    measure, _, gate = column.rpartition("_")
    title, unit = _MEASURES[measure]
    return title.format(gate_title(gate)), unit
