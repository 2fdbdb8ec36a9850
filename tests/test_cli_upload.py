"""``graddiag upload``, and the commands that take a URL, over an object store in the memory of this process."""

from pathlib import Path

import fsspec
import pytest

from graddiag.cli import main
from graddiag.cli.mcp_server import RunTools
from graddiag.errors import InputError
from graddiag.store import annotate, load_run
from tests.store.runs import write_run

ROOT = "memory://bucket/runs"


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADDIAG_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("GRADDIAG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "store", {})
    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "pseudo_dirs", [""])


def test_run_folders_are_copied_and_again_brought_up_to_date(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [write_run(tmp_path / "runs", name=name, id=name, experiment="E") for name in ("a", "b")]
    annotate(folders[0], tags=["keep"])
    for _ in range(2):
        assert main(["upload", str(tmp_path / "runs" / "e"), "--root", ROOT]) == 0
        assert capsys.readouterr().out == f"uploaded {ROOT}/e/a\nuploaded {ROOT}/e/b\n"
    assert load_run(f"{ROOT}/e/a").manifest.tags == ("keep",)
    assert folders[0].is_dir()
    assert main(["list", "--root", ROOT]) == 0
    assert "e/a" in capsys.readouterr().out


def test_nothing_waits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upload", "--root", ROOT]) == 0
    assert capsys.readouterr().out == "no run waits on this machine to be uploaded.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--root", "runs"], "--root runs: it is no URL"),
        (["runs/a"], "give the URL that the runs are copied to"),
        (["runs/none", "--root", ROOT], "runs/none is not a run: there is no such folder"),
    ],
)
def test_what_cannot_be_uploaded_is_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["upload", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_root_without_runs_and_a_run_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--root", ROOT]) == 0
    assert f"no runs under {ROOT} yet; `graddiag pair --root {ROOT}`" in capsys.readouterr().out
    assert main(["diagnose", f"{ROOT}/none"]) == 2
    assert f"{ROOT}/none is not a run: there is nothing of this name" in capsys.readouterr().err
    assert main(["top", f"{ROOT}/none", "--once"]) == 2
    assert f"{ROOT}/none: there is no run in it" in capsys.readouterr().err


def test_a_scheme_without_its_library_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--root", "nowhere://bucket"]) == 2
    assert "nowhere://: fsspec knows no such scheme" in capsys.readouterr().err


def test_an_agent_reads_runs_at_a_url(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "runs", experiment="E")
    assert main(["upload", str(tmp_path / "runs" / "e"), "--root", ROOT]) == 0
    tools = RunTools(Path(ROOT))
    assert [each["run"] for each in tools.list_runs()] == ["e/a-run"]
    assert tools.diagnose("e/a-run")["outcome"] == "unknown"
    with pytest.raises(InputError, match=f"there is no run 'none' under {ROOT}; there are: e/a-run"):
        tools.diagnose("none")
