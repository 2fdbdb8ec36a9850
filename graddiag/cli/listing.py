"""``graddiag list``: the runs under a root."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from graddiag import schema
from graddiag.cli.options import AsJson, Root
from graddiag.cli.progress import progress_line
from graddiag.cli.rows import fitting, print_json, print_table, printable, records, shown_rows
from graddiag.cli.terminal import echo, width
from graddiag.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


# the more important, the earlier
ORDER: Final = (
    *(
        schema.RUN,
        schema.OUTCOME,
        schema.CAUSE,
        schema.STATUS,
        schema.FINAL_LOSS,
        schema.STEPS,
        schema.ARM,
        schema.SEED,
    ),
    *(schema.CLIP, schema.MODEL, schema.TASK, schema.EXPERIMENT, schema.VERDICT),
)

Wide = Annotated[bool, typer.Option("--wide", help="All columns, whatever the width of the terminal.")]


def list_(root: Root = Path("runs"), as_json: AsJson = False, wide: Wide = False) -> None:
    """List the runs under a root: what they are, how they ended, their outcome and its cause."""
    from graddiag import list_runs
    from graddiag.store import remote_url, shown

    named = shown(root)
    if remote_url(root) is None and not root.is_dir():
        raise InputError(
            f"root {root}: there is no such folder; `graddiag pair --root {root}` records a first pair there."
        )
    with progress_line() as on_progress:
        runs = list_runs(root, on_progress=on_progress)
    if as_json:
        print_json(records(runs))
    elif runs.empty:
        echo(f"no runs under {named} yet; `graddiag pair --root {named}` records a first pair.")
    else:
        damaged = runs[runs[schema.REASON].notna()]
        _print_columns(runs.drop(columns=schema.REASON), None if wide else width())
        for run, reason in zip(damaged[schema.RUN], damaged[schema.REASON], strict=True):
            _echo_filled(f"{printable(run)}: {printable(reason)}", width())
    _say_waiting(root)


def _say_waiting(root: Path) -> None:
    """Of a URL: how many of its runs wait on this machine to be uploaded."""
    from graddiag.store import remote_url, waiting_uploads

    url = remote_url(root)
    number = 0 if url is None else len(waiting_uploads(url))
    if number:
        what = "1 run waits" if number == 1 else f"{number} runs wait"
        echo(f"{what} on this machine to be uploaded to {url}: graddiag upload", err=True)


def _print_columns(runs: "pd.DataFrame", most: int | None) -> None:
    """The columns that fit ``most`` columns of the terminal, and which ones do not; None: all."""
    names = [str(name) for name in runs.columns]
    if most is None:
        print_table(runs)
        return
    chosen = fitting(names, shown_rows(runs), ORDER, most)
    print_table(runs[chosen], most)
    left_out = [name for name in names if name not in chosen]
    if left_out:
        words = f"Left out at {most} columns: {', '.join(left_out)}. All: --wide or --json."
        _echo_filled(words, most)


def _echo_filled(text: str, most: int | None) -> None:
    """``text`` in lines of ``most`` columns, in one line for None."""
    if most is None:
        echo(text)
        return
    from rich.console import Console
    from rich.text import Text

    for line in Text(text).wrap(Console(width=most), most):
        echo(line.plain.rstrip())
