"""Opens the writer of a run whose root is remote: into the spool, with a thread that uploads it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from graddiag.errors import InputError
from graddiag.run import RunManifest
from graddiag.store.remote.objects import RemoteError
from graddiag.store.remote.places import spool_home
from graddiag.store.remote.resuming import brought_back
from graddiag.store.remote.spool import RECORD, Spooled
from graddiag.store.remote.upload import RunUpload
from graddiag.store.remote.uploader import Uploader
from graddiag.store.remote.urls import RemoteUrl
from graddiag.store.resumption import ResumePoint, RunOrigin
from graddiag.store.slugs import slug
from graddiag.store.writer import RunWriter


def open_remote_writer(root: RemoteUrl, manifest: RunManifest, resume: ResumePoint | None = None) -> RunWriter:
    """The writer of a run under ``root``: it writes into the spool of this machine, and what is closed is uploaded.

    The root is asked once for a free name. Where it cannot be reached the run begins all the same, and is uploaded
    later.

    Raises:
        InputError: the root refuses (no such bucket, no right to write), or the spool cannot be written.
        MissingLibraryError: a library that the scheme needs is not installed.
    """
    spooled, refused = (None, None) if resume is None else _to_continue(root, manifest, resume)
    if spooled is not None:
        writer = RunWriter(spooled.runs, manifest, resume=resume)
        if writer.origin.continues:
            return _uploading(root, spooled, writer, None)
        refused = writer.origin.refused
        writer.discard()
        spooled.release()
    with _spooling():
        begun = Spooled.begin(root, manifest)
    try:
        writer = RunWriter(begun.runs, manifest, resume=resume)
    except BaseException:
        begun.remove()
        raise
    return _uploading(root, begun, writer, refused)


def _to_continue(root: RemoteUrl, manifest: RunManifest, resume: ResumePoint) -> tuple[Spooled | None, str | None]:
    """The run that is to be continued, or why there is none."""
    try:
        with _spooling():
            found = brought_back(root, manifest, resume)
    except RemoteError as error:
        return None, f"its root {root} cannot be read ({error})"
    return found, None if found is not None or resume.step is None else f"there is no such run in {root}"


@contextmanager
def _spooling() -> Iterator[None]:
    try:
        yield
    except RemoteError:
        raise
    except OSError as error:
        raise InputError(
            f"the spool {spool_home()} cannot be written: {error.strerror or error}. Free space there, or name another "
            "folder with GRADDIAG_SPOOL."
        ) from error


def _uploading(root: RemoteUrl, spooled: Spooled, writer: RunWriter, refused: str | None) -> RunWriter:
    upload = RunUpload(writer.path, spooled.record, spooled.keep)
    try:
        upload.claim()
    except RemoteError as error:
        if error.refused:
            _give_up(spooled, writer)
            raise InputError(
                f"root {root} cannot be written: {error}. Check its name, and the credentials that this machine has "
                "for it."
            ) from error
    writer.origin = _origin(root, writer, upload, refused)
    writer.upload_by(Uploader(upload, spooled))
    return writer


def _give_up(spooled: Spooled, writer: RunWriter) -> None:
    """Leaves a run that was continued as it is, in the spool, and removes a new one."""
    continues = writer.origin.continues
    writer.discard()
    if continues:
        spooled.release()
    else:
        spooled.remove()


def _origin(root: RemoteUrl, writer: RunWriter, upload: RunUpload, refused: str | None) -> RunOrigin:
    """Where the run begins, with its URL, and that of another run that has the name."""
    run, name, origin = upload.record.run, slug(writer.manifest.name, keep_case=True), writer.origin
    if refused is not None:
        origin = replace(origin, refused=refused)
    if run is None:
        return replace(origin, url=str(root / name))
    folder, _, last = run.rpartition("/")
    taken = None if last == name else str(root / (f"{folder}/{name}" if folder else name))
    return replace(origin, url=str(root / run), taken=taken)


def check_same_machine(path: Path, rank: int) -> None:
    """Raises InputError where ``path``, the run of rank 0, is in no spool that this process sees: on another machine
    nobody would upload what this rank records."""
    if not any((above / RECORD).is_file() for above in path.parents[:3]):
        raise InputError(
            f"watch() in rank {rank}: rank 0 records into the spool of another machine ({path}). Give a root on a "
            "file system that the ranks share, or name a spool there with GRADDIAG_SPOOL, in every rank."
        )
