"""The mirror of one remote run on this machine: its manifest and index as they are now, its parts as asked for."""

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from graddiag.errors import InputError, RunFormatError
from graddiag.run import RunManifest
from graddiag.store.files import ANNOTATIONS, INDEX, MANIFEST, replace_file
from graddiag.store.index import Index, PartFile, read_index
from graddiag.store.remote.objects import Listing, ObjectStore, RemoteError
from graddiag.store.remote.places import mirror_of, parts_of, url_of_mirror
from graddiag.store.remote.urls import RemoteUrl
from graddiag.store.shares import RANKS

STATE: Final = ".mirror.json"  # which versions of its files the mirror of a run has
FILES: Final = (MANIFEST, INDEX, ANNOTATIONS)
UNUSED_SECONDS: Final = 30 * 24 * 3600  # after which parts that nobody read are removed


def mirror_run(url: RemoteUrl) -> Path:
    """The folder that mirrors the run at ``url``, as the run is now: a listing, and the small files that have changed.

    Raises:
        RunFormatError: there is no run.
        InputError: the store cannot be reached, or refuses.
    """
    with reading(url):
        objects = ObjectStore(url)
        listing = objects.listed()
        if not {MANIFEST, INDEX} & listing.versions.keys():
            raise RunFormatError(f"{url} is not a run: {_found(listing)}. `graddiag list --root URL` shows the runs.")
        return mirror_listed(objects, listing)


def mirror_listed(objects: ObjectStore, listing: Listing) -> Path:
    """``mirror_run`` of a run that was listed."""
    folder, versions = mirror_of(objects.url), {n: v for n, v in listing.versions.items() if n in FILES}
    if RANKS in listing.folders:
        found = {f"{RANKS}/{name}": version for name, version in objects.found(RANKS).items()}
        versions |= {name: version for name, version in found.items() if Path(name).name in FILES}
    if not is_at(folder, versions):
        put(folder, objects.read(list(versions)), versions)
    return folder


def state_of(folder: Path) -> Mapping[str, str]:
    """The versions that ``put`` was given; none where there is no mirror."""
    try:
        found = json.loads((folder / STATE).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def is_at(folder: Path, versions: Mapping[str, str]) -> bool:
    """Whether the mirror ``folder`` has these versions."""
    return state_of(folder).items() >= versions.items()


def put(folder: Path, files: Mapping[str, bytes], versions: Mapping[str, str]) -> None:
    """Makes ``files`` the files of the mirror ``folder``, an index before its manifest. Another process that does the
    same is waited for. Where it has these files already, other versions that it has of them stay known."""
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        if {name: _content(folder / name) for name in {*files, *FILES}} == dict.fromkeys(FILES) | dict(files):
            versions = {**state_of(folder), **versions}
        for name in sorted(files, key=lambda name: (name.endswith(MANIFEST), name)):
            path = folder / name
            if not _is_own(name):
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, lambda aside, name=name: aside.write_bytes(files[name]), durable=False)  # type: ignore[misc]
        for name in FILES:
            if name not in files:
                (folder / name).unlink(missing_ok=True)
        text = json.dumps(dict(versions))
        replace_file(folder / STATE, lambda aside: aside.write_text(text), durable=False)


@dataclass(frozen=True)
class MirroredParts:
    """The parts of a run that is mirrored in ``folder``; what is asked for is fetched once and kept."""

    folder: Path
    url: RemoteUrl
    generation: str

    def ready(self, parts: Sequence[PartFile]) -> Path:
        """The folder in which ``parts`` are now.

        Raises:
            FileNotFoundError: one is gone from the store.
            InputError: the store cannot be reached, or refuses.
        """
        kept = parts_of(self.url, self.generation)
        missing = [part.file for part in parts if not (kept / part.file).exists()]
        if missing:
            with reading(self.url):
                self._fetch(kept, missing)
        with contextlib.suppress(OSError):
            os.utime(kept)
        return kept

    def index(self) -> Index:
        """The index as it is at the store now."""
        mirror_run(_run_of(self.url))
        return read_index(self.folder)

    def forget(self, parts: Sequence[PartFile]) -> None:
        """Removes what was fetched of ``parts``, so that it is fetched again."""
        kept = parts_of(self.url, self.generation)
        for part in parts:
            with contextlib.suppress(OSError):
                (kept / part.file).unlink()

    def _fetch(self, kept: Path, missing: Sequence[str]) -> None:
        if not kept.exists():
            _remove_unused(kept.parent)
        asides = {name: kept / f".{uuid4().hex}.tmp" for name in missing}
        kept.mkdir(parents=True, exist_ok=True)
        try:
            ObjectStore(self.url).download(asides)
            for name, aside in asides.items():
                (kept / name).parent.mkdir(exist_ok=True)
                os.replace(aside, kept / name)
        finally:
            for aside in asides.values():
                aside.unlink(missing_ok=True)


def mirrored_parts(folder: Path, manifest: RunManifest) -> MirroredParts | None:
    """The parts of a run where ``folder`` is its mirror; None of a folder that has them itself."""
    url = url_of_mirror(folder)
    return None if url is None else MirroredParts(folder, url, f"{manifest.id} {manifest.resumed}")


@contextlib.contextmanager
def reading(url: RemoteUrl) -> Iterator[None]:
    """Words for a store that cannot be read."""
    try:
        yield
    except RemoteError as error:
        help_ = "Check its name, and the credentials that this machine has for it" if error.refused else "Try it again"
        raise InputError(f"{url} cannot be read: {error}. {help_}.") from error


def _is_own(name: str) -> bool:
    """Whether a run, or one of its ranks, has a file of this name; what a head names is not believed."""
    *above, last = name.split("/")
    ranks = len(above) == 2 and above[0] == RANKS and re.fullmatch(r"rank-\d+(-\d+)?", above[1]) is not None
    return last in FILES and (not above or ranks)


def _content(path: Path) -> bytes | None:
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return None


def _run_of(url: RemoteUrl) -> RemoteUrl:
    """The run that ``url`` is, or is a rank of."""
    above = url.parent
    return above.parent or url if above is not None and above.parts[-1] == RANKS else url


def _found(listing: Listing) -> str:
    if listing.folders or listing.versions:
        return f"it lacks {MANIFEST}"
    return "there is nothing of this name"


def _remove_unused(parts: Path) -> None:
    """Removes the parts of runs that nobody has read for a month."""
    oldest = time.time() - UNUSED_SECONDS
    with contextlib.suppress(OSError):
        for each in [Path(entry.path) for entry in os.scandir(parts) if entry.stat().st_mtime < oldest]:
            shutil.rmtree(each, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time; where the system has no such locks, the last one counts."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(folder / ".lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
