import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from graddiag.store import RunWriter, annotate, read_manifests, root_fingerprint, run_folders
from tests.store.runs import manifest, write_run


def test_runs_lie_under_the_root_or_under_an_experiment(tmp_path: Path) -> None:
    alone = write_run(tmp_path, name="alone")
    inside = write_run(tmp_path, name="b", experiment="e")
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    (tmp_path / ".trash" / "old").mkdir(parents=True)
    (tmp_path / ".trash" / "old" / "manifest.json").touch()
    (tmp_path / "notes.txt").touch()
    assert run_folders(tmp_path) == [alone, inside] == [tmp_path / "alone", tmp_path / "e" / "b"]


def test_manifests_come_in_the_order_of_creation(tmp_path: Path) -> None:
    for day, name in ((3, "a"), (1, "b"), (2, "c")):
        write_run(tmp_path, name=name, created=datetime(2024, 1, day, tzinfo=UTC))
    assert [manifest.name for _, manifest in read_manifests(tmp_path)] == ["b", "c", "a"]


def test_no_root_holds_no_runs(tmp_path: Path) -> None:
    assert read_manifests(tmp_path / "nothing") == []


def grow(root: Path) -> None:
    with RunWriter(root, manifest(name="grows")) as writer:
        writer.append("steps", {"step": 0, "loss": 1.0})


CHANGES: dict[str, Callable[[Path], object]] = {
    "a run appears": grow,
    "a run appears in an experiment": lambda root: write_run(root, name="new", experiment="e"),
    "a run goes": lambda root: shutil.rmtree(root / "e" / "b"),
    "a note is written": lambda root: annotate(root / "a", notes="seen"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_fingerprint_of_a_root_changes_with_its_runs(tmp_path: Path, change: Callable[[Path], object]) -> None:
    write_run(tmp_path, name="a")
    write_run(tmp_path, name="b", experiment="e")
    before = root_fingerprint(tmp_path)
    change(tmp_path)
    assert root_fingerprint(tmp_path) != before


def test_the_fingerprint_of_a_root_follows_a_run_as_it_grows(tmp_path: Path) -> None:
    seen = [root_fingerprint(tmp_path)]
    writer = RunWriter(tmp_path, manifest())
    for step in range(3):
        seen.append(root_fingerprint(tmp_path))
        writer.append("steps", {"step": step, "loss": 1.0})
        writer.flush()
    writer.close()
    seen.append(root_fingerprint(tmp_path))
    assert len(set(seen)) == len(seen)


def test_the_fingerprint_of_a_root_heeds_nothing_else(tmp_path: Path) -> None:
    write_run(tmp_path, name="a")
    before = root_fingerprint(tmp_path)
    (tmp_path / ".jobs" / "1").mkdir(parents=True)
    (tmp_path / ".jobs" / "1" / "manifest.json").touch()
    (tmp_path / "a" / "overview.json").write_text("{}")
    (tmp_path / "notes.txt").touch()
    assert root_fingerprint(tmp_path) == before
    assert root_fingerprint(tmp_path / "nothing") == root_fingerprint(tmp_path / "e")
