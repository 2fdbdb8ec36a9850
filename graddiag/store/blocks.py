"""What a caller appends, checked and taken over: a block of rows of one table, one numpy array a column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graddiag import schema
from graddiag.errors import SettingError

Values = Sequence[Any] | NDArray[Any] | str | int | float | None
_SCALARS: Final = (str, bool, int, float, np.generic)
_NUMPY: Final = {name: np.dtype(name) for name in ("int32", "int64", "float32", "float64")}
_LOGGABLE: Final = (schema.LOSS, schema.LR, schema.BATCH_SIZE, schema.SEQUENCE_LENGTH)
_TAKEN: Final = frozenset(schema.TABLES[schema.TABLE_STEPS].names).difference(_LOGGABLE)
_COLUMNS: Final = {table.name: {column.name: column for column in table.columns} for table in schema.TABLES.values()}


@dataclass(frozen=True)
class ColumnValues:
    """The values of one column of a block.

    ``data`` is [rows], or [1] when that value is ``repeated`` for all rows. ``null`` [rows] is True where there is no
    value; None where all are there.
    """

    data: NDArray[Any]
    null: NDArray[np.bool_] | None = None
    repeated: bool = False


@dataclass(frozen=True)
class Block:
    """Rows of one table. A declared column that is not in ``columns`` is null in all of them."""

    rows: int
    columns: Mapping[str, ColumnValues]

    @property
    def steps(self) -> NDArray[np.int32]:
        """[rows], or [1] when all rows are of one step."""
        return self.columns[schema.STEP].data

    @property
    def nbytes(self) -> int:
        """Memory that the values take."""
        return sum(column.data.nbytes for column in self.columns.values())


def table_named(name: str) -> schema.Table:
    """The declaration of a table.

    Raises:
        SettingError: there is no such table.
    """
    if name not in schema.TABLES:
        raise SettingError(f"there is no table {name!r}; a run has {', '.join(schema.TABLES)}")
    return schema.TABLES[name]


def check_scalar_name(name: str) -> None:
    """Passes a name under which a user may log a scalar of a step: any that is not a column already, or one that
    the user may know better (loss, lr, batch_size, sequence_length).

    Raises:
        SettingError: the name is taken or empty.
    """
    if not isinstance(name, str) or not name.strip():
        raise SettingError(f"a scalar was logged as {name!r}; its name has to be a text that is not empty")
    if name in _TAKEN:
        meaning = schema.TABLES[schema.TABLE_STEPS].column(name).meaning
        raise SettingError(
            f"a scalar was logged as {name!r}, which graddiag records itself ({meaning}); log it under another name"
        )


def make_block(table: schema.Table, columns: Mapping[str, Values]) -> Block:
    """The block that ``columns`` describe: sequences of one length; a scalar is repeated, None is null.

    The values are copied. A number beyond the range of float32 becomes inf in a float32 column.

    Raises:
        SettingError: a column the table does not have, unequal lengths, a missing or null key, values of another kind.
    """
    rows = _row_count(table, columns)
    cells = {name: _cells(table, name, values) for name, values in columns.items() if values is not None}
    for key in table.keys:
        if key not in cells or cells[key].null is not None:
            raise SettingError(f"a row of table {table.name} needs its key {key!r}, which was left out or null")
    return Block(rows, cells)


def _row_count(table: schema.Table, columns: Mapping[str, Values]) -> int:
    lengths = {len(v) for v in columns.values() if v is not None and not isinstance(v, _SCALARS)}
    if len(lengths) <= 1:
        return lengths.pop() if lengths else 1
    found = ", ".join(f"{n} {len(v)}" for n, v in columns.items() if v is not None and not isinstance(v, _SCALARS))
    raise SettingError(f"table {table.name} was given columns of unequal length: {found}; give them one length")


def _cells(table: schema.Table, name: str, values: Values) -> ColumnValues:
    column = _COLUMNS[table.name].get(name) or _logged(table, name)
    null = _nulls(values)
    try:
        data = _texts(values) if column.dtype == "string" else _numbers(values, null, _NUMPY[column.dtype])
    except (TypeError, ValueError, OverflowError) as error:
        raise SettingError(
            f"column {name!r} of table {table.name} holds {column.dtype}; it was given {_shown(values)} ({error})"
        ) from error
    return ColumnValues(data, null, repeated=isinstance(values, _SCALARS))


def _logged(table: schema.Table, name: str) -> schema.Column:
    if not table.open_ended:
        raise SettingError(f"table {table.name} has no column {name!r}; it has {', '.join(table.names)}")
    if not isinstance(name, str) or not name.strip():
        raise SettingError(f"a column of table {table.name} is named {name!r}; give it a text that is not empty")
    return schema.Column(name, "float64", "", "logged by the user")


def _nulls(values: Values) -> NDArray[np.bool_] | None:
    """Where ``values`` hold none: masked entries of a masked array, None in a sequence. NaN is a value."""
    if isinstance(values, np.ma.MaskedArray):
        null = np.array(np.ma.getmaskarray(values))
    elif isinstance(values, _SCALARS) or (isinstance(values, np.ndarray) and values.dtype != object):
        return None
    else:
        null = np.array([value is None for value in values or ()], dtype=np.bool_)
    return null if null.any() else None


def _numbers(values: Values, null: NDArray[np.bool_] | None, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A copy of ``values`` as ``dtype``; 0 where null."""
    if isinstance(values, np.ndarray) and values.dtype == dtype and values.ndim == 1:
        return np.array(values)
    if type(values) is int:  # most keys: spares them the checks below
        return np.array([values], dtype=dtype)
    if null is not None and not isinstance(values, np.ndarray):
        values = [0 if value is None else value for value in values]  # type: ignore[union-attr]
    found = np.atleast_1d(np.asarray(values))
    if found.ndim > 1:
        raise ValueError(f"an array of shape {found.shape}")
    if found.dtype.kind not in ("iub" if dtype.kind == "i" else "iubf") and found.size:
        raise TypeError(f"values of type {found.dtype}")
    if dtype.kind == "i" and not np.can_cast(found.dtype, dtype) and found.size:
        _check_range(found, np.iinfo(dtype))
    with np.errstate(over="ignore", under="ignore"):
        return found.astype(dtype)


def _check_range(found: NDArray[Any], limits: "np.iinfo[Any]") -> None:
    if found.min() < limits.min or found.max() > limits.max:
        raise ValueError(f"a number outside {limits.min} to {limits.max}")


def _texts(values: Values) -> NDArray[Any]:
    if isinstance(values, str):
        return np.array([values], dtype=object)
    if isinstance(values, np.ndarray) and values.dtype.kind == "U" and values.ndim == 1:
        return values.copy()
    listed = list(values)  # type: ignore[arg-type]
    if not {type(text) for text in listed} <= {str, type(None)}:
        raise TypeError("not all of them are text")
    texts = np.empty(len(listed), dtype=object)
    texts[:] = listed
    return texts


def _shown(values: Values) -> str:
    text = repr(values)
    return text if len(text) <= 80 else f"{text[:77]}..."
