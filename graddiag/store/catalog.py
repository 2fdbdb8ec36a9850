"""Which runs lie under a root, without reading their tables."""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

from graddiag import schema
from graddiag.errors import InputError, RunFormatError
from graddiag.run import RunManifest
from graddiag.store.files import ANNOTATIONS, INDEX, MANIFEST, read_file
from graddiag.store.manifests import read_manifest
from graddiag.store.remote.local import local_root
from graddiag.store.remote.urls import remote_url

_ABSENT: Final = (errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP)
_REPLACED: Final = (MANIFEST, INDEX, ANNOTATIONS)  # each replaced as a whole when it changes


def run_folders(root: Path | str) -> list[Path]:
    """The run folders ``root/name`` and ``root/experiment/name``, by path. No root, no runs.

    Of a root at a URL they are the folders of its mirror, which is brought up to date.

    Damaged ones are among them, folders that cannot be looked into, and links that lead out of ``root``. Links to a
    place under ``root`` are left out: what is there is found without them.

    Raises:
        InputError: ``root`` may not be read.
    """
    folder = local_root(root)
    try:
        outer = _folders(folder)
    except OSError as error:
        raise InputError(f"{root} cannot be read: {error.strerror or error}. Is it another user's?") from error
    real = folder.resolve()
    return [found for folder in outer for found in _runs_in(folder, real)]


def runs_at(place: Path | str) -> list[Path | str]:
    """The run that ``place`` is, or the folders of the runs under it; ``place`` itself where there is none."""
    folder = local_root(place)
    return [folder] if _is_run(folder) else [*run_folders(folder)] or [place]


def leads_out(root: Path | str, folder: Path) -> bool:
    """Whether ``folder``, which a path under ``root`` names, lies elsewhere, by way of a link."""
    if remote_url(root) is not None or not _by_links(os.fspath(root), os.fspath(folder)):
        return False
    return not folder.resolve().is_relative_to(Path(root).resolve())


def read_manifests(root: Path | str) -> list[tuple[Path, RunManifest]]:
    """The runs under ``root`` with their manifests, in the order of creation; those that cannot be read are left out.

    ``graddiag.list_runs`` shows these too, as damaged.
    """
    read = [(folder, _manifest(folder)) for folder in run_folders(root) if not leads_out(root, folder)]
    known = [(folder, manifest) for folder, manifest in read if manifest is not None]
    return sorted(known, key=lambda pair: (pair[1].created.timestamp(), pair[0]))


def fingerprint(folder: Path | str) -> str:
    """A short text that changes whenever the manifest or a table of the run does; the key for what is cached of it."""
    digest = blake2b(digest_size=16)
    for name in (MANIFEST, INDEX):
        digest.update(_content(Path(folder) / name))
        digest.update(b"\0")
    return digest.hexdigest()


def _by_links(root: str, folder: str) -> bool:
    """Whether a part of the path of ``folder`` below ``root`` is a link, or may be."""
    while folder != root:
        parent = os.path.dirname(folder)
        if len(parent) >= len(folder) or os.path.basename(folder) == ".." or os.path.islink(folder):
            return True
        folder = parent
    return False


def part_sizes(folder: Path | str) -> str:
    """A short text that changes when a part file of the run goes or is cut short, which ``fingerprint`` cannot see."""
    digest, folder = blake2b(digest_size=16), os.fspath(folder)
    try:
        tables = sorted(schema.TABLES.keys() & set(os.listdir(folder)))
    except OSError:
        tables = []
    for table in tables:
        for line in sorted(_sizes(os.path.join(folder, table))):
            digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _sizes(table: str) -> list[str]:
    try:
        with os.scandir(table) as parts:
            return [f"{part.name} {part.stat().st_size}\n" for part in parts if not part.name.startswith(".")]
    except OSError:
        return []


def root_fingerprint(root: Path | str) -> str:
    """A short text that changes whenever a run under ``root`` appears, goes, grows or is given tags or notes.

    It opens no file, so that a page can ask for it every second: 30 ms for 1,000 runs.
    """
    digest = blake2b(digest_size=16)
    for line in sorted(_states(local_root(root), levels=2)):
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _states(parent: Path, levels: int) -> Iterator[str]:
    """What a run's files were when they were last replaced, of each run in ``parent`` and in the folders below it."""
    with suppress(OSError), os.scandir(parent) as inside:
        for entry in inside:
            if entry.name.startswith(".") or not entry.is_dir():
                continue
            found = [state for name in _REPLACED if (state := _state(entry.path, name))]
            yield from found
            if not found and levels > 1:
                yield from _states(Path(entry.path), levels - 1)


def _state(folder: str, name: str) -> str | None:
    try:
        found = os.stat(os.path.join(folder, name))
    except OSError:
        return None
    return f"{folder}\0{name}\0{found.st_mtime_ns} {found.st_size} {found.st_ino}\n"


def _manifest(folder: Path) -> RunManifest | None:
    try:
        return read_manifest(folder)
    except RunFormatError:
        return None


def _content(path: Path) -> bytes:
    """What a file holds, or why that cannot be read."""
    try:
        return read_file(path)
    except FileNotFoundError:
        return b""
    except (OSError, RunFormatError) as error:
        return str(error).encode(errors="replace")


def _runs_in(folder: Path, root: Path) -> list[Path]:
    """``folder`` where it is a run, else the runs directly in it."""
    if folder.is_symlink():
        return [] if folder.resolve().is_relative_to(root) else [folder]
    if _is_run(folder):
        return [folder]
    try:
        inside = _folders(folder)
    except OSError:
        return [folder]
    return [inner for inner in inside if _is_run(inner) and not (inner.is_symlink() and not leads_out(root, inner))]


def _folders(parent: Path) -> list[Path]:
    """The folders in ``parent``, by name, but for hidden ones; none where there is no such folder."""
    try:
        with os.scandir(parent) as inside:
            found = [Path(entry.path) for entry in inside if not entry.name.startswith(".") and _is_folder(entry)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _is_run(folder: Path) -> bool:
    """Whether it has a file of a run; a folder that may not be looked into counts as one, so that it is listed."""
    for name in (MANIFEST, INDEX):
        try:
            os.stat(os.path.join(folder, name))
        except OSError as error:
            if error.errno not in _ABSENT:
                return True
        else:
            return True
    return False
