"""The values that cross from the disk to everything downstream: a run's manifest, and the run itself."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from graddiag import schema
from graddiag.representation import notebook_html, one_line

P = ParamSpec("P")
R = TypeVar("R")


class MissingRows(BaseModel):
    """Rows of a table that were recorded and could not be written: from one step to another, both included."""

    model_config = ConfigDict(frozen=True)

    table: str
    first_step: int
    last_step: int
    rows: int
    reason: str

    def __str__(self) -> str:
        steps = f"step {self.first_step}"
        if self.last_step != self.first_step:
            steps = f"steps {self.first_step} to {self.last_step}"
        return f"{self.rows:,} rows of table {self.table}, {steps}, could not be written: {self.reason}"


class EarlierProcess(BaseModel):
    """What the manifest said of a process that recorded a run before the run was resumed: from which step on, with
    which settings, versions and environment, and how it ended."""

    model_config = ConfigDict(frozen=True)

    first_step: int = Field(default=0, ge=0)
    graddiag_version: str
    every: int = Field(default=1, ge=1)
    clip: str | None = None
    config: Mapping[str, Any] = Field(default_factory=dict)
    optimizer: Mapping[str, Any] | None = None
    versions: Mapping[str, str] = Field(default_factory=dict)
    environment: Mapping[str, str] = Field(default_factory=dict)
    status: schema.Status
    error: str | None = None
    started: datetime
    finished: datetime | None = None


class RankShares(BaseModel):
    """Of sharded parameters, by name: how many entries a rank counts, its ``own``, and how many there are in ``total``.

    From the step ``since`` on its tables hold what these entries have: the norms of them, their zeros over the size of
    the whole, and in place of an update ratio the norm of the update. ``graddiag.load_run`` puts the ranks together.
    """

    model_config = ConfigDict(frozen=True)

    since: int = Field(default=0, ge=0)
    own: Mapping[str, int]
    total: Mapping[str, int]


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


class RunManifest(BaseModel):
    """What a run is, apart from its numbers; the content of ``manifest.json``.

    ``clip`` is the policy as ``graddiag.clipping.parse`` reads it, or None where it was not given. A threshold
    means nothing without ``loss_reduction`` (mean or sum, over what). ``config`` is free, for filters and reports.
    ``optimizer`` holds the class and the first group's settings (``class``, ``lr``, ``momentum``, ``betas``, ...);
    ``not_in_optimizer`` and ``frozen`` name the trainable parameters that it does not hold and those with
    ``requires_grad=False``, as of the last recorded step. None of the three is known of runs before schema 3.
    ``writer`` names the process that writes a run, as long as it does (``graddiag.processes``). ``missing`` holds the
    rows that could not be written, of a disk that was full or gone for a while. Of a run that was resumed everything is
    of the process that recorded it last: from ``first_step`` on, since ``resumed``; ``earlier`` has those before it.
    ``shares``: where parameters are sharded over several ranks, what this one has of them.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    schema_version: int = schema.SCHEMA_VERSION
    graddiag_version: str
    id: str
    name: str
    experiment: str | None = None
    arm: str | None = None
    seed: int | None = None
    task: str | None = None
    model: str | None = None
    clip: str | None = None
    loss_reduction: str | None = None
    every: int = Field(default=1, ge=1)
    snapshot_every: int | None = Field(default=None, ge=1)
    config: Mapping[str, Any] = Field(default_factory=dict)
    optimizer: Mapping[str, Any] | None = None
    not_in_optimizer: tuple[str, ...] | None = None
    frozen: tuple[str, ...] | None = None
    versions: Mapping[str, str] = Field(default_factory=dict)
    environment: Mapping[str, str] = Field(default_factory=dict)
    tags: tuple[str, ...] = ()
    notes: str = ""
    status: schema.Status = "running"
    writer: str | None = None
    error: str | None = None
    missing: tuple[MissingRows, ...] = ()
    shares: RankShares | None = None
    created: datetime
    finished: datetime | None = None
    first_step: int = Field(default=0, ge=0)
    resumed: datetime | None = None
    earlier: tuple[EarlierProcess, ...] = ()

    @field_validator("created", "finished", "resumed")
    @classmethod
    def _check_time(cls, moment: datetime | None) -> datetime | None:
        """In UTC where no zone is given, and within the years that every library below can count in."""
        if moment is None:
            return None
        if moment.year not in range(1970, 2262):
            raise ValueError(f"a time of the year {moment.year}")
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def __repr__(self) -> str:
        own = ((name, getattr(self, name)) for name in ("task", "model", "clip", "seed"))
        known = [f"{name} {each}" for name, each in own if each is not None]
        return one_line(self, f"{run_title(self)}: {self.status}", *known)

    def _repr_html_(self) -> str:
        return notebook_html(self)

    @property
    def began_at(self) -> int:
        """The first step of the run: above 0 where the steps before are in another one."""
        return min((each.first_step for each in self.earlier), default=self.first_step)

    def to_frame(self) -> pd.DataFrame:
        """Everything it says, a row a ``setting`` with its ``value``; one inside another is named ``config.lr``."""
        rows = list(_flat(self.model_dump(mode="json")))
        return pd.DataFrame(
            {
                "setting": pd.Series([name for name, _ in rows], dtype=object),
                "value": pd.Series([value for _, value in rows], dtype=object),
            }
        )


