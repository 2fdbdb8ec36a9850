"""Every table of a run as a plain file, for spreadsheets and other programs."""

import csv
from pathlib import Path
from typing import Final

from graddiag import schema
from graddiag.integrations.target import new_folder
from graddiag.run import Run
from graddiag.store import TableFormat, write_table

_MANIFEST: Final = "manifest.json"
_COLUMNS: Final = "columns.csv"


def export_csv(run: Run, target: Path | str, *, force: bool = False) -> None:
    """Writes ``target/steps.csv`` and so on, a file per table; null is an empty field, NaN is ``nan``.

    Beside them are the run's ``manifest.json`` and ``columns.csv``, which says what each column is, with its unit.

    Raises:
        SettingError: ``target`` is there already (and, with ``force``, is no export).
        InputError: it cannot be written.
    """
    _export(run, target, "csv", force)


def export_parquet(run: Run, target: Path | str, *, force: bool = False) -> None:
    """Writes ``target/steps.parquet`` and so on, as ``export_csv`` does."""
    _export(run, target, "parquet", force)


def _export(run: Run, target: Path | str, form: TableFormat, force: bool) -> None:
    with new_folder(run, target, form, force=force) as folder:
        for table in schema.TABLES:
            write_table(run, table, folder / f"{table}.{form}", form)
        (folder / _MANIFEST).write_text(run.manifest.model_dump_json(indent=2), encoding="utf-8")
        _describe(folder / _COLUMNS)


def _describe(path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(("table", "column", "dtype", "unit", "meaning"))
        for table in schema.TABLES.values():
            rows.writerows((table.name, c.name, c.dtype, c.unit, c.meaning) for c in table.columns)
