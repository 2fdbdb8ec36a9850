"""A recorded run with every table, whole and damaged in every way: each table missing, empty of numbers, not finite."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import graddiag
from graddiag import schema
from graddiag.analysis import Selection
from graddiag.run import Run
from tests.analysis.runs import INF, NAN

LAYER = Selection("0", 0, "reverse")
STEPS, TIMESTEPS = 24, 6

WHOLE = "whole"
NO_TABLE = "no table"  # of a name
NO_NUMBER = "no number in"


def record_whole(root: Path) -> Path:
    """Records an LSTM in both directions at every second step, with snapshots, and one step at which thresholds were
    tried; gives the folder of the run."""
    torch.manual_seed(0)
    model = torch.nn.ModuleList([torch.nn.LSTM(2, 3, bidirectional=True), torch.nn.Linear(6, 1)])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def loss() -> torch.Tensor:
        return model[1](model[0](torch.ones(TIMESTEPS, 2, 2))[0]).square().mean()

    settings = {"every": 2, "snapshot_every": 8, "clip": "norm:0.1", "loss_reduction": "mean"}
    about = {"arm": "clipped", "seed": 0, "config": {"distance": 3, "chance_loss": 1.0}}
    with graddiag.watch(model, optimizer, run="whole", root=root, **settings, **about) as recorder:
        for step in range(STEPS):
            optimizer.zero_grad()
            now = loss()
            now.backward()
            if step == 8:
                recorder.try_thresholds(loss)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            recorder.log(loss=now, ppl=now.exp(), sharpness=3.0)
            optimizer.step()
    return recorder.path


@cache
def whole() -> Run:
    """The run of ``record_whole``, in memory."""
    with tempfile.TemporaryDirectory() as folder:
        run = graddiag.load_run(record_whole(Path(folder)))
        tables = {name: run.read(name) for name in schema.TABLES}
    assert all(len(frame) for frame in tables.values()), {name: len(frame) for name, frame in tables.items()}
    return Run.from_frames(run.manifest, **tables)


@cache
def damaged() -> dict[str, Run]:
    """By what is wrong with it."""
    return dict(_damaged(whole(), {name: whole().read(name) for name in schema.TABLES}))


def damaged_where_read() -> Iterator[tuple[str, Run]]:
    """Those of ``damaged`` that can give something else than the whole run, which comes first.

    The tables that are read of the whole run before the second is asked for are noted: what never reads a table gives
    the same without it.
    """
    noted: set[str] = set()

    def read(
        table: str, *, columns: Sequence[str] | None = None, where: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        noted.add(table)
        return whole().read(table, columns=columns, where=where)

    yield WHOLE, Run(whole().manifest, read)
    unread = {f"{how} {name}" for name in schema.TABLES if name not in noted for how in (NO_TABLE, NO_NUMBER)}
    yield from ((case, run) for case, run in damaged().items() if case != WHOLE and case not in unread)


def _damaged(run: Run, tables: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, Run]]:
    yield WHOLE, run
    for name, frame in tables.items():
        others = {other: rows for other, rows in tables.items() if other != name}
        yield f"{NO_TABLE} {name}", Run.from_frames(run.manifest, **others)
        keys = frame[list(schema.TABLES[name].keys)]
        yield f"{NO_NUMBER} {name}", Run.from_frames(run.manifest, **others, **{name: keys})
    for value in (NAN, INF, 0.0):
        every = {name: _filled(frame, value) for name, frame in tables.items()}
        yield f"every number {value}", Run.from_frames(run.manifest, **every)
    of_later = {c.name: t.name for t in schema.TABLES.values() for c in t.columns if c.since > 1}
    first = {
        name: rows.drop(columns=[column for column in rows if of_later.get(column) == name])
        for name, rows in tables.items()
        if name in (schema.TABLE_STEPS, schema.TABLE_TIMESTEPS, schema.TABLE_GATES, schema.TABLE_PARAMETERS)
    }
    yield "schema 1", Run.from_frames(run.manifest.model_copy(update={"schema_version": 1}), **first)
    begun = run.manifest.model_copy(update={"status": "running", "finished": None})
    yield "begun", Run.from_frames(begun)
    yield "killed", Run.from_frames(begun, **{name: _cut(rows) for name, rows in tables.items()})
    one = {name: rows[rows[schema.STEP] == 8] for name, rows in tables.items()}
    yield "one step", Run.from_frames(run.manifest, **one)
    last = {name: _only(rows, schema.TIMESTEP, TIMESTEPS - 1) for name, rows in tables.items()}
    yield "one timestep", Run.from_frames(run.manifest, **last)
    unequal = {name: _unequal(rows) for name, rows in tables.items()}
    yield "unequal lengths", Run.from_frames(run.manifest, **unequal)
    bare = {"seed": None, "clip": None, "arm": None, "loss_reduction": None, "config": {}, "environment": {}}
    yield "nothing in its manifest", Run.from_frames(run.manifest.model_copy(update=bare), **tables)


def _filled(frame: pd.DataFrame, value: float) -> pd.DataFrame:
    """Every number that is no key is ``value``; an integer can only be 0."""
    numbers = [name for name in frame.select_dtypes("number") if name not in _keys(frame)]
    filled = {n: np.full(len(frame), value if frame[n].dtype.kind == "f" else 0) for n in numbers}
    return frame.assign(**filled)


def _keys(frame: pd.DataFrame) -> set[str]:
    return {key for table in schema.TABLES.values() if set(table.names) <= set(frame) for key in table.keys}


def _cut(frame: pd.DataFrame) -> pd.DataFrame:
    """What a killed process leaves: the tables end at different rows, one of them within a step."""
    return frame.iloc[: int(len(frame) * 0.61)]


def _only(frame: pd.DataFrame, key: str, value: int) -> pd.DataFrame:
    return frame[frame[key] == value] if key in frame else frame


def _unequal(frame: pd.DataFrame) -> pd.DataFrame:
    """Every other recorded step has sequences of three timesteps."""
    if schema.TIMESTEP not in frame:
        return frame
    return frame[(frame[schema.STEP] % 4 == 0) | (frame[schema.TIMESTEP] < TIMESTEPS // 2)]
