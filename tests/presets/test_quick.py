"""Every preset with --quick, through the command line: it records, it reports, and what it says can be repeated."""

import json
import shlex
from pathlib import Path

import pytest

from graddiag import list_runs
from graddiag.cli import main
from graddiag.presets import ENTRIES, entry, names
from graddiag.presets.catalogue import CatalogueEntry


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_a_quick_look_leaves_runs_figures_and_a_report(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["lab", name, "--quick"]) == 0
    said = capsys.readouterr()
    folder = Path("reports", "lab", f"{name}-quick")
    html = (folder / "report.html").read_text()
    assert f"<h1>{name}</h1>" in html
    figures = sorted((folder / "figures").glob("*.json"))
    assert figures
    assert set(entry(name).pictures.values()) <= {path.stem for path in figures}
    assert all(json.loads(path.read_text())["data"] for path in figures), "a figure with nothing in it"
    runs = list_runs("runs")
    assert len(runs)
    assert (runs["status"] == "finished").all()
    assert "nan" not in said.out.lower().replace("nan or inf", "").split(), said.out
    first, *_ = said.out.splitlines()
    assert first.endswith("."), first


@pytest.mark.parametrize("name", names())
def test_its_settings_are_a_file_that_can_be_run(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["lab", name, "--quick", "--print"]) == 0
    printed = capsys.readouterr().out
    Path("mine.toml").write_text(printed)
    assert main(["lab", "mine.toml", "--print"]) == 0
    assert capsys.readouterr().out == printed
    assert not list(tmp_path.glob("runs"))


@pytest.mark.parametrize("name", names())
def test_the_command_that_repeats_it_gives_its_settings(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from graddiag.cli.lab import command
    from graddiag.presets import load
    from graddiag.presets.preset import settings_of

    chosen = settings_of(load(name), {}, quick=True)
    program, *arguments = shlex.split(command(name, chosen))
    assert program == "graddiag"
    assert main([*arguments, "--print"]) == 0
    again = capsys.readouterr().out
    assert main(["lab", name, "--quick", "--print"]) == 0
    assert capsys.readouterr().out == again


@pytest.mark.parametrize("each", ENTRIES, ids=lambda each: each.name)
def test_it_has_a_page_with_its_pictures_and_a_place_in_the_list(each: CatalogueEntry) -> None:
    root = Path(__file__).parent.parent.parent
    page = (root / each.manual).read_text()
    assert each.name in page
    assert all(f"images/lab/{picture}.png" in page for picture in each.pictures)
    assert f"]({Path(each.manual).name})" in (root / "docs" / "presets" / "index.md").read_text()
