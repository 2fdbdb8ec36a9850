"""``graddiag export``: a run as files for other programs, or for the tracker that a team lives in."""

from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from graddiag.cli.folders import load_runs


class Format(StrEnum):
    CSV = "csv"
    PARQUET = "parquet"
    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"
    WANDB = "wandb"


_TABLES = (Format.CSV, Format.PARQUET)


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    to: Annotated[
        Format,
        typer.Option(
            help="csv, parquet: every table, with all its rows. tensorboard, mlflow, wandb: the same numbers as curves "
            "in that tracker's own files; nothing is sent anywhere."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write; one that is not there yet.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an export that is at DIR already.")] = False,
) -> None:
    """Export a run as CSV, as Parquet, or to TensorBoard, MLflow or W&B."""
    from graddiag.errors import SettingError

    runs = load_runs([run])
    if len(runs) != 1:
        raise SettingError(f"export {run}: it holds {len(runs)} runs. Name one of them; each is exported by itself.")
    name = f"export_{to}" if to in _TABLES else "export"
    module = import_module(f"graddiag.integrations.{'tables' if to in _TABLES else to}")
    getattr(module, name)(runs[0], out, force=force)
    typer.echo(f"wrote {out}")
