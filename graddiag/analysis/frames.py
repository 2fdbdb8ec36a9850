"""Results as tables: a row an index value, a column a quantity."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.arrays import FloatingArray

from graddiag.analysis.values import CellState, Series


def indexed(index: Mapping[str, Any], *lines: Series, **columns: Any) -> pd.DataFrame:
    """A row for each value of ``index``, whose columns come first; then a column for each of ``lines``, under its name,
    and ``columns``. In a series NaN and inf stay; what was not measured is missing (NA), as is NaN in an array."""
    named = {line.name: line for line in lines} | columns
    return pd.DataFrame({**index, **{name: _column(each) for name, each in named.items()}})


def numbers(values: NDArray[Any], states: NDArray[np.int8]) -> FloatingArray:
    """``values`` with NaN and inf where ``states``, of the same shape [n], say so; NA where nothing was measured."""
    shown = np.array(values, dtype=np.float64)
    shown[states == CellState.ZERO] = 0.0
    shown[states == CellState.NAN] = np.nan
    shown[(states == CellState.INF) & ~np.isinf(shown)] = np.inf
    return FloatingArray(shown, np.asarray(states == CellState.MISSING))


def nullable(values: Sequence[float | None]) -> FloatingArray:
    """``values`` with NaN and inf as they are; NA where None."""
    known = [np.nan if value is None else value for value in values]
    return FloatingArray(np.array(known, dtype=np.float64), np.array([value is None for value in values], dtype=bool))


def cells(
    rows: tuple[str, NDArray[Any]],
    columns: tuple[str, NDArray[Any]],
    name: str,
    values: NDArray[Any],
    states: NDArray[np.int8],
) -> pd.DataFrame:
    """A row for each cell of a matrix ``values`` [R, C] with the index of its row and column; cells that were not
    measured are left out."""
    kept = (states != CellState.MISSING).ravel()
    held = numbers(values.ravel()[kept], states.ravel()[kept])
    across = np.tile(columns[1], len(rows[1]))[kept]
    return pd.DataFrame({rows[0]: np.repeat(rows[1], len(columns[1]))[kept], columns[0]: across, name: held})


def stacked(*frames: pd.DataFrame, names: Sequence[str] = ()) -> pd.DataFrame:
    """Tables below one another; a column that one has not is missing (NA) there. ``names``: the columns that come
    first."""
    held = [each for each in frames if len(each)] or list(frames[:1])
    whole = pd.concat([_with_missing_integers(each) for each in held], ignore_index=True)
    first = [name for name in names if name in whole]
    return whole[[*first, *(name for name in whole if name not in first)]]


def _column(each: Any) -> Any:
    if isinstance(each, Series):
        return numbers(each.values, each.states)
    if isinstance(each, np.ndarray) and each.dtype.kind == "f":
        return FloatingArray(np.array(each, dtype=np.float64), np.isnan(each))
    return each


def _with_missing_integers(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype(dict.fromkeys(table.select_dtypes("integer"), "Int64"))
