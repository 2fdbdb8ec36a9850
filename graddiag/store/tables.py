"""A table of a run as one plain file, CSV or Parquet, for other programs; memory stays bounded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from graddiag import schema
from graddiag.run import Run
from graddiag.store.arrow import arrow_schema

TableFormat = Literal["csv", "parquet"]

_ROWS: Final = 500_000  # read at a time


def write_table(run: Run, table: str, path: Path, form: TableFormat) -> None:
    """Writes all rows of ``table`` to ``path``, by step, as ``run.read`` gives them.

    In CSV null is an empty field, NaN is ``nan``, inf is ``inf`` and text is in quotes. An empty table is its
    header.
    """
    blocks = _blocks(run, table)
    first = next(blocks)
    with _writer(path, first.schema, form) as writer:
        writer.write_table(first)
        for block in blocks:
            writer.write_table(block)


def _writer(path: Path, columns: pa.Schema, form: TableFormat) -> Any:
    if form == "csv":
        return pa_csv.CSVWriter(path, columns)
    return pq.ParquetWriter(path, columns, compression="zstd")


def _blocks(run: Run, table: str) -> Iterator[pa.Table]:
    """The rows of ``table`` in tables of about ``_ROWS``; at least one, if only with its header."""
    steps = run.read(table, columns=[schema.STEP])[schema.STEP].to_numpy()
    each = np.unique(steps)
    for some in np.array_split(each, max(1, min(len(each), len(steps) // _ROWS))):
        yield _as_arrow(table, run.read(table, where={schema.STEP: some.tolist()}))


def _as_arrow(table: str, frame: pd.DataFrame) -> pa.Table:
    declared = schema.TABLES[table]
    target = arrow_schema(declared, [name for name in frame.columns if name not in declared.names])
    return pa.table([_array(frame[field.name], field.type) for field in target], schema=_plain(target))


def _array(column: "pd.Series[Any]", kind: pa.DataType) -> pa.Array:
    """Null stays null and NaN stays NaN: in a numpy column of numbers nothing is missing."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if isinstance(column.dtype, np.dtype) and column.dtype != object:
        return pa.array(column.to_numpy(), kind, from_pandas=False)
    return pa.array(column, from_pandas=True).cast(kind)


def _plain(columns: pa.Schema) -> pa.Schema:
    """The same without dictionaries, which no CSV has."""
    return pa.schema([(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in columns])
