"""No analysis holds a long table of a run at once: what it reads at a time does not grow with the training."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import pytest

import graddiag
from benchmarks._long_run import Size, make_run
from benchmarks.analysis import ANALYSES
from graddiag import schema
from graddiag.run import Run

STEPS = 400
# of so many steps and snapshots at once; all that a whole run has would be ten times as many and more
AT_ONCE = {"timesteps.grid._AT_ONCE": 40, "timesteps.grid._GATES_AT_ONCE": 40, "selection._LOOKED_AT": 8}
LONG = (schema.TABLE_TIMESTEPS, schema.TABLE_GATES, schema.TABLE_SNAPSHOTS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks._long_run.UNITS", 8)
        patch.setattr("benchmarks._long_run.SNAPSHOT_EVERY", 50)
        yield graddiag.load_run(make_run(tmp_path_factory.mktemp("bench"), Size(steps=STEPS, timesteps=20)))


@pytest.mark.parametrize("name", ANALYSES)
def test_it_reads_a_long_table_in_parts(name: str, whole: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, steps in AT_ONCE.items():
        monkeypatch.setattr(f"graddiag.analysis.{place}", steps)
    rows = {table: len(whole.read(table, columns=[schema.STEP])) for table in LONG}
    monkeypatch.setattr("graddiag.analysis.timesteps.snapshots._ROWS_AT_ONCE", rows[schema.TABLE_SNAPSHOTS] // 20)
    found: list[str] = []

    def read(
        table: str, *, columns: Sequence[str] | None = None, where: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        frame = whole.read(table, columns=columns, where=where)
        if table in LONG and len(frame) > rows[table] // 8:
            found.append(f"{len(frame)} of {rows[table]} rows of {table}: {list(frame)}")
        return frame

    ANALYSES[name](Run(whole.manifest, read, whole.path))
    assert found == []
