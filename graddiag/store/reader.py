"""load_run: a run folder as a Run whose tables are read when asked for, only the columns and rows that are wanted."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import and_
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow.fs import LocalFileSystem

from graddiag import schema
from graddiag.errors import RunFormatError, SettingError
from graddiag.run import Run, RunManifest
from graddiag.store.arrow import arrow_schema, to_frame
from graddiag.store.blocks import table_named
from graddiag.store.files import check_part
from graddiag.store.index import Index, PartFile, read_index
from graddiag.store.manifests import read_manifest
from graddiag.store.remote.local import local_run
from graddiag.store.remote.mirror import MirroredParts, mirrored_parts
from graddiag.store.shares import SharedReader, rank_folders

_ATTEMPTS: Final = 5  # readings of the index before a part that it names, and that is not there, counts as lost


def load_run(path: Path | str) -> Run:
    """The run in the folder ``path``, running or done, as it is: its manifest and index are read now, its tables
    when asked for. What a running one gets after that is seen by those who load it again. Where parameters are sharded
    over several ranks, the shares of all ranks are put together.

    Raises:
        RunFormatError: it is not a run, is damaged, or of a schema this graddiag does not read.
    """
    folder = local_run(path)
    manifest = read_manifest(folder)
    own = _reader(folder, manifest)
    if manifest.shares is None:
        return Run(manifest, own, folder)
    return Run(manifest, SharedReader(manifest.shares, [Run(manifest, own), *_others(folder)]), folder)


def _others(folder: Path) -> Iterator[Run]:
    """What the other ranks have recorded of their shares, of those that can be read."""
    for each in rank_folders(folder):
        with suppress(RunFormatError):
            manifest = read_manifest(each)
            yield Run(manifest, _reader(each, manifest), each)


def _reader(folder: Path, manifest: RunManifest) -> "FolderReader":
    return FolderReader(folder, manifest, read_index(folder), mirrored_parts(folder, manifest))


@dataclass(frozen=True)
class FolderReader:
    """Reads tables of a run folder as they stood at ``index``, so that what is read one after the other fits together
    while the run is being written; text keys and nulls as ``to_frame``.

    Parts that have been put together since are looked for by the index of now, and read up to the step that was the
    last one then. The parts of a mirror are fetched from ``remote`` when they are asked for.
    """

    folder: Path
    manifest: RunManifest
    index: Index
    remote: MirroredParts | None = None

    def __call__(
        self, table: str, *, columns: Sequence[str] | None = None, where: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Rows of ``table`` by step, as recorded within a step.

        Args:
            table: a name of ``schema.TABLES``.
            columns: which columns, in this order; None is all, the declared ones first.
            where: by column the value that rows must have, or a list, tuple or range of such values.

        Raises:
            SettingError: an unknown table or column, or a value that cannot be compared with it.
            RunFormatError: a part is damaged, gone, or lacks a column.
        """
        try:
            return self._read(table, columns, where or {})
        except RunFormatError:
            if self.remote is None:
                raise
            self.remote.forget(self.index.parts(table))  # what was fetched may be damaged here alone
            return self._read(table, columns, where or {})

    def _read(self, table: str, columns: Sequence[str] | None, where: Mapping[str, Any]) -> pd.DataFrame:
        declared, index = table_named(table), self.index
        last = max((part.last_step for part in index.parts(table)), default=-1)
        for _ in range(_ATTEMPTS):
            try:
                found = self._scan(declared, index, columns, where, None if index is self.index else last)
                self._check_keys(declared, index, found)
                return to_frame(found)
            except FileNotFoundError as error:
                lost, known, index = error, index, self._index_now()
                if index == known:
                    break
        raise RunFormatError(
            f"{self.folder}: a part of table {table} that its index names is gone ({lost}). "
            "Was the folder copied in part? Copy it again."
        ) from lost

    def _index_now(self) -> Index:
        return read_index(self.folder) if self.remote is None else self.remote.index()

    def _scan(
        self,
        table: schema.Table,
        index: Index,
        columns: Sequence[str] | None,
        where: Mapping[str, Any],
        last: int | None,
    ) -> pa.Table:
        """The rows that ``where`` asks for, up to the ``last`` step where it is given."""
        target = arrow_schema(table, index.extra(table.name))
        _check_columns(table, target.names, [*(columns or ()), *where])
        where = _within(where, index.parts(table.name))
        wanted = {name: _values(table, target.field(name), value) for name, value in where.items()}
        parts = [part for part in index.parts(table.name) if _may_hold(part, wanted.get(schema.STEP))]
        names = list(dict.fromkeys(target.names if columns is None else columns))
        source, condition = self._dataset(table, target, parts), _condition(wanted)
        if last is not None:
            known = pc.field(schema.STEP) <= last
            condition = known if condition is None else condition & known
        if all(before.last_step <= after.first_step for before, after in pairwise(parts)):
            return self._rows(source, names, condition)
        found = self._rows(source, list(dict.fromkeys([*names, schema.STEP])), condition)
        return found.take(pc.sort_indices(found, [(schema.STEP, "ascending")])).select(names)

    def _rows(self, source: ds.Dataset, names: Sequence[str], condition: pc.Expression | None) -> pa.Table:
        try:
            return source.to_table(columns=names, filter=condition)
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError) as error:
            raise RunFormatError(
                f"{self.folder}: a part cannot be read: {_first_line(error)}. {self._says()}"
            ) from error

    def _dataset(self, table: schema.Table, target: pa.Schema, parts: Sequence[PartFile]) -> ds.Dataset:
        options = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
        layout, files = ds.ParquetFileFormat(default_fragment_scan_options=options), LocalFileSystem()
        folder = self.folder if self.remote is None else self.remote.ready(parts)
        fragments = [layout.make_fragment(str(folder / part.file), files) for part in parts]
        for part, fragment in zip(parts, fragments, strict=True):
            check_part(folder, part.file)
            self._check(table, target, part, fragment)
        return ds.FileSystemDataset(fragments, target, layout, files)

    def _check_keys(self, table: schema.Table, index: Index, found: pa.Table) -> None:
        """Raises RunFormatError where a key is null: graddiag writes no such row."""
        null = [name for name in table.keys if name in found.column_names and found.column(name).null_count]
        if null:
            files = ", ".join(part.file for part in index.parts(table.name))
            raise RunFormatError(
                f"{self.folder}: table {table.name} has rows without {null[0]!r} (files: {files}). {self._says()}"
            )

    def _check(self, table: schema.Table, target: pa.Schema, part: PartFile, fragment: ds.ParquetFileFragment) -> None:
        """Raises RunFormatError unless the part has every column the table is to have, with its type."""
        found = self._schema(part, fragment)
        declared = [column.name for column in table.columns if column.since <= self.manifest.schema_version]
        for name in (*declared, *part.extra):
            if name not in found.names:
                raise RunFormatError(
                    f"{self.folder}: table {table.name} lacks column {name!r} in {part.file} "
                    f"(found: {', '.join(found.names)}). {self._says()}"
                )
            if found.field(name).type != target.field(name).type:
                raise RunFormatError(
                    f"{self.folder}: column {name!r} of table {table.name} is {found.field(name).type} in {part.file}, "
                    f"expected {target.field(name).type}. {self._says()}"
                )

    def _schema(self, part: PartFile, fragment: ds.ParquetFileFragment) -> pa.Schema:
        """The columns of a part. Raises RunFormatError unless it has the rows that the index counts."""
        try:
            found, rows = fragment.physical_schema, fragment.metadata.num_rows
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError) as error:
            raise RunFormatError(
                f"{fragment.path} is not a readable Parquet file: {_first_line(error)}. {self._says()}"
            ) from error
        if rows != part.rows:
            raise RunFormatError(
                f"{fragment.path} has {rows:,} rows; the index of the run counts {part.rows:,}. {self._says()}"
            )
        return found

    def _says(self) -> str:
        return (
            f"The run says schema {self.manifest.schema_version}; this graddiag reads {schema.OLDEST_READABLE_SCHEMA} "
            f"to {schema.SCHEMA_VERSION}. Was it edited, or copied while it was being written? Copy it again."
        )


