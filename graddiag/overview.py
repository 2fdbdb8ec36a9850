"""The runs under a root with outcome, cause and course: ``list_runs`` as a table, ``overview`` for a page."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from graddiag import __version__, schema
from graddiag.analysis import RULES_VERSION, Thresholds, diagnose, final_loss
from graddiag.analysis.values import Floats
from graddiag.errors import RunFormatError
from graddiag.run import Run, RunManifest, numbers
from graddiag.store import (
    ANNOTATIONS,
    IndexRow,
    as_left,
    fingerprint,
    frame_of,
    leads_out,
    load_run,
    local_root,
    local_run,
    part_sizes,
    read_file,
    read_manifest,
    read_root_index,
    replace_text,
    run_folders,
    share_index,
    write_root_index,
)

POINTS: Final = 40

Spark = tuple[float | None, ...]


def spark(values: Floats, missing: NDArray[np.bool_], *, peaks: bool = False, points: int = POINTS) -> Spark:
    """``values`` [n] in at most ``points`` numbers of four digits, each of as many steps: their mean, or with ``peaks``
    log10 of the largest, so that none is lost. None where no value is finite (with ``peaks``: and above 0)."""
    usable = np.isfinite(values) & ~missing & (~np.bool_(peaks) | (values > 0))
    parts = [part for part in np.array_split(np.arange(len(values)), min(points, len(values)) or 1) if len(part)]
    return tuple(_one(values[part][usable[part]], peaks) for part in parts)


def _one(found: Floats, peaks: bool) -> float | None:
    if not len(found):
        return None
    with np.errstate(over="ignore"):
        value = float(np.log10(found.max())) if peaks else float(found.mean())
    return float(f"{value:.4g}") if np.isfinite(value) else None


DAMAGED: Final = "damaged"
CACHE: Final = "overview.json"

_OF_MANIFEST: Final = (
    schema.EXPERIMENT,
    schema.ARM,
    schema.SEED,
    schema.TASK,
    schema.MODEL,
    schema.CLIP,
)
_JUDGED: Final = (schema.OUTCOME, schema.CAUSE, schema.VERDICT)
RUN_LIST_DTYPES: Final[dict[str, schema.DType]] = {
    **dict.fromkeys(schema.RUN_LIST_COLUMNS, "string"),
    schema.SEED: "int64",
    schema.STEPS: "int64",
    schema.FINAL_LOSS: "float64",
}
_WATCHED: Final = ("manifest.json", "tables.json", ANNOTATIONS, CACHE)  # a run is read again when one of them changes
_PAUSE: Final = 0.25  # seconds between two words about progress
_FEW, _STALE = 20, 0.05  # runs, and the share of the index, that may be read from their folders each time
_GROWN: Final = 1.1  # a running run is judged again when it has so many times the steps


class _Summary(BaseModel):
    """What a listing needs of the tables. ``key`` says of which state of the run, by which graddiag; ``check`` is a
    digest of the rest, so that a damaged file is never believed."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    key: str
    steps: int
    final_loss: float | None
    outcome: str
    cause: str | None
    verdict: str
    judged: int
    loss: Spark
    norm: Spark
    check: str = ""

    def signed(self) -> "_Summary":
        return self.model_copy(update={"check": self._digest()})

    @property
    def intact(self) -> bool:
        """Whether it is as it was written."""
        return self.check == self._digest()

    def _digest(self) -> str:
        return blake2b(self.model_dump_json(exclude={"check"}).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class RunEntry:
    """One run of a listing. ``run`` is its folder relative to the root.

    status: that of the manifest, or ``damaged``; final_loss: NaN if it ended so, None without any; outcome, cause and
    verdict: those of ``diagnose``, None while the diagnosis is pending; cause: None too where none was found. loss and
    norm: their course in at most 40 points, the norm before clipping as log10 of the largest; None where nothing finite
    was recorded. reason: why a damaged run cannot be read.
    """

    run: str
    manifest: RunManifest | None = None
    status: str = DAMAGED
    steps: int | None = None
    final_loss: float | None = None
    outcome: str | None = None
    cause: str | None = None
    verdict: str | None = None
    loss: Spark = ()
    norm: Spark = ()
    reason: str | None = None

    @property
    def settings(self) -> dict[str, str]:
        """What the run can be filtered by: its own words first, then every key of its configuration, nested ones
        with dots."""
        m = self.manifest
        if m is None:
            return {schema.STATUS: self.status}
        own = {name: getattr(m, name) for name in _OF_MANIFEST}
        judged = {name: getattr(self, name) for name in _JUDGED}
        named = {schema.STATUS: self.status, **judged, **own}
        found = {name: str(value) for name, value in named.items() if value is not None}
        return dict(_flattened(m.config)) | found


OnProgress = Callable[[str], None]


def list_runs(root: Path | str = "runs", *, on_progress: OnProgress | None = None) -> pd.DataFrame:
    """The runs under ``root``, a row each, in the order of creation; an empty frame where there are none.

    ``run`` is the folder relative to ``root``, ``steps`` counts the updates recorded so far, ``final_loss`` is the
    mean over the last 5% of the steps with a loss (NaN if one of them was, null without any), ``outcome``, ``cause``
    (null where none was found) and ``verdict`` are those of ``diagnose``; a running run is diagnosed again whenever it
    has grown by a tenth. A run that cannot be read has the status ``damaged``, comes last, and ``reason`` says why.
    The diagnosis of an unchanged run is kept in its folder, where that can be written.

    Args:
        on_progress: called with how many runs have been read, a few times a second.
    """
    return frame_of([_row(entry) for entry in overview(root, on_progress=on_progress)], RUN_LIST_DTYPES)


def overview(
    root: Path | str = "runs", *, seconds: float | None = None, on_progress: OnProgress | None = None
) -> list[RunEntry]:
    """The runs under ``root`` in the order of creation, the damaged ones last.

    What is read of a finished run is kept, in its folder and in one index of the root, as far as these can be written.

    Args:
        seconds: how long runs may be judged that have not been yet; those that are left have no verdict until a later
            call comes to them. None judges all.
        on_progress: as for ``list_runs``.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    here = local_root(root)
    known = _known(Path(os.path.abspath(here)))
    folders = run_folders(here)
    entries = [_entry(here, folder, deadline, known) for folder in _counted(folders, on_progress)]
    known.keep()
    share_index(here)
    return sorted(entries, key=_order)


def _counted(folders: Sequence[Path], on_progress: OnProgress | None) -> Iterator[Path]:
    said = time.monotonic()
    for number, folder in enumerate(folders):
        if on_progress is not None and time.monotonic() - said > _PAUSE:
            said = time.monotonic()
            on_progress(f"read {number:,} of {len(folders):,} runs")
        yield folder


def run_entry(folder: Path | str) -> RunEntry:
    """The entry of the one run in ``folder``, judged where it has not been yet."""
    here = local_run(folder)
    return _entry(here.parent, here, None, _known(Path(os.path.abspath(here)).parent))


def current(entry: RunEntry) -> RunEntry:
    """The entry with the status that it has by now: that its process was killed is written nowhere."""
    if entry.manifest is None or entry.status == DAMAGED:
        return entry
    manifest = as_left(entry.manifest)
    return entry if manifest is entry.manifest else replace(entry, manifest=manifest, status=manifest.status)


def _order(entry: RunEntry) -> tuple[bool, float, str]:
    created = entry.manifest.created.timestamp() if entry.manifest else 0.0
    return entry.status == DAMAGED, created, entry.run


def _row(entry: RunEntry) -> dict[str, Any]:
    own = {name: getattr(entry, name) for name in (schema.RUN, schema.STATUS, schema.STEPS, schema.FINAL_LOSS)}
    settings = {name: getattr(entry.manifest, name) for name in _OF_MANIFEST} if entry.manifest else {}
    return {**own, **settings, **{name: getattr(entry, name) for name in (*_JUDGED, schema.REASON)}}


def _entry(root: Path, folder: Path, deadline: float | None, kept: "_KnownRuns") -> RunEntry:
    """The entry of one run. Whatever its folder holds, the other runs are listed."""
    link, manifest = folder.relative_to(root).as_posix(), None
    if leads_out(root, folder):
        return RunEntry(link, reason=f"{folder} is a link to {os.path.realpath(folder)}, which is not under the root.")
    try:
        known = kept.read(folder, link)
        if isinstance(known, RunEntry):
            return current(known)
        manifest, before = known
        summary = _summary(folder, manifest, before, judge=deadline is None or time.monotonic() < deadline)
        return current(_complete(link, manifest, summary))
    except RunFormatError as error:  # what was read before the damage was met is shown
        return RunEntry(link, manifest, reason=str(error))
    except Exception as error:
        return RunEntry(link, manifest, reason=f"{folder} cannot be read: {type(error).__name__}: {error}")


def _stamp(folder: str) -> tuple[tuple[int, int, int] | None, ...]:
    """Changes whenever a file does that an entry is made of: each is replaced as a whole."""
    return tuple(_state(os.path.join(folder, name)) for name in _WATCHED)


def _state(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class _KnownRuns:
    """What has been read of the runs under a root: in this process, and by others, from the index of the root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._read: dict[str, tuple[_Stamp, RunEntry | tuple[RunManifest, _Summary | None]]] = {}
        self._rows = read_root_index(root, _index_version())
        self._new: dict[str, IndexRow] = {}

    def read(self, folder: Path, link: str) -> RunEntry | tuple[RunManifest, _Summary | None]:
        """The entry of a run whose summary is up to date; else its manifest and the summary there is."""
        stamp = _stamp(os.fspath(folder))
        before = self._read.get(link)
        if before is None or before[0] != stamp:
            before = self._read[link] = stamp, self._from_files(folder, link, stamp)
        return before[1]

    def keep(self) -> None:
        """Writes the index anew where a good part of it is out of date, so that it costs little in all."""
        if len(self._new) > max(_FEW, len(self._rows) * _STALE):
            here = {link: row for link, row in (self._rows | self._new).items() if link in self._read}
            write_root_index(self.root, _index_version(), here)
            self._rows, self._new = here, {}

    def _from_files(self, folder: Path, link: str, stamp: "_Stamp") -> RunEntry | tuple[RunManifest, _Summary | None]:
        state = f"{stamp} {part_sizes(folder)}"
        row = self._rows.get(link)
        if row is not None and row.state == state and (found := _of_row(folder, link, row)) is not None:
            return found
        try:
            manifest = read_manifest(folder)
        except RunFormatError as error:
            return RunEntry(link, reason=str(error))
        kept = _kept(folder)
        if kept is None or kept.key != _key(folder):
            return manifest, kept
        self._new[link] = IndexRow(state, _Indexed(manifest=manifest, summary=kept).model_dump_json())
        return _complete(link, manifest, kept)


_Stamp = tuple[tuple[int, int, int] | None, ...]
_known = lru_cache(maxsize=8)(_KnownRuns)


class _Indexed(BaseModel):
    """The content of a row of the index."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    manifest: RunManifest
    summary: _Summary


def _of_row(folder: Path, link: str, row: IndexRow) -> RunEntry | None:
    try:
        found = _Indexed.model_validate_json(row.content)
    except ValidationError:
        return None
    return _complete(link, found.manifest, found.summary)


def _index_version() -> str:
    return f"{__version__} {schema.SCHEMA_VERSION} {RULES_VERSION} {Thresholds()}"


def _complete(link: str, manifest: RunManifest, summary: _Summary | None) -> RunEntry:
    if summary is None:
        return RunEntry(link, manifest, manifest.status)
    found: dict[str, Any] = {name: getattr(summary, name) for name in ("steps", "final_loss", "loss", "norm")}
    found |= {name: getattr(summary, name) or None for name in _JUDGED}
    return RunEntry(link, manifest, manifest.status, **found)


def _kept(folder: Path) -> _Summary | None:
    try:
        found = _Summary.model_validate_json(read_file(folder / CACHE))
    except (OSError, ValidationError, RunFormatError):
        return None
    return found if found.intact else None


def _key(folder: Path) -> str:
    return f"{__version__} {RULES_VERSION} {fingerprint(folder)} {part_sizes(folder)} {Thresholds()}"


def _summary(folder: Path, manifest: RunManifest, before: _Summary | None, *, judge: bool) -> _Summary:
    """The summary of a run as it stands, which is kept in its folder once it has been judged."""
    key, run = _key(folder), load_run(folder)
    found = _summarised(run, key)
    if before is not None and manifest.status == "running" and found.steps < before.judged * _GROWN:
        kept = {name: getattr(before, name) for name in (*_JUDGED, "judged")}
        found = found.model_copy(update=kept)
    elif judge:
        found = found.model_copy(update={**_judged(folder, key), "judged": found.steps})
    if found.verdict:
        with suppress(OSError):  # a root that cannot be written can still be listed
            replace_text(folder / CACHE, found.signed().model_dump_json(), durable=False)
    return found


@lru_cache(maxsize=4096)
def _judged(folder: Path, key: str) -> Mapping[str, str | None]:
    """The diagnosis of the run in the state that ``key`` names; made once, even where the folder cannot be written."""
    found = diagnose(load_run(folder))
    return dict(zip(_JUDGED, (found.outcome.name, found.cause, found.verdict), strict=True))


def _summarised(run: Run, key: str) -> _Summary:
    frame = run.read(schema.TABLE_STEPS, columns=[schema.LOSS, schema.GRAD_NORM])
    loss, norm = (numbers(frame[name]) for name in (schema.LOSS, schema.GRAD_NORM))
    return _Summary(
        key=key,
        steps=len(frame),
        final_loss=final_loss(run),
        outcome="",
        cause=None,
        verdict="",
        judged=0,
        loss=spark(*loss),
        norm=spark(*norm, peaks=True),
    )


def _flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", str(value)
