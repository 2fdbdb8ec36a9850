"""The exporters: each declared once, with what it writes and the options that it takes. No library is imported before.

``graddiag export`` is made from it. A new exporter is an entry of ``EXPORTERS`` and the function that it names.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final


@dataclass(frozen=True)
class Exporter:
    """A form in which a run is written for other programs.

    Attributes:
        name: as ``--to`` has it.
        help: what is written.
        implementation: module of ``graddiag.integrations`` and function, called with the run, the folder, ``force``,
            and what is given of its ``options``.
        options: its keywords beside ``force``; ``on_progress`` takes how far it is.
    """

    name: str
    help: str
    implementation: str
    options: tuple[str, ...] = ()

    def load(self) -> Callable[..., Any]:
        """The function itself, its libraries imported.

        Raises:
            SettingError: a library that it needs is not installed.
        """
        module, _, name = self.implementation.partition(":")
        found: Callable[..., Any] = getattr(import_module(f"graddiag.integrations.{module}"), name)
        return found


EXPORTERS: Final = (
    Exporter("csv", "every table with all its rows, as CSV", "tables:export_csv"),
    Exporter("parquet", "every table with all its rows, as Parquet", "tables:export_parquet"),
    Exporter("tensorboard", "curves as TensorBoard event files", "tensorboard:export"),
    Exporter("mlflow", "curves in an MLflow store", "mlflow:export"),
    Exporter("wandb", "curves as an offline run of W&B; nothing is sent anywhere", "wandb:export"),
    Exporter(
        "figures", "every figure of the report, for a paper", "figures:export", ("formats", "width", "on_progress")
    ),
)


def exporter(name: str) -> Exporter:
    """The exporter of that name, which is one of ``EXPORTERS``."""
    return next(each for each in EXPORTERS if each.name == name)


def help_text() -> str:
    """Every exporter and what it writes, for the help of an option."""
    return "; ".join(f"{each.name}: {each.help}" for each in EXPORTERS) + "."
