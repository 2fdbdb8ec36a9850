"""Sends the folder of one run to its remote root, as far as it is closed: parts before the index that names them."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final

from graddiag.run import RunManifest
from graddiag.store.files import ANNOTATIONS, INDEX, MANIFEST, MAX_BYTES, read_file
from graddiag.store.index import Index
from graddiag.store.manifests import read_manifest
from graddiag.store.remote.layout import annotations_of_run, head_of, pack
from graddiag.store.remote.objects import ObjectStore
from graddiag.store.remote.spool import UploadRecord
from graddiag.store.shares import RANKS
from graddiag.store.slugs import numbered, slug

_PASSES: Final = 20  # attempts at a folder whose parts are being joined meanwhile
_NOT_OTHERS: Final = (MANIFEST, INDEX, ANNOTATIONS, "overview.json")  # the last one is made by listings


class RunUpload:
    """Sends a run folder that may still be written. ``record`` has what is uploaded; ``keep`` writes it down.

    A reader of the remote root never finds an index that names a part which is not there.
    """

    def __init__(self, folder: Path, record: UploadRecord, keep: Callable[[], None] = lambda: None) -> None:
        self.folder = folder
        self.record = record
        self._keep = keep
        self._objects = ObjectStore(record.root_url)

    def claim(self) -> str:
        """Finds the run a name that is free under its root, with ``-2``, ``-3`` behind it where it is taken, and takes
        it by writing the manifest there; gives it.

        Raises:
            RemoteError: the root cannot be reached, or refuses.
        """
        if self.record.run is None:
            content = read_file(self.folder / MANIFEST)
            manifest = RunManifest.model_validate_json(content)
            self.record.run = next(run for run in self._names(manifest) if self._takes(run, manifest, content))
            self._keep()
        return self.record.run

    def send(self) -> bool:
        """Sends what has changed since the last time; whether all is uploaded of a run that has ended.

        Raises:
            RemoteError: the root cannot be reached, or refuses. What was uploaded by then is not sent again.
            OSError, RunFormatError: the folder cannot be read.
        """
        run = self.claim()
        try:
            for _ in range(_PASSES):
                files = self._texts()
                if self._send_parts(run, files):
                    break
            else:
                return False
            self._send_others(run)
            self._send_texts(run, files)
            self._remove_parts(run, files)
        finally:
            self._keep()
        return all(_has_ended(content) for name, content in files.items() if name.endswith(MANIFEST))

    def check(self) -> bool:
        """Before a run is sent again that was left in the spool: whether its place at the root is its own still. Where
        it is gone or taken by another run, or another process has continued it there, the run gets another one.

        Raises:
            RemoteError: the root cannot be reached, or refuses.
        """
        if self.record.run is None:
            return True
        manifest, name = read_manifest(self.folder), f"{self.record.run}/{MANIFEST}"
        there = self._objects.read([name]).get(name)
        if not _is_of(there, manifest.id) or _is_later(there, manifest):
            self.record.run, self.record.sent = None, {}
        return self.record.run is not None

    def discard(self) -> None:
        """Removes from the root what is there of the run.

        Raises:
            RemoteError: the root cannot be reached, or refuses.
        """
        if self.record.run is not None:
            self._objects.remove([*(f"{self.record.run}/{name}" for name in self._objects.found(self.record.run))])
            self._objects.remove([head_of(self.record.run)])

    def _names(self, manifest: RunManifest) -> Iterator[str]:
        """Names for the run that are free, as far as a listing tells. A name that it has already comes first: a process
        took it, and was killed before that was noted."""
        name, folder = slug(manifest.name, keep_case=True), ""
        if manifest.experiment is not None:
            experiments = numbered(slug(manifest.experiment, fallback="experiment"))
            folder = next(each for each in experiments if MANIFEST not in self._objects.listed(each).versions) + "/"
        there = {each.casefold(): each for each in self._objects.listed(folder.rstrip("/")).folders}
        if self.record.tried:
            yield from self._own([folder + each for key, each in there.items() if key.startswith(name.casefold())])
        self.record.tried = True
        self._keep()
        yield from (folder + each for each in numbered(name) if each.casefold() not in there)

    def _own(self, known: Sequence[str]) -> list[str]:
        found = self._objects.read([f"{run}/{MANIFEST}" for run in known])
        return [run for run in known if _is_of(found.get(f"{run}/{MANIFEST}"), self.record.id)]

    def _takes(self, run: str, manifest: RunManifest, content: bytes) -> bool:
        if self._objects.create(f"{run}/{MANIFEST}", content):
            return True
        there = self._objects.read([f"{run}/{MANIFEST}"]).get(f"{run}/{MANIFEST}")
        return _is_of(there, manifest.id) and not _is_later(there, manifest)

    def _texts(self) -> dict[str, bytes]:
        """Manifests and indexes of the run and of its ranks, and its annotations.

        A manifest is read before its index, so that a run that reads as finished is whole."""
        found = {}
        for place in ("", *_rank_places(self.folder)):
            for name in (MANIFEST, INDEX):
                found[place + name] = read_file(self.folder / place / name)
        if (self.folder / ANNOTATIONS).is_file():
            found[ANNOTATIONS] = read_file(self.folder / ANNOTATIONS)
        return found

    def _send_others(self, run: str) -> None:
        """Sends what else lies in the folder itself, e.g. a vocabulary, but no large files."""
        for path in sorted(self.folder.iterdir()):
            if path.name in _NOT_OTHERS or path.name.startswith(".") or path.is_symlink() or not path.is_file():
                continue
            about = path.stat()
            state = f"{about.st_size} {about.st_mtime_ns}"
            if about.st_size <= MAX_BYTES and self.record.sent.get(path.name) != state:
                for _ in self._objects.upload({f"{run}/{path.name}": path}):
                    self.record.sent[path.name] = state

    def _send_parts(self, run: str, files: Mapping[str, bytes]) -> bool:
        """Whether the parts that the indexes name are there now; not where some have been joined meanwhile."""
        due = {f"{run}/{part}": self.folder / part for part in _parts(files) if part not in self.record.sent}
        try:
            for name in self._objects.upload(due):
                self.record.sent[name.removeprefix(f"{run}/")] = ""
        except OSError as error:
            gone = isinstance(error, FileNotFoundError) or isinstance(error.__cause__, FileNotFoundError)
            if not gone or all(path.exists() for path in due.values()):
                raise
            return False
        return True

    def _send_texts(self, run: str, files: Mapping[str, bytes]) -> None:
        """An index before its manifest, and last the head that has both."""
        for name in sorted(files, key=lambda name: (name.endswith(MANIFEST), name)):
            self._send_text(name, f"{run}/{name}", files[name])
        if ANNOTATIONS in files:
            self._send_text(annotations_of_run(""), annotations_of_run(run), files[ANNOTATIONS])
        own = {name: content for name, content in files.items() if Path(name).name in (MANIFEST, INDEX)}
        self._send_text(head_of(""), head_of(run), pack(own))

    def _send_text(self, key: str, name: str, content: bytes) -> None:
        digest = blake2b(content, digest_size=16).hexdigest()
        if self.record.sent.get(key) != digest:
            self._objects.write(name, content)
            self.record.sent[key] = digest

    def _remove_parts(self, run: str, files: Mapping[str, bytes]) -> None:
        """Removes the parts that no index names any more."""
        named = set(_parts(files))
        obsolete = [name for name in self.record.sent if name.endswith(".parquet") and name not in named]
        self._objects.remove([f"{run}/{name}" for name in obsolete])
        for name in obsolete:
            del self.record.sent[name]


def _parts(files: Mapping[str, bytes]) -> Iterator[str]:
    """The parts that the indexes among ``files`` name."""
    for name, content in files.items():
        if name == INDEX or name.endswith(f"/{INDEX}"):
            for parts in Index.model_validate_json(content).tables.values():
                yield from (name.removesuffix(INDEX) + part.file for part in parts)


def _rank_places(folder: Path) -> list[str]:
    return [f"{RANKS}/{each.parent.name}/" for each in sorted(folder.glob(f"{RANKS}/rank-*/{MANIFEST}"))]


def _has_ended(manifest: bytes) -> bool:
    return RunManifest.model_validate_json(manifest).status != "running"


def _is_of(content: bytes | None, id_: str) -> bool:
    try:
        return content is not None and json.loads(content).get("id") == id_
    except (ValueError, AttributeError):
        return False


def _is_later(there: bytes | None, manifest: RunManifest) -> bool:
    """Whether another process has continued the run since."""
    resumed = RunManifest.model_validate_json(there or b"{}").resumed
    return resumed is not None and (manifest.resumed is None or resumed > manifest.resumed)