def run_title(manifest: RunManifest) -> str:
    """The run's name, behind that of its experiment where it is part of one."""
    return f"{manifest.experiment}/{manifest.name}" if manifest.experiment else manifest.name


class TableReader(Protocol):
    """Reads some columns of one table, rows in the order of the keys.

    ``where`` holds by column the value that rows must have, or a list, tuple or range of such values.
    """

    def __call__(
        self, table: str, *, columns: Sequence[str] | None = None, where: Mapping[str, Any] | None = None
    ) -> pd.DataFrame: ...


@dataclass(frozen=True)
class Run:
    """One recorded training. Tables are read when asked for; a missing table is an empty frame with its columns.

    What a Run gives never changes, so what ``remembered`` analyses made of it stays in ``found``, as long as it lives.
    """

    manifest: RunManifest
    read: TableReader
    path: Path | None = None
    found: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __repr__(self) -> str:
        seed = None if self.manifest.seed is None else f"seed {self.manifest.seed}"
        return one_line(self, f"{run_title(self.manifest)}: {self.manifest.status}", seed, self.path)

    def _repr_html_(self) -> str:
        return notebook_html(self)

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def length(self) -> int | None:
        """T, timesteps of a sequence, as the configuration names it."""
        found = self.manifest.config.get("length")
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    @property
    def steps(self) -> pd.DataFrame:
        return self.read(schema.TABLE_STEPS)

    @property
    def timesteps(self) -> pd.DataFrame:
        return self.read(schema.TABLE_TIMESTEPS)

    @property
    def gates(self) -> pd.DataFrame:
        return self.read(schema.TABLE_GATES)

    @property
    def parameters(self) -> pd.DataFrame:
        return self.read(schema.TABLE_PARAMETERS)

    @property
    def snapshots(self) -> pd.DataFrame:
        return self.read(schema.TABLE_SNAPSHOTS)

    @property
    def credit(self) -> pd.DataFrame:
        return self.read(schema.TABLE_CREDIT)

    @property
    def spectra(self) -> pd.DataFrame:
        return self.read(schema.TABLE_SPECTRA)

    @property
    def lyapunov(self) -> pd.DataFrame:
        return self.read(schema.TABLE_LYAPUNOV)

    @property
    def counterfactuals(self) -> pd.DataFrame:
        return self.read(schema.TABLE_COUNTERFACTUALS)

    @property
    def events(self) -> pd.DataFrame:
        return self.read(schema.TABLE_EVENTS)

    def between(self, first: int, last: int) -> "Run":
        """The same run with the rows of the steps from ``first`` to ``last`` alone; no more than these is read."""
        return Run(self.manifest, _StepRange(self.read, range(first, last + 1)), self.path)

    @classmethod
    def from_frames(cls, manifest: RunManifest, **tables: pd.DataFrame) -> "Run":
        """A run of frames in memory, for analyses of data that was never a folder (and for tests).

        NaN in a numpy column is a finding. Null is None in an object column, or a column that is not there.
        """
        return cls(manifest, _FrameReader({name: _complete(name, frame) for name, frame in tables.items()}))


