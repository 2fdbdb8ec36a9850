"""One closed part of a table: a Parquet file. Wide, zstd-1, floats byte-stream-split, keys dictionary-coded."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from graddiag import schema
from graddiag.store.arrow import to_arrow
from graddiag.store.blocks import Block
from graddiag.store.files import replace_file, sync_folder
from graddiag.store.index import PartFile


def write_part(folder: Path, table: str, number: int, blocks: Sequence[Block]) -> PartFile:
    """Writes ``blocks`` as part ``number`` of ``table`` in the run ``folder``; the index does not name it yet.

    Raises:
        OSError: it could not be written; nothing is left behind.
    """
    declared = schema.TABLES[table]
    rows = to_arrow(declared, blocks)
    path = folder / table / f"{number:06d}.parquet"
    if not path.parent.is_dir():
        path.parent.mkdir(exist_ok=True)
        sync_folder(folder)
    replace_file(path, lambda aside: pq.write_table(rows, aside, **parquet_options(rows.schema, declared)))
    steps = pc.min_max(rows.column(schema.STEP))
    return PartFile(
        file=f"{table}/{path.name}",
        rows=rows.num_rows,
        first_step=steps["min"].as_py(),
        last_step=steps["max"].as_py(),
        extra=tuple(rows.column_names[len(declared.columns) :]),
    )


def parquet_options(columns: pa.Schema, table: schema.Table) -> dict[str, Any]:
    """How the rows of ``table`` are encoded in a part with these columns."""
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": list(table.keys),
        "use_byte_stream_split": [field.name for field in columns if pa.types.is_floating(field.type)],
        "write_statistics": [schema.STEP],
        "write_page_checksum": True,
    }
