"""Names: one for one thing, the field's own, and no file longer than 400 lines.

FORMER_MODULES and FORMER have the present name for each former one, of a module and of a class or function. Public
names among them keep working as the module ``graddiag.deprecation`` has it, and are defined nowhere.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules, walk_packages
from types import ModuleType
from typing import Final

import pytest

import graddiag
from graddiag import analysis, figures

ROOT: Final = Path(__file__).parents[1]
SOURCES: Final = sorted([*(ROOT / "graddiag").rglob("*.py"), *(ROOT / "dashboards").rglob("*.py")])
EVERYWHERE: Final = [
    *SOURCES,
    *(each for folder in ("benchmarks", "scripts", "tests") for each in sorted((ROOT / folder).rglob("*.py"))),
]

FORMER_MODULES: Final = {
    "ears": "fused_dispatch",
    "overheard": "fused_layer",
    "pending": "layer_call",
    "listening": "observer",
    "passing": "grad_transform",
    "turning": "grad_cosine",
    "carried": "state_links",
    "chain": "state_links",
    "host": "device_transfer",
    "beginning": "manifest",
    "journal": "step_buffer",
    "inside": "bptt",
    "unitwise": "agc",
    "measured": "context",
    "stretches": "chunks",
    "longer": "reach_advice",
    "calm": "healthy",
    "parting": "first_divergence",
    "told": "summary",
    "leaflet": "preset_report",
    "solved": "early_stopping",
    "marked": "adding_task",
    "keeping": "annotations",
    "daylight": "theme",
    "inplace": "plotly_component",
    "story": "timeline",
}
FORMER: Final = {
    "parting": "first_divergence",
    "parted": "first_divergence",
    "told": "caption_parts",
    "Looked": "ThresholdSweep",
    "LookedStep": "SweepStep",
    "Tried": "Trial",
    "look": "try_thresholds",
    "looked_at": "evenly_spaced",
    "Told": "Caption",
    "Telling": "CaptionedResult",
    "told_together": "joint_captions",
    "Story": "Timeline",
    "story": "timeline",
    "Moment": "TimelineEvent",
    "Growth": "LogGrowth",
    "SomeSteps": "StepReservoir",
    "Parting": "FirstDivergence",
    "WeightsInTime": "WeightContributions",
    "weights_in_time": "weight_contributions",
    "Let": "PolicyShares",
    "let_through": "policy_shares",
    "dressed": "apply_layout",
    "nothing": "empty_figure",
    "add_oddities": "add_nonfinite_markers",
    "swell": "max_amplification",
    "teaching": "effective_timesteps",
    "tell": "report_progress, log_event, timeline or summarize",
    "tell_nobody": "ignore_progress",
    "telling": "progress_line",
    "said": "log_of",
}

# Functions that modules of one kind share: pages of the dashboard, presets, exporters, pools of trainings, cells.
SHARED: Final = {"GraddiagCallback", "body", "page", "summarize", "sweeps", "export", "main", "outcomes"} | {
    *("forward", "recover", "adjoint"),  # of a cell and of its variants
    *("activate", "scan", "step", "adjoint_step", "warm_up"),  # of the kernels of a cell
}


def defined(path: Path) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """The classes, functions and methods of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", EVERYWHERE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_class_or_function_has_a_former_name(path: Path) -> None:
    assert FORMER_MODULES.get(path.stem) is None
    assert [f"{each.name}: {FORMER[each.name]}" for each in defined(path) if each.name in FORMER] == []


def test_no_public_class_is_defined_in_two_modules() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for path in SOURCES:
        for each in ast.parse(path.read_text()).body:
            if isinstance(each, ast.ClassDef) and not each.name.startswith("_"):
                homes[each.name].append(path.relative_to(ROOT).as_posix())
    assert len(homes) > 300
    assert {name: found for name, found in homes.items() if len(found) > 1 and name not in SHARED} == {}


def test_no_public_function_is_defined_twice_in_a_package() -> None:
    homes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in SOURCES:
        package = path.relative_to(ROOT).parts[:2]
        for each in ast.parse(path.read_text()).body:
            if isinstance(each, ast.FunctionDef) and not each.name.startswith("_"):
                homes["/".join(package), each.name].append(path.relative_to(ROOT).as_posix())
    assert {name: found for name, found in homes.items() if len(found) > 1 and name[1] not in SHARED} == {}


@pytest.mark.parametrize("package", [graddiag, analysis, figures], ids=lambda package: package.__name__)
def test_public_names_are_listed_once(package: object) -> None:
    names = package.__all__  # type: ignore[attr-defined]
    assert len(set(names)) == len(names)
    assert [name for name in names if re.fullmatch("|".join(FORMER), name)] == []


def test_no_module_has_the_name_of_a_public_function() -> None:
    """``package.name`` is one thing, for a type checker too."""
    packages = [each for each in walk_packages(graddiag.__path__, "graddiag.") if each.ispkg]
    assert len(packages) > 20
    for package in (graddiag, *(import_module(each.name) for each in packages)):
        modules = {each.name for each in iter_modules(package.__path__)}
        shared = modules & set(getattr(package, "__all__", ()))
        assert [name for name in shared if not isinstance(getattr(package, name), ModuleType)] == []


def test_no_file_is_longer_than_400_lines() -> None:
    assert {path.name: lines for path in EVERYWHERE if (lines := len(path.read_text().splitlines())) > 400} == {}
