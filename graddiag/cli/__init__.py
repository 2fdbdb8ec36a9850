"""The command line: ``graddiag run | pair | sweep | list | report | diagnose | compare | export | spectrum |
lab | top | upload | dashboard | demo | guide | mcp``.

Each command is one file. Nothing heavy is imported until a command runs, so that help is quick.
"""

import sys
from collections.abc import Sequence

import typer

from graddiag import __version__
from graddiag.cli import (
    compare,
    dashboard,
    demo,
    diagnose,
    export,
    guide,
    lab,
    listing,
    mcp,
    report,
    spectrum,
    sweep,
    top,
    training,
    upload,
)
from graddiag.cli.help import GroupedHelpCommand
from graddiag.cli.terminal import echo, write_any_text
from graddiag.errors import GraddiagError

app = typer.Typer(
    name="graddiag",
    help="Exact gradients through time out of the recurrent networks you train: what is wrong, where, and what to try.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (training.run, training.pair, listing.list_, diagnose.diagnose, compare.compare, report.report):
    app.command(name=command.__name__.rstrip("_"), cls=GroupedHelpCommand)(command)
for command in (
    sweep.sweep,
    lab.lab,
    export.export,
    spectrum.spectrum,
    top.top,
    upload.upload,
    dashboard.dashboard,
    demo.demo,
    guide.guide,
    mcp.mcp,
):
    app.command(cls=GroupedHelpCommand)(command)


def _version(asked: bool) -> None:
    if asked:
        echo(f"graddiag {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None: ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. What a user can get wrong is one sentence on stderr and status 2; Ctrl-C is status 130."""
    write_any_text()
    try:
        return app(args=arguments, prog_name="graddiag", standalone_mode=False) or 0
    except GraddiagError as error:
        return _refuse(str(error), 2)
    except typer.TyperException as error:
        return _refuse(_with_hint(error.format_message()), error.exit_code)


def _with_hint(message: str) -> str:
    """A message of the parser and where to read on; without a message, help has been printed instead."""
    return f"{message.rstrip('.')}; `graddiag COMMAND --help` shows what can be given." if message else ""


def _refuse(message: str, status: int) -> int:
    if message:
        print(f"graddiag: {' '.join(message.split())}", file=sys.stderr)
    return status
