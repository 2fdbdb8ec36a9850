import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from graddiag.run import numbers
from graddiag.store import RunWriter, load_run
from graddiag.store.compaction import FAN_IN
from graddiag.store.index import read_index
from tests.store.runs import gate_rows, layer_rows, manifest, write_run


def files(path: Path, table: str) -> list[str]:
    return sorted(file.name for file in (path / table).iterdir())


def test_a_long_run_is_few_files_and_holds_every_row(tmp_path: Path) -> None:
    steps = FAN_IN * FAN_IN + FAN_IN + 3
    path = write_run(tmp_path, steps, part_steps=1)
    expected = ["000001-2.parquet", "000257-1.parquet", "000273.parquet", "000274.parquet", "000275.parquet"]
    assert files(path, "timesteps") == files(path, "steps") == expected
    run = load_run(path)
    assert run.steps["loss"].tolist() == [10.0 - step for step in range(steps)]
    whole = load_run(write_run(tmp_path / "whole", steps, part_steps=steps))
    pd.testing.assert_frame_equal(run.timesteps, whole.timesteps)
    pd.testing.assert_frame_equal(run.gates, whole.gates)


def test_joining_keeps_null_nan_logged_columns_and_new_modules(tmp_path: Path) -> None:
    with RunWriter(tmp_path, manifest(), part_steps=1, part_seconds=3600) as writer:
        for step in range(FAN_IN):
            writer.append("steps", {"step": step} | ({"ppl": np.nan} if step % 2 else {}))
            writer.append("timesteps", layer_rows(step, 1) | {"module": f"rnn{step}"})
    assert files(writer.path, "steps") == ["000001-1.parquet"]
    run = load_run(writer.path)
    values, missing = numbers(run.steps["ppl"])
    assert missing.tolist() == [step % 2 == 0 for step in range(FAN_IN)]
    assert np.isnan(values).all()
    assert run.timesteps["module"].tolist() == [f"rnn{step}" for step in range(FAN_IN)]
    assert run.read("timesteps", where={"module": "rnn3"})["step"].tolist() == [3]


def test_too_few_parts_are_left_alone(tmp_path: Path) -> None:
    path = write_run(tmp_path, FAN_IN - 1, part_steps=1)
    assert len(files(path, "steps")) == FAN_IN - 1
    assert {part.level for part in read_index(path).parts("steps")} == {0}


def test_parts_that_fill_a_joined_one_are_joined_before_there_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the number of files is bounded by the rows of the run, however many rows a step has."""
    monkeypatch.setattr("graddiag.store.compaction.MAX_ROWS", 50)
    monkeypatch.setattr("graddiag.store.compaction.GROUP_ROWS", 10)
    path = write_run(tmp_path, 100, part_steps=1)
    index = read_index(path)
    for table in ("timesteps", "gates"):
        rows = [part.rows for part in index.parts(table)]
        assert max(rows) <= 50
        assert len(rows) <= 2 * sum(rows) / 50 + 2
    whole = load_run(write_run(tmp_path / "whole", 100, part_steps=100))
    pd.testing.assert_frame_equal(load_run(path).timesteps, whole.timesteps)
    pd.testing.assert_frame_equal(load_run(path).gates, whole.gates)
    one = pq.ParquetFile(path / index.parts("timesteps")[0].file)
    assert one.num_row_groups > 1


def test_parts_whose_steps_overlap_are_left_alone_and_read_in_order(tmp_path: Path) -> None:
    with RunWriter(tmp_path, manifest(), part_steps=1, part_seconds=3600) as writer:
        for step in range(FAN_IN + 1):
            writer.append("gates", gate_rows(step ^ 1, 1))
    steps = load_run(writer.path).gates["step"].tolist()
    assert steps == sorted(steps)


def test_late_steps_in_a_later_part_are_put_in_order(tmp_path: Path) -> None:
    with RunWriter(tmp_path, manifest(), part_steps=1, part_seconds=3600) as writer:
        for step in (1, 2, 0):
            writer.append("gates", gate_rows(step, 1))
    gates = load_run(writer.path).read("gates", columns=["gate", "mean"])
    assert list(gates.columns) == ["gate", "mean"]
    assert load_run(writer.path).gates["step"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert gates["gate"].tolist() == ["i", "f", "g", "o"] * 3


def test_a_reader_meanwhile_never_fails_and_never_loses_rows(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, manifest(), part_steps=1)
    old, seen, done = load_run(writer.path), [0], threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(len(load_run(writer.path).read("timesteps", columns=["timestep"])))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for step in range(300):
            writer.append("timesteps", layer_rows(step))
        writer.close()
    finally:
        done.set()
        reader.join()
    assert seen == sorted(seen)
    assert len(load_run(writer.path).timesteps) == 1200
    assert old.timesteps.empty


def test_a_run_that_was_loaded_before_its_parts_were_put_together_is_read_all_the_same(tmp_path: Path) -> None:
    with RunWriter(tmp_path, manifest(), part_steps=1) as writer:
        for step in range(20):
            writer.append("timesteps", layer_rows(step))
        writer.flush()
        run = load_run(writer.path)
        assert len(run.timesteps) == 80
        for step in range(20, 200):
            writer.append("timesteps", layer_rows(step))
    assert not (writer.path / "timesteps" / "000001.parquet").exists()
    assert len(run.timesteps) == len(run.read("timesteps", columns=["timestep"])) == 80
    assert len(load_run(writer.path).timesteps) == 800
