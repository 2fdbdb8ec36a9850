"""What importing graddiag loads, and what pages do not do. Contracts in pyproject.toml hold who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(path for path in (ROOT / "dashboards").rglob("*.py") if path.parent.name != "ui")
WITHOUT_TORCH = [
    *("graddiag", "graddiag.analysis", "graddiag.figures", "graddiag.views", "graddiag.store", "graddiag.report"),
    *("graddiag.clipping", "graddiag.lab.spec", "graddiag.cli"),
]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_pages_open_no_file(path: Path) -> None:
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    called = {getattr(call, "id", getattr(call, "attr", None)) for call in calls}
    assert not called & {"open", "read_text", "read_bytes", "write_text", "write_bytes"}


def test_a_run_is_read_judged_and_drawn_without_torch() -> None:
    assert loaded({"torch", "streamlit", "fsspec"}, WITHOUT_TORCH) == []


def test_importing_graddiag_alone_brings_no_heavy_library() -> None:
    assert loaded({"torch", "streamlit", "plotly", "pandas", "pyarrow"}, ["graddiag"]) == []


def loaded(libraries: set[str], modules: list[str]) -> list[str]:
    """Those of ``libraries`` that a new process has loaded once it has imported ``modules``."""
    code = f"import sys, {', '.join(modules)}; print(*sorted({libraries} & set(sys.modules)))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
