"""Tables as grids of recorded step x timestep, a chunk of steps at a time, and means over the chunks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.selection import Selection, recorded_steps, steps_of
from graddiag.analysis.values import Floats, Ints
from graddiag.kinds import GATES
from graddiag.run import Run, numbers


@dataclass(frozen=True)
class Grid:
    """Columns of one layer on the grid of recorded steps [S] and timesteps [T] (0 to the longest sequence's last).

    values: by column, [S, T], NaN where missing; missing: by column, [S, T], True where nothing was measured: the
    row is absent (a shorter sequence, padding) or its value null.
    """

    steps: Ints
    timesteps: Ints
    values: Mapping[str, Floats]
    missing: Mapping[str, NDArray[np.bool_]]

    @property
    def empty(self) -> bool:
        return not len(self.steps)


def read_grid(
    run: Run,
    selection: Selection,
    columns: Sequence[str],
    *,
    steps: tuple[int, int] | None = None,
    table: str = schema.TABLE_TIMESTEPS,
    where: Mapping[str, str] | None = None,
) -> Grid:
    """The ``columns`` of one layer, between the first and last step of ``steps`` where it is given."""
    keys = [schema.STEP, schema.TIMESTEP]
    wanted: dict[str, Any] = {**selection.where, **(where or {})}
    if steps is not None:
        wanted[schema.STEP] = steps[0] if steps[0] == steps[1] else range(steps[0], steps[1] + 1)
    return grid_of(run.read(table, columns=[*keys, *columns], where=wanted), columns)


def grid_of(frame: pd.DataFrame, columns: Sequence[str], steps: Ints | None = None) -> Grid:
    """The rows of ``frame``, which are of one layer (and gate), on the grid; of ``steps``, ascending, where they are
    given, else of those that it has."""
    rows, found = _places(frame[schema.STEP].to_numpy(dtype=np.int64))
    if steps is not None:
        rows, found = np.searchsorted(steps, found)[rows], steps
    times = frame[schema.TIMESTEP].to_numpy(dtype=np.int64)
    shape = (len(found), int(times.max()) + 1 if len(times) else 0)
    at = rows * shape[1] + times
    whole = len(at) == shape[0] * shape[1] and bool((np.diff(at) == 1).all())
    placed = {name: _placed(numbers(frame[name]), None if whole else at, shape) for name in columns}
    return Grid(
        found,
        np.arange(shape[1]),
        {name: values for name, (values, _) in placed.items()},
        {name: missing for name, (_, missing) in placed.items()},
    )


def _places(steps: Ints) -> tuple[Ints, Ints]:
    """For each row the index of its step, and the steps; without sorting where the rows are in order already."""
    if not len(steps):
        return steps, steps
    change = np.diff(steps)
    if (change < 0).any():
        found, rows = np.unique(steps, return_inverse=True)
        return rows, found
    starts = np.concatenate([[True], change > 0])
    return np.cumsum(starts) - 1, steps[starts]


def _placed(
    column: tuple[Floats, NDArray[np.bool_]], at: Ints | None, shape: tuple[int, int]
) -> tuple[Floats, NDArray[np.bool_]]:
    """A column on the grid; ``at`` is where its rows belong, None where they are all of its cells in their order."""
    values, missing = column
    if at is None:
        return values.reshape(shape), missing.reshape(shape)
    placed, absent = np.full(shape, np.nan), np.ones(shape, dtype=bool)
    placed.ravel()[at] = values
    absent.ravel()[at] = missing
    return placed, absent


# recorded steps at once: some 10 MB a column where sequences have a thousand timesteps
_AT_ONCE: Final = 1_000

NO_STEP: Final = (-1, -1)


def chunks(
    run: Run, selection: Selection, columns: Sequence[str], *, steps: Ints | None = None, multiple: int = 1
) -> Iterator[Grid]:
    """The ``columns`` of one layer, chunk by chunk in the order of the steps; at least one, if only an empty one.

    The timesteps of a grid are those of the longest sequence in its chunk.

    Args:
        steps: of the recorded steps those that are wanted, ascending; all by default.
        multiple: every chunk but the last has a multiple of so many steps, so that no bin of them is torn apart.
    """
    steps = recorded_steps(run, selection) if steps is None else steps
    if not len(steps):
        yield read_grid(run, selection, columns, steps=NO_STEP)
    for first, last in ends_of(steps, multiple):
        yield read_grid(run, selection, columns, steps=(first, last))


def ends_of(steps: Ints, multiple: int = 1) -> Iterator[tuple[int, int]]:
    """The first and the last step of each chunk."""
    at_once = max(multiple, _AT_ONCE // multiple * multiple)
    for start in range(0, len(steps), at_once):
        part = steps[start : start + at_once]
        yield int(part[0]), int(part[-1])


# recorded steps that are read at once: a few million rows where sequences are long
_GATES_AT_ONCE: Final = 500


def recorded_gate_steps(run: Run, selection: Selection) -> Ints:
    """The steps at which the gates of a layer were recorded, ascending, [S]."""
    return steps_of(run, schema.TABLE_GATES, selection)


def gate_grids(
    run: Run, selection: Selection, steps: Ints, columns: Sequence[str], gate: str | None = None
) -> Iterator[tuple[slice, dict[str, Grid]]]:
    """Stretch by stretch of ``steps`` [S]: which part of them it is, and a Grid of those steps for each gate found, or
    for ``gate`` alone.

    A step at which a gate was not recorded is a missing row of its grid.
    """
    keys = [schema.STEP, schema.TIMESTEP, schema.GATE]
    for start in range(0, len(steps), _GATES_AT_ONCE):
        part = steps[start : start + _GATES_AT_ONCE]
        where = {**selection.where, schema.STEP: part.tolist(), **({} if gate is None else {schema.GATE: gate})}
        frame = run.read(schema.TABLE_GATES, columns=[*keys, *columns], where=where)
        gates = frame[schema.GATE].astype("category").cat
        codes = gates.codes.to_numpy()
        found = {str(name): frame[codes == code] for code, name in enumerate(gates.categories)}
        grids = {name: grid_of(rows, columns, part) for name, rows in found.items() if len(rows)}
        yield slice(start, start + len(part)), grids


def gates_in_order(gates: Sequence[str]) -> tuple[str, ...]:
    """Gates in the order of torch's rows, those of no known cell behind them."""
    return (*(gate for gate in GATES if gate in gates), *sorted(set(gates).difference(GATES)))


# rows that a SomeSteps holds at least, once there are as many; at most it holds twice so many
KEPT: Final = 4_096


class StepMeans:
    """The finite values of each timestep summed up over steps, how many they are, and how many were measured at all."""

    def __init__(self) -> None:
        self._total, self._count, self._measured = np.zeros(0), np.zeros(0), np.zeros(0)

    @property
    def length(self) -> int:
        """Timesteps of the longest stretch so far."""
        return len(self._count)

    def add(self, values: NDArray[np.floating], missing: NDArray[np.bool_]) -> None:
        """Adds the steps of ``values`` [S, T]; where ``missing`` nothing was measured."""
        finite = np.isfinite(values) & ~missing
        self._total = added(self._total, np.where(finite, values, 0.0).sum(axis=0, dtype=np.float64))
        self._count = added(self._count, finite.sum(axis=0))
        self._measured = added(self._measured, (~missing).sum(axis=0))

    def mean(self, length: int) -> tuple[Floats, NDArray[np.bool_]]:
        """The means of timesteps 0 to ``length``, NaN where none is finite, and where nothing was measured."""
        total, count, measured = (added(np.zeros(length), each) for each in (self._total, self._count, self._measured))
        return np.where(count > 0, total / np.maximum(count, 1), np.nan), measured == 0

    def overall(self) -> float | None:
        """The mean of all finite values; None where there is none."""
        count = float(self._count.sum())
        return float(self._total.sum()) / count if count else None


class StepReservoir:
    """Rows of steps, for quantiles over steps in bounded memory: all of them up to twice KEPT, of more every second,
    fourth, eighth, ... from the first one on, so that they stay evenly spaced."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.float32]] = []
        self._seen, self._stride = 0, 1

    def add(self, values: NDArray[np.floating]) -> None:
        """Adds the steps of ``values`` [S, T]; they are kept as float32."""
        self._parts.append(values[-self._seen % self._stride :: self._stride].astype(np.float32))
        self._seen += len(values)
        while sum(map(len, self._parts)) > 2 * KEPT:
            self._parts, self._stride = [self.rows()[::2].copy()], 2 * self._stride

    def rows(self) -> NDArray[np.float32]:
        """The rows that were kept, [steps, T] of the longest; NaN beyond the end of a shorter stretch."""
        length = max((part.shape[1] for part in self._parts), default=0)
        pads = [((0, 0), (0, length - part.shape[1])) for part in self._parts]
        padded = [np.pad(part, pad, constant_values=np.nan) for part, pad in zip(self._parts, pads, strict=True)]
        return np.concatenate(padded) if padded else np.zeros((0, 0), np.float32)


def added(a: Floats, b: Floats | Ints) -> Floats:
    """Their sum; the shorter one is 0 beyond its end."""
    out = np.zeros(max(len(a), len(b)))
    out[: len(a)] += a
    out[: len(b)] += b
    return out


class UnitMeans:
    """The mean of each unit's finite numbers, summed up snapshot by snapshot."""

    def __init__(self) -> None:
        self.total, self.count = np.zeros(0), np.zeros(0)

    def add(self, units: Ints, values: Floats) -> None:
        """Adds the numbers of ``values`` [rows], each of the unit that ``units`` [rows] names."""
        finite = np.isfinite(values)
        length = int(units.max()) + 1 if len(units) else 0
        self.total = added(self.total, np.bincount(units[finite], weights=values[finite], minlength=length))
        self.count = added(self.count, np.bincount(units[finite], minlength=length))

    def mean(self) -> Floats:
        """[U], NaN where no number is finite."""
        return np.where(self.count > 0, self.total / np.maximum(self.count, 1), np.nan)
