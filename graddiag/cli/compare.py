"""``graddiag compare``: the effect of one arm against another, seed by seed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from graddiag.cli.folders import load_runs
from graddiag.cli.options import AsJson, RunFolders
from graddiag.cli.progress import progress_line
from graddiag.cli.rows import print_grid, print_json, printable
from graddiag.cli.terminal import echo

if TYPE_CHECKING:
    from graddiag.analysis import Comparison
    from graddiag.run import Run


def compare(
    runs: RunFolders,
    length: Annotated[
        int | None, typer.Option(help="Only runs on sequences of this length; by default all, each with its like.")
    ] = None,
    target: Annotated[
        float | None, typer.Option(help="The loss to count steps to; by default one that every arm has reached.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare runs: their arms, paired by seed and length, and what differs."""
    from graddiag.analysis import compare as comparison_of

    with progress_line() as on_progress:
        on_progress(f"comparing {len(runs)} folders of runs" if len(runs) > 1 else "comparing")
        compared = comparison_of(_of_length(load_runs(runs), length), target=target)
    if as_json:
        print_json(compared.to_dict())
    else:
        _show(compared)


def _of_length(runs: "Sequence[Run]", length: int | None) -> "Sequence[Run]":
    """Those of ``runs`` on sequences of ``length``; all where it is None.

    Raises:
        SettingError: none is.
    """
    from graddiag.errors import SettingError

    if length is None:
        return runs
    found = [run for run in runs if run.length == length]
    if not found:
        known = ", ".join(map(str, sorted({each for run in runs if (each := run.length) is not None})))
        raise SettingError(
            f"length {length}: none of the runs has it; {f'they have {known}' if known else 'leave it out'}."
        )
    return found


def _show(compared: "Comparison") -> None:
    """The same sentences and tables as in a report, and the runs."""
    from graddiag.report.comparison import runs_table, sentences, tables

    for sentence in sentences(compared):
        echo(printable(sentence))
    grids = [runs_table(compared)] if compared.missing else [*tables(compared), runs_table(compared)]
    for grid in grids:
        echo()
        print_grid(grid.columns, grid.rows, title=grid.caption)
