"""The list of runs: a row a run, read fast, and its course in a few numbers."""

import json
import math
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import graddiag
from graddiag import schema
from graddiag.analysis import OUTCOME_NAMES, Diagnosis, diagnose
from graddiag.overview import CACHE, list_runs, overview, spark
from graddiag.run import Run, numbers
from graddiag.store import RunWriter, annotate, trash_run
from tests.store.runs import NAN, manifest, write_run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for day, arm in ((1, "clip off"), (2, "clip on")):
        created = datetime(2024, 1, day, tzinfo=UTC)
        write_run(tmp_path, name=arm, experiment="pair", arm=arm, seed=0, task="text", model="lstm", created=created)
    write_run(tmp_path, name="alone", created=datetime(2023, 1, 1, tzinfo=UTC))
    return tmp_path


def test_a_row_a_run_in_the_order_of_creation(root: Path) -> None:
    runs = list_runs(root)
    assert tuple(runs.columns) == schema.RUN_LIST_COLUMNS
    assert runs["run"].tolist() == ["alone", "pair/clip-off", "pair/clip-on"]
    assert runs["arm"].tolist()[1:] == ["clip off", "clip on"]
    assert runs["status"].tolist() == ["finished"] * 3
    assert runs["steps"].tolist() == [5, 5, 5]
    assert runs["final_loss"].tolist() == [6.0, 6.0, 6.0]
    assert set(runs["outcome"]) <= set(OUTCOME_NAMES)
    assert set(runs["verdict"]) <= {"healthy", "vanishing", "exploding", "non-finite", "not-measured"}


def test_what_a_run_does_not_say_is_missing(root: Path) -> None:
    alone = list_runs(root).iloc[0]
    assert alone[["experiment", "arm", "task", "model", "clip"]].isna().all()
    assert numbers(list_runs(root)["seed"])[1].tolist() == [True, False, False]


def test_it_is_the_packages_own_list_runs(root: Path) -> None:
    assert graddiag.list_runs is list_runs


def test_no_runs_are_an_empty_table_with_its_columns(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nothing"):
        runs = list_runs(root)
        assert (tuple(runs.columns), len(runs)) == (schema.RUN_LIST_COLUMNS, 0)


def test_a_loss_that_ended_in_nan_is_nan_and_one_never_logged_is_missing(tmp_path: Path) -> None:
    for name, losses in (("a nan", [1.0, NAN]), ("b never", [None, None])):
        with RunWriter(tmp_path, manifest(name)) as writer:
            writer.append("steps", {"step": [0, 1], "loss": losses})
    values, missing = numbers(list_runs(tmp_path)["final_loss"])
    assert missing.tolist() == [False, True]
    assert math.isnan(values[0])


@pytest.mark.parametrize("broken", ["manifest.json", "tables.json", "steps/000001.parquet"])
def test_a_damaged_run_is_a_row_and_comes_last(root: Path, broken: str) -> None:
    (root / "alone" / broken).write_bytes(b"{")
    runs = list_runs(root)
    assert runs["run"].tolist() == ["pair/clip-off", "pair/clip-on", "alone"]
    last = runs.iloc[-1]
    assert last["status"] == "damaged"
    assert broken in last["reason"]
    assert last[["steps", "final_loss", "outcome", "cause", "verdict"]].isna().all()


def test_the_verdict_of_an_unchanged_run_is_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = list_runs(root)
    monkeypatch.setattr("graddiag.overview.diagnose", lambda run: pytest.fail("diagnosed again"))
    assert list_runs(root).equals(first)


def test_a_run_that_grew_is_judged_again(tmp_path: Path) -> None:
    with RunWriter(tmp_path, manifest()) as writer:
        for step in range(3):
            writer.append("steps", {"step": step, "loss": float(step)})
            writer.flush()
            (row,) = list_runs(tmp_path).itertuples()
            assert (row.status, row.steps, row.final_loss) == ("running", step + 1, step)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"key": 1}'])
def test_a_damaged_cache_is_made_anew(root: Path, content: bytes) -> None:
    first = list_runs(root)
    (root / "alone" / CACHE).write_bytes(content)
    assert list_runs(root).equals(first)
    assert json.loads((root / "alone" / CACHE).read_text())["steps"] == 5


def test_a_cache_is_not_believed_over_the_run(root: Path) -> None:
    first = list_runs(root)
    cache = root / "alone" / CACHE
    cache.write_text(json.dumps(json.loads(cache.read_text()) | {"steps": 7, "verdict": "healthy"}))
    assert list_runs(root).equals(first)
    part = root / "alone" / "steps" / "000001.parquet"
    part.write_bytes(part.read_bytes()[:100])
    cache.touch()
    assert list_runs(root)["status"].tolist() == ["finished", "finished", "damaged"]


