"""The index of a root: what it saves, and that it is never believed over the runs."""

from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import pytest

from graddiag import overview as listing
from graddiag.overview import list_runs, overview
from graddiag.store import IndexRow, annotate, read_root_index, write_root_index
from graddiag.store.root_index import ROOT_INDEX
from tests.store.runs import write_run

RUNS = 24  # more than may be read from their folders without the index being written


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root that has been listed once: there are summaries in the folders."""
    root = tmp_path_factory.mktemp("listed")
    for number in range(RUNS):
        write_run(root, name=f"run {number:02d}", experiment="many")
    list_runs(root)
    return root


@pytest.fixture
def root(listed: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it that has been listed too: there is an index."""
    copytree(listed, tmp_path / "root")
    anew()
    list_runs(tmp_path / "root")
    assert (tmp_path / "root" / ROOT_INDEX).exists()
    anew()
    yield tmp_path / "root"
    anew()


def anew() -> None:
    """As a new process would: nothing is known but what is on the disk."""
    listing._known.cache_clear()
    listing._judged.cache_clear()


def no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("read_manifest", "load_run", "diagnose"):
        monkeypatch.setattr(f"graddiag.overview.{name}", lambda *_: pytest.fail("read from the folder of the run"))


def test_unchanged_runs_are_listed_from_the_index_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = list_runs(root)
    anew()
    no_reading(monkeypatch)
    assert list_runs(root).equals(expected)
    assert len(overview(root)) == RUNS


def test_a_run_that_changed_is_read_and_the_others_are_not(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    annotate(root / "many" / "run-03", tags=["best"], notes="")
    read = []
    own = listing.read_manifest
    monkeypatch.setattr("graddiag.overview.read_manifest", lambda folder: read.append(folder.name) or own(folder))
    entries = {entry.run: entry.manifest for entry in overview(root)}
    assert read == ["run-03"]
    assert entries["many/run-03"] is not None
    assert entries["many/run-03"].tags == ("best",)


def test_it_is_not_believed_over_a_part_that_was_cut(root: Path) -> None:
    part = root / "many" / "run-05" / "steps" / "000001.parquet"
    part.write_bytes(part.read_bytes()[:100])
    assert list_runs(root).set_index("run")["status"]["many/run-05"] == "damaged"


def test_a_run_that_went_is_not_listed(root: Path) -> None:
    (root / "many" / "run-07").rename(root / ".gone")
    assert "many/run-07" not in list_runs(root)["run"].tolist()


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty", "another version", "a folder", "no rows of ours"])
def test_an_index_that_is_not_whole_is_made_anew(root: Path, harm: str) -> None:
    expected, path = list_runs(root), root / ROOT_INDEX
    anew()
    content = path.read_bytes()
    path.unlink()
    if harm == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif harm == "flipped":
        path.write_bytes(content[:200] + bytes([content[200] ^ 0xFF]) + content[201:])
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "another version":
        write_root_index(root, "other", {"many/run-00": IndexRow("state", "{}")})
    elif harm == "a folder":
        path.mkdir()
    else:
        rows = {f"many/run-{number:02d}": IndexRow("state", "{") for number in range(RUNS)}
        write_root_index(root, listing._index_version(), rows)
    assert list_runs(root).equals(expected)


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = {"a": IndexRow("1", '{"x": "‖h‖"}'), "b/c": IndexRow("2", "[]")}
    write_root_index(tmp_path, "now", rows)
    assert read_root_index(tmp_path, "now") == rows
    assert read_root_index(tmp_path, "then") == {}
    assert read_root_index(tmp_path / "nowhere", "now") == {}


def test_a_root_that_cannot_be_written_to_stays_without(tmp_path: Path) -> None:
    write_root_index(tmp_path / "nowhere", "now", {"a": IndexRow("1", "{}")})
    assert not (tmp_path / "nowhere").exists()


def test_long_listings_say_how_far_they_are(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graddiag.overview._PAUSE", -1.0)
    said: list[str] = []
    list_runs(root, on_progress=said.append)
    assert said[0] == f"read 0 of {RUNS} runs"
    assert len(said) == RUNS
