"""``graddiag export``: a run as files for other programs, for the tracker that a team lives in, or for a paper."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graddiag.cli.folders import load_runs
from graddiag.cli.progress import progress_line
from graddiag.cli.terminal import echo
from graddiag.integrations.exporters import EXPORTERS, exporter, help_text

if TYPE_CHECKING:
    Format = str
else:
    Format = StrEnum("Format", [(each.name, each.name) for each in EXPORTERS])


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    to: Annotated[
        Format,
        typer.Option(help=help_text()),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write; one that is not there yet.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an export that is at DIR already.")] = False,
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="NAMES", help="Of figures: png,svg,pdf or some of them; by default all."),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(metavar="PIXELS", help="Of figures: 96 an inch, by default 672; a PNG has twice as many."),
    ] = None,
) -> None:
    """Export a run: as CSV or Parquet, to TensorBoard, MLflow or W&B, or its figures."""
    from graddiag.errors import SettingError

    options = _options(to, form, width)
    runs = load_runs([run])
    if len(runs) != 1:
        raise SettingError(f"export {run}: it holds {len(runs)} runs. Name one of them; each is exported by itself.")
    write = exporter(to).load()
    with progress_line() as on_progress:
        told = {"on_progress": on_progress} if "on_progress" in exporter(to).options else {}
        write(runs[0], out, force=force, **options, **told)
    echo(f"wrote {out}")


def _options(to: str, form: str | None, width: int | None) -> dict[str, object]:
    """What was given of the options that only some exports have, under the names that they have for it."""
    from graddiag.errors import SettingError

    formats = None if form is None else [name.strip() for name in form.split(",") if name.strip()]
    asked: tuple[tuple[str, object], ...] = (("formats", formats), ("width", width))
    given = {name: value for name, value in asked if value is not None}
    if not set(given) <= set(exporter(to).options):
        having = " or ".join(f"--to {each.name}" for each in EXPORTERS if set(given) <= set(each.options))
        raise SettingError(f"export --to {to}: --format and --width are for {having} alone; leave them out.")
    return given
