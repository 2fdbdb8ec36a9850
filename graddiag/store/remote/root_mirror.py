"""The mirror of a remote root: the manifests and indexes of all runs under it, brought up to date with few requests.

Of runs that graddiag has uploaded, one listing of their heads tells which have changed. Runs that were copied there by
other means have no head: each takes a listing. What is listed for the first time comes from one object for all runs,
as far as a listing before has written it.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from graddiag.store.files import ANNOTATIONS, INDEX, MANIFEST, read_file, replace_text
from graddiag.store.remote.layout import ANNOTATED, HEADS, HEADS_INDEX, OWN, head_of, pack, unpack
from graddiag.store.remote.mirror import STATE, mirror_listed, put, reading, state_of
from graddiag.store.remote.objects import AT_A_TIME, Listing, ObjectStore, RemoteError
from graddiag.store.remote.places import mirror_of, url_of_mirror
from graddiag.store.remote.urls import RemoteUrl
from graddiag.store.root_index import ROOT_INDEX, IndexRow, read_root_index, write_root_index

HEAD: Final = "head"
SUMMARY: Final = "overview.json"
_KEPT: Final = ".graddiag-heads"  # in the mirror of a root: the object for all runs, as it was read or written last
_FORMAT: Final = "1"
_FEW, _STALE = 20, 0.05  # runs, and the share of all, that may be read one by one each time

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class _Known:
    """What a root holds: heads and annotations of runs with their versions, runs without a head, and the version of the
    object for all runs."""

    heads: Mapping[str, str]
    annotations: Mapping[str, str]
    others: Mapping[str, Listing]
    index: str | None

    @property
    def runs(self) -> set[str]:
        return {*self.heads, *self.others}

    def versions(self, run: str) -> dict[str, str]:
        """The versions of what the mirror of a run with a head is made of."""
        found = {HEAD: self.heads[run]}
        return found | ({ANNOTATIONS: self.annotations[run]} if run in self.annotations else {})


def mirror_root(url: RemoteUrl) -> Path:
    """The folder that mirrors the root at ``url`` as it is now.

    Raises:
        InputError: the store cannot be reached, or refuses.
    """
    with reading(url):
        objects, folder = ObjectStore(url), mirror_of(url)
        known = _known(objects)
        _remove_gone(folder, known.runs)
        due = [run for run in known.heads if state_of(folder / run) != known.versions(run)]
        if len(due) > _FEW:
            due = _from_index(objects, folder, known, due)
        _from_heads(objects, folder, known, due)
        _each(lambda run: mirror_listed(ObjectStore(url / run), known.others[run]), known.others)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def share_index(folder: Path) -> None:
    """Of a ``folder`` that mirrors a root: writes the object for all runs anew, with what has been judged here, where a
    good part of it is out of date. A root that cannot be written stays as it is."""
    url = url_of_mirror(folder)
    if url is None:
        return
    before = read_root_index(folder / _KEPT, _FORMAT)
    rows = dict(_rows(folder))
    changed = sum(before.get(run) != row for run, row in rows.items())
    if changed <= max(_FEW, len(before) * _STALE):
        return
    (folder / _KEPT).mkdir(exist_ok=True)
    write_root_index(folder / _KEPT, _FORMAT, rows)
    with suppress(RemoteError):
        ObjectStore(url).write(HEADS_INDEX, (folder / _KEPT / ROOT_INDEX).read_bytes())


def _known(objects: ObjectStore) -> _Known:
    """Two listings, and one for each experiment and each run without a head."""
    with ThreadPoolExecutor(1) as thread:
        heads_and_more = thread.submit(objects.found, OWN)
        top = objects.listed()
        own = heads_and_more.result()
    heads = dict(_under(HEADS, own))
    folders = [name for name in top.folders if not name.startswith(".")]
    inside = _listings(objects, [name for name in folders if name not in heads])
    inner = [f"{name}/{each}" for name, found in inside.items() if not _is_run(found) for each in found.folders]
    inner = [run for run in inner if "/." not in run]
    below = _listings(objects, [run for run in inner if run not in heads])
    there = {*folders, *inner}
    return _Known(
        {run: version for run, version in heads.items() if run in there},
        dict(_under(ANNOTATED, own)),
        {run: found for run, found in (inside | below).items() if _is_run(found)},
        own.get(HEADS_INDEX.removeprefix(f"{OWN}/")),
    )


def _listings(objects: ObjectStore, prefixes: Sequence[str]) -> dict[str, Listing]:
    return dict(zip(prefixes, _each(objects.listed, prefixes), strict=True))


def _under(prefix: str, own: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Runs by the objects of graddiag under ``prefix``."""
    start = prefix.removeprefix(f"{OWN}/") + "/"
    for name, version in own.items():
        run = name.removeprefix(start).removesuffix(".json")
        if name.startswith(start) and ".." not in run.split("/") and len(run.split("/")) <= 2:
            yield run, version


