"""The share of lines that the tests cover, by package, from a JSON report of coverage."""

import json
import sys
from collections import Counter
from pathlib import Path, PurePath
from typing import Any

from rich.console import Console
from rich.table import Table


def package_of(path: str) -> str:
    """The package that a file belongs to, two levels deep; modules of ``graddiag`` itself are counted as one."""
    return ".".join(PurePath(path).parts[:-1][:2])


def by_package(report: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Covered lines and lines of each package, from a JSON report of coverage."""
    covered: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    for path, found in report["files"].items():
        covered[package_of(path)] += found["summary"]["covered_lines"]
        lines[package_of(path)] += found["summary"]["num_statements"]
    return {package: (covered[package], lines[package]) for package in sorted(lines) if lines[package]}


def main() -> None:
    packages = by_package(json.loads(Path(sys.argv[1]).read_text()))
    table = Table("package", "lines", "covered")
    for package, (covered, lines) in packages.items():
        table.add_row(package, f"{lines:,}", f"{covered / lines:.1%}")
    covered, lines = (sum(numbers) for numbers in zip(*packages.values(), strict=True))
    table.add_section()
    table.add_row("all", f"{lines:,}", f"{covered / lines:.1%}")
    Console().print(table)


if __name__ == "__main__":
    main()
