"""RunWriter: owns a run folder while it is written. What it has flushed survives kill -9 and can be read meanwhile."""

import os
import shutil
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from graddiag import schema
from graddiag.errors import InputError, SettingError
from graddiag.processes import this_process
from graddiag.run import MissingRows, RunManifest
from graddiag.store.blocks import Block, Values, make_block, table_named
from graddiag.store.endings import ending
from graddiag.store.index import Index, write_index
from graddiag.store.manifests import plain, write_manifest
from graddiag.store.open_parts import ClosedBlocks, OpenParts
from graddiag.store.part_writer import KEPT_BYTES, PartWriter
from graddiag.store.resumption import NoSuchRunError, NotResumableError, ResumePoint, RunOrigin, take_over
from graddiag.store.slugs import make_run_folder, slug

if TYPE_CHECKING:
    from graddiag.store.remote.uploader import Uploader, UploadNotice

MAX_WAITING: Final = 4  # tasks that may wait for the thread that writes before append waits too

MakeRows = Callable[[], Iterable[tuple[str, Mapping[str, Values]]]]
"""Gives rows: a table, and columns as ``RunWriter.append`` takes them."""


class RunWriter:
    """Writes one run into a new folder ``root/[experiment/]name``; use it as a context manager, from one thread.

    Rows are gathered in memory; a part of a table is closed once it holds ``part_steps`` steps or 8 MiB, or
    ``part_seconds`` seconds after its first row came, at the next append. A separate thread encodes and writes it, and
    makes rows where it is asked to, so that the training does not wait. Leaving by an exception closes the run as
    failed, by KeyboardInterrupt as interrupted.

    Once the folder is there, a disk that is full or gone is a warning, never an error: rows wait in memory (64 MiB at
    most) until it can be written again, and those that did not fit are named in the manifest as ``missing``. In a
    forked child every method does nothing: the run belongs to the process that opened it.

    With ``resume`` the run of this name continues in its folder, from a step on; where it cannot, a new one begins at
    that step. ``origin`` has which, and why.

    Raises:
        InputError: the root cannot be written.
        SettingError: ``part_steps`` or ``part_seconds`` is not positive.
    """

    def __init__(
        self,
        root: Path | str,
        manifest: RunManifest,
        *,
        part_steps: int = 1000,
        part_seconds: float = 1.5,
        resume: ResumePoint | None = None,
    ) -> None:
        if part_steps < 1 or part_seconds <= 0:
            raise SettingError(f"part_steps and part_seconds must be positive, found {part_steps} and {part_seconds}")
        manifest = manifest.model_copy(update={"config": plain(manifest.config), "writer": this_process()})
        self.origin = _begin(Path(root), manifest, resume)
        self.path, self.manifest = self.origin.path, self.origin.manifest
        self._open = OpenParts(part_steps, part_seconds)
        self._parts = PartWriter(self.path, self.origin.index, self.manifest.missing, self.origin.numbers)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="graddiag-writer")
        self._waiting: deque[Future[Any]] = deque()
        self._process = os.getpid()
        self._closed = False
        self._at_end: Callable[[], None] = lambda: None
        self._warned = False
        self._upload: Uploader | None = None
        self._warned_of_upload = False
        self._manifest_due = False  # what the manifest says is not on the disk yet

    @property
    def is_closed(self) -> bool:
        """Whether nothing is written any more."""
        return self._closed

    @property
    def _elsewhere(self) -> bool:
        """Whether this is a child of the process that opened the run, by fork: it has no thread that writes."""
        return os.getpid() != self._process

    def append(self, table: str, columns: Mapping[str, Values]) -> None:
        """Adds rows to ``table``: columns of one length, in the order of the keys, steps ascending; they are copied.

        A scalar is repeated for all rows. Null is a missing column, None, or a masked entry; NaN and inf are values.
        ``steps`` takes further columns, as float64.

        Raises:
            SettingError: an unknown table or column, unequal lengths, a missing key, a value of another kind.
        """
        if self._elsewhere:
            return
        self._check_open()
        if closed := self._open.add(table, make_block(table_named(table), columns)):
            self._submit(partial(self._parts.write, closed))
        self._collect(keep=MAX_WAITING)

    def append_later(self, make: MakeRows) -> "Future[Exception | None]":
        """Lets the thread that writes call ``make`` and add the rows that it gives, each as ``append`` does.

        Calls are made in their order. The result is the error that one raised, or that its rows did; None without one.

        Raises:
            SettingError: the run is closed.
        """
        if self._elsewhere:
            return _done(None)
        self._check_open()
        handed = self._submit(partial(self._make, make))
        self._collect(keep=MAX_WAITING)
        return handed

    def note(self, **environment: str) -> None:
        """Adds to the environment in the manifest, on the disk too; nothing is done where it holds these values."""
        self.amend(environment={**self.manifest.environment, **environment})

    def amend(self, **fields: Any) -> None:
        """Changes fields of the manifest, on the disk too; nothing is done where they hold these values already."""
        if self._elsewhere or all(getattr(self.manifest, name) == value for name, value in fields.items()):
            return
        self.manifest = self.manifest.model_copy(update=fields)
        self._manifest_due = True
        self._write_manifest()

    def flush(self) -> None:
        """Closes the part of every table and waits until all is on the disk, or the disk has refused it."""
        if self._elsewhere:
            return
        self._submit(lambda: self._parts.write(self._open.take()))
        self._collect(keep=0)

    def close(self, status: schema.Status = "finished", error: str | None = None) -> None:
        """Writes what is left and the final manifest; a second call does nothing.

        A run that finished, with rows that could not be written, has the status ``finished, recording incomplete``.
        """
        if self._closed or self._elsewhere:
            return
        self._closed = True
        try:
            self.flush()
        finally:
            self._thread.shutdown()
            self._parts.give_up()
            if self._parts.missing and status == "finished":
                status = schema.INCOMPLETE
            ended = {"status": status, "error": error, "finished": datetime.now(UTC), "writer": None}
            self.manifest = self.manifest.model_copy(update={**ended, "missing": self._parts.missing})
            self._write_manifest()
            self._at_end()
        if self._upload is not None and not self._upload.finish():
            _warn_of_rest(self._upload, self.path)

    def upload_by(self, upload: "Uploader") -> None:
        """Lets ``upload`` send what is written to a remote root; closing waits for it, for a limited time."""
        self._upload = upload

    @property
    def url(self) -> str | None:
        """Where the run is uploaded to; None where it is written to its root."""
        return None if self._upload is None else self._upload.url

    def at_end(self, action: Callable[[], None]) -> None:
        """``action`` is called once the run is closed or discarded."""
        self._at_end = action

    def discard(self) -> None:
        """Removes the run's folder, nothing having been recorded into it; a run that was resumed is closed as
        interrupted, and of a closed one nothing is removed."""
        if self._closed:
            return
        if self.origin.continues:
            self.close("interrupted")
            return
        self._closed = True
        self._thread.shutdown()
        shutil.rmtree(self.path, ignore_errors=True)
        if self._upload is not None:
            self._upload.discard()
        self._at_end()
        with suppress(OSError):  # the experiment's folder goes too where it holds no other run
            if self.manifest.experiment is not None:
                self.path.parent.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(*ending(error))

    def _check_open(self) -> None:
        if self._closed:
            raise SettingError(f"run {self.path} is closed; nothing can be appended to it")

    def _make(self, make: MakeRows) -> Exception | None:
        """In the thread that writes: adds the rows of ``make``, and writes the parts that are full."""
        closed: ClosedBlocks = {}
        try:
            for table, columns in make():
                for name, blocks in self._open.add(table, make_block(table_named(table), columns)).items():
                    closed.setdefault(name, []).extend(blocks)
        except Exception as error:  # whoever asks for the result handles it
            return error
        finally:
            if closed:
                self._parts.write(closed)
        return None

    def _submit(self, task: Callable[[], Any]) -> Future[Any]:
        try:
            handed = self._thread.submit(task)
        except RuntimeError:  # the interpreter is on its way out and threads take no more work
            self._collect(keep=0)
            return _done(task())
        self._waiting.append(handed)
        return handed

    def _collect(self, keep: int) -> None:
        """Takes leave of written parts; waits until no more than ``keep`` are under way."""
        done = False
        while self._waiting and (len(self._waiting) > keep or self._waiting[0].done()):
            self._waiting.popleft().result()
            done = True
        if done and self._parts.error is not None:
            self._warn(self._parts.error)
        elif done:
            self._note_missing()
        for notice in () if self._upload is None else self._upload.take_notices():
            self._note_upload(notice)

    def _add_event(self, event: Block) -> None:
        if closed := self._open.add(schema.TABLE_EVENTS, event):
            self._submit(partial(self._parts.write, closed))

    def _note_upload(self, notice: "UploadNotice") -> None:
        """Warns once in a run that its upload fails; an event has each time that it works again."""
        if notice.reason is None:
            if not self._closed:
                self._add_event(_upload_event(self._open.last_step, self.url, notice.seconds))
        elif not self._warned_of_upload:
            self._warned_of_upload = True
            warnings.warn(
                f"graddiag cannot upload run {self.path} to {self.url}: {notice.reason}. The training continues "
                "unchanged. What is recorded waits in that folder, and is sent once the upload works again.",
                RuntimeWarning,
                stacklevel=2,
            )

    def _note_missing(self) -> None:
        """The disk can be written: what it did not get meanwhile is put down, in the manifest and as events."""
        missing = self._parts.missing
        for lost in missing if not self._closed else ():
            if lost not in self.manifest.missing:
                self._add_event(_lost_event(lost))
        self.amend(missing=missing)
        self._write_manifest()

    def _write_manifest(self) -> None:
        """Writes the manifest where that is due; it stays due where the disk refuses it."""
        if not self._manifest_due and not self._closed:
            return
        try:
            write_manifest(self.path, self.manifest)
        except OSError as error:
            self._warn(error.strerror or str(error))
        else:
            self._manifest_due = False

    def _warn(self, reason: str) -> None:
        """Warns once in a run."""
        if self._warned:
            return
        self._warned = True
        warnings.warn(
            f"graddiag cannot write run {self.path}: {reason}. The training continues unchanged. Up to "
            f"{KEPT_BYTES >> 20} MiB of rows wait in memory until the disk can be written again; free space there, "
            "or bring the folder back.",
            RuntimeWarning,
            stacklevel=2,
        )


