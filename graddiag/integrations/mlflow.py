"""A run as a run of MLflow, in a new store (sqlite) or in an existing one; its tables become artifacts."""

import logging
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

from graddiag import schema
from graddiag.analysis import diagnose
from graddiag.integrations.curves import ExportedCurve, over_timesteps, over_training, wall_times
from graddiag.integrations.libraries import missing
from graddiag.integrations.target import new_folder
from graddiag.run import Run
from graddiag.store import write_table

try:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param
except ImportError as error:
    raise missing("mlflow", error) from error

STORE: Final = "mlflow.db"
PROFILES: Final = "timesteps"
_ARTIFACTS: Final = "artifacts"
_EXPERIMENT: Final = "graddiag"
_STATUS: Final = {
    "running": "RUNNING",
    "finished": "FINISHED",
    schema.INCOMPLETE: "FINISHED",
    schema.STOPPED: "KILLED",
    "failed": "FAILED",
    "interrupted": "KILLED",
}
_BATCH: Final = 1000  # metrics that MLflow takes at once
_LONGEST: Final = 6000  # characters of a parameter


def export(run: Run, target: Path | str, *, force: bool = False) -> None:
    """Writes ``run`` as a new store: ``cd target; mlflow ui --backend-store-uri sqlite:///mlflow.db``.

    Its tables lie beside the store as Parquet, at a path relative to the folder: all of it can be moved, and artifacts
    are found by an MLflow that is started in it.

    Raises:
        SettingError: ``target`` is there already (and, with ``force``, is no export).
        InputError: it cannot be written.
    """
    with new_folder(run, target, "mlflow", force=force) as folder, _quiet():
        client = MlflowClient(f"sqlite:///{folder / STORE}")
        experiment = client.create_experiment(run.manifest.experiment or _EXPERIMENT)
        run_id = log_run(run, client, experiment)
        artifacts = folder / _ARTIFACTS / run_id / "artifacts"
        artifacts.mkdir(parents=True)
        for table in schema.TABLES:
            write_table(run, table, artifacts / f"{table}.parquet", "parquet")
        _make_relative(folder / STORE)


def _make_relative(store: Path) -> None:
    """Gives experiments and runs of a new store the place of their artifacts relative to its folder; MLflow's client
    makes any place that it is given absolute."""
    with closing(sqlite3.connect(store)) as opened, opened:
        opened.execute("UPDATE experiments SET artifact_location = ?", (_ARTIFACTS,))
        opened.execute("UPDATE runs SET artifact_uri = ? || '/' || run_uuid || '/artifacts'", (_ARTIFACTS,))


def log_run(run: Run, client: MlflowClient, experiment_id: str) -> str:
    """Adds ``run`` to an experiment of any MLflow server or store, without its tables, and gives MLflow's id of it.

    The configuration becomes parameters; outcome, cause and verdict become tags, the diagnosis the description. Metrics
    are the curves over steps, at the time when each step ended, and profiles as ``timesteps/step_100/...`` with the
    timestep in the place of the step. A character that MLflow takes in no name is written as its number between colons.
    MLflow's SQL stores turn inf into the largest float64.
    """
    manifest, began = run.manifest, run.manifest.created.timestamp()
    created = client.create_run(experiment_id, start_time=_ms(began), run_name=manifest.name, tags=_tags(run))
    run_id = str(created.info.run_id)
    client.log_batch(run_id, params=[Param(_key(name), text[:_LONGEST]) for name, text in _parameters(run)])
    times = wall_times(run)
    metrics = _metrics(over_training(run), times, began)
    while batch := list(islice(metrics, _BATCH)):
        client.log_batch(run_id, metrics=batch)
    for step, curves in over_timesteps(run).items():
        metrics = _metrics(curves, {}, times.get(step, began), f"{PROFILES}/step_{step}/")
        while batch := list(islice(metrics, _BATCH)):
            client.log_batch(run_id, metrics=batch)
    finished = _ms(manifest.finished.timestamp()) if manifest.finished else None
    if manifest.status != "running":
        client.set_terminated(run_id, status=_STATUS[manifest.status], end_time=finished)
    return run_id


def _metrics(
    curves: Sequence[ExportedCurve], times: Mapping[int, float], otherwise: float, prefix: str = ""
) -> Iterator[Metric]:
    for curve in curves:
        key = _key(prefix + curve.name)
        for x, value in zip(curve.x.tolist(), curve.values.tolist(), strict=True):
            yield Metric(key, value, _ms(times.get(x, otherwise)), x)


def _parameters(run: Run) -> Iterator[tuple[str, str]]:
    manifest = run.manifest.model_dump(mode="json")
    for name in (schema.ARM, schema.SEED, schema.TASK, schema.MODEL, schema.CLIP, "loss_reduction", "every"):
        if manifest[name] is not None:
            yield name, str(manifest[name])
    for name, value in manifest["config"].items():
        yield f"config.{name}", str(value)


def _tags(run: Run) -> dict[str, Any]:
    diagnosis = diagnose(run)
    own = {
        "graddiag.id": run.manifest.id,
        "graddiag.outcome": diagnosis.outcome.name,
        "graddiag.verdict": diagnosis.verdict,
        "mlflow.note.content": diagnosis.full(),
    }
    own |= {} if diagnosis.cause is None else {"graddiag.cause": diagnosis.cause}
    return own | {f"graddiag.tag.{number}": tag for number, tag in enumerate(run.manifest.tags)}


def _key(name: str) -> str:
    return re.sub(r"[^\w\-. /]|[^\x00-\x7f]", lambda found: f":{ord(found[0]):x}:", name)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without MLflow's lines about the tables of a new store."""
    loggers = [logging.getLogger(name) for name in ("mlflow.store.db.utils", "alembic.runtime.migration")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
