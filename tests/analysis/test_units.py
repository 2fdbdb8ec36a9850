"""Dead units in snapshots typed by hand."""

import numpy as np
import pandas as pd
import pytest

from graddiag import schema
from graddiag.analysis import Selection, dead_units, diagnose
from graddiag.run import Run
from tests.analysis.runs import LAYER, NAN, manifest, net

ACTIVATION_H = schema.gate_column(schema.ACTIVATION, "h")
ACTIVATION_I = schema.gate_column(schema.ACTIVATION, "i")


def snapshots(layer: Selection = LAYER, steps: tuple[int, ...] = (0, 100), **columns: object) -> pd.DataFrame:
    """Columns [T, units] of the same numbers at each of ``steps``."""
    arrays = {name: np.asarray(values, dtype=float) for name, values in columns.items()}
    T, units = next(iter(arrays.values())).shape
    keys = {schema.TIMESTEP: np.repeat(np.arange(T), units), schema.UNIT: np.tile(np.arange(units), T)}
    rows = pd.DataFrame(keys | {name: values.ravel() for name, values in arrays.items()})
    return pd.concat([rows.assign(**{schema.STEP: step, **layer.where}) for step in steps], ignore_index=True)


def run_of(frame: pd.DataFrame) -> Run:
    plain = net(1.0)
    return Run.from_frames(manifest(), snapshots=frame, timesteps=plain.timesteps, steps=plain.steps)


def test_units_that_never_change_and_units_that_nothing_teaches() -> None:
    grad = [[1.0, 1.0, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0]]
    h = [[0.5, 0.0, 0.1, 0.2], [0.1, 0.0, 0.4, 0.2]]
    found = dead_units(run_of(snapshots(**{schema.GRAD_H: grad, ACTIVATION_H: h})), LAYER)
    assert (found.units, found.silent.tolist(), found.untaught.tolist()) == (4, [1, 3], [2])
    assert (found.dead.tolist(), found.share, found.steps.tolist()) == ([1, 2, 3], 0.75, [0, 100])


def test_a_unit_is_silent_only_if_all_its_gates_are() -> None:
    still, moving = [[0.5, 0.5]] * 2, [[0.1, 0.3], [0.2, 0.3]]
    frame = snapshots(**{schema.GRAD_H: still, ACTIVATION_H: still, ACTIVATION_I: moving})
    assert dead_units(run_of(frame), LAYER).silent.tolist() == [1]


def test_a_unit_that_wakes_in_a_later_snapshot_is_not_dead() -> None:
    asleep = snapshots(steps=(0,), **{schema.GRAD_H: [[0.0], [0.0]], ACTIVATION_H: [[0.0], [0.0]]})
    awake = snapshots(steps=(50,), **{schema.GRAD_H: [[0.0], [1.0]], ACTIVATION_H: [[0.0], [0.3]]})
    assert dead_units(run_of(pd.concat([asleep, awake])), LAYER).dead.tolist() == []


def test_nan_makes_no_unit_dead() -> None:
    frame = snapshots(**{schema.GRAD_H: [[NAN], [NAN]], ACTIVATION_H: [[NAN], [NAN]]})
    assert dead_units(run_of(frame), LAYER).dead.tolist() == []


def test_one_place_alone_tells_no_silence() -> None:
    frame = snapshots(steps=(0,), **{schema.GRAD_H: [[1.0]], ACTIVATION_H: [[0.0]]})
    assert dead_units(run_of(frame), LAYER).silent.tolist() == []


@pytest.mark.parametrize(("dead", "severity"), [(1, "info"), (3, "warning")])
def test_the_finding_is_a_warning_from_a_tenth_on(dead: int, severity: str) -> None:
    grad = np.ones((3, 20))
    grad[:, :dead] = 0
    h = np.random.default_rng(0).random((3, 20))
    found = diagnose(run_of(snapshots(**{schema.GRAD_H: grad, ACTIVATION_H: h}))).finding("dead-units")
    assert found is not None
    assert found.severity == severity
    assert found.sentence.startswith(f"In lstm, layer 0, forward {dead} of 20 units")
    assert "no-snapshots" not in [note.name for note in diagnose(run_of(snapshots(**{schema.GRAD_H: grad}))).notes]