def remembered(analysis: Callable[Concatenate[Run, P], R]) -> Callable[Concatenate[Run, P], R]:
    """Makes ``analysis`` read a run once for the same settings, which have to be hashable; for results that are small
    and that nobody changes."""

    @wraps(analysis)
    def found(run: Run, /, *args: P.args, **kwargs: P.kwargs) -> R:
        key = (analysis, args, tuple(kwargs.items()))
        if key not in run.found:
            run.found[key] = analysis(run, *args, **kwargs)
        return cast(R, run.found[key])

    return found


@dataclass(frozen=True)
class _StepRange:
    """A reader of the rows of ``steps`` alone."""

    read: TableReader
    steps: range

    def __call__(
        self, table: str, *, columns: Sequence[str] | None = None, where: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        given = where or {}
        return self.read(table, columns=columns, where={**given, schema.STEP: self._within(given.get(schema.STEP))})

    def _within(self, asked: Any) -> Any:
        if asked is None:
            return self.steps
        if isinstance(asked, range) and asked.step == 1:
            return range(max(asked.start, self.steps.start), min(asked.stop, self.steps.stop))
        wanted = asked if isinstance(asked, list | tuple | range) else [asked]
        return [step for step in wanted if step in self.steps]


@dataclass(frozen=True)
class _FrameReader:
    frames: Mapping[str, pd.DataFrame]

    def __call__(
        self, table: str, *, columns: Sequence[str] | None = None, where: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        frame = self.frames.get(table)
        if frame is None:
            frame = empty_frame(table)
        for name, value in (where or {}).items():
            wanted = value if isinstance(value, list | tuple | range) else [value]
            frame = frame[frame[name].isin(wanted)]
        frame = frame if columns is None else frame[list(columns)]
        return frame.reset_index(drop=True)


def empty_frame(table: str) -> pd.DataFrame:
    """A frame of ``table`` without rows: every declared column with its dtype."""
    return pd.DataFrame({c.name: pd.Series(dtype=_pandas_dtype(c.dtype)) for c in schema.TABLES[table].columns})


def _pandas_dtype(dtype: schema.DType) -> str:
    return "str" if dtype == "string" else dtype


def numbers(column: "pd.Series[Any]") -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The numbers of a column of a run's table, and where they are missing.

    A column that holds a null is not a numpy one; there ``isna`` tells null from NaN. In a numpy column nothing is
    missing, and NaN is a finding.

    Returns:
        values [rows], NaN where missing; missing [rows]. Both may be read-only.
    """
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if isinstance(column.dtype, np.dtype):
        return values, np.zeros(len(column), dtype=bool)
    return values, column.isna().to_numpy(dtype=bool)


def _complete(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    declared = schema.TABLES[table].columns
    absent = {c.name: pd.Series(None, index=frame.index, dtype=_null_dtype(c)) for c in declared if c.name not in frame}
    typed = {c.name: _null_dtype(c) for c in declared if c.name in frame and frame[c.name].dtype == object}
    return frame.astype(typed).assign(**absent)


def _null_dtype(column: schema.Column) -> str:
    names = {"float32": "float[pyarrow]", "float64": "double[pyarrow]", "string": "str"}
    return names.get(column.dtype, f"{column.dtype}[pyarrow]")
