"""The pages hold Streamlit code only: what they show is computed, drawn and read elsewhere."""

import ast
from pathlib import Path

import pytest

from tests.dashboards.serving import APP

FILES = sorted(APP.parent.rglob("*.py"))
OTHERS_WORK = {"numpy", "pandas", "pyarrow", "plotly", "torch", "scipy"}
READS = {"open", "read_text", "read_bytes", "read_parquet", "read_csv", "loads"}
DRAWN = {"charts.py"}  # names the type of a figure


def imported(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return {name.partition(".")[0] for name in names}


def called(path: Path) -> set[str]:
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_arithmetic_and_no_drawing(path: Path) -> None:
    allowed = {"plotly"} if path.name in DRAWN else set()
    assert imported(path) & OTHERS_WORK <= allowed


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_reading_of_files(path: Path) -> None:
    assert not called(path) & READS


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_markup_is_let_through(path: Path) -> None:
    assert "unsafe_allow" not in path.read_text()
