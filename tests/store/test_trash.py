"""The trash: a run goes in and out of it whole, and a running one does not go in."""

from pathlib import Path

import pytest

from graddiag.errors import InputError
from graddiag.store import RunWriter, load_run, restore_run, run_folders, trash_run, trashed_runs
from tests.store.runs import manifest, write_run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_run(tmp_path, name="one", experiment="pair")
    write_run(tmp_path, name="alone")
    return tmp_path


def test_in_and_out_again(root: Path) -> None:
    before = load_run(root / "pair" / "one").steps
    put = trash_run(root, "pair/one")
    assert [folder.name for folder in run_folders(root)] == ["alone"]
    assert not (root / "pair").exists()
    assert trashed_runs(root) == [put]
    assert restore_run(root, put) == "pair/one"
    assert load_run(root / "pair" / "one").steps.equals(before)
    assert trashed_runs(root) == []
    assert not (root / ".trash").exists()


def test_a_place_that_was_taken_meanwhile_is_left_alone(root: Path) -> None:
    put = trash_run(root, "alone")
    write_run(root, name="alone")
    assert restore_run(root, put) == "alone-2"
    assert [folder.name for folder in run_folders(root)] == ["alone", "alone-2", "one"]


def test_one_name_can_be_put_there_twice(root: Path) -> None:
    trash_run(root, "alone")
    write_run(root, name="alone")
    trash_run(root, "alone")
    assert [each.run for each in trashed_runs(root)] == ["alone", "alone"]


def test_a_running_run_is_refused_unless_it_was_killed(tmp_path: Path) -> None:
    with RunWriter(tmp_path, manifest("live")) as writer:
        with pytest.raises(InputError, match="run 'live' is being written"):
            trash_run(tmp_path, "live")
        assert writer.path.is_dir()
    trash_run(tmp_path, "live")
    write_run(tmp_path, name="dead")
    path = tmp_path / "dead" / "manifest.json"
    path.write_text(path.read_text().replace('"finished",', '"running",', 1))
    assert trash_run(tmp_path, "dead", killed=True).run == "dead"


def test_a_damaged_run_can_be_put_there(root: Path) -> None:
    (root / "alone" / "manifest.json").write_text("{")
    assert trash_run(root, "alone").run == "alone"


@pytest.mark.parametrize("run", ["gone", "pair", "..", "pair/../alone", "/etc", ".trash", "", "."])
def test_what_is_no_run_under_the_root_is_refused(root: Path, run: str) -> None:
    with pytest.raises(InputError, match="there is none under"):
        trash_run(root, run)


def test_what_is_gone_from_the_trash_cannot_come_back(root: Path) -> None:
    put = trash_run(root, "alone")
    restore_run(root, put)
    with pytest.raises(InputError, match="cannot be moved"):
        restore_run(root, put)


def test_other_folders_in_the_trash_are_passed_over(root: Path) -> None:
    (root / ".trash" / "mine").mkdir(parents=True)
    (root / ".trash" / "a file").write_text("")
    assert trashed_runs(root) == []
    assert trashed_runs(root / "nothing") == []
