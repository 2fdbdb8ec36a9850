"""A run that is continued in its folder: cut at the step, nothing doubled, nothing of it lost when that fails."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from graddiag import annotate, list_runs, schema
from graddiag.processes import this_process
from graddiag.store import ResumePoint, RunWriter, load_run
from graddiag.store.index import read_index
from tests.store.runs import gate_rows, layer_rows, manifest, write_run


def write_steps(writer: RunWriter, steps: range) -> None:
    for step in steps:
        writer.append("steps", {"step": step, "loss": 10.0 - step, "grad_norm": 1.0, "wall_time": float(step)})
        writer.append("timesteps", layer_rows(step))
        writer.append("gates", gate_rows(step))


def resumed(
    root: Path, step: int | None, *, until: int, point: dict[str, Any] | None = None, **about: Any
) -> RunWriter:
    chosen = ResumePoint(step, **(point or {}))
    with RunWriter(root, manifest(id="new", **about), part_steps=2, part_seconds=3600, resume=chosen) as writer:
        write_steps(writer, range(writer.manifest.first_step, until))
    return writer


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("step", range(8))
def test_rows_from_the_step_on_are_replaced_and_the_others_kept(step: int, tmp_path: Path) -> None:
    """Whether it falls between two parts, into one, before all or behind all."""
    whole = write_run(tmp_path / "whole", 9)
    path = write_run(tmp_path / "parts", 7)
    writer = resumed(tmp_path / "parts", step, until=9)
    assert writer.path == path
    assert (writer.origin.continues, writer.origin.replaced) == (True, 7 - step if step < 7 else 0)
    if step == 7:
        assert writer.manifest.missing == ()
    for table in ("steps", "timesteps", "gates"):
        columns = [name for name in schema.TABLES[table].names if name != "wall_time"]
        one, other = load_run(whole).read(table, columns=columns), load_run(path).read(table, columns=columns)
        assert one.equals(other), table
    index = read_index(path)
    assert files(path) == {"manifest.json", "tables.json", *(p.file for t in index.tables.values() for p in t)}


def test_a_run_keeps_what_it_is_and_says_what_recorded_it(tmp_path: Path) -> None:
    path = write_run(tmp_path, 5, versions={"torch": "1"}, environment={"device": "cpu"}, every=1)
    annotate(path, tags=["kept"], notes="mine")
    created = datetime(2020, 1, 1, tzinfo=UTC)
    resumed(tmp_path, 3, until=6, versions={"torch": "2"}, environment={"device": "cuda"}, created=created)
    found = load_run(path).manifest
    assert (found.id, found.status, found.first_step, found.tags) == ("0", "finished", 3, ("kept",))
    assert found.created == manifest().created
    assert found.environment == {"device": "cuda"}
    (before,) = found.earlier
    assert (before.environment, before.versions) == ({"device": "cpu"}, {"torch": "1"})
    assert (before.first_step, before.status, before.started) == (0, "finished", found.created)
    resumed(tmp_path, 4, until=6)
    assert [(each.first_step, each.versions) for each in load_run(path).manifest.earlier] == [
        (0, {"torch": "1"}),
        (3, {"torch": "2"}),
    ]
    resumed(tmp_path, 3, until=6)  # all that two of the processes recorded is replaced
    assert [each.first_step for each in load_run(path).manifest.earlier] == [0]


def test_without_a_step_it_continues_after_the_last_one(tmp_path: Path) -> None:
    path = write_run(tmp_path, 5)
    writer = resumed(tmp_path, None, until=8)
    assert writer.manifest.first_step == 5
    assert load_run(path).steps["step"].tolist() == list(range(8))


def test_steps_that_nobody_has_are_missing(tmp_path: Path) -> None:
    path = write_run(tmp_path, 4)
    resumed(tmp_path, 6, until=8)
    run = load_run(path)
    assert run.steps["step"].tolist() == [0, 1, 2, 3, 6, 7]
    assert run.manifest.status == "finished, recording incomplete"
    assert str(run.manifest.missing[0]) == (
        "2 rows of table steps, steps 4 to 5, could not be written: the process ended before"
    )


def test_of_several_of_the_name_the_last_made_or_that_of_the_id_continues(tmp_path: Path) -> None:
    first = write_run(tmp_path, 3, id="first", created=datetime(2024, 1, 1, tzinfo=UTC))
    last = write_run(tmp_path, 4, id="last", created=datetime(2024, 1, 2, tzinfo=UTC))
    write_run(tmp_path, 5, name="a run-3", created=datetime(2024, 1, 3, tzinfo=UTC))
    write_run(tmp_path, 5, experiment="e", created=datetime(2024, 1, 4, tzinfo=UTC))
    assert resumed(tmp_path, None, until=5).path == last
    assert resumed(tmp_path, None, until=5, point={"id": "first"}).path == first
    other = resumed(tmp_path, 2, until=5, point={"id": "gone"})
    assert other.path not in (first, last)
    assert other.origin.refused == f"there is no such run in {tmp_path}"
    assert load_run(other.path).steps["step"].tolist() == [2, 3, 4]
    assert load_run(other.path).manifest.first_step == 2


def test_a_run_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    with RunWriter(tmp_path, manifest()) as writer:
        write_steps(writer, range(3))
        writer.flush()
        before = files(writer.path)
        other = resumed(tmp_path, 1, until=3)
        assert other.path != writer.path
        assert str(other.origin.refused).startswith("another recorder is writing it")
        assert files(writer.path) == before
        write_steps(writer, range(3, 5))
    assert load_run(writer.path).steps["step"].tolist() == list(range(5))


KILLED = """
import os, signal, sys
from graddiag.store import RunWriter
from tests.store.runs import manifest
from tests.store.test_resumption import write_steps
writer = RunWriter(sys.argv[1], manifest(), part_steps=2, part_seconds=3600)
write_steps(writer, range(7))
writer.flush()
(writer.path / "steps" / "000099.parquet").write_bytes(b"no index names it")
(writer.path / "steps" / ".000100.parquet.0123.tmp").write_bytes(b"was being written")
(writer.path / ".tables.json.0123.tmp").write_bytes(b"{")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_half_done_is_removed_by_the_next_writer_and_no_reader(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, timeout=200)
    path = tmp_path / "a-run"
    before = files(path)
    assert load_run(path).manifest.status == "interrupted"
    assert len(load_run(path).steps) == 7
    list_runs(tmp_path)
    assert before <= files(path)
    resumed(tmp_path, 5, until=8)
    run = load_run(path)
    assert run.steps["step"].tolist() == list(range(8))
    assert [(each.status, each.first_step) for each in run.manifest.earlier] == [("interrupted", 0)]
    assert not any("000099" in name or name.endswith(".tmp") for name in files(path))


