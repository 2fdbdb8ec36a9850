"""A run folder that a training continues: found by name, taken over, and cut at the step it continues from."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from graddiag import schema
from graddiag.errors import RunFormatError
from graddiag.processes import is_running
from graddiag.run import EarlierProcess, MissingRows, RunManifest
from graddiag.store.catalog import leads_out, run_folders
from graddiag.store.files import INDEX, MANIFEST, check_part, replace_file
from graddiag.store.index import Index, PartFile, read_index, write_index
from graddiag.store.manifests import read_manifest, write_manifest
from graddiag.store.parts import parquet_options
from graddiag.store.slugs import is_numbered, slug

_NOT_WRITTEN: Final = "the process ended before"
_NUMBER: Final = re.compile(r"(\d+)(-\d+)?\.parquet")


@dataclass(frozen=True)
class ResumePoint:
    """Where a training continues: at ``step``, None for the one after the last that the run holds. id: of the run; None
    for the one of its name that was made last. totals: whether what a recorder counts over a run continues too."""

    step: int | None = None
    id: str | None = None
    totals: bool = False


@dataclass(frozen=True)
class RunOrigin:
    """How the writing of a run began: in a new folder, or in that of a run that ``continues``, with its ``index``.

    replaced: recorded steps that were dropped; seconds: wall time of the last one that was kept; refused: why no run
    could be continued; taken: where another run is that has the name; numbers: by table, the highest that a part has
    had, none of which is used again; url: of a run that is uploaded.
    """

    path: Path
    manifest: RunManifest
    index: Index
    continues: bool = False
    replaced: int = 0
    seconds: float = 0.0
    refused: str | None = None
    taken: Path | str | None = None
    numbers: Mapping[str, int] = field(default_factory=dict)
    url: str | None = None


class NotResumableError(Exception):
    """Why a run cannot be continued in its folder, as a clause."""


class NoSuchRunError(NotResumableError):
    """There is no run of the name, or with the id."""


def take_over(root: Path, manifest: RunManifest, point: ResumePoint) -> RunOrigin:
    """Takes the run of ``manifest``'s name over: what is recorded from ``point`` on is dropped, and what no index names
    is removed. The run keeps its id and the moment of its creation.

    Raises:
        NotResumableError: there is no such run, another process writes it, or it cannot be read or written. It is as
            it was then.
    """
    try:
        path, found = _found(root, manifest, point)
        _check(path, found)
        index = read_index(path)
        after_last = max((part.last_step + 1 for part in index.parts(schema.TABLE_STEPS)), default=0)
        step = after_last if point.step is None else point.step
        continued = _continued(found, manifest, step, after_last)
        write_manifest(path, continued)
        with _given_back(path, found):
            if read_manifest(path).writer != continued.writer:
                raise NotResumableError(f"another process has resumed it ({path})")
            numbers = last_numbers(path)
            index = _cut(path, index, step, numbers, totals=point.totals)
            replaced, seconds = max(0, after_last - step), _seconds(path, index)
            return RunOrigin(path, continued, index, True, replaced, seconds, numbers=numbers)
    except (OSError, RunFormatError, pa.ArrowException) as error:
        raise NotResumableError(f"it cannot be read or written ({error})") from error


@contextmanager
def _given_back(path: Path, found: RunManifest) -> Iterator[None]:
    """Writes the manifest as it was where the run cannot be taken over after all."""
    try:
        yield
    except NotResumableError:  # it belongs to another process now
        raise
    except Exception:
        with suppress(OSError):
            write_manifest(path, found)
        raise


def _found(root: Path, manifest: RunManifest, point: ResumePoint) -> tuple[Path, RunManifest]:
    known = [(path, read) for path, read in _of_name(root, manifest) if point.id in (None, read.id)]
    if not known:
        raise NoSuchRunError(f"there is no such run in {root}")
    return max(known, key=lambda pair: pair[1].created)


def _of_name(root: Path, manifest: RunManifest) -> Iterator[tuple[Path, RunManifest]]:
    name = slug(manifest.name, keep_case=True)
    for path in run_folders(root):
        if is_numbered(path.name, name) and not leads_out(root, path):
            with suppress(RunFormatError):
                read = read_manifest(path)
                if (read.name, read.experiment) == (manifest.name, manifest.experiment):
                    yield path, read


def _check(path: Path, manifest: RunManifest) -> None:
    if manifest.status == "running" and is_running(manifest.writer):
        raise NotResumableError(f"another recorder is writing it ({path}); close that first")
    if manifest.schema_version != schema.SCHEMA_VERSION:
        raise NotResumableError(
            f"it is of schema {manifest.schema_version} and this graddiag writes {schema.SCHEMA_VERSION} ({path})"
        )


def _continued(found: RunManifest, new: RunManifest, step: int, after_last: int) -> RunManifest:
    """The manifest of the run from now on: ``new``, with what belongs to the run as a whole, and what was said so far
    of the processes whose rows are kept."""
    now = datetime.now(UTC)
    earlier = (*found.earlier, _ended(found))
    missing = [each for each in found.missing if each.first_step < step]
    missing = [each.model_copy(update={"last_step": min(each.last_step, step - 1)}) for each in missing]
    if step > after_last:
        missing.append(_gap(after_last, step - 1))
    whole: dict[str, Any] = {"id": found.id, "created": found.created, "tags": found.tags, "notes": found.notes}
    kept = tuple(each for each in earlier if each.first_step < step)
    part = {"first_step": step, "resumed": now, "earlier": kept, "missing": tuple(missing)}
    return new.model_copy(update=whole | part)


def _gap(first: int, last: int) -> MissingRows:
    return MissingRows(
        table=schema.TABLE_STEPS, first_step=first, last_step=last, rows=last - first + 1, reason=_NOT_WRITTEN
    )


def _ended(found: RunManifest) -> EarlierProcess:
    """The process that recorded a run last, from the manifest it left."""
    names = EarlierProcess.model_fields.keys() - {"started", "status"}
    fields: Mapping[str, Any] = {name: getattr(found, name) for name in names}
    status = "interrupted" if found.status == "running" else found.status
    return EarlierProcess(**fields, status=status, started=found.resumed or found.created)


def _cut(folder: Path, index: Index, step: int, numbers: dict[str, int], *, totals: bool) -> Index:
    """The index without the rows from ``step`` on, on the disk too; files that it does not name are removed."""
    tables = {}
    for table, parts in index.tables.items():
        kept = [each for part in parts for each in _before(folder, table, part, step, numbers, totals)]
        if kept:
            tables[table] = tuple(kept)
    cut = index.model_copy(update={"tables": tables})
    write_index(folder, cut)
    _remove_unnamed(folder, cut)
    return cut


def _before(
    folder: Path, table: str, part: PartFile, step: int, numbers: dict[str, int], totals: bool
) -> Iterator[PartFile]:
    """``part`` as far as it lies before ``step``: as it is, written anew under the next number, or not at all."""
    if part.first_step >= step:
        return
    if part.last_step < step and not (totals and table == schema.TABLE_EVENTS):
        yield part
        return
    check_part(folder, part.file)
    rows = pq.read_table(folder / part.file)
    kept = rows.filter(_wanted(table, step, totals=totals))
    if kept.num_rows == part.rows:
        yield part
    elif kept.num_rows:
        numbers[table] = number = numbers.get(table, 0) + 1
        file = f"{table}/{number:06d}.parquet"
        options = parquet_options(kept.schema, schema.TABLES[table])
        replace_file(folder / file, lambda aside: pq.write_table(kept, aside, **options))
        steps = pc.min_max(kept.column(schema.STEP))
        span = {"first_step": steps["min"].as_py(), "last_step": steps["max"].as_py()}
        yield part.model_copy(update={"file": file, "rows": kept.num_rows, **span})


def _wanted(table: str, step: int, *, totals: bool) -> pc.Expression:
    """Rows before ``step``; of events without the totals of a run that had ended, which come again at its new end."""
    wanted = pc.field(schema.STEP) < step
    if totals and table == schema.TABLE_EVENTS:
        no_gradient = pc.field(schema.KIND).cast(pa.string()) == schema.EVENT_NO_GRADIENT
        wanted = wanted & ~(no_gradient & (pc.field(schema.VALUE) > 1))
    return wanted


def last_numbers(folder: Path) -> dict[str, int]:
    """The highest number of a part file of each table, whether or not the index names it."""
    found: dict[str, int] = {}
    for path in folder.glob("*/*.parquet"):
        number = _NUMBER.fullmatch(path.name)
        if number is not None:
            found[path.parent.name] = max(found.get(path.parent.name, 0), int(number[1]))
    return found


def _remove_unnamed(folder: Path, index: Index) -> None:
    """Removes parts that the index does not name, and what was being written when a process was killed."""
    named = {part.file for parts in index.tables.values() for part in parts}
    for table in schema.TABLES:
        for path in (folder / table).glob("*.parquet"):
            if f"{table}/{path.name}" not in named:
                _remove(path)
        for path in (folder / table).glob(".*.tmp"):
            _remove(path)
    for name in (MANIFEST, INDEX):
        for path in folder.glob(f".{name}.*.tmp"):
            _remove(path)


def _remove(path: Path) -> None:
    with suppress(OSError):  # it is named by no index, and in nobody's way
        path.unlink()


def _seconds(folder: Path, index: Index) -> float:
    """Wall time of the last step, 0 where there is none."""
    parts = index.parts(schema.TABLE_STEPS)
    if not parts:
        return 0.0
    times = pq.read_table(folder / parts[-1].file, columns=[schema.WALL_TIME]).column(schema.WALL_TIME)
    return pc.max(times).as_py() or 0.0
