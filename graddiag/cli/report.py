"""``graddiag report``: runs as a file that can be read, printed and passed on."""

from pathlib import Path
from typing import Annotated

import typer

from graddiag.cli.folders import load_runs
from graddiag.cli.options import RunFolders
from graddiag.cli.progress import progress_line
from graddiag.cli.terminal import echo


def report(
    runs: RunFolders,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Where to write it; the suffix says the format. .html: one file with live figures, opens offline. "
            ".md: Markdown, its figures as PNG in a folder beside it. .pdf: A4, to print.",
        ),
    ],
    sections: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Which sections, with commas between them: verdict,evidence,comparison,methods,configuration. "
            "By default all; the question and the runs are always there.",
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Title; by default the name of the experiment or run.")] = None,
) -> None:
    """Write a report of one or several runs, as HTML, Markdown or PDF."""
    from graddiag import write_report

    chosen = None if sections is None else [name.strip() for name in sections.split(",") if name.strip()]
    with progress_line() as on_progress:
        write_report(load_runs(runs), out, sections=chosen, title=title, on_progress=on_progress)
    echo(f"wrote {out}")
