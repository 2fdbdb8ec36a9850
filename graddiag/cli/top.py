"""``graddiag top``: a run, or every run under a root, live in a terminal."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graddiag.errors import InputError

if TYPE_CHECKING:
    from graddiag.monitor import RunStatus

Folder = Annotated[Path, typer.Argument(metavar="RUN|ROOT", help="A run folder, or a folder of runs.")]
Seconds = Annotated[float, typer.Option("--seconds", min=0.5, help="Seconds between two readings.")]
Once = Annotated[bool, typer.Option("--once", help="Read once, print JSON, and end.")]


def top(folder: Folder = Path("runs"), seconds: Seconds = 2.0, once: Once = False) -> None:
    """Show a run while it trains: status, loss, outcome, and each layer's gradient through time.

    It reads the run folder alone, so it works over SSH and never disturbs the training. Where the output is no
    terminal it prints JSON instead, a line a run whenever the run has changed, until every run has ended.
    """
    from graddiag.store import remote_url, runs_at, shown

    if remote_url(folder) is None and not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; name a run folder, or a folder of runs.")
    if runs_at(folder) == [folder] and not _is_run(folder):
        raise InputError(f"{shown(folder)}: there is no run in it; `graddiag list` shows the runs under a root.")
    if once or not sys.stdout.isatty():
        _print_lines(folder, None if once else seconds)
        return
    from graddiag.cli.top_screen import TopScreen

    TopScreen(folder, seconds).run()


def statuses(folder: Path) -> "list[RunStatus]":
    """The run in ``folder``, or all runs under it: those that are running first, then the latest."""
    from graddiag.monitor import run_status
    from graddiag.store import runs_at, shown

    found = [replace(status, run=shown(status.run)) for status in map(run_status, runs_at(folder))]
    return sorted(found, key=lambda each: (each.ended, -each.created.timestamp() if each.created else 0.0))


def _is_run(folder: Path) -> bool:
    return (folder / "manifest.json").exists()


def _print_lines(folder: Path, seconds: float | None) -> None:
    """A line of JSON for each run whenever it has changed; ``seconds`` None: once."""
    printed: dict[str, tuple[str, int | None]] = {}
    while True:
        found = statuses(folder)
        for each in found:
            state = each.status, each.step
            if printed.get(each.run) != state:
                printed[each.run] = state
                print(json.dumps(each.to_dict(), allow_nan=False, default=str), flush=True)
        if seconds is None or all(each.ended for each in found):
            return
        time.sleep(seconds)
