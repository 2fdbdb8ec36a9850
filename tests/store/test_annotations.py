"""Tags and notes: kept beside the run, safe while it is written, shown wherever its manifest is."""

from pathlib import Path

import pytest

import graddiag
from graddiag.errors import InputError, SettingError
from graddiag.store import ANNOTATIONS, Annotations, RunWriter, annotate, fingerprint, load_run
from tests.store.runs import manifest, write_run

HOSTILE = "<img src=x onerror=alert(1)> $x$ \ud800 \n# a"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_run(tmp_path, name="one", tags=("first",), notes="as told")


def test_what_the_training_told_stands_until_someone_says_otherwise(folder: Path) -> None:
    assert load_run(folder).manifest.tags == ("first",)
    assert annotate(folder, notes="mine") == Annotations(tags=("first",), notes="mine")
    assert annotate(folder, tags=[" a ", "b", "", "a"]) == Annotations(tags=("a", "b"), notes="mine")
    seen = graddiag.load_run(folder).manifest
    assert (seen.tags, seen.notes) == (("a", "b"), "mine")
    assert annotate(load_run(folder), tags=(), notes="") == Annotations()
    assert load_run(folder).manifest.tags == ()


def test_a_running_run_keeps_what_it_is_given_when_it_ends(tmp_path: Path) -> None:
    with RunWriter(tmp_path, manifest("live")) as writer:
        annotate(writer.path, tags=["watch this"])
        writer.append("steps", {"step": 0, "loss": 1.0})
    found = load_run(writer.path).manifest
    assert (found.status, found.tags) == ("finished", ("watch this",))


def test_nothing_that_is_computed_of_a_run_is_made_anew(folder: Path) -> None:
    before = fingerprint(folder)
    annotate(folder, tags=["b"])
    assert fingerprint(folder) == before


def test_any_text_is_kept_as_text(folder: Path) -> None:
    annotate(folder, tags=[HOSTILE], notes=HOSTILE)
    found = load_run(folder).manifest
    assert found.tags == (HOSTILE.replace("\ud800", "?"),)
    assert found.notes == HOSTILE.replace("\ud800", "?")


def test_a_damaged_file_is_told_and_the_run_opens(folder: Path) -> None:
    (folder / ANNOTATIONS).write_text("{")
    assert "annotations.json cannot be read" in load_run(folder).manifest.notes
    annotate(folder, notes="again")
    assert load_run(folder).manifest.notes == "again"


def test_what_cannot_be_meant_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="give a list of tags"):
        annotate(folder, tags="one")
    with pytest.raises(SettingError, match="a run can have 32"):
        annotate(folder, tags=[str(number) for number in range(33)])
    with pytest.raises(SettingError, match="it has 61 characters"):
        annotate(folder, tags=["x" * 61])
    with pytest.raises(SettingError, match="20,001 characters"):
        annotate(folder, notes="x" * 20_001)
    with pytest.raises(InputError, match=r"it is no folder with a manifest\.json"):
        annotate(tmp_path / "gone", tags=["a"])
    assert not (folder / ANNOTATIONS).exists()
