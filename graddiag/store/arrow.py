"""Between numpy blocks, Arrow tables and pandas frames: types, null and NaN."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from graddiag import schema
from graddiag.store.blocks import Block, ColumnValues

_TEXT_KEY: Final = pa.dictionary(pa.int32(), pa.string())
_TYPES: Final = {
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "string": pa.string(),
}


def arrow_type(column: schema.Column) -> pa.DataType:
    return _TEXT_KEY if column.key and column.dtype == "string" else _TYPES[column.dtype]


def arrow_schema(table: schema.Table, extra: Sequence[str] = ()) -> pa.Schema:
    """The declared columns of ``table`` in their order, then ``extra`` ones as float64; what was logged before a schema
    declared it is that column."""
    declared = [(column.name, arrow_type(column)) for column in table.columns]
    return pa.schema([*declared, *((name, pa.float64()) for name in extra if name not in table.names)])


def to_arrow(table: schema.Table, blocks: Sequence[Block]) -> pa.Table:
    """The rows of ``blocks``, by step; rows of one step in the order they came. Every declared column is there."""
    named = dict.fromkeys(name for block in blocks for name in block.columns)
    target = arrow_schema(table, [name for name in named if name not in table.names])
    found = pa.table([_array(field, blocks) for field in target], schema=target)
    steps = found.column(schema.STEP).to_numpy()
    return found if np.all(steps[1:] >= steps[:-1]) else found.take(np.argsort(steps, kind="stable"))


def to_frame(found: pa.Table) -> pd.DataFrame:
    """A frame of ``found``: text as pandas text, numbers as numpy columns of their dtype.

    A column of numbers that holds a null is Arrow-backed instead, since numpy has no missing value: there ``isna`` is
    True for null alone, and NaN stays a value. ``graddiag.run.numbers`` takes either apart.
    """
    columns = {name: _series(found.column(name)) for name in found.column_names}
    return pd.DataFrame(columns, index=pd.RangeIndex(found.num_rows), copy=False)


def frame_of(rows: Sequence[Mapping[str, Any]], dtypes: Mapping[str, schema.DType]) -> pd.DataFrame:
    """A frame of ``rows`` with the columns ``dtypes`` names, as ``to_frame`` gives them; None and absent are null."""
    values = {name: [row.get(name) for row in rows] for name in dtypes}
    return to_frame(pa.table({name: pa.array(values[name], _type_for(values[name], dtypes[name])) for name in dtypes}))


def _type_for(values: Sequence[Any], dtype: schema.DType) -> pa.DataType:
    """The declared type, or for an int64 a wider one where a value needs it: seeds go up to 2^64 - 1."""
    known = [value for value in values if value is not None] if dtype == "int64" else []
    if not known or max(known) < 1 << 63:
        return _TYPES[dtype]
    return pa.uint64() if min(known) >= 0 else pa.decimal128(38, 0)


def _array(field: pa.Field, blocks: Sequence[Block]) -> pa.Array:
    """The column ``field`` of all ``blocks``; text keys are encoded before repeated values are spread over rows."""
    cells = [block.columns.get(field.name) or _absent(field, block.rows) for block in blocks]
    data = np.concatenate([cell.data for cell in cells])
    null = _joined_nulls(cells, blocks)
    if not pa.types.is_dictionary(field.type):
        return pa.array(_spread(data, cells, blocks), field.type, mask=null, from_pandas=False)
    encoded = pa.array(data, pa.string()).dictionary_encode()
    codes = _spread(encoded.indices.to_numpy(), cells, blocks)
    return pa.DictionaryArray.from_arrays(codes, encoded.dictionary)


def _absent(field: pa.Field, rows: int) -> ColumnValues:
    empty = (
        np.array([""], dtype=object) if pa.types.is_string(field.type) else np.zeros(1, field.type.to_pandas_dtype())
    )
    return ColumnValues(empty, np.ones(rows, dtype=bool), repeated=True)


def _spread(data: NDArray[Any], cells: Sequence[ColumnValues], blocks: Sequence[Block]) -> NDArray[Any]:
    if not any(cell.repeated for cell in cells):
        return data
    counts = [
        [block.rows] if cell.repeated else np.ones(block.rows, int) for cell, block in zip(cells, blocks, strict=True)
    ]
    return np.repeat(data, np.concatenate(counts))


def _joined_nulls(cells: Sequence[ColumnValues], blocks: Sequence[Block]) -> NDArray[np.bool_] | None:
    if all(cell.null is None for cell in cells):
        return None
    pairs = zip(cells, blocks, strict=True)
    return np.concatenate([np.zeros(block.rows, bool) if cell.null is None else cell.null for cell, block in pairs])


def _series(column: pa.ChunkedArray) -> "pd.Series[Any]":
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    if pa.types.is_string(column.type):
        return column.to_pandas()
    if column.null_count:
        return pd.Series(pd.arrays.ArrowExtensionArray(column), copy=False)
    return pd.Series(column.to_numpy(), copy=False)