def _check_columns(table: schema.Table, found: Sequence[str], wanted: Sequence[str]) -> None:
    for name in wanted:
        if name not in found:
            raise SettingError(f"table {table.name} has no column {name!r}; it has {', '.join(found)}")


def _within(where: Mapping[str, Any], parts: Sequence[PartFile]) -> Mapping[str, Any]:
    """``where`` with a range of steps cut to those that the parts span: a range may be as long as one likes."""
    steps = where.get(schema.STEP)
    if not isinstance(steps, range) or steps.step != 1:
        return where
    first = min((part.first_step for part in parts), default=0)
    last = max((part.last_step for part in parts), default=0)
    return {**where, schema.STEP: range(max(steps.start, first), min(steps.stop, last + 1))}


def _values(table: schema.Table, field: pa.Field, value: Any) -> pa.Array:
    listed = value if isinstance(value, list | tuple | range) else (value,)
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    try:
        return pa.array(listed, kind)
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise SettingError(
            f"column {field.name!r} of table {table.name} holds {kind}; it cannot be {value!r}"
        ) from error


def _may_hold(part: PartFile, steps: pa.Array | None) -> bool:
    if steps is None:
        return True
    found = steps.to_numpy(zero_copy_only=False)
    return bool(np.any((found >= part.first_step) & (found <= part.last_step)))


def _condition(wanted: Mapping[str, pa.Array]) -> pc.Expression | None:
    conditions = [_among(pc.field(name), values) for name, values in wanted.items()]
    return reduce(and_, conditions) if conditions else None


def _among(field: pc.Expression, values: pa.Array) -> pc.Expression:
    """That ``field`` is one of ``values``; of whole numbers in a row by their ends, which is much quicker than a search
    for each row among thousands of them."""
    if len(values) == 1:
        return field == values[0]
    if len(values) and pa.types.is_integer(values.type) and not values.null_count:
        found = values.to_numpy()
        if (np.diff(found) == 1).all():
            return (field >= values[0]) & (field <= values[-1])
    return field.isin(values)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
