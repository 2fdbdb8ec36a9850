"""What was read of the runs under a root, in one file beside them: derived, checked, and made anew when it is lost."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from graddiag.store.files import check_regular, replace_file

ROOT_INDEX: Final = ".graddiag-runs.parquet"  # hidden: a listing takes it for no run
MAX_BYTES: Final = 1 << 30
_VERSION: Final = b"graddiag"
_COLUMNS: Final = pa.schema([("run", pa.string()), ("state", pa.string()), ("content", pa.string())])


@dataclass(frozen=True)
class IndexRow:
    """state: of the files of the run that ``content`` was read from; content: JSON, of the caller's own."""

    state: str
    content: str


def read_root_index(root: Path | str, version: str) -> dict[str, IndexRow]:
    """The rows that ``write_root_index`` left under ``root``, by run; none where there are none, they are damaged, or
    another ``version`` wrote them."""
    path = Path(root) / ROOT_INDEX
    try:
        check_regular(path)
        if os.stat(path).st_size > MAX_BYTES:
            return {}
        found = pq.read_table(path, memory_map=False, page_checksum_verification=True)
        if (found.schema.metadata or {}).get(_VERSION) != version.encode() or found.schema.names != _COLUMNS.names:
            return {}
        columns = [found.column(name).to_pylist() for name in _COLUMNS.names]
    except Exception:  # whatever is wrong with it: it is made anew
        return {}
    return {run: IndexRow(state, content) for run, state, content in zip(*columns, strict=True) if content}


def write_root_index(root: Path | str, version: str, rows: Mapping[str, IndexRow]) -> None:
    """Puts ``rows`` in place of those that were there. A root that cannot be written to stays as it is."""
    found = pa.table(
        [list(rows), [row.state for row in rows.values()], [row.content for row in rows.values()]], schema=_COLUMNS
    ).replace_schema_metadata({_VERSION: version.encode()})

    def write(path: Path) -> None:
        pq.write_table(found, path, compression="zstd", write_page_checksum=True)

    with suppress(OSError):
        replace_file(Path(root) / ROOT_INDEX, write, durable=False)
