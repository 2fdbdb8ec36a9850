"""Rows of a table as a grid: recorded step x timestep, with missing kept apart from NaN."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.selection import Selection
from graddiag.analysis.values import Floats, Ints
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
