"""``graddiag compare``: the effect of one arm against another, seed by seed."""

from typing import TYPE_CHECKING

import typer

from graddiag.cli.folders import load_runs
from graddiag.cli.options import AsJson, RunFolders
from graddiag.cli.progress import telling
from graddiag.cli.rows import print_grid, print_json, printable

if TYPE_CHECKING:
    from graddiag.analysis import Comparison


def compare(runs: RunFolders, as_json: AsJson = False) -> None:
    """Compare runs: their arms, paired by seed, and what differs."""
    from graddiag.analysis import compare as comparison_of

    with telling() as tell:
        tell(f"comparing {len(runs)} folders of runs" if len(runs) > 1 else "comparing")
        compared = comparison_of(load_runs(runs))
    if as_json:
        print_json(compared.to_dict())
    else:
        _show(compared)


def _show(compared: "Comparison") -> None:
    """The same sentences and tables as in a report, and the runs."""
    from graddiag.report.comparison import runs_table, sentences, tables

    for sentence in sentences(compared):
        typer.echo(printable(sentence))
    grids = [runs_table(compared)] if compared.missing else [*tables(compared), runs_table(compared)]
    for grid in grids:
        typer.echo()
        print_grid(grid.columns, grid.rows, title=grid.caption)
