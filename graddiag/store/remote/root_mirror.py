"""The mirror of a remote root: the manifests and indexes of all runs under it, brought up to date with few requests.

Of runs that graddiag has uploaded, one listing of their heads tells which have changed. Runs that were copied there by
other means have no head: each takes a listing. What is listed for the first time comes from one object for all runs,
as far as a listing before has written it.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Final, TypeVar

from graddiag.store.files import ANNOTATIONS, INDEX, MANIFEST, read_file, replace_text
from graddiag.store.remote.layout import ANNOTATED, HEADS, HEADS_INDEX, OWN, annotations_of_run, head_of, pack, unpack
from graddiag.store.remote.mirror import STATE, is_at, mirror_listed, put, reading, state_of
from graddiag.store.remote.objects import AT_A_TIME, Listing, ObjectStore, RemoteError
from graddiag.store.remote.places import mirror_of, name_inside, run_inside, url_of_mirror
from graddiag.store.remote.urls import RemoteUrl
from graddiag.store.root_index import ROOT_INDEX, IndexRow, read_root_index, write_root_index

HEAD, HEAD_ABOVE = "head", "head above"  # keys of the state of a mirror
SUMMARY: Final = "overview.json"
_KEPT: Final = ".graddiag-heads"  # in the mirror of a root: the object for all runs, as it was read or written last
_CHECKED: Final = "checked"  # beside it: what the mirror was like when it was compared last
_FORMAT: Final = "1"
_KINDS: Final = tuple(each.removeprefix(f"{OWN}/") for each in (HEADS, ANNOTATED))
_FEW, _STALE = 20, 0.05  # runs, and the share of all, that may be read one by one each time

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class _Heads:
    """What a root keeps of all runs: objects by name, with their versions. prefix: of the names of the runs that are
    looked for."""

    objects: ObjectStore
    prefix: str
    own: Mapping[str, str]

    @cached_property
    def versions(self) -> Mapping[str, str]:
        """Of the heads, by run."""
        return dict(self._under(_KINDS[0]))

    @cached_property
    def annotations(self) -> Mapping[str, str]:
        """Versions of the annotations, by run."""
        return dict(self._under(_KINDS[1]))

    @property
    def index(self) -> str | None:
        """The version of the object for all runs."""
        return None if self.prefix else self.own.get(HEADS_INDEX.removeprefix(f"{OWN}/"))

    def state(self, run: str) -> dict[str, str]:
        """The versions of what the mirror of a run is made of."""
        found = {HEAD_ABOVE if self.prefix else HEAD: self.versions[run]}
        return found | ({ANNOTATED: self.annotations[run]} if run in self.annotations else {})

    def read(self, runs: Sequence[str]) -> dict[str, dict[str, bytes]]:
        """The files of runs out of their heads and annotations, which are read at the same time."""
        annotated = [run for run in runs if run in self.annotations]
        heads = {run: head_of(self.prefix + run) for run in runs}
        notes = {run: annotations_of_run(self.prefix + run) for run in annotated}
        found = self.objects.read([*heads.values(), *notes.values()])
        files = {run: unpack(found.get(name, b"")) for run, name in heads.items()}
        return {
            run: each | ({ANNOTATIONS: found[notes[run]]} if notes.get(run) in found else {})
            for run, each in files.items()
            if each
        }

    def _under(self, kind: str) -> Iterator[tuple[str, str]]:
        start = f"{kind}/{self.prefix}"
        for name, version in self.own.items():
            run = name.removeprefix(start).removesuffix(".json")
            if name.startswith(start) and ".." not in run.split("/") and len(run.split("/")) <= 2:
                yield run, version


@dataclass(frozen=True)
class _Known:
    """What a root holds: runs with a head, and runs without one as they are listed."""

    heads: _Heads
    headed: set[str]
    others: Mapping[str, Listing]


def mirror_root(url: RemoteUrl) -> Path:
    """The folder that mirrors the root, or the run, at ``url`` as it is now.

    Raises:
        InputError: the store cannot be reached, or refuses.
    """
    with reading(url):
        objects, folder = ObjectStore(url), mirror_of(url)
        top = objects.listed()
        if _is_run(top):
            return mirror_listed(objects, top)
        known = _known(objects, top)
        _remove_gone(folder, known.headed | known.others.keys())
        due = [run for run in sorted(known.headed) if not is_at(run_inside(folder, run), known.heads.state(run))]
        if len(due) > _FEW:
            due = _from_index(folder, known.heads, due)
        _from_heads(objects, folder, known.heads, due)
        _each(lambda run: mirror_listed(ObjectStore(url / run), known.others[run]), known.others)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def share_index(folder: Path) -> None:
    """Of a ``folder`` that mirrors a root: writes the object for all runs anew, with what has been judged here, where a
    good part of it is out of date. A root that cannot be written stays as it is."""
    url = url_of_mirror(folder)
    if url is None:
        return
    (folder / _KEPT).mkdir(parents=True, exist_ok=True)
    seen, checked = _signature(folder), folder / _KEPT / _CHECKED
    if checked.is_file() and checked.read_text() == seen:
        return
    before, rows = read_root_index(folder / _KEPT, _FORMAT), dict(_rows(folder))
    if sum(before.get(run) != row for run, row in rows.items()) > max(_FEW, len(before) * _STALE):
        write_root_index(folder / _KEPT, _FORMAT, rows)
        with suppress(RemoteError):
            ObjectStore(url).write(HEADS_INDEX, (folder / _KEPT / ROOT_INDEX).read_bytes())
    replace_text(checked, seen, durable=False)


def _signature(folder: Path) -> str:
    """Changes whenever a run is mirrored or judged; it opens no file."""
    digest = blake2b(digest_size=16)
    for place in _mirrored(folder):
        for name in (STATE, SUMMARY):
            with suppress(OSError):
                digest.update(f"{place} {name} {os.stat(place / name).st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _mirrored(folder: Path) -> list[Path]:
    """The mirrors of runs under that of a root."""
    return sorted(state.parent for level in ("*", "*/*") for state in folder.glob(f"{level}/{STATE}"))


def _known(objects: ObjectStore, top: Listing) -> _Known:
    """A listing of what graddiag keeps of all runs, and one for each experiment and each run without a head."""
    heads = _heads_of(objects)
    folders = [name for name in top.folders if not name.startswith(".")]
    inside = _listings(objects, [name for name in folders if name not in heads.versions])
    inner = [f"{name}/{each}" for name, found in inside.items() if not _is_run(found) for each in found.folders]
    inner = [run for run in inner if "/." not in run]
    below = _listings(objects, [run for run in inner if run not in heads.versions])
    there = {*folders, *inner}
    others = {run: found for run, found in (inside | below).items() if _is_run(found)}
    return _Known(heads, {run for run in heads.versions if run in there}, others)


def _heads_of(objects: ObjectStore) -> _Heads:
    """The heads of the runs under a root; where it has none, those that the root above has of these runs."""
    found = _Heads(objects, "", objects.found(OWN))
    above = objects.url.parent
    if found.versions or above is None:
        return found
    outer = ObjectStore(above)
    prefix = f"{objects.url.parts[-1]}/"
    own = {
        f"{kind}/{prefix}{name}": version
        for kind in _KINDS
        for name, version in outer.found(f"{OWN}/{kind}/{prefix}").items()
    }
    return _Heads(outer, prefix, own)


def _listings(objects: ObjectStore, prefixes: Sequence[str]) -> dict[str, Listing]:
    return dict(zip(prefixes, _each(objects.listed, prefixes), strict=True))


def _is_run(found: Listing) -> bool:
    return bool({MANIFEST, INDEX} & found.versions.keys())


def _remove_gone(folder: Path, runs: set[str]) -> None:
    """Removes the mirrors of runs that are not there any more."""
    for place in _mirrored(folder):
        if name_inside(folder, place) not in runs:
            shutil.rmtree(place, ignore_errors=True)
            with suppress(OSError):
                place.parent.rmdir()


def _from_index(folder: Path, heads: _Heads, due: Sequence[str]) -> list[str]:
    """Mirrors the runs whose present state is in the object for all runs; the others of ``due``."""
    if heads.index is None:
        return list(due)
    (folder / _KEPT).mkdir(parents=True, exist_ok=True)
    heads.objects.download({HEADS_INDEX: folder / _KEPT / ROOT_INDEX})
    rows, left = read_root_index(folder / _KEPT, _FORMAT), []
    for run in due:
        row = rows.get(run)
        if row is None or row.state != _state(heads.state(run)):
            left.append(run)
            continue
        files = unpack(row.content.encode())
        put(
            run_inside(folder, run),
            {name: content for name, content in files.items() if name != SUMMARY},
            heads.state(run),
        )
        if SUMMARY in files:
            replace_text(run_inside(folder, run) / SUMMARY, files[SUMMARY].decode(), durable=False)
    return left


def _from_heads(objects: ObjectStore, folder: Path, heads: _Heads, due: Sequence[str]) -> None:
    """Mirrors runs by their heads; one whose head is damaged by its own files."""
    found = heads.read(due)
    for run in due:
        if run in found:
            put(run_inside(folder, run), found[run], heads.state(run))
        else:
            own = ObjectStore(objects.url / run)
            mirror_listed(own, own.listed())


def _rows(folder: Path) -> Iterator[tuple[str, IndexRow]]:
    """What the object for all runs says of each that is mirrored by its head."""
    for place in _mirrored(folder):
        state = state_of(place)
        if HEAD in state:
            names = [name for name in (MANIFEST, INDEX, ANNOTATIONS, SUMMARY) if (place / name).is_file()]
            names += [each.relative_to(place).as_posix() for each in place.glob("ranks/*/*.json")]
            content = pack({name: read_file(place / name) for name in names}).decode()
            yield name_inside(folder, place), IndexRow(_state(state), content)


def _state(versions: Mapping[str, str]) -> str:
    return " ".join(f"{name}={versions[name]}" for name in (HEAD, ANNOTATED) if name in versions)


def _each(call: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """``call`` of each item, several at the same time."""
    given = list(items)
    if len(given) < 2:
        return [call(item) for item in given]
    with ThreadPoolExecutor(min(AT_A_TIME, len(given)), thread_name_prefix="graddiag-list") as threads:
        return list(threads.map(call, given))
