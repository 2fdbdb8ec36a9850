"""Results of analyses, kept while the run they come from stays as it is.

What is kept is keyed on the folder, its revision and the parameters, never on data: a frame or an array as part of a
key would be hashed from a sample.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import streamlit as st

from graddiag.errors import GraddiagError
from graddiag.run import Run, RunManifest
from graddiag.store import fingerprint, load_run, read_manifest
from ui.root import renew_root, run_folder, runs_root

P = ParamSpec("P")
R = TypeVar("R")

MOST_KEPT: Final = 160  # of results, over all visitors
MOST_READ: Final = 24  # of runs, with what analyses remember of them
SLOW: Final = 1.0  # seconds: what takes longer to make may lag behind a run that is being written
PATIENCE: Final = 2.0  # it is made anew when it is so many times older than it took to make


@dataclass(frozen=True)
class OpenRun:
    """A run of the root as it is: its link, folder and manifest, and a revision that changes as it is written."""

    link: str
    folder: str
    revision: str
    manifest: RunManifest


@dataclass
class _Made:
    """A result, of which revision it is, when it was made (monotonic seconds) and how long that took."""

    revision: str | None = None
    result: Any = None
    when: float = 0.0
    seconds: float = 0.0

    def fits(self, revision: str, running: bool) -> bool:
        if self.revision == revision:
            return True
        slow = running and self.revision is not None and self.seconds > SLOW
        return slow and time.monotonic() - self.when < PATIENCE * self.seconds

    def renew(self, revision: str, make: Callable[[], Any]) -> None:
        start = time.monotonic()
        result = make()
        end = time.monotonic()
        self.revision, self.result, self.when, self.seconds = revision, result, end, end - start


def open_run(link: str) -> OpenRun:
    """The run that a link names.

    Raises:
        InputError: there is none under the root, or the link leads out of it.
        RunFormatError: the folder holds no run that this graddiag reads.
    """
    renew_root()
    folder = run_folder(runs_root(), link)
    before = fingerprint(folder)
    manifest = load_run(folder).manifest
    return OpenRun(link, str(folder), f"{before} {manifest.status}", manifest)


def state_of(links: Sequence[str]) -> tuple[str, ...]:
    """Changes whenever one of the runs does; of a run that is gone it says so."""
    return tuple(_revision(link) for link in links)


def _revision(link: str) -> str:
    """As that of ``open_run``, without reading the tables; the status is a part, since a killed run writes nothing."""
    renew_root()
    try:
        folder = run_folder(runs_root(), link)
        return f"{fingerprint(folder)} {read_manifest(folder).status}"
    except GraddiagError:
        return "gone"


def read(run: OpenRun) -> Run:
    """The run to be analysed: the same object as long as it stays as it is, so that analyses find what others have."""
    made = _read(run.folder)
    if made.revision != run.revision:
        made.renew(run.revision, lambda: load_run(run.folder))
    found: Run = made.result
    return found


def of(run: OpenRun, analysis: Callable[Concatenate[Run, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What ``analysis`` makes of one run; the same object as long as the run stays as it is.

    Of a run that is being written, what takes over a second to make is made anew more seldom than what does not.
    """
    made = _kept(analysis.__name__, run.folder, args, kwargs)
    if not made.fits(run.revision, run.manifest.status == "running"):
        made.renew(run.revision, lambda: analysis(read(run), *args, **kwargs))
    result: R = made.result
    return result


def of_all(
    runs: Sequence[OpenRun], analysis: Callable[Concatenate[Sequence[Run], P], R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """What ``analysis`` makes of several runs together."""
    made = _kept(analysis.__name__, tuple(run.folder for run in runs), args, kwargs)
    running = any(run.manifest.status == "running" for run in runs)
    if not made.fits(" ".join(run.revision for run in runs), running):
        members = [read(run) for run in runs]
        made.renew(" ".join(run.revision for run in runs), lambda: analysis(members, *args, **kwargs))
    result: R = made.result
    return result


def ask(subject: OpenRun | Sequence[OpenRun], analysis: Callable[..., Any], **arguments: Any) -> Any:
    """What ``analysis`` makes of one run, or of several together."""
    return (
        of(subject, analysis, **arguments) if isinstance(subject, OpenRun) else of_all(subject, analysis, **arguments)
    )


@st.cache_resource(max_entries=MOST_KEPT, show_spinner=False)
def _kept(name: str, folders: str | tuple[str, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Made:
    """The place of one result, empty at first; places that were not looked at for longest are given up."""
    return _Made()


@st.cache_resource(max_entries=MOST_READ, show_spinner=False)
def _read(folder: str) -> _Made:
    """The place of one run, empty at first."""
    return _Made()
