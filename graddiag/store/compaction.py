"""Joining small parts into larger ones while a run is written, so that a long run is not thousands of files.

Parts have a level: a part as it was closed is of level 0; ``FAN_IN`` parts of one level, one after another, become one
part of the next. So each row is written again a few times at most, and a table has few parts at any time. Rows go from
file to file a group at a time, so that memory does not grow with the run. Readers are safe: the index is switched after
the new part is in place, and one that still held the old index reads the new.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from graddiag import schema
from graddiag.store.arrow import arrow_schema
from graddiag.store.files import replace_file
from graddiag.store.index import Index, PartFile
from graddiag.store.parts import parquet_options

FAN_IN: Final = 16
MAX_ROWS: Final = 4_000_000  # of a joined part: written in a few seconds, in which later parts wait
GROUP_ROWS: Final = 250_000  # of a group of rows in it; about one is held in memory while it is written


def compacted(folder: Path, index: Index) -> tuple[Index, tuple[Path, ...]]:
    """``index`` with the last parts of each table joined where there are enough of one level, and the files it lacks.

    The joined parts are written; the files they came from may be removed once the new index is in place.

    Raises:
        OSError: a part could not be read or written.
    """
    tables, obsolete = dict(index.tables), []
    for table in tables:
        while due := _due(tables[table]):
            tables[table] = (*tables[table][: -len(due)], _joined(folder, table, due))
            obsolete += [folder / part.file for part in due]
    return index.model_copy(update={"tables": tables}), tuple(obsolete)


def _due(parts: Sequence[PartFile]) -> Sequence[PartFile]:
    """The last parts that are of one level, ordered and together no more than ``MAX_ROWS``, if there are ``FAN_IN`` of
    them, or one more like the last would be too much; else none."""
    last: list[PartFile] = []
    rows = 0
    for part in reversed(parts[-FAN_IN:]):
        rows += part.rows
        if part.level != parts[-1].level or rows > MAX_ROWS or (last and part.last_step > last[-1].first_step):
            rows -= part.rows
            break
        last.append(part)
    full = len(last) == FAN_IN or (len(last) > 1 and rows + last[0].rows > MAX_ROWS)
    return last[::-1] if full else ()


def _joined(folder: Path, table: str, parts: Sequence[PartFile]) -> PartFile:
    declared, level = schema.TABLES[table], parts[0].level + 1
    extra = tuple(dict.fromkeys(name for part in parts for name in part.extra))
    target = arrow_schema(declared, extra)
    file = f"{table}/{Path(parts[0].file).stem.partition('-')[0]}-{level}.parquet"

    def write(aside: Path) -> None:
        with pq.ParquetWriter(aside, target, **parquet_options(target, declared)) as writer:
            for rows in _groups([folder / part.file for part in parts], target):
                writer.write_table(rows, row_group_size=rows.num_rows)

    replace_file(folder / file, write)
    return PartFile(
        file=file,
        rows=sum(part.rows for part in parts),
        first_step=min(part.first_step for part in parts),
        last_step=max(part.last_step for part in parts),
        extra=extra,
        level=level,
    )


def _groups(files: Sequence[Path], target: pa.Schema) -> Iterator[pa.Table]:
    """The rows of ``files`` in their order, in tables of ``GROUP_ROWS`` or a little more; the last one has what is
    left. A column that a file lacks is null."""
    waiting, rows = [target.empty_table()], 0
    for file in files:
        with pq.ParquetFile(file) as source:
            for group in range(source.num_row_groups):
                waiting.append(source.read_row_group(group))
                rows += waiting[-1].num_rows
                if rows >= GROUP_ROWS:
                    yield _together(waiting, target)
                    waiting, rows = waiting[:1], 0
    if rows:
        yield _together(waiting, target)


def _together(tables: Sequence[pa.Table], target: pa.Schema) -> pa.Table:
    return pa.concat_tables(tables, promote_options="default").select(target.names).unify_dictionaries()
