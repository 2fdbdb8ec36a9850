"""Which runs lie under a root, without reading their tables."""

import os
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

from graddiag.errors import RunFormatError
from graddiag.run import RunManifest
from graddiag.store.annotations import ANNOTATIONS
from graddiag.store.files import INDEX, MANIFEST
from graddiag.store.manifests import read_manifest

_REPLACED: Final = (MANIFEST, INDEX, ANNOTATIONS)  # each replaced as a whole when it changes


def run_folders(root: Path | str) -> list[Path]:
    """The run folders ``root/name`` and ``root/experiment/name``, damaged ones too, by path. No root, no runs."""
    found: list[Path] = []
    for folder in _folders(Path(root)):
        if _is_run(folder):
            found.append(folder)
        else:
            found.extend(inner for inner in _folders(folder) if _is_run(inner))
    return found


def read_manifests(root: Path | str) -> list[tuple[Path, RunManifest]]:
    """The runs under ``root`` with their manifests, in the order of creation; those that cannot be read are left out.

    ``graddiag.list_runs`` shows these too, as damaged.
    """
    read = [(folder, _manifest(folder)) for folder in run_folders(root)]
    known = [(folder, manifest) for folder, manifest in read if manifest is not None]
    return sorted(known, key=lambda pair: (pair[1].created.timestamp(), pair[0]))


def fingerprint(folder: Path | str) -> str:
    """A short text that changes whenever the manifest or a table of the run does; the key for what is cached of it."""
    digest = blake2b(digest_size=16)
    for name in (MANIFEST, INDEX):
        path = Path(folder) / name
        digest.update(path.read_bytes() if path.is_file() else b"")
        digest.update(b"\0")
    return digest.hexdigest()


def root_fingerprint(root: Path | str) -> str:
    """A short text that changes whenever a run under ``root`` appears, goes, grows or is given tags or notes.

    It opens no file, so that a page can ask for it every second: 30 ms for 1,000 runs.
    """
    digest = blake2b(digest_size=16)
    for line in sorted(_states(Path(root), levels=2)):
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


def _folders(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))


def _is_run(folder: Path) -> bool:
    return (folder / MANIFEST).exists() or (folder / INDEX).exists()
