"""``graddiag export`` on the command line."""

import inspect
import json
import sys
from pathlib import Path

import pandas as pd
import pytest

import graddiag
from graddiag.cli import main
from graddiag.integrations.exporters import EXPORTERS, Exporter
from tests.needs import needs

OPTIONAL = ("tensorboard", "mlflow", "wandb")


def export(run: graddiag.Run | Path, to: str, out: Path, *more: str) -> int:
    return main(["export", str(run if isinstance(run, Path) else run.path), "--to", to, "--out", str(out), *more])


def test_csv_and_parquet_are_written(recorded: graddiag.Run, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for to in ("csv", "parquet"):
        assert export(recorded, to, tmp_path / to) == 0
        assert capsys.readouterr().out == f"wrote {tmp_path / to}\n"
    assert len(pd.read_csv(tmp_path / "csv" / "steps.csv")) == len(recorded.steps)
    assert len(pd.read_parquet(tmp_path / "parquet" / "steps.parquet")) == len(recorded.steps)


@pytest.mark.parametrize("to", ["tensorboard", "wandb"])
def test_trackers_are_written(to: str, recorded: graddiag.Run, tmp_path: Path) -> None:
    needs(to, to)
    assert export(recorded, to, tmp_path / "out") == 0
    assert json.loads((tmp_path / "out" / "graddiag-export.json").read_text())["format"] == to


def test_an_export_is_overwritten_with_force_alone(
    recorded: graddiag.Run, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    assert [export(recorded, "csv", out), export(recorded, "csv", out)] == [0, 2]
    assert "an export is there already" in capsys.readouterr().err
    assert export(recorded, "csv", out, "--force") == 0


def test_a_folder_of_runs_is_not_one_run(recorded: graddiag.Run, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for name in ("a", "b"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        for file in recorded.path.iterdir():
            if file.is_file():
                (tmp_path / "runs" / name / file.name).write_bytes(file.read_bytes())
    assert export(tmp_path / "runs", "csv", tmp_path / "out") == 2
    assert "it holds 2 runs. Name one of them" in capsys.readouterr().err


def test_an_unknown_format_and_no_run_are_refused(
    recorded: graddiag.Run, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert export(recorded, "excel", tmp_path / "out") == 2
    assert "parquet" in capsys.readouterr().err
    assert export(tmp_path / "none", "csv", tmp_path / "out") == 2
    assert not (tmp_path / "out").exists()


def test_a_missing_library_is_one_line(
    recorded: graddiag.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, "graddiag.integrations.wandb", raising=False)
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert export(recorded, "wandb", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pip install 'graddiag[wandb]'" in said


@pytest.mark.parametrize("each", EXPORTERS, ids=lambda each: each.name)
def test_every_exporter_is_in_the_manual_and_takes_what_it_says(each: Exporter) -> None:
    root = Path(__file__).parent.parent.parent
    pages = [root / "README.md", *(root / "docs").rglob("*.md")]
    assert any(f"--to {each.name}" in page.read_text() for page in pages)
    if each.name in OPTIONAL:
        needs(each.name, each.name)
    assert {"force", *each.options} <= set(inspect.signature(each.load()).parameters)
