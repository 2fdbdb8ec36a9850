"""Offline runs of W&B read back from their file, against the run's tables."""

import json
import math
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graddiag
from graddiag.analysis import Selection, reach
from graddiag.run import numbers
from tests.needs import needs

needs("wandb", "wandb")
from wandb.proto import wandb_internal_pb2

from graddiag.integrations.wandb import export
from tests.integrations.wandb_file import records
from tests.waiting import until

LAYER = Selection("lstm", 0, "forward")


class Written:
    """What the file of an offline run holds: history rows, configuration, summary, and the run itself."""

    def __init__(self, folder: Path) -> None:
        (path,) = folder.glob("offline-run-*/*.wandb")
        self.rows: list[dict[str, Any]] = []
        self.config: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        for record in _parsed(path):
            self._take(record)

    def _take(self, record: Any) -> None:
        kind = record.WhichOneof("record_type")
        if kind == "history":
            self.rows.append(
                {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
            )
        elif kind == "run":
            self.run = record.run
            self.config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "summary":
            self.summary |= {item.key: json.loads(item.value_json) for item in record.summary.update}

    def column(self, name: str, x: str = "_step") -> tuple[list[int], list[float]]:
        rows = [row for row in self.rows if name in row]
        return [row[x] for row in rows], [float(row[name]) for row in rows]


@pytest.fixture(scope="module")
def written(recorded: graddiag.Run, tmp_path_factory: pytest.TempPathFactory) -> Written:
    target = tmp_path_factory.mktemp("wandb") / "run"
    export(recorded, target)
    return Written(target)


def test_every_column_of_the_steps_is_read_back(written: Written, recorded: graddiag.Run) -> None:
    for name in set(recorded.steps.columns) - {"step", "wall_time"}:
        values, missing = numbers(recorded.steps[name])
        steps, found = written.column(name)
        assert steps == recorded.steps.step[~missing].tolist(), name
        np.testing.assert_array_equal(found, values[~missing], err_msg=name)
    odd = written.column("odd")[1]
    assert odd[3] == math.inf
    assert math.isnan(odd[5])


def test_layers_and_parameters_are_read_back(written: Written, recorded: graddiag.Run) -> None:
    found = reach(recorded, LAYER)
    assert written.column("lstm/layer0/forward/exponent") == (found.steps.tolist(), found.exponent_by_step.tolist())
    rows = recorded.parameters[recorded.parameters.parameter == "head.weight"]
    assert written.column("parameters/head.weight/grad_norm")[1] == rows.grad_norm.astype(float).tolist()


def test_profiles_have_the_timestep_as_their_axis(written: Written, recorded: graddiag.Run) -> None:
    rows = recorded.read("timesteps", where={"step": 4, **LAYER.where})
    found = written.column("timesteps/step_4/lstm/layer0/forward/grad_h", "timestep")
    assert found == (rows.timestep.tolist(), rows.grad_h.astype(float).tolist())


def test_the_run_is_named_grouped_and_judged(written: Written, recorded: graddiag.Run) -> None:
    run = written.run
    assert (run.display_name, run.project, run.run_group, run.run_id) == (
        "of tests", "a pair", "clip on", recorded.manifest.id,
    )  # fmt: skip
    assert run.notes == graddiag.diagnose(recorded).full()
    assert written.config["clip"] == "norm:0.1"
    assert written.config["config"] == {"width (units)": 5, "deep": {}}
    diagnosis = graddiag.diagnose(recorded)
    assert written.summary["outcome"] == diagnosis.outcome.name
    assert written.summary["cause"] == diagnosis.cause
    assert written.summary["verdict"] == diagnosis.verdict


def test_nothing_of_the_machine_is_written(recorded: graddiag.Run, tmp_path: Path) -> None:
    export(recorded, tmp_path / "run")
    (path,) = (path for path in (tmp_path / "run").glob("offline-run-*/**/*") if path.is_file())
    assert path.suffix == ".wandb"
    written = "\n".join(str(record) for record in _parsed(path))
    assert "clip on" in written
    for secret in (platform.node(), os.getcwd(), str(tmp_path)):
        # a whole word: a short name of a machine stands in W&B's random ids by chance
        assert not re.search(rf"(?<!\w){re.escape(secret)}(?!\w)", written), secret


def _parsed(path: Path) -> list[Any]:
    """W&B's service writes the end of the file after ``finish()`` has returned, on a busy machine a while after."""
    until(lambda: [each.WhichOneof("record_type") for each in _there(path)][-1:] == ["exit"])
    return list(_there(path))


def _there(path: Path) -> Iterator[Any]:
    for data in records(path):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        yield record


def test_a_run_without_a_step_is_exported(empty: graddiag.Run, tmp_path: Path) -> None:
    export(empty, tmp_path / "run")
    assert Written(tmp_path / "run").summary["verdict"] == "not-measured"
