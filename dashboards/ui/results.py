"""Results of analyses, kept while the run they come from stays as it is.

The cache is keyed on the folder, its revision and the parameters, never on data: a frame or an array as part of a key
would be hashed from a sample.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

import streamlit as st

from graddiag.run import Run, RunManifest
from graddiag.store import fingerprint, load_run
from ui.root import run_folder, runs_root

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class OpenRun:
    """A run of the root as it stands: its link, folder and manifest, and a revision that changes as it is written."""

    link: str
    folder: str
    revision: str
    manifest: RunManifest


def open_run(link: str) -> OpenRun:
    """The run that a link names.

    Raises:
        InputError: there is none under the root, or the link leads out of it.
        RunFormatError: the folder holds no run that this graddiag reads.
    """
    folder = run_folder(runs_root(), link)
    revision = fingerprint(folder)
    return OpenRun(link, str(folder), revision, load_run(folder).manifest)


def of(run: OpenRun, analysis: Callable[Concatenate[Run, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What ``analysis`` makes of one run."""
    key = (analysis.__name__, run.folder, run.revision)
    result: R = _kept(key, args, kwargs, lambda: analysis(load_run(run.folder), *args, **kwargs))
    return result


def of_all(runs: Sequence[OpenRun], analysis: Callable[[Sequence[Run]], R]) -> R:
    """What ``analysis`` makes of several runs together."""
    key = (analysis.__name__, *((run.folder, run.revision) for run in runs))
    result: R = _kept(key, (), {}, lambda: analysis([load_run(run.folder) for run in runs]))
    return result


@st.cache_data(max_entries=256, show_spinner=False)
def _kept(key: tuple[Any, ...], args: tuple[Any, ...], kwargs: dict[str, Any], _make: Callable[[], Any]) -> Any:
    """The underscore keeps ``_make`` out of the key."""
    return _make()
