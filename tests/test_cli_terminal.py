"""Output in a terminal of any width and encoding: nothing is cut, nothing ends in a traceback."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len
from typer.main import get_command

from graddiag.cli import app, main
from graddiag.cli.help import entry
from graddiag.cli.rows import fitting, print_grid
from graddiag.cli.terminal import ascii_form
from tests.dashboards import synthetic
from tests.dashboards.synthetic import Made

COMMANDS = get_command(app).commands
SMALL = ["--steps", "3", "--length", "5", "--batch", "2", "--hidden", "4"]
NORWEGIAN = "bl\u00e5b\u00e6r \u2016g\u2016 \u2192 \U0001f600"
# every command but those that never end by themselves, or take minutes: their help is printed below
ARGUMENTS = {
    "run": ["--root", "ROOT/new", *SMALL, "--experiment", NORWEGIAN],
    "pair": ["--root", "ROOT/new", *SMALL, "--experiment", NORWEGIAN],
    "list": ["--root", "ROOT"],
    "diagnose": ["ROOT", "--all"],
    "compare": ["ROOT"],
    "report": ["ROOT/pair", "--out", "ROOT/report.html", "--title", NORWEGIAN],
    "export": ["ROOT/pair/lstm-on", "--to", "csv", "--out", f"ROOT/{NORWEGIAN}"],
    "upload": ["ROOT/pair/lstm-on", "--root", "memory://terminal/"],
    "top": ["ROOT", "--once"],
    "lab": [],
    "sweep": ["ROOT/nothing.toml"],
    "spectrum": ["ROOT/nothing.pt"],
    "guide": [],
}
HELP_ALONE = {"dashboard", "demo", "mcp"}
REFUSED = {"sweep", "spectrum"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs whose names and texts no narrow encoding has."""
    root = tmp_path_factory.mktemp("terminal")
    named = {"notes": NORWEGIAN, "module": NORWEGIAN, "config": {"gr\u00f8t": NORWEGIAN}}
    for made in (*synthetic.pair(), Made("gone", ratio=1e-3, **named), synthetic.awkward()["hostile"]):
        synthetic.write(root, made)
    return root


def written(monkeypatch: pytest.MonkeyPatch, arguments: list[str], encoding: str) -> tuple[int, str]:
    """The status of a command, and its output as a terminal of ``encoding`` gets it."""
    streams = {
        name: io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for name in ("stdout", "stderr")
    }
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    status = main(arguments)
    for stream in streams.values():
        stream.flush()
    return status, streams["stdout"].buffer.getvalue().decode(encoding)


def test_every_command_is_tried() -> None:
    assert set(COMMANDS) == {*ARGUMENTS, *HELP_ALONE} & set(COMMANDS)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("command", [name for name in ARGUMENTS if name in COMMANDS])
def test_a_command_writes_in_any_encoding(
    root: Path, monkeypatch: pytest.MonkeyPatch, command: str, encoding: str
) -> None:
    arguments = [each.replace("ROOT", str(root)) for each in ARGUMENTS[command]]
    for name in ("SPOOL", "CACHE"):  # of uploads
        monkeypatch.setenv(f"GRADDIAG_{name}", str(root.parent / name))
    if command in ("export", "upload"):
        arguments[-1] += encoding
    status, out = written(monkeypatch, [command, *arguments], encoding)
    assert status == (2 if command in REFUSED else 0)
    assert out or command in REFUSED | {"report", "export"}


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_in_any_encoding(monkeypatch: pytest.MonkeyPatch, command: str, encoding: str) -> None:
    status, out = written(monkeypatch, [command, "--help"], encoding)
    assert status == 0
    assert out.startswith(f"Usage: graddiag {command}")


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_process_of_that_encoding_diagnoses(root: Path, encoding: str) -> None:
    command = [sys.executable, "-m", "graddiag", "diagnose", str(root / "gone"), "--all"]
    done = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": encoding}, capture_output=True)
    assert done.returncode == 0, done.stderr.decode(encoding)
    assert "gradient" in done.stdout.decode(encoding)


@pytest.mark.parametrize(
    ("character", "form"),
    [("\u2016", "||"), ("\u00b7", "-"), ("\u00e9", "e"), ("\u2192", "->"), ("\u2588", "?"), ("\u4e2d", "?")],
)
def test_characters_have_an_ascii_form(character: str, form: str) -> None:
    assert ascii_form(character) == form


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_the_terminal_and_nothing_of_it_is_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= columns
    assert "\u2026" not in out
    text = re.sub(r"\s+", "", out)
    for parameter in COMMANDS[command].params:
        if not parameter.hidden:
            assert all(name in text for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("-"))
            assert re.sub(r"\s+", "", getattr(parameter, "help", "") or "") in text


def test_options_of_a_training_are_grouped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    groups = [line for line in lines if line and not line.startswith((" ", "Usage"))][1:]
    assert groups == ["Data", "Model", "Loss, optimizer and clipping", "Recording", "Options"]
    assert lines.index("Model") < next(place for place, line in enumerate(lines) if line.startswith("  --hidden"))


def test_a_long_option_has_its_help_below() -> None:
    assert entry("--x", "About it.", 40) == ["  --x" + " " * 21 + "About it."]
    assert entry("--a-very-long-option NAMES", "About it.", 60) == [
        "  --a-very-long-option NAMES",
        " " * 26 + "About it.",
    ]


@pytest.mark.parametrize("columns", [50, 80, 100, 300])
def test_list_takes_the_columns_that_fit(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["list", "--root", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(cell_len, lines)) <= columns
    head = next(line.split() for line in lines if line.split())
    assert head[0] == "run"
    assert ("outcome" in head) or columns < 80
    assert ("verdict" in head) == (columns == 300)
    assert any(line.startswith("Left out at") for line in lines) == (columns != 300)
    assert main(["list", "--root", str(root), "--wide"]) == 0
    assert "verdict" in capsys.readouterr().out


def test_list_into_a_file_has_every_column(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--root", str(root)]) == 0
    out = capsys.readouterr().out
    assert "verdict" in out
    assert "Left out" not in out


def test_the_columns_that_fit_are_the_most_important_in_their_order() -> None:
    rows = [["abc", "d", "efghij"]]
    assert fitting(["one", "two", "three"], rows, ["one", "three", "two"], 13) == ["one", "three"]
    assert fitting(["one", "two", "three"], rows, ["one", "three", "two"], 12) == ["one", "two"]
    assert fitting(["one", "two", "three"], rows, ["three", "one", "two"], 1) == ["three"]


@pytest.mark.parametrize("columns", [50, 80, 140])
@pytest.mark.parametrize("more", [[], ["--all"]])
def test_diagnose_keeps_to_the_columns(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int, more: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["diagnose", str(root / "pair"), *more]) == 0
    longest = max(map(len, capsys.readouterr().out.splitlines()))
    assert longest <= min(columns, 100)
    assert longest > 100 - 25 or columns < 100


@pytest.mark.parametrize("rows", [[["x", "yyyy"], ["xxx", "\N{CJK UNIFIED IDEOGRAPH-6F22}"]], [["x" * 30, ""]]])
def test_a_long_table_looks_as_a_short_one_does(
    rows: list[list[str]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    print_grid(["a", "bb"], rows, wide=True)
    short = capsys.readouterr().out.splitlines()
    monkeypatch.setattr("graddiag.cli.rows._MANY", 0)
    print_grid(["a", "bb"], rows, wide=True)
    assert capsys.readouterr().out.splitlines() == short[1:-1]
