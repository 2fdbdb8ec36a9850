"""Joining small parts into larger ones while a run is written, so that a long run is not thousands of files.

Parts have a level: a part as it was closed is of level 0; ``FAN_IN`` parts of one level, one after another, become one
part of the next. So each row is written again a few times at most, and a table has few parts at any time. Readers are
safe: the index is switched after the new part is in place, and one that still held the old index reads the new.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from graddiag import schema
from graddiag.store.files import replace_file
from graddiag.store.index import Index, PartFile
from graddiag.store.parts import write_parquet

FAN_IN: Final = 16
MAX_ROWS: Final = 500_000  # of a joined part; it is held in memory while it is written


def compacted(folder: Path, index: Index) -> tuple[Index, tuple[Path, ...]]:
    """``index`` with the last parts of each table joined where there are enough of one level, and the files it lacks.

    The joined parts are written; the files they came from may be removed once the new index is in place.

    Raises:
        OSError: a part could not be read or written.
    """
    tables, obsolete = dict(index.tables), []
    for table in tables:
        while due := _due(tables[table]):
            tables[table] = (*tables[table][:-FAN_IN], _joined(folder, table, due))
            obsolete += [folder / part.file for part in due]
    return index.model_copy(update={"tables": tables}), tuple(obsolete)


def _due(parts: Sequence[PartFile]) -> Sequence[PartFile]:
    """The last ``FAN_IN`` parts if they are of one level and few enough rows, else none."""
    last = parts[-FAN_IN:]
    same = len({part.level for part in last}) == 1
    return last if len(last) == FAN_IN and same and sum(part.rows for part in last) <= MAX_ROWS else ()


def _joined(folder: Path, table: str, parts: Sequence[PartFile]) -> PartFile:
    declared, level = schema.TABLES[table], parts[0].level + 1
    extra = tuple(dict.fromkeys(name for part in parts for name in part.extra))
    rows = pa.concat_tables([pq.read_table(folder / part.file) for part in parts], promote_options="default")
    rows = rows.select([*declared.names, *extra]).unify_dictionaries()
    file = f"{table}/{Path(parts[0].file).stem.partition('-')[0]}-{level}.parquet"
    replace_file(folder / file, lambda aside: write_parquet(rows, declared, aside))
    return PartFile(
        file=file,
        rows=rows.num_rows,
        first_step=min(part.first_step for part in parts),
        last_step=max(part.last_step for part in parts),
        extra=extra,
        level=level,
    )
