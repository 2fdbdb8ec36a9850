"""A store of MLflow read back through its client, against the run's tables."""

import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import graddiag
from graddiag.analysis import Selection, reach
from graddiag.run import numbers
from tests.needs import needs

needs("mlflow", "mlflow")
needs("sqlalchemy", "mlflow")
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun

from graddiag.integrations.mlflow import export, log_run
from tests.integrations.frames import assert_same

pytestmark = [
    pytest.mark.slow,  # a new store runs every migration MLflow has had
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

LARGEST = np.finfo(np.float64).max
LAYER = Selection("lstm", 0, "forward")


@pytest.fixture(scope="module")
def folder(recorded: graddiag.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("mlflow") / "run"
    export(recorded, target)
    return target


@pytest.fixture(scope="module")
def client(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")


@pytest.fixture(scope="module")
def found(client: MlflowClient) -> MlflowRun:
    experiment = client.get_experiment_by_name("a pair")
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def history(client: MlflowClient, run: MlflowRun, key: str) -> tuple[list[int], list[float]]:
    metrics = sorted(client.get_metric_history(run.info.run_id, key), key=lambda metric: metric.step)
    return [metric.step for metric in metrics], [metric.value for metric in metrics]


def test_every_column_of_the_steps_is_read_back(client: MlflowClient, found: MlflowRun, recorded: graddiag.Run) -> None:
    for name in set(recorded.steps.columns) - {"step", "wall_time"}:
        values, missing = numbers(recorded.steps[name])
        steps, read = history(client, found, name)
        assert steps == recorded.steps.step[~missing].tolist(), name
        np.testing.assert_array_equal(read, np.clip(values[~missing], -LARGEST, LARGEST), err_msg=name)
    assert math.isnan(history(client, found, "odd")[1][5])


def test_layers_and_profiles_are_read_back(client: MlflowClient, found: MlflowRun, recorded: graddiag.Run) -> None:
    expected = reach(recorded, LAYER)
    read = history(client, found, "lstm/layer0/forward/exponent")
    assert read == (expected.steps.tolist(), expected.exponent_by_step.tolist())
    rows = recorded.read("timesteps", where={"step": 4, **LAYER.where})
    read = history(client, found, "timesteps/step_4/lstm/layer0/forward/grad_h")
    assert read == (rows.timestep.tolist(), rows.grad_h.astype(float).tolist())


def test_the_run_is_named_described_and_judged(found: MlflowRun, recorded: graddiag.Run) -> None:
    assert (found.info.run_name, found.info.status) == ("of tests", "FINISHED")
    assert found.info.start_time == int(recorded.manifest.created.timestamp() * 1000)
    assert found.data.params["clip"] == "norm:0.1"
    assert found.data.params["config.width :28:units:29:"] == "5"
    diagnosis = graddiag.diagnose(recorded)
    assert found.data.tags["graddiag.outcome"] == diagnosis.outcome.name
    assert found.data.tags.get("graddiag.cause") == diagnosis.cause
    assert found.data.tags["graddiag.verdict"] == diagnosis.verdict


def test_tables_are_artifacts_wherever_the_folder_is_moved(
    folder: Path, found: MlflowRun, recorded: graddiag.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = shutil.copytree(folder, tmp_path / "moved")
    monkeypatch.chdir(moved)
    client = MlflowClient("sqlite:///mlflow.db")
    names = {artifact.path for artifact in client.list_artifacts(found.info.run_id)}
    assert names == {f"{name}.parquet" for name in graddiag.schema.TABLES}
    path = client.download_artifacts(found.info.run_id, "timesteps.parquet")
    assert client.get_run(found.info.run_id).info.artifact_uri == f"artifacts/{found.info.run_id}/artifacts"
    assert_same(pd.read_parquet(path, dtype_backend="pyarrow"), recorded.timesteps)


def test_a_broken_run_joins_a_store_that_is_there(client: MlflowClient, empty: graddiag.Run) -> None:
    failed = empty.manifest.model_copy(update={"status": "failed"})
    run_id = log_run(graddiag.Run(failed, empty.read), client, client.create_experiment("theirs"))
    assert client.get_run(run_id).info.status == "FAILED"