def _done(result: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(result)
    return future


def _lost_event(lost: MissingRows) -> Block:
    event: dict[str, Values] = {
        schema.STEP: lost.last_step,
        schema.KIND: schema.EVENT_ROWS_LOST,
        schema.WHERE: lost.table,
        schema.VALUE: lost.rows,
        schema.MESSAGE: f"{lost}. Later rows were written.",
    }
    return make_block(schema.TABLES[schema.TABLE_EVENTS], event)


def _upload_event(step: int, url: str | None, seconds: float) -> Block:
    event: dict[str, Values] = {
        schema.STEP: step,
        schema.KIND: schema.EVENT_UPLOAD_RESTORED,
        schema.WHERE: "upload",
        schema.VALUE: seconds,
        schema.MESSAGE: f"The upload to {url} works again, after {seconds:.0f} s. Nothing that was recorded is lost.",
    }
    return make_block(schema.TABLES[schema.TABLE_EVENTS], event)


def _warn_of_rest(upload: "Uploader", path: Path) -> None:
    """Warns that a run is closed before all of it is uploaded."""
    why = upload.error or "it takes longer than closing a run may"
    warnings.warn(
        f"graddiag has not uploaded all of run {path} to {upload.url}: {why}. The rest waits in that folder; "
        "`graddiag upload` sends it.",
        RuntimeWarning,
        stacklevel=3,
    )


def _begin(root: Path, manifest: RunManifest, resume: ResumePoint | None) -> RunOrigin:
    refused = None
    if resume is not None:
        try:
            return take_over(root, manifest, resume)
        except NoSuchRunError as error:
            refused = None if resume.step is None else str(error)
        except NotResumableError as error:
            refused = str(error)
        manifest = manifest.model_copy(update={"first_step": resume.step or 0})
    folder = _start_folder(root, manifest)
    named = folder.with_name(slug(manifest.name, keep_case=True))
    return RunOrigin(folder, manifest, Index(), refused=refused, taken=None if named == folder else named)


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
