"""``graddiag list``: the runs under a root."""

from pathlib import Path

import typer

from graddiag import schema
from graddiag.cli.options import AsJson, Root
from graddiag.cli.rows import print_json, print_table, printable, records
from graddiag.errors import InputError


def list_(root: Root = Path("runs"), as_json: AsJson = False) -> None:
    """List the runs under a root: what they are, how they ended, their outcome and its cause."""
    from graddiag import list_runs

    if not root.is_dir():
        raise InputError(
            f"root {root}: there is no such folder; `graddiag pair --root {root}` records a first pair there."
        )
    runs = list_runs(root)
    if as_json:
        print_json(records(runs))
    elif runs.empty:
        typer.echo(f"no runs under {root} yet; `graddiag pair --root {root}` records a first pair.")
    else:
        damaged = runs[runs[schema.REASON].notna()]
        print_table(runs.drop(columns=schema.REASON))
        for run, reason in zip(damaged[schema.RUN], damaged[schema.REASON], strict=True):
            typer.echo(f"{printable(run)}: {printable(reason)}")
