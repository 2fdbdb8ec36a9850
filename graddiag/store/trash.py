"""Runs put aside: ``.trash`` under the root, which no listing looks into, and the way back out of it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Final
from uuid import uuid4

from graddiag.errors import InputError, RunFormatError
from graddiag.store.catalog import run_folders
from graddiag.store.manifests import read_manifest
from graddiag.store.remote.local import shown
from graddiag.store.remote.places import url_of_mirror
from graddiag.store.remote.urls import remote_url

TRASH: Final = ".trash"
_STAMP: Final = "%Y%m%d-%H%M%S"


@dataclass(frozen=True)
class Trashed:
    """A run in the trash: where it lay, relative to the root; where it lies now; when it was put there (UTC)."""

    run: str
    folder: Path
    when: datetime


def trash_run(root: Path | str, run: str, *, killed: bool = False) -> Trashed:
    """Moves a run into the trash of ``root``; nothing of it is changed or lost.

    Args:
        run: its folder relative to ``root``, as ``list_runs`` gives it.
        killed: the training of a run that says running has ended all the same; without it such a run is refused.

    Raises:
        InputError: there is no such run under ``root``, it is running, it cannot be moved, or ``root`` is a URL.
    """
    _check_local(root)
    folder = _folder(Path(root), run)
    if not killed and _running(folder):
        raise InputError(
            f"run {run!r} is being written. Stop its training first; if that was killed, say so: "
            "trash_run(..., killed=True)."
        )
    when = datetime.now(UTC).replace(microsecond=0)
    place = Path(root) / TRASH / f"{when.strftime(_STAMP)}-{uuid4().hex[:6]}" / run
    _move(folder, place)
    _remove_if_empty(folder.parent, Path(root))
    return Trashed(run, place, when)


def trashed_runs(root: Path | str) -> list[Trashed]:
    """The runs in the trash of ``root``, the one put there last first."""
    found = []
    for batch in _batches(Path(root)):
        when = datetime.strptime(batch.name[:15], _STAMP).replace(tzinfo=UTC)
        found += [Trashed(folder.relative_to(batch).as_posix(), folder, when) for folder in run_folders(batch)]
    return sorted(found, key=lambda each: (each.when, each.run), reverse=True)


def restore_run(root: Path | str, trashed: Trashed) -> str:
    """Moves a run out of the trash to where it lay, or beside that (name-2, name-3, ...) if the place is taken.

    Returns:
        Where it lies now, relative to ``root``.

    Raises:
        InputError: it is not in the trash any more, or cannot be moved.
    """
    place = _free(Path(root), trashed.run)
    _move(trashed.folder, Path(root) / place)
    _remove_if_empty(trashed.folder.parent, Path(root))
    return place


def _folder(root: Path, run: str) -> Path:
    relative = PurePosixPath(run)
    folder = root / relative
    if relative.is_absolute() or ".." in relative.parts or folder not in run_folders(root):
        raise InputError(f"run {run!r}: there is none under {root}. `graddiag list --root {root}` shows what is there.")
    return folder


def _check_local(root: Path | str) -> None:
    """Raises InputError where ``root`` is remote: an object store moves nothing, it copies and deletes each object."""
    if remote_url(root) is not None or url_of_mirror(Path(root)) is not None:
        raise InputError(
            f"root {shown(root)}: runs at a URL are not moved to a trash. Remove one with the tool of the store, e.g. "
            "`aws s3 rm --recursive URL`; the next listing leaves it out."
        )


def _running(folder: Path) -> bool:
    try:
        return read_manifest(folder).status == "running"
    except RunFormatError:
        return False


def _batches(root: Path) -> list[Path]:
    try:
        inside = list((root / TRASH).iterdir())
    except OSError:
        return []
    return [batch for batch in inside if batch.is_dir() and _is_stamp(batch.name[:15])]


def _is_stamp(text: str) -> bool:
    try:
        datetime.strptime(text, _STAMP)
    except ValueError:
        return False
    return True


def _free(root: Path, run: str) -> str:
    names = (run if number == 1 else f"{run}-{number}" for number in count(1))
    return next(name for name in names if not (root / name).exists())


def _move(folder: Path, place: Path) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(place)
    except OSError as error:
        raise InputError(f"{folder} cannot be moved to {place}: {error.strerror or error}.") from error


def _remove_if_empty(folder: Path, root: Path) -> None:
    """Removes ``folder`` and what it lies in, as far as they are empty and within ``root``."""
    while folder != root and folder.is_relative_to(root) and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
