"""RunWriter: owns a run folder while it is written. What it has flushed survives kill -9 and can be read meanwhile."""

import shutil
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from graddiag import schema
from graddiag.errors import InputError, SettingError
from graddiag.processes import this_process
from graddiag.run import RunManifest
from graddiag.store.blocks import Block, Values, make_block, table_named
from graddiag.store.compaction import compacted
from graddiag.store.index import Index, write_index
from graddiag.store.manifests import plain, write_manifest
from graddiag.store.parts import write_part
from graddiag.store.slugs import make_run_folder

MAX_WAITING: Final = 4  # closed parts that may wait for the disk before append waits too


class RunWriter:
    """Writes one run into a new folder ``root/[experiment/]name``; use it as a context manager, from one thread.

    Rows are gathered in memory; a part of a table is closed once it holds ``part_steps`` steps, or ``part_seconds``
    seconds after its first row came, at the next append. A separate thread encodes and writes it, so that the
    training waits for about a millisecond. Leaving by an exception closes the run as failed, by KeyboardInterrupt as
    interrupted.

    Raises:
        InputError: the root cannot be written; later, from append, flush or close: the disk is full, or gone.
        SettingError: ``part_steps`` or ``part_seconds`` is not positive.
    """

    def __init__(
        self, root: Path | str, manifest: RunManifest, *, part_steps: int = 100, part_seconds: float = 2.0
    ) -> None:
        if part_steps < 1 or part_seconds <= 0:
            raise SettingError(f"part_steps and part_seconds must be positive, found {part_steps} and {part_seconds}")
        self.manifest = manifest.model_copy(update={"config": plain(manifest.config), "writer": this_process()})
        self.path = _start_folder(Path(root), self.manifest)
        self._part_steps = part_steps
        self._part_seconds = part_seconds
        self._open: defaultdict[str, _OpenPart] = defaultdict(_OpenPart)
        self._index = Index()
        self._written: Counter[str] = Counter()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="graddiag-writer")
        self._waiting: deque[Future[None]] = deque()
        self._closed = False

    def append(self, table: str, columns: Mapping[str, Values]) -> None:
        """Adds rows to ``table``: columns of one length, in the order of the keys, steps ascending; they are copied.

        A scalar is repeated for all rows. Null is a missing column, None, or a masked entry; NaN and inf are values.
        ``steps`` takes further columns, as float64.

        Raises:
            SettingError: an unknown table or column, unequal lengths, a missing key, a value of another kind.
            InputError: an earlier part could not be written.
        """
        if self._closed:
            raise SettingError(f"run {self.path} is closed; nothing can be appended to it")
        block = make_block(table_named(table), columns)
        if not block.rows:
            return
        if self._open[table].is_full_for(block, self._part_steps):
            self._close_parts([table])
        self._open[table].add(block)
        overdue = time.monotonic() - self._part_seconds
        self._close_parts([name for name, part in self._open.items() if part.since <= overdue])
        self._collect(keep=MAX_WAITING)

    def note(self, **environment: str) -> None:
        """Adds to what the manifest says of the run's environment, on the disk too; nothing is done where it says so.

        Raises:
            InputError: the manifest cannot be written.
        """
        self.amend(environment={**self.manifest.environment, **environment})

    def amend(self, **fields: Any) -> None:
        """Changes fields of the manifest, on the disk too; nothing is done where they hold these values already.

        Raises:
            InputError: the manifest cannot be written.
        """
        if any(getattr(self.manifest, name) != value for name, value in fields.items()):
            self.manifest = self.manifest.model_copy(update=fields)
            with _disk(self.path):
                write_manifest(self.path, self.manifest)

    def flush(self) -> None:
        """Closes the part of every table and waits until all is on the disk."""
        self._close_parts(list(self._open))
        self._collect(keep=0)

    def close(self, status: schema.Status = "finished", error: str | None = None) -> None:
        """Writes what is left and the final manifest; a second call does nothing.

        When something could not be written, the manifest (if that can be) says failed, and InputError is raised.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self.flush()
        except InputError as lost:
            status, error = "failed", str(lost)
            raise
        finally:
            self._thread.shutdown()
            ending = {"status": status, "error": error, "finished": datetime.now(UTC), "writer": None}
            self.manifest = self.manifest.model_copy(update=ending)
            with _disk(self.path):
                write_manifest(self.path, self.manifest)

    def discard(self) -> None:
        """Removes the run's folder: nothing was recorded into it."""
        self._closed = True
        self._thread.shutdown()
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):  # the experiment's folder goes too where it holds no other run
            if self.manifest.experiment is not None:
                self.path.parent.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return self.close()
        status: schema.Status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        try:
            self.close(status, None if status == "interrupted" else f"{type(error).__name__}: {error}")
        except InputError as lost:
            error.add_note(str(lost))  # the exception of the caller goes on; this one must not hide it

    def _close_parts(self, tables: Sequence[str]) -> None:
        closed = {table: self._open.pop(table).blocks for table in tables}
        if not closed:
            return
        try:
            self._waiting.append(self._thread.submit(self._write, closed))
        except RuntimeError:  # the interpreter is on its way out and threads take no more work
            self._collect(keep=0)
            self._write(closed)

    def _write(self, closed: Mapping[str, Sequence[Block]]) -> None:
        """In the writer thread, the only one to touch the index: the parts first, then the index that names them."""
        with _disk(self.path):
            self._written.update(closed.keys())
            parts = {table: write_part(self.path, table, self._written[table], rows) for table, rows in closed.items()}
            self._index, obsolete = compacted(self.path, self._index.with_parts(parts))
            write_index(self.path, self._index)
            for path in obsolete:
                path.unlink()

    def _collect(self, keep: int) -> None:
        """Takes leave of written parts, raising what went wrong; waits until no more than ``keep`` are under way."""
        while self._waiting and (len(self._waiting) > keep or self._waiting[0].done()):
            self._waiting.popleft().result()


@dataclass
class _OpenPart:
    """The rows of one table that no file holds yet."""

    blocks: list[Block] = field(default_factory=list)
    steps: int = 0
    last_step: int | None = None
    since: float = field(default_factory=time.monotonic)

    def add(self, block: Block) -> None:
        self.steps += self._new_steps(block)
        self.last_step = int(block.steps[-1])
        self.blocks.append(block)

    def is_full_for(self, block: Block, part_steps: int) -> bool:
        """Whether ``block`` begins a step that belongs to the next part; a step is not torn apart."""
        return self.steps >= part_steps and self._new_steps(block) > 0

    def _new_steps(self, block: Block) -> int:
        changes = int(np.count_nonzero(block.steps[1:] != block.steps[:-1]))
        return changes + (self.last_step != block.steps[0])


def _start_folder(root: Path, manifest: RunManifest) -> Path:
    with _disk(root):
        folder = make_run_folder(root, manifest.experiment, manifest.name)
        write_index(folder, Index())
        write_manifest(folder, manifest)
    return folder


@contextmanager
def _disk(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{place} cannot be written: {error.strerror or error}. "
            "Give a root that can (`root=` or `--root`), or free space there."
        ) from error
