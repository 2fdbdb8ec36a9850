"""``graddiag report``: runs as one file that opens anywhere."""

from pathlib import Path
from typing import Annotated

import typer

from graddiag.cli.folders import load_runs
from graddiag.cli.options import RunFolders


def report(
    runs: RunFolders,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write it; the suffix, .html, says the format.")],
) -> None:
    """Write a report of one or several runs, in one self-contained file that opens offline."""
    from graddiag import write_report

    write_report(load_runs(runs), out)
    typer.echo(f"wrote {out}")
