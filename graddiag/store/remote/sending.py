"""Uploads by a command: of runs that wait in the spool, and of copies of run folders."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from graddiag.errors import RunFormatError
from graddiag.processes import this_process
from graddiag.store.files import MANIFEST
from graddiag.store.manifests import read_manifest, write_manifest
from graddiag.store.remote.spool import Spooled, UploadRecord, waiting
from graddiag.store.remote.upload import RunUpload
from graddiag.store.remote.urls import RemoteUrl


@dataclass(frozen=True)
class Sent:
    """A run that was to be uploaded: its folder, its URL, and why it is not uploaded whole; None where it is."""

    folder: Path
    url: str
    missing: str | None


def send_waiting(root: RemoteUrl | None = None) -> Iterator[Sent]:
    """Uploads the runs that wait in the spool, of one root or of all; each is removed from the spool once it is whole.

    The process that recorded them is gone: what says running is marked as interrupted.
    """
    for spooled in waiting(root):
        folder = spooled.folder
        if folder is not None:
            yield _send_spooled(spooled, folder)


def send_copies(folders: Sequence[Path], root: RemoteUrl) -> Iterator[Sent]:
    """Uploads copies of run folders; they stay as they are. A run that is there already is brought up to date."""
    for folder in folders:
        record = UploadRecord(root=str(root), id=read_manifest(folder).id, tried=True)
        upload = RunUpload(folder, record)
        yield _sent(folder, upload)


def _send_spooled(spooled: Spooled, folder: Path) -> Sent:
    spooled.record.writer = this_process()
    upload = RunUpload(folder, spooled.record, spooled.keep)
    try:
        _mark_interrupted(folder)
        upload.check()
        sent = _sent(folder, upload)
    except (OSError, RunFormatError) as error:
        sent = Sent(folder, str(spooled.record.url), str(error))
    if sent.missing is None:
        spooled.end()
    else:
        spooled.release()
    return sent


def _sent(folder: Path, upload: RunUpload) -> Sent:
    try:
        missing = None if upload.send() else "it is still being written"
    except (OSError, RunFormatError) as error:
        missing = str(error)
    return Sent(folder, str(upload.record.url), missing)


def _mark_interrupted(folder: Path) -> None:
    for place in (folder, *(path.parent for path in folder.glob(f"ranks/*/{MANIFEST}"))):
        manifest = read_manifest(place)
        if manifest.status in ("running", "interrupted"):
            write_manifest(place, manifest.model_copy(update={"status": "interrupted", "writer": None}))
