"""Event files read back through TensorBoard's own reader, against the run's tables."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import graddiag
from graddiag.analysis import Selection, gate_history, reach
from graddiag.run import numbers
from tests.needs import needs

accumulator = needs("tensorboard.backend.event_processing.event_accumulator", "tensorboard")
from graddiag.integrations.tensorboard import export

LAYER = Selection("lstm", 1, "reverse")


@pytest.fixture(scope="module")
def folder(recorded: graddiag.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("tensorboard") / "run"
    export(recorded, target)
    return target


def read(folder: Path) -> "accumulator.EventAccumulator":
    return accumulator.EventAccumulator(str(folder), size_guidance=accumulator.STORE_EVERYTHING_SIZE_GUIDANCE).Reload()


def scalars(events: "accumulator.EventAccumulator", tag: str) -> tuple[list[int], list[float]]:
    found = events.Scalars(tag)
    return [e.step for e in found], [e.value for e in found]


def column(frame: pd.DataFrame, x: str, name: str) -> tuple[list[int], list[float]]:
    """The column as float32, without its nulls."""
    values, missing = numbers(frame[name])
    return frame[x].to_numpy()[~missing].tolist(), values[~missing].astype(np.float32).tolist()


def test_every_column_of_the_steps_is_read_back(folder: Path, recorded: graddiag.Run) -> None:
    events = read(folder / "training")
    for name in set(recorded.steps.columns) - {"step", "wall_time"}:
        np.testing.assert_array_equal(scalars(events, name), column(recorded.steps, "step", name), err_msg=name)
    odd = scalars(events, "odd")[1]
    assert odd[3] == np.inf
    assert np.isnan(odd[5])
    assert odd[0] == np.float32(1e-24)
    assert scalars(events, "late")[0] == list(range(1, 9))  # what was not measured is not there


def test_scalars_are_listed_as_scalars_and_texts_as_texts(folder: Path, recorded: graddiag.Run) -> None:
    tags = read(folder / "training").Tags()
    assert {"loss", "grad_norm", "lstm/layer1/reverse/exponent"} <= set(tags["scalars"])
    assert set(tags["tensors"]) == {"outcome", "cause", "verdict", "manifest"}
    assert read(folder / "timesteps" / "step_4").Tags()["tensors"] == []


def test_parameters_and_layers_are_read_back(folder: Path, recorded: graddiag.Run) -> None:
    events = read(folder / "training")
    rows = recorded.parameters[recorded.parameters.parameter == "lstm.weight_hh_l1_reverse"]
    for name in ("grad_norm", "grad_norm_clipped", "weight_norm", "spectral_norm"):
        expected = column(rows, "step", name)
        assert scalars(events, f"parameters/lstm.weight_hh_l1_reverse/{name}") == expected
    found = reach(recorded, LAYER)
    np.testing.assert_array_equal(
        scalars(events, "lstm/layer1/reverse/exponent"), (found.steps, found.exponent_by_step.astype(np.float32))
    )
    (forget,) = (gate for gate in gate_history(recorded, LAYER).gates if gate.gate == "f")
    np.testing.assert_array_equal(
        scalars(events, "lstm/layer1/reverse/gate_f/saturated_high")[1], forget.high.values.astype(np.float32)
    )


def test_profiles_have_the_timestep_as_their_axis(folder: Path, recorded: graddiag.Run) -> None:
    assert sorted(each.name for each in (folder / "timesteps").iterdir()) == [f"step_{step}" for step in range(0, 9, 2)]
    events = read(folder / "timesteps" / "step_4")
    rows = recorded.read("timesteps", where={"step": 4, **LAYER.where})
    for name in ("grad_h", "grad_h_direct", "grad_w_hh", "transport_gain"):
        assert scalars(events, f"lstm/layer1/reverse/{name}") == column(rows, "timestep", name)


def test_steps_stand_at_the_time_when_they_ended(folder: Path, recorded: graddiag.Run) -> None:
    began = recorded.manifest.created.timestamp()
    times = [event.wall_time for event in read(folder / "training").Scalars("loss")]
    assert times == pytest.approx((began + recorded.steps.wall_time).tolist(), abs=1e-3)


def _texts(run: graddiag.Run) -> list[tuple[str, str]]:
    diagnosis = graddiag.diagnose(run)
    return [("outcome", diagnosis.outcome.headline), ("verdict", diagnosis.full()), ("manifest", run.manifest.id)]


def test_outcome_diagnosis_and_manifest_are_texts_that_nothing_interprets(folder: Path, recorded: graddiag.Run) -> None:
    events = read(folder / "training")
    for tag, text in _texts(recorded):
        shown = events.Tensors(tag)[0].tensor_proto.string_val[0].decode()
        assert all(line.startswith("    ") for line in shown.splitlines())
        assert text.splitlines()[0] in shown


def test_names_of_files_tell_nothing_of_the_machine(folder: Path, recorded: graddiag.Run) -> None:
    names = {path.name for path in folder.rglob("events*")}
    assert names == {f"events.out.tfevents.{int(recorded.manifest.created.timestamp())}.graddiag"}


def test_a_run_without_a_step_is_exported(empty: graddiag.Run, tmp_path: Path) -> None:
    export(empty, tmp_path / "run")
    assert "verdict" in read(tmp_path / "run" / "training").Tags()["tensors"]
    assert not (tmp_path / "run" / "timesteps").exists()
