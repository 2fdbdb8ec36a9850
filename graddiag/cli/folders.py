"""Runs out of the folders a user names."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graddiag import Run


def load_runs(folders: Sequence[Path]) -> "list[Run]":
    """The runs in ``folders``, in that order; a folder that is no run but holds some, an experiment, means all of them.

    Raises:
        RunFormatError: a folder that is neither, or a run that is damaged.
    """
    from graddiag import load_run
    from graddiag.store import runs_at

    paths = [path for folder in folders for path in runs_at(folder)]
    return [load_run(path) for path in dict.fromkeys(paths)]