def test_whatever_one_run_does_to_its_reader_the_others_are_listed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(run: Run) -> Diagnosis:
        if run.name == "alone":
            raise MemoryError("too large")
        return diagnose(run)

    monkeypatch.setattr("graddiag.overview.diagnose", judge)
    runs = list_runs(root)
    assert runs["status"].tolist() == ["finished", "finished", "damaged"]
    assert runs["reason"].tolist()[-1].endswith("alone cannot be read: MemoryError: too large")


def test_a_root_that_cannot_be_written_is_listed_all_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, text: str, *, durable: bool) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("graddiag.overview.replace_text", refuse)
    assert list_runs(root)["status"].tolist() == ["finished"] * 3
    assert CACHE not in os.listdir(root / "alone")


def test_an_entry_holds_the_course_and_what_to_filter_by(tmp_path: Path) -> None:
    write_run(tmp_path, name="one", seed=3, clip="norm:1", config={"lr": 0.5, "net": {"hidden": 8}, "none": None})
    (entry,) = overview(tmp_path)
    assert entry.settings == {
        "status": "finished",
        "outcome": entry.outcome,
        "verdict": entry.verdict,
        "seed": "3",
        "clip": "norm:1",
        "lr": "0.5",
        "net.hidden": "8",
    }
    assert len(entry.loss) == len(entry.norm) == 5


def test_tags_given_later_are_seen_at_once(root: Path) -> None:
    overview(root)
    annotate(root / "alone", tags=["best"], notes="the first")
    (found,) = (each.manifest for each in overview(root) if each.run == "alone")
    assert found is not None
    assert (found.tags, found.notes) == (("best",), "the first")


def test_judging_can_be_put_off(root: Path) -> None:
    assert [each.verdict for each in overview(root, seconds=0)] == [None] * 3
    assert [each.steps for each in overview(root, seconds=0)] == [5, 5, 5]
    assert None not in [each.verdict for each in overview(root)]
    assert None not in [each.verdict for each in overview(root, seconds=0)]


def test_a_running_run_is_judged_again_when_it_has_grown_by_a_tenth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = []
    monkeypatch.setattr("graddiag.overview.diagnose", lambda run: judged.append(len(run.steps)) or diagnose(run))
    with RunWriter(tmp_path, manifest()) as writer:
        for step in range(50):
            writer.append("steps", {"step": step, "loss": float(step)})
            writer.flush()
            assert overview(tmp_path)[0].steps == step + 1
    overview(tmp_path)
    assert judged[-1] == 50
    assert 20 < len(judged) < 40


def test_runs_in_the_trash_are_not_listed(root: Path) -> None:
    trash_run(root, "alone")
    assert list_runs(root)["run"].tolist() == ["pair/clip-off", "pair/clip-on"]


WRITES_AND_WAITS = """
import sys
from tests.store.runs import manifest
from graddiag.store import RunWriter

writer = RunWriter(sys.argv[1], manifest("left"))
writer.append("steps", {"step": [0, 1], "loss": [2.0, 1.0]})
writer.flush()
print("written", flush=True)
input()
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="a system without /proc")
def test_a_run_is_interrupted_once_its_process_was_killed(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", WRITES_AND_WAITS, str(tmp_path)]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        assert [entry.status for entry in overview(tmp_path)] == ["running"]
        process.kill()
    assert [entry.status for entry in overview(tmp_path)] == ["interrupted"]
    assert list_runs(tmp_path)["status"].tolist() == ["interrupted"]
    assert graddiag.load_run(tmp_path / "left").manifest.status == "interrupted"


MISSING_VALUE, INF = float("nan"), float("inf")


def none_missing(values: np.ndarray) -> np.ndarray:
    return np.zeros(len(values), dtype=bool)


def test_means_of_equal_parts() -> None:
    values = np.array([1.0, 3.0, 10.0, 20.0])
    assert spark(values, none_missing(values), points=2) == (2.0, 15.0)
    assert spark(values, none_missing(values)) == (1.0, 3.0, 10.0, 20.0)


def test_no_peak_is_lost() -> None:
    values = np.ones(10_000)
    values[7777] = 1e30
    assert max(each for each in spark(values, none_missing(values), peaks=True) if each is not None) == 30.0


def test_what_has_no_number_is_none() -> None:
    values = np.array([MISSING_VALUE, INF, 0.0, 5.0])
    assert spark(values, none_missing(values)) == (None, None, 0.0, 5.0)
    assert spark(values, none_missing(values), peaks=True) == (None, None, None, 0.699)
    assert spark(values, np.ones(4, dtype=bool)) == (None,) * 4
    assert spark(np.zeros(0), np.zeros(0, dtype=bool)) == ()


def test_a_mean_beyond_what_a_float_holds_is_none() -> None:
    assert spark(np.array([1e308, 1e308]), np.zeros(2, dtype=bool), points=1) == (None,)
