"""The map of the layers: which room may import which, and where each heavy library may live."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "graddiag"
VIEWS = sorted((ROOT / "dashboards").rglob("*.py"))

VALUES = {"errors", "deprecation", "kinds", "schema", "run"}
MAP = {
    "errors": set(),
    "deprecation": set(),
    "kinds": set(),
    "schema": {"errors", "kinds"},
    "run": {"errors", "schema"},
    "cells": {"errors", "kinds", "schema"},
    "nn": {"errors", "kinds", "cells"},
    "tracing": {"errors", "kinds", "schema", "cells", "nn"},
    "clipping": {"errors", "deprecation", "cells", "clipping.registry"},
    "clipping.declaration": set(),
    "clipping.registry": {"errors"},
    "processes": set(),
    "goal": {"errors"},
    "store": VALUES | {"processes"},
    "recording": VALUES | {"cells", "tracing", "store"},
    "recorder": VALUES | {"goal", "recording", "cells", "tracing", "store", "clipping"},
    "analysis": VALUES | {"clipping.registry"},
    "analysis.spectrum": VALUES | {"cells", "tracing"},
    "checkpoint": VALUES | {"nn"},
    "overview": VALUES | {"store", "analysis"},
    "lessons": {"errors", "kinds", "cells", "clipping", "clipping.registry", "analysis"},
    "lessons.values": {"kinds", "analysis"},
    "jobs": {"errors", "store", "processes"},
    "jobs.supervise": set(),
    "figures": VALUES | {"analysis", "clipping.registry", "lessons.values"},
    "chromium": {"errors"},
    "views": VALUES | {"analysis", "figures"},
    "report": VALUES | {"store", "analysis", "figures", "views", "chromium"},
    "lab": VALUES | {"cells", "nn", "tracing", "clipping", "clipping.registry", "recorder", "store"},
    "presets": VALUES
    | {
        "analysis",
        "cells",
        "clipping",
        "figures",
        "lab",
        "lessons",
        "lessons.values",
        "nn",
        "recorder",
        "report",
        "views",
    }
    | {"store", "tracing"},
    "presets.catalogue": {"errors"},
    "integrations": VALUES | {"store", "analysis"},
    "integrations.exporters": set(),
    "integrations.figures": VALUES | {"chromium", "report", "integrations"},
    "integrations.lightning": VALUES | {"recorder", "integrations"},
    "integrations.transformers": VALUES | {"recorder", "integrations"},
    "integrations.settings": VALUES | {"goal", "recorder", "integrations"},
    "cli": VALUES
    | {"checkpoint", "clipping", "store", "analysis", "overview", "figures", "report", "lab"}
    | {"analysis.spectrum", "integrations.exporters", "presets", "presets.catalogue"},
    "dashboards": VALUES
    | {"store", "analysis", "overview", "figures", "views", "report", "lab", "jobs", "presets", "presets.catalogue"}
    | {"lessons", "lessons.values"},
    "__main__": {"cli"},
}
TRAINERS = {"integrations.lightning", "integrations.transformers", "integrations.settings"}
HOMES = {
    "torch": {"cells", "nn", "tracing", "clipping", "recording", "recorder", "lab", "presets", *TRAINERS}
    | {"analysis.spectrum", "checkpoint", "lessons"},
    "pyarrow": {"store"},
    "plotly": {"figures", "views", "report"},
    "streamlit": {"dashboards"},
    "jinja2": {"report"},
    "kaleido": {"chromium"},
    "choreographer": {"chromium"},
    "typer": {"cli"},
    "lightning": {"integrations.lightning"},
    "transformers": {"integrations.transformers"},
    "tensorboard": {"integrations"},
    "mlflow": {"integrations"},
    "wandb": {"integrations"},
    "ray": {"lab"},
}
HANDED_ON = {"plotly.graph_objects.Figure"}  # the type of a value that a page receives and lays out
WITHOUT_TORCH = [
    *("graddiag", "graddiag.analysis", "graddiag.figures", "graddiag.views", "graddiag.store", "graddiag.report"),
    *("graddiag.clipping", "graddiag.lab.spec", "graddiag.cli"),
]


def module_of(path: Path) -> str:
    if not path.is_relative_to(PACKAGE):
        return "dashboards"
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip(".")


def room(module: str) -> str:
    """The row of MAP a module within graddiag belongs to: its own, or that of the nearest package around it."""
    parts = module.split(".")
    around = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((name for name in around if name in MAP), parts[0])


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Every module ``path`` imports, at its head or inside a function, with the name taken from it."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; the house writes full names"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


SOURCES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent != PACKAGE or path.stem != "__init__"] + VIEWS


def test_rooms_import_only_what_the_map_allows() -> None:
    assert [told for path in SOURCES for told in beyond_the_map(path)] == []


def beyond_the_map(path: Path) -> Iterator[str]:
    here = room(module_of(path))
    for name in imports(path):
        if name.startswith("graddiag."):
            there = room(name.removeprefix("graddiag."))
            if there in MAP:  # anything else is a public name, graddiag.load_run for one
                inside = there.split(".")[0] == here.split(".")[0]
                if not inside and there not in MAP[here]:
                    yield f"{path.relative_to(ROOT)}: {here} imports {name}"


def test_heavy_libraries_stay_in_their_rooms() -> None:
    used = [(path, name) for path in SOURCES for name in set(imports(path)) - HANDED_ON]
    strays = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path, name in used
        if (here := room(module_of(path))) not in HOMES.get(name.split(".")[0], {here})
    ]
    assert strays == []


def test_what_needs_torch_is_asked_of_analysis_by_name_alone() -> None:
    for path in PACKAGE.rglob("*.py"):
        inside = path.is_relative_to(PACKAGE / "analysis" / "spectrum") or path.is_relative_to(PACKAGE / "cli")
        assert inside or not any("analysis.spectrum" in name for name in imports(path)), path


def test_every_room_is_on_the_map() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms - {"__init__", "__main__"} <= set(MAP)


def test_the_dashboard_holds_streamlit_code_only() -> None:
    known = {"streamlit", "graddiag", "ui", *sys.stdlib_module_names}
    used = [(path.name, name) for path in VIEWS for name in set(imports(path)) - HANDED_ON]
    assert [(path, name) for path, name in used if name.split(".")[0] not in known] == []


def test_pages_open_no_file() -> None:
    for path in VIEWS:
        if path.parent.name != "ui":
            calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            called = {getattr(call, "id", getattr(call, "attr", None)) for call in calls}
            assert not called & {"open", "read_text", "read_bytes", "write_text", "write_bytes"}, path


def test_a_run_is_read_judged_and_drawn_without_torch() -> None:
    code = f"import sys, {', '.join(WITHOUT_TORCH)}; print(*sorted({{'torch', 'streamlit'}} & set(sys.modules)))"
    assert printed(code) == []


def test_importing_graddiag_alone_brings_no_heavy_library() -> None:
    heavy = {"torch", "streamlit", "plotly", "pandas", "pyarrow"}
    assert printed(f"import sys, graddiag; print(*{heavy} & set(sys.modules))") == []


def printed(code: str) -> list[str]:
    """The words that a new process prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
