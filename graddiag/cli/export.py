"""``graddiag export``: a run as files for other programs, for the tracker that a team lives in, or for a paper."""

from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from graddiag.cli.folders import load_runs
from graddiag.cli.progress import telling


class Format(StrEnum):
    CSV = "csv"
    PARQUET = "parquet"
    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"
    WANDB = "wandb"
    FIGURES = "figures"


_TABLES = (Format.CSV, Format.PARQUET)


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    to: Annotated[
        Format,
        typer.Option(
            help="csv, parquet: every table, with all its rows. tensorboard, mlflow, wandb: the same numbers as curves "
            "in that tracker's own files; nothing is sent anywhere. figures: every figure of the report, for a paper."
        ),
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

    options = _figure_options(to, form, width)
    runs = load_runs([run])
    if len(runs) != 1:
        raise SettingError(f"export {run}: it holds {len(runs)} runs. Name one of them; each is exported by itself.")
    name = f"export_{to}" if to in _TABLES else "export"
    module = import_module(f"graddiag.integrations.{'tables' if to in _TABLES else to}")
    with telling() as tell:
        told = {"tell": tell} if to == Format.FIGURES else {}
        getattr(module, name)(runs[0], out, force=force, **options, **told)
    typer.echo(f"wrote {out}")


def _figure_options(to: Format, form: str | None, width: int | None) -> dict[str, object]:
    """What was given for figures, under the names that their export has for it."""
    from graddiag.errors import SettingError

    formats = None if form is None else [name.strip() for name in form.split(",") if name.strip()]
    asked: tuple[tuple[str, object], ...] = (("formats", formats), ("width", width))
    given = {name: value for name, value in asked if value is not None}
    if given and to != Format.FIGURES:
        raise SettingError(f"export --to {to}: --format and --width are for --to figures alone; leave them out.")
    return given