def _is_run(found: Listing) -> bool:
    return bool({MANIFEST, INDEX} & found.versions.keys())


def _remove_gone(folder: Path, runs: set[str]) -> None:
    """Removes the mirrors of runs that are not there any more."""
    for state in (*folder.glob(f"*/{STATE}"), *folder.glob(f"*/*/{STATE}")):
        if state.parent.relative_to(folder).as_posix() not in runs:
            shutil.rmtree(state.parent, ignore_errors=True)
            with suppress(OSError):
                state.parent.parent.rmdir()


def _from_index(objects: ObjectStore, folder: Path, known: _Known, due: Sequence[str]) -> list[str]:
    """Mirrors the runs whose present state is in the object for all runs; the others of ``due``."""
    if known.index is None:
        return list(due)
    (folder / _KEPT).mkdir(parents=True, exist_ok=True)
    objects.download({HEADS_INDEX: folder / _KEPT / ROOT_INDEX})
    rows, left = read_root_index(folder / _KEPT, _FORMAT), []
    for run in due:
        row = rows.get(run)
        if row is None or row.state != _state(known.versions(run)):
            left.append(run)
            continue
        files = unpack(row.content.encode())
        put(folder / run, {name: content for name, content in files.items() if name != SUMMARY}, known.versions(run))
        if SUMMARY in files:
            replace_text(folder / run / SUMMARY, files[SUMMARY].decode(), durable=False)
    return left


def _from_heads(objects: ObjectStore, folder: Path, known: _Known, due: Sequence[str]) -> None:
    """Mirrors runs by their heads, which are read at the same time; one whose head is damaged by its own files."""
    annotated = [run for run in due if run in known.annotations]
    found = objects.read([*map(head_of, due), *(f"{ANNOTATED}/{run}.json" for run in annotated)])
    for run in due:
        files = unpack(found.get(head_of(run), b""))
        if not files:
            run_objects = ObjectStore(objects.url / run)
            mirror_listed(run_objects, run_objects.listed())
            continue
        notes = found.get(f"{ANNOTATED}/{run}.json")
        put(folder / run, files | ({} if notes is None else {ANNOTATIONS: notes}), known.versions(run))


def _rows(folder: Path) -> Iterator[tuple[str, IndexRow]]:
    """What the object for all runs says of each that is mirrored by its head."""
    for path in sorted((*folder.glob(f"*/{STATE}"), *folder.glob(f"*/*/{STATE}"))):
        place, state = path.parent, state_of(path.parent)
        if HEAD in state:
            names = [name for name in (MANIFEST, INDEX, ANNOTATIONS, SUMMARY) if (place / name).is_file()]
            names += [each.relative_to(place).as_posix() for each in place.glob("ranks/*/*.json")]
            content = pack({name: read_file(place / name) for name in names}).decode()
            yield place.relative_to(folder).as_posix(), IndexRow(_state(state), content)


def _state(versions: Mapping[str, str]) -> str:
    return " ".join(f"{name}={versions[name]}" for name in sorted(versions))


def _each(call: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """``call`` of each item, several at the same time."""
    given = list(items)
    if len(given) < 2:
        return [call(item) for item in given]
    with ThreadPoolExecutor(min(AT_A_TIME, len(given)), thread_name_prefix="graddiag-list") as threads:
        return list(threads.map(call, given))
