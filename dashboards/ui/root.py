"""Where the runs are, and which folder a link means. Nothing outside the root is ever opened.

A root at a URL is read through its mirror on this machine, which is brought up to date every few seconds.
"""

import argparse
import os
import sys
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

import streamlit as st

from graddiag.errors import GraddiagError, InputError
from graddiag.store import local_root, mirror_folder, remote_url, shown

ROOT_VARIABLE: Final = "GRADDIAG_ROOT"
DEFAULT_ROOT: Final = "runs"
RENEWED_SECONDS: Final = 5  # between two readings of a root at a URL
_SHOWN: Final = 100  # characters of a link in an error


@cache
def runs_root() -> Path:
    """The root of the runs, absolute: ``-- --root DIR``, else GRADDIAG_ROOT, else ./runs. Fixed until a restart. Of a
    URL it is the folder that mirrors it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--root")
    chosen, _ = parser.parse_known_args(sys.argv[1:])
    root = Path(chosen.root or os.environ.get(ROOT_VARIABLE) or DEFAULT_ROOT)
    return root.absolute() if remote_url(root) is None else mirror_folder(root)


def named_root() -> str:
    """The root as it is named to people, and to commands: a folder, or a URL."""
    return shown(runs_root())


def renew_root() -> str | None:
    """Brings the mirror of a root at a URL up to date, where the last time was five seconds ago or more; why it cannot
    be, None otherwise. The mirror then has what was there before."""
    return None if remote_url(named_root()) is None else _renewed(named_root())


@st.cache_resource(ttl=RENEWED_SECONDS, max_entries=1, show_spinner=False)
def _renewed(root: str) -> str | None:
    try:
        local_root(root)
    except GraddiagError as error:
        return str(error)
    return None


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
        raise InputError(f"This link asks for {link!r}, which leads out of the runs folder {shown(root)}.")
    if not there:
        named = link if len(link) <= _SHOWN else f"{link[:_SHOWN]}..."
        raise InputError(
            f"There is no run {named!r} under {shown(root)}. Was it renamed or deleted? The Runs page lists what is "
            "there."
        )
    return folder
