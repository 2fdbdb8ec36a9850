"""Which runs lie under a root, without reading their tables."""

from hashlib import blake2b
from pathlib import Path

from graddiag.errors import RunFormatError
from graddiag.run import RunManifest
from graddiag.store.files import INDEX, MANIFEST
from graddiag.store.manifests import read_manifest


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
