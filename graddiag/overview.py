"""list_runs: the runs under a root in a table, each with its verdict."""

from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from graddiag import __version__, schema
from graddiag.analysis import Thresholds, diagnose, final_loss
from graddiag.errors import RunFormatError
from graddiag.run import Run
from graddiag.store import (
    fingerprint,
    frame_of,
    load_run,
    read_manifest,
    replace_text,
    run_folders,
)

DAMAGED: Final = "damaged"
CACHE: Final = "overview.json"

_CREATED: Final = "created"  # orders the rows; not a column
_OF_MANIFEST: Final = (
    schema.EXPERIMENT,
    schema.ARM,
    schema.SEED,
    schema.TASK,
    schema.MODEL,
    schema.CLIP,
)
_DTYPES: Final[dict[str, schema.DType]] = {
    **dict.fromkeys(schema.RUN_LIST_COLUMNS, "string"),
    schema.SEED: "int64",
    schema.STEPS: "int64",
    schema.FINAL_LOSS: "float64",
}


def list_runs(root: Path | str = "runs") -> pd.DataFrame:
    """The runs under ``root``, a row each, in the order of creation; an empty frame where there are none.

    ``run`` is the folder relative to ``root``, ``steps`` counts the updates recorded so far, ``final_loss`` is the
    mean over the last 5% of the steps with a loss (NaN if one of them was, null without any), ``verdict`` is that of
    ``diagnose``. A run that cannot
    be read has the status ``damaged``, comes last, and says why when it is loaded. The verdict of an unchanged run is
    kept in its folder, where that can be written.
    """
    rows = [_row(Path(root), folder) for folder in run_folders(root)]
    ordered = sorted(rows, key=lambda row: (row[schema.STATUS] == DAMAGED, row[_CREATED], row[schema.RUN]))
    return frame_of(ordered, _DTYPES)


class _Summary(BaseModel):
    """What a listing needs of the tables. ``key`` says of which state of the run, by which graddiag."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    key: str
    steps: int
    final_loss: float | None
    verdict: str


def _row(root: Path, folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {schema.RUN: folder.relative_to(root).as_posix(), schema.STATUS: DAMAGED, _CREATED: 0.0}
    with suppress(RunFormatError):  # what was read before the damage was met is shown
        manifest = read_manifest(folder)
        row |= {name: getattr(manifest, name) for name in _OF_MANIFEST} | {_CREATED: manifest.created.timestamp()}
        summary = _summary(folder)
        row |= {
            schema.STATUS: manifest.status,
            schema.STEPS: summary.steps,
            schema.FINAL_LOSS: summary.final_loss,
            schema.VERDICT: summary.verdict,
        }
    return row


def _summary(folder: Path) -> _Summary:
    key = f"{__version__} {fingerprint(folder)} {Thresholds()}"
    try:
        kept = _Summary.model_validate_json((folder / CACHE).read_bytes())
    except (OSError, ValidationError):
        kept = None
    if kept is not None and kept.key == key:
        return kept
    found = _summarise(load_run(folder), key)
    with suppress(OSError):  # a root that cannot be written can still be listed
        replace_text(folder / CACHE, found.model_dump_json())
    return found


def _summarise(run: Run, key: str) -> _Summary:
    steps = len(run.read(schema.TABLE_STEPS, columns=[schema.STEP]))
    return _Summary(key=key, steps=steps, final_loss=final_loss(run), verdict=diagnose(run).verdict)
