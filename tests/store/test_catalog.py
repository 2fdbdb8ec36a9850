from datetime import UTC, datetime
from pathlib import Path

from graddiag.store import read_manifests, run_folders
from tests.store.runs import write_run


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
