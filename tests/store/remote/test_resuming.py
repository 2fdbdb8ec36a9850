"""Trainings that continue a run of an object store: from the spool that a killed process left, or from the store."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from graddiag import schema
from graddiag.run import RunManifest
from graddiag.store import ResumePoint, RunWriter, load_run, send_waiting, shown
from graddiag.store.remote.objects import RemoteError
from graddiag.store.remote.spool import waiting
from graddiag.store.remote.writing import open_remote_writer
from tests.store.remote.conftest import ROOT
from tests.store.remote.test_upload import URL, append, broken, objects
from tests.store.runs import manifest


def recorded(steps: range, resume: ResumePoint | None = None, **about: Any) -> RunWriter:
    with open_remote_writer(URL, manifest(**{"id": "1", **about}), resume) as writer:
        append(writer, steps)
    return writer


def test_a_run_is_fetched_and_continued() -> None:
    first = recorded(range(6))
    second = recorded(range(4, 8), ResumePoint(4), id="2")
    assert second.origin.continues
    assert (second.url, second.manifest.id) == (first.url, "1")
    run = load_run(f"{ROOT}/a-run")
    assert run.read("steps")["step"].tolist() == list(range(8))
    assert run.manifest.first_step == 4
    there = {name for name in objects().found("a-run") if name.endswith(".parquet")}
    index = json.loads(objects().read(["a-run/tables.json"])["a-run/tables.json"])
    assert there == {part["file"] for parts in index["tables"].values() for part in parts}


def test_the_run_with_the_id_of_the_checkpoint_is_continued() -> None:
    recorded(range(3), id="1")
    recorded(range(3), id="2", created=datetime(2024, 5, 18, tzinfo=UTC))
    assert recorded(range(3, 5), ResumePoint(id="1"), id="3").url == f"{ROOT}/a-run"
    assert recorded(range(3, 5), ResumePoint(), id="3").url == f"{ROOT}/a-run-2"
    other = recorded(range(3, 5), ResumePoint(3), id="3", experiment="E")
    assert other.origin.refused == f"there is no such run in {ROOT}"


def test_a_run_that_waits_in_the_spool_is_continued_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        failing = broken(patch, RemoteError("no route"))
        with pytest.warns(RuntimeWarning, match="upload"):
            recorded(range(3))
        failing.clear()
    (left,) = waiting()
    left.release()
    assert recorded(range(3, 5), ResumePoint(), id="2").manifest.id == "1"
    assert load_run(f"{ROOT}/a-run").read("steps")["step"].tolist() == list(range(5))
    assert waiting() == []


def test_a_store_that_cannot_be_reached_begins_a_new_run(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(range(3))
    failing = broken(monkeypatch, RemoteError("no route"))
    with pytest.warns(RuntimeWarning, match="upload"):
        writer = recorded(range(3, 5), ResumePoint(3), id="2")
    failing.clear()
    assert writer.origin.refused == f"its root {ROOT} cannot be read (no route)"
    (sent,) = send_waiting()
    assert (sent.missing, sent.url) == (None, f"{ROOT}/a-run-2")
    assert load_run(sent.url).read("steps")["step"].tolist() == [3, 4]


def test_a_run_that_cannot_be_continued_stays_as_it_is() -> None:
    first = recorded(range(3))
    name = f"a-run/{'manifest.json'}"
    old = json.loads(objects().read([name])[name]) | {"schema_version": schema.SCHEMA_VERSION - 1}
    objects().write(name, json.dumps(old).encode())
    second = recorded(range(3, 5), ResumePoint(3), id="2")
    assert "this graddiag writes" in str(second.origin.refused)
    assert (second.origin.continues, second.url) == (False, f"{first.url}-2")
    assert load_run(f"{ROOT}/a-run").read("steps")["step"].tolist() == [0, 1, 2]
    assert waiting() == []


KILLED = """
import sys
from graddiag.store.remote.urls import remote_url
from graddiag.store.remote.writing import open_remote_writer
from tests.store.remote.test_upload import append
from tests.store.runs import manifest
from datetime import datetime, UTC

writer = open_remote_writer(remote_url(sys.argv[1]), manifest(id="killed", created=datetime.now(UTC)))
append(writer, range(5))
writer.flush()
print("recorded", flush=True)
sys.stdin.read()
"""


def test_what_a_killed_process_left_is_uploaded_by_the_next(tmp_path: Path) -> None:
    """The store is a folder here, which both processes see."""
    root = f"file://{tmp_path}/store"
    command = [sys.executable, "-c", KILLED, root]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "recorded\n"
        assert waiting() == []  # it is alive
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    (left,) = waiting()
    assert left.folder is not None
    (sent,) = send_waiting()
    assert sent.missing is None
    assert waiting() == []
    run = load_run(sent.url)
    assert run.read("steps")["step"].tolist() == list(range(5))
    assert RunManifest.model_validate(run.manifest).status == "interrupted"
    assert shown(left.place / "runs" / "a-run") == f"{root}/a-run"
    assert load_run(left.place / "runs" / "a-run").read("steps")["step"].tolist() == list(range(5))
