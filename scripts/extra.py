"""Prints the requirements of an extra of pyproject.toml: ``python -m scripts.extra third-party``."""

import sys
import tomllib
from pathlib import Path


def requirements(extra: str) -> list[str]:
    """The requirements as they are declared, one a package."""
    declared = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]
    return [requirement.replace(" ", "") for requirement in declared[extra]]


if __name__ == "__main__":
    print(*requirements(sys.argv[1]), sep="\n")
