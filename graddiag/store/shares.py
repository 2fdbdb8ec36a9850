"""Tables of a run whose parameters are sharded over its ranks: the shares of all ranks, put together.

Each rank wrote what it has of a parameter (``graddiag.run.RankShares``). Norms are the root of the sum of squares over
the ranks, in float64; zeros and entries that are NaN or inf are sums; an update ratio is the norm of the update, which
ranks write in its place, over that of the weights. What a rank has not written is missing in the whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from graddiag import schema
from graddiag.run import RankShares, Run, numbers
from graddiag.store.arrow import to_frame

RANKS: Final = "ranks"
"""The folder inside that of a run with one for each rank but 0."""

_SQUARES: Final = (schema.GRAD_NORM, schema.GRAD_NORM_CLIPPED)
_OF_STEPS: Final = (*_SQUARES, schema.NONFINITE, schema.CLIP_COEFFICIENT, schema.UPDATE_RATIO, schema.GRAD_COSINE)
_OF_PARAMETERS: Final = (*_SQUARES, schema.ZEROS, schema.WEIGHT_NORM, schema.UPDATE_RATIO)
_WEIGHT_AND_UPDATE: Final = (schema.WEIGHT_NORM, schema.UPDATE_RATIO)
_COMBINED: Final = {schema.TABLE_STEPS: _OF_STEPS, schema.TABLE_PARAMETERS: _OF_PARAMETERS}

Values = NDArray[np.float64]


def rank_folders(folder: Path) -> list[Path]:
    """The folders of the other ranks; none where a rank has recorded more than one run, and which one counts is not
    known."""
    found = sorted(each for each in (folder / RANKS).glob("rank-*") if each.is_dir())
    ranks = [each.name.removeprefix("rank-") for each in found]
    return found if all(each.isdigit() for each in ranks) else []


@dataclass(frozen=True)
class SharedReader:
    """Reads tables of rank 0, with what the ``others`` have of each parameter. ``ranks`` has rank 0 first."""

    shares: RankShares
    ranks: Sequence[Run]

    def __call__(
        self, table: str, *, columns: Sequence[str] | None = None, where: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        combined, given = _COMBINED.get(table, ()), where or {}
        own = self.ranks[0].read
        if not combined or (columns is not None and not set(combined) & {*columns, *given}):
            return own(table, columns=columns, where=where)
        keys = {name: value for name, value in given.items() if name not in combined}
        frame = own(table, where=keys)
        found = self._steps(frame) if table == schema.TABLE_STEPS else self._parameters(frame)
        before = frame[schema.STEP].to_numpy() < self.shares.since
        frame = frame.assign(**{name: _column(each, frame[name], before) for name, each in found.items()})
        for name in given.keys() & set(combined):
            wanted = given[name] if isinstance(given[name], list | tuple | range) else [given[name]]
            frame = frame[frame[name].isin(wanted)].reset_index(drop=True)
        return frame if columns is None else frame[list(columns)]

    def _steps(self, frame: pd.DataFrame) -> "dict[str, _Numbers]":
        """Totals over all parameters, which every rank that has an entry of one has to have written."""
        names = [schema.STEP, *_SQUARES, schema.NONFINITE]
        steps = frame[schema.STEP].to_numpy()
        counted = [run for run in self.ranks if any(_own(run).values())]
        parts = [_at(_read(run, schema.TABLE_STEPS, names, steps), steps) for run in counted]
        whole = all(_covered(self.ranks, name) for name in self.shares.total)
        norms = {name: _root([part[name] for part in parts], whole) for name in _SQUARES}
        before, after = (norms[name] for name in _SQUARES)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(before.values == 0, 1.0, after.values / before.values)
        nothing = _Numbers(np.full(len(steps), np.nan), np.ones(len(steps), bool))
        return {
            **norms,
            schema.NONFINITE: _sum([part[schema.NONFINITE] for part in parts], whole),
            schema.CLIP_COEFFICIENT: _Numbers(ratio, before.missing | after.missing),
            schema.UPDATE_RATIO: self._update_ratio(steps),
            schema.GRAD_COSINE: nothing,
        }

    def _update_ratio(self, steps: NDArray[Any]) -> "_Numbers":
        """Update over weights for the parameters that were updated, of the steps whose parameters were recorded."""
        own = _read(self.ranks[0], schema.TABLE_PARAMETERS, [*_KEYS, schema.UPDATE_RATIO], steps)
        others = self.ranks[0].manifest.not_in_optimizer or ()
        own = own[own[schema.STEP].isin(steps)]
        own = own[~numbers(own[schema.UPDATE_RATIO])[1] & ~own[schema.PARAMETER].isin(others).to_numpy()]
        found = self._parameters(own, divided=False)
        places = pd.Index(steps).get_indexer(own[schema.STEP])
        weight, update = (_root_by_place(found[name], places, len(steps)) for name in _WEIGHT_AND_UPDATE)
        return _relative(update, weight)

    def _parameters(self, frame: pd.DataFrame, *, divided: bool = True) -> "dict[str, _Numbers]":
        """Of each row of rank 0; ``divided``: the update ratio, else the norm of the update."""
        rows = pd.MultiIndex.from_frame(frame[_KEYS])
        names = frame[schema.PARAMETER].to_numpy()
        steps = frame[schema.STEP].unique()
        covered = {name: _covered(self.ranks, name) for name in frame[schema.PARAMETER].unique()}
        whole = np.array([covered[name] for name in names], dtype=bool)
        parts: dict[str, list[_Numbers]] = {name: [] for name in _OF_PARAMETERS}
        for run in self.ranks:
            own = _own(run)
            needed = np.array([own.get(name, 0) > 0 for name in names], dtype=bool)
            found = _read(run, schema.TABLE_PARAMETERS, [*_KEYS, *_OF_PARAMETERS], steps)
            for name, each in _at(found, rows).items():
                parts[name].append(each.only(needed))
        roots = (*_SQUARES, schema.WEIGHT_NORM, schema.UPDATE_RATIO)
        combined = {name: _root(parts[name], whole) for name in roots}
        if divided:
            combined[schema.UPDATE_RATIO] = _relative(combined[schema.UPDATE_RATIO], combined[schema.WEIGHT_NORM])
        return {**combined, schema.ZEROS: _sum(parts[schema.ZEROS], whole)}


_KEYS: Final = [schema.STEP, schema.PARAMETER]


@dataclass(frozen=True)
class _Numbers:
    """values [rows], NaN where missing; missing [rows]."""

    values: Values
    missing: NDArray[np.bool_]

    def only(self, needed: NDArray[np.bool_]) -> "_Numbers":
        """The same where it is needed; 0 elsewhere, and not missing."""
        return _Numbers(np.where(needed, self.values, 0.0), self.missing & needed)


def _own(run: Run) -> Mapping[str, int]:
    return {} if run.manifest.shares is None else run.manifest.shares.own


def _covered(ranks: Sequence[Run], name: str) -> bool:
    """Whether the shares that the ranks have of a parameter are all of it, each entry once."""
    shares = [run.manifest.shares for run in ranks]
    total = None if shares[0] is None else shares[0].total.get(name)
    return sum(each.own.get(name, 0) for each in shares if each is not None) == total


def _read(run: Run, table: str, columns: Sequence[str], steps: NDArray[Any]) -> pd.DataFrame:
    """The rows of the range of ``steps``."""
    if not len(steps):
        return run.read(table, columns=columns, where={schema.STEP: []})
    return run.read(table, columns=columns, where={schema.STEP: range(int(steps.min()), int(steps.max()) + 1)})


def _at(frame: pd.DataFrame, rows: Any) -> dict[str, _Numbers]:
    """The columns beside the keys, in the order of ``rows``; missing where the frame has no such row."""
    keys = [name for name in _KEYS if name in frame]
    index = pd.MultiIndex.from_frame(frame[keys]) if len(keys) > 1 else pd.Index(frame[keys[0]])
    places = index.get_indexer(rows)
    found = {}
    for name in frame.columns.difference(keys):
        values, missing = numbers(frame[name])
        there = places >= 0
        values, missing = np.append(values, np.nan)[places], np.append(missing, True)[places]
        found[name] = _Numbers(values, missing | ~there)
    return found


def _root(parts: Sequence[_Numbers], whole: Any) -> _Numbers:
    total = _sum([replace(part, values=part.values**2) for part in parts], whole)
    return replace(total, values=np.sqrt(total.values))


def _root_by_place(norms: _Numbers, places: NDArray[Any], count: int) -> _Numbers:
    """The root of the sum of squares of the rows at each of ``count`` places. NaN is kept; missing where a row is
    missing, or there is none."""
    totals = np.bincount(places, norms.values**2, count)
    there = np.bincount(places, minlength=count) > 0
    return _Numbers(np.sqrt(totals), ~there | (np.bincount(places, norms.missing, count) > 0))


def _relative(change: _Numbers, size: _Numbers) -> _Numbers:
    """change / size; what did not change did so by 0, be its size 0 as well."""
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(change.values == 0, 0.0, change.values / size.values)
    return _Numbers(values, change.missing | size.missing)


def _sum(parts: Sequence[_Numbers], whole: Any) -> _Numbers:
    """Over the ranks. Missing where one is, or the ranks that are there are not the ``whole``."""
    values = np.sum([part.values for part in parts], axis=0)
    return _Numbers(values, np.any([part.missing for part in parts], axis=0) | ~np.asarray(whole))


def _column(found: _Numbers, raw: "pd.Series[Any]", before: NDArray[np.bool_]) -> "pd.Series[Any]":
    """The combined column, with the type of the ``raw`` one, whose rows ``before`` sharding stay as they are."""
    values, missing = numbers(raw)
    values, missing = np.where(before, values, found.values), np.where(before, missing, found.missing)
    kind = raw.dtype.pyarrow_dtype if isinstance(raw.dtype, pd.ArrowDtype) else pa.from_numpy_dtype(raw.dtype)
    if pa.types.is_integer(kind):
        values = np.where(missing, 0, values)
    column = pa.array(values.astype(kind.to_pandas_dtype()), kind, mask=missing, from_pandas=False)
    return to_frame(pa.table({"value": column}))["value"]
