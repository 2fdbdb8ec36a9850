"""One name for one thing: no public class is defined in two modules, and no file is longer than 400 lines."""

import ast
from collections import defaultdict
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SOURCES: Final = sorted([*(ROOT / "graddiag").rglob("*.py"), *(ROOT / "dashboards").rglob("*.py")])
# the callback of each library's Trainer goes by one name, as the libraries' own classes do
SHARED: Final = {"GraddiagCallback"}


def test_no_public_class_is_defined_in_two_modules() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for path in SOURCES:
        for each in ast.parse(path.read_text()).body:
            if isinstance(each, ast.ClassDef) and not each.name.startswith("_"):
                homes[each.name].append(path.relative_to(ROOT).as_posix())
    assert len(homes) > 300
    assert {name: found for name, found in homes.items() if len(found) > 1 and name not in SHARED} == {}


def test_no_file_is_longer_than_400_lines() -> None:
    assert {path.name: lines for path in SOURCES if (lines := len(path.read_text().splitlines())) > 400} == {}
