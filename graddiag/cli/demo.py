"""``graddiag demo``: records the demonstration and writes its report; what is there already is left as it is."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graddiag.cli.options import Root
from graddiag.cli.progress import runs_bar
from graddiag.cli.rows import print_table
from graddiag.cli.terminal import echo

if TYPE_CHECKING:
    import pandas as pd

    from graddiag.lab import Plan


def demo(
    root: Root = Path("runs"),
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the report.")] = Path("reports/demo.html"),
) -> None:
    """Record the demonstration: explosion and its taming, vanishing, and how far an LSTM reaches; write its report."""
    from graddiag.lab.demonstration import missing_plans, recorded_runs
    from graddiag.store import shown

    named = shown(root)
    plans = missing_plans(root)
    if plans:
        _record(plans, root)
    paths = recorded_runs(root)
    if plans or not out.exists():
        _report(paths, out)
    print_table(_rows(paths, root))
    echo(f"{len(paths)} runs of the demonstration are in {named}, their report is {out}.")
    echo(f"Next: graddiag dashboard --root {shlex.quote(named)}")


def _record(plans: "tuple[Plan, ...]", root: Path) -> None:
    from graddiag.lab.demonstration import WORKERS, record_demonstration

    try:
        with runs_bar(len(plans), WORKERS) as on_run:
            for trained in record_demonstration(root, plans):
                on_run(trained.plan, f"loss {trained.final_loss:.4g}")
    except KeyboardInterrupt:
        echo("interrupted; `graddiag demo` continues from here.", err=True)
        raise typer.Exit(130) from None


def _report(paths: "tuple[Path, ...]", out: Path) -> None:
    from graddiag import load_run, write_report

    out.parent.mkdir(parents=True, exist_ok=True)
    write_report([load_run(path) for path in paths], out)


def _rows(paths: "tuple[Path, ...]", root: Path) -> "pd.DataFrame":
    from graddiag import list_runs, schema
    from graddiag.store import local_root

    here = local_root(root)
    runs = list_runs(here).set_index(schema.RUN)
    recorded = runs.loc[[path.relative_to(here).as_posix() for path in paths]]
    return recorded[
        [schema.EXPERIMENT, schema.ARM, schema.SEED, schema.STEPS, schema.FINAL_LOSS, schema.OUTCOME, schema.CAUSE]
    ]