def test_a_run_that_cannot_be_cut_is_as_it_was(tmp_path: Path) -> None:
    path = write_run(tmp_path, 5)
    part = read_index(path).parts("timesteps")[1]
    (path / part.file).write_bytes(b"damaged")
    before = (path / "manifest.json").read_text()
    other = resumed(tmp_path, part.last_step, until=5)
    assert other.path != path
    assert "cannot be read or written" in str(other.origin.refused)
    assert (path / "manifest.json").read_text() == before


def test_a_run_of_another_schema_is_left_alone(tmp_path: Path) -> None:
    path = write_run(tmp_path, 3, schema_version=3)
    other = resumed(tmp_path, 2, until=3)
    assert other.path != path
    assert f"it is of schema 3 and this graddiag writes {schema.SCHEMA_VERSION}" in str(other.origin.refused)


def test_a_run_that_was_resumed_and_records_nothing_is_not_removed(tmp_path: Path) -> None:
    path = write_run(tmp_path, 5)
    writer = RunWriter(tmp_path, manifest(), resume=ResumePoint(3))
    assert load_run(path).manifest.writer == this_process()
    writer.discard()
    run = load_run(path)
    assert (run.manifest.status, run.steps["step"].tolist()) == ("interrupted", [0, 1, 2])


def test_totals_of_a_run_that_had_ended_are_dropped_with_what_they_were_made_of(tmp_path: Path) -> None:
    with RunWriter(tmp_path, manifest()) as writer:
        write_steps(writer, range(4))
        for step, value in ((0, 1.0), (3, 4.0)):
            event = {"step": step, "kind": schema.EVENT_NO_GRADIENT, "where": "lstm", "value": value, "message": ""}
            writer.append("events", event)
    resumed(tmp_path, 4, until=5)
    assert load_run(writer.path).events["value"].tolist() == [1.0, 4.0]
    resumed(tmp_path, 4, until=5, point={"totals": True})
    assert load_run(writer.path).events["value"].tolist() == [1.0]


def test_parts_are_joined_across_a_resumption_and_no_file_is_overwritten(tmp_path: Path) -> None:
    write_run(tmp_path, 50, part_steps=1)
    for step in (47, 41, 30, 9):
        resumed(tmp_path, step, until=60)
        assert load_run(tmp_path / "a-run").steps["step"].tolist() == list(range(60))
