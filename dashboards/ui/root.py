"""Where the runs are, and which folder a link means. Nothing outside the root is ever opened."""

import argparse
import os
import sys
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

from graddiag.errors import InputError

ROOT_VARIABLE: Final = "GRADDIAG_ROOT"
DEFAULT_ROOT: Final = "runs"
_SHOWN: Final = 100  # characters of a link in an error


@cache
def runs_root() -> Path:
    """The root of the runs, absolute: ``-- --root DIR``, else GRADDIAG_ROOT, else ./runs. Fixed until a restart."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--root")
    chosen, _ = parser.parse_known_args(sys.argv[1:])
    return Path(chosen.root or os.environ.get(ROOT_VARIABLE) or DEFAULT_ROOT).absolute()


def run_folder(root: Path, link: str) -> Path:
    """The folder that a link names, relative to ``root``; links and symbolic links that lead out of it are refused.

    Raises:
        InputError: the link is no relative path, leads out of the root, or names no folder.
    """
    relative = PurePosixPath(link)
    if not link or "\0" in link or "\\" in link or relative.is_absolute() or ".." in relative.parts:
        raise InputError(
            f"This link asks for {link!r}. A link names a run by its path under the runs folder: experiment/name."
        )
    folder = root / relative
    try:
        leads_out, there = not folder.resolve().is_relative_to(root.resolve()), folder.is_dir()
    except OSError:  # a name that no folder can have
        leads_out = there = False
    if leads_out:
        raise InputError(f"This link asks for {link!r}, which leads out of the runs folder {root}.")
    if not there:
        named = link if len(link) <= _SHOWN else f"{link[:_SHOWN]}..."
        raise InputError(
            f"There is no run {named!r} under {root}. Was it renamed or deleted? The Runs page lists what is there."
        )
    return folder
