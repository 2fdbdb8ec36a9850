"""The spool: runs of remote roots on this machine until all of them is uploaded, and what of each is uploaded.

``SPOOL/ID/runs/[experiment/]name`` is the folder that the recorder writes, ``SPOOL/ID/upload.json`` what is uploaded.
Of a run that is uploaded the record alone stays, for a month, so that its folder's path still names it.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from graddiag.processes import has_ended, is_running, this_process
from graddiag.run import RunManifest
from graddiag.store.files import MANIFEST, replace_text
from graddiag.store.remote.places import spool_home
from graddiag.store.remote.urls import RemoteUrl, remote_url

RECORD: Final = "upload.json"
RUNS: Final = "runs"
SILENT_SECONDS: Final = 600  # without a word, after which an upload counts as ended
KEPT_SECONDS: Final = 30 * 24 * 3600


class UploadRecord(BaseModel):
    """root: the URL of it; run: the run's name under it, None until one was found that is free; tried:
    whether a process has begun to take one; writer: the process
    that uploads it; sent: by file what was uploaded of it; done: whether that is all."""

    root: str
    id: str
    run: str | None = None
    tried: bool = False
    writer: str | None = None
    sent: dict[str, str] = {}
    done: bool = False

    @property
    def root_url(self) -> RemoteUrl:
        return RemoteUrl(*self.root.split("://", 1))

    @property
    def url(self) -> RemoteUrl:
        """Of the run; of its root where it has no name yet."""
        return self.root_url / (self.run or "")


class Spooled:
    """One run in the spool: its place, its record, and whether it may be uploaded from here."""

    def __init__(self, place: Path, record: UploadRecord) -> None:
        self.place = place
        self.record = record
        self.fetched = False  # all of it is at its root

    @classmethod
    def begin(cls, root: RemoteUrl, manifest: RunManifest) -> "Spooled":
        """A new place for a run of this process.

        Raises:
            OSError: the spool cannot be written.
        """
        _forget_old()
        place = spool_home() / manifest.id
        place.mkdir(parents=True, exist_ok=True)
        found = cls(place, UploadRecord(root=str(root), id=manifest.id, writer=this_process()))
        found.keep()
        return found

    @property
    def runs(self) -> Path:
        """The root that the recorder writes into."""
        return self.place / RUNS

    @property
    def folder(self) -> Path | None:
        """The run's folder; None where there is none."""
        found = sorted((*self.runs.glob(f"*/{MANIFEST}"), *self.runs.glob(f"*/*/{MANIFEST}")))
        return found[0].parent if found else None

    @property
    def is_busy(self) -> bool:
        """Whether another process uploads it. One on another machine, that shares the spool, writes the record down
        every minute or sooner."""
        writer = self.record.writer
        if writer is None or writer == this_process() or has_ended(writer):
            return False
        return is_running(writer) or time.time() - (self.place / RECORD).stat().st_mtime < SILENT_SECONDS

    def keep(self) -> None:
        """Writes the record."""
        replace_text(self.place / RECORD, self.record.model_dump_json(), durable=False)

    def end(self) -> None:
        """All is uploaded: the run's folder is removed, the record stays."""
        self.record.done, self.record.writer, self.record.sent = True, None, {}
        self.keep()
        shutil.rmtree(self.runs, ignore_errors=True)

    def release(self) -> None:
        """Lets other processes upload it; what was fetched to be continued is given up."""
        if self.fetched:
            self.end()
            return
        self.record.writer = None
        self.keep()

    def remove(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)


def waiting(root: RemoteUrl | None = None) -> list[Spooled]:
    """The runs in the spool that are not uploaded whole, of one root or of all, but for those of other processes."""
    found = [each for each in _all() if not each.record.done and not each.is_busy and each.folder is not None]
    return [each for each in found if root is None or each.record.root_url == root]


def spooled_at(path: Path) -> Spooled | None:
    """The run in the spool that ``path`` is, or was, the folder of."""
    home = spool_home()
    parts = path.relative_to(home).parts if path.is_relative_to(home) else ()
    if len(parts) < 3 or parts[1] != RUNS:
        return None
    return _read(home / path.relative_to(home).parts[0])


def spooled_url(path: Path) -> RemoteUrl | None:
    """The URL that a run in the spool, or the experiment that it is in, has; None elsewhere, and before it has one."""
    found = spooled_at(path)
    if found is None or found.record.run is None:
        return None
    levels = len(path.relative_to(found.runs).parts)
    return found.record.root_url / "/".join(found.record.run.split("/")[:levels])


def uploaded_as(path: Path) -> RemoteUrl | None:
    """The URL of a run whose folder in the spool was removed once it was uploaded."""
    if not path.is_relative_to(spool_home()) or path.exists():
        return None
    found = spooled_at(path)
    return found.record.url if found is not None and found.record.run is not None else None


def _all() -> Iterator[Spooled]:
    try:
        places = sorted(each.path for each in os.scandir(spool_home()) if each.is_dir())
    except OSError:
        return
    for place in places:
        found = _read(Path(place))
        if found is not None:
            yield found


def _read(place: Path) -> Spooled | None:
    try:
        record = UploadRecord.model_validate_json((place / RECORD).read_bytes())
        return Spooled(place, record) if remote_url(record.root) is not None else None
    except (OSError, ValidationError):
        return None


def _forget_old() -> None:
    """Removes the records of runs that were uploaded a month ago."""
    for each in _all():
        if each.record.done:
            with suppress(OSError):
                if time.time() - (each.place / RECORD).stat().st_mtime > KEPT_SECONDS:
                    each.remove()
