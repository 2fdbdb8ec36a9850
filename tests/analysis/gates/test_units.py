"""Units typed by hand: saturated ones, and dead ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import graddiag
from graddiag import schema
from graddiag.analysis import Selection, Thresholds, dead_units, diagnose, gate_units
from graddiag.run import Run
from tests.analysis.runs import CHANCE, FLAT, INF, LAYER, NAN, gates_frame, manifest, net, snapshots_frame, steps_frame


def run_of(**shares: object) -> Run:
    columns = {
        schema.gate_column(schema.SATURATED_LOW if side == "low" else schema.SATURATED_HIGH, gate): values
        for name, values in shares.items()
        for gate, side in [name.split("_")]
    }
    return Run.from_frames(manifest(), snapshots=snapshots_frame(columns))


LOW = [[[1.0, 0.0, 0.5], [1.0, 0.0, NAN]], [[1.0, 0.2, 0.1], [1.0, 0.0, 0.3]]]
HIGH = [[[0.0, 1.0, 0.0], [0.0, 1.0, NAN]], [[0.0, 0.8, 0.0], [0.0, 1.0, 0.0]]]


def test_shares_are_means_over_timesteps_and_snapshots() -> None:
    found = gate_units(run_of(f_low=LOW, f_high=HIGH), LAYER)
    (gate,) = found.gates
    np.testing.assert_allclose(gate.low, [1.0, 0.05, 0.3])
    np.testing.assert_allclose(gate.high, [0.0, 0.95, 0.0])
    assert (gate.shut.tolist(), gate.open.tolist()) == ([0], [])
    assert (found.units, found.steps.tolist()) == (3, [0, 1])
    assert found.caption.endswith("by 2 snapshots of steps 0 to 1 (clip off, seed 0): forget gate: 0 open, 1 shut.")


def test_gates_stand_in_torchs_order_and_a_side_may_be_missing() -> None:
    found = gate_units(run_of(o_low=LOW, i_low=LOW, i_high=HIGH), LAYER)
    assert [gate.gate for gate in found.gates] == ["i", "o"]
    assert np.isnan(found.gates[1].high).all()
    assert found.gates[1].open.tolist() == []


def test_without_snapshots_it_says_how_to_take_them() -> None:
    found = gate_units(Run.from_frames(manifest()), LAYER)
    assert found.missing == (
        "No snapshot was taken of lstm, layer 0, forward: watch(..., snapshot_every=...) takes them."
    )
    nothing = gate_units(Run.from_frames(manifest(), snapshots=snapshots_frame({schema.GRAD_H: [[[1.0]]]})), LAYER)
    assert nothing.missing == "The snapshots of lstm, layer 0, forward hold no saturation of any gate."


@pytest.mark.parametrize("bias", [5.0, -5.0])
def test_as_recorded_against_the_gates_themselves(bias: float, tmp_path: Path) -> None:
    """Half of the forget gates are pushed open or shut by their bias; shares are those of the unrolled cell."""
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(2, 4)
    with torch.no_grad():
        lstm.bias_hh_l0[4:6] = bias
    x = torch.randn(6, 3, 2) * 3
    optimizer = torch.optim.SGD(lstm.parameters(), lr=0.0)
    with graddiag.watch(lstm, optimizer, run="run", root=tmp_path, snapshot_every=1) as recorder:
        lstm(x)[0].square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        out, _ = lstm(x)
        before = torch.cat((torch.zeros(1, 3, 4), out[:-1]))
        w = [p for _, p in lstm.named_parameters()]
        gates = (x @ w[0].T + w[2] + before @ w[1].T + w[3]).sigmoid()[..., 4:8]
    found = gate_units(graddiag.load_run(recorder.path), Selection("", 0, "forward"))
    forget = next(gate for gate in found.gates if gate.gate == "f")
    np.testing.assert_allclose(forget.low, (gates < 0.1).double().mean((0, 1)), atol=1e-6)
    np.testing.assert_allclose(forget.high, (gates > 0.9).double().mean((0, 1)), atol=1e-6)
    stuck = forget.open if bias > 0 else forget.shut
    assert {0, 1} >= set(stuck.tolist())


ACTIVATION_H = schema.gate_column(schema.ACTIVATION, "h")
ACTIVATION_I = schema.gate_column(schema.ACTIVATION, "i")


def snapshots(layer: Selection = LAYER, steps: tuple[int, ...] = (0, 100), **columns: object) -> pd.DataFrame:
    """Columns [T, units] of the same numbers at each of ``steps``."""
    arrays = {name: np.asarray(values, dtype=float) for name, values in columns.items()}
    T, units = next(iter(arrays.values())).shape
    keys = {schema.TIMESTEP: np.repeat(np.arange(T), units), schema.UNIT: np.tile(np.arange(units), T)}
    rows = pd.DataFrame(keys | {name: values.ravel() for name, values in arrays.items()})
    return pd.concat([rows.assign(**{schema.STEP: step, **layer.where}) for step in steps], ignore_index=True)


def snapshot_run(frame: pd.DataFrame) -> Run:
    """A run that stays at chance, with these snapshots."""
    steps = steps_frame([1.0] * len(FLAT), **{schema.LOSS: FLAT})
    return Run.from_frames(manifest(config=CHANCE), snapshots=frame, timesteps=net(1.0).timesteps, steps=steps)


def test_units_that_never_change_and_units_that_nothing_teaches() -> None:
    grad = [[1.0, 1.0, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0]]
    h = [[0.5, 0.0, 0.1, 0.2], [0.1, 0.0, 0.4, 0.2]]
    found = dead_units(snapshot_run(snapshots(**{schema.GRAD_H: grad, ACTIVATION_H: h})), LAYER)
    assert (found.units, found.silent.tolist(), found.without_gradient.tolist()) == (4, [1, 3], [2])
    assert (found.dead.tolist(), found.share, found.steps.tolist()) == ([1, 2, 3], 0.75, [0, 100])


def test_a_unit_is_silent_only_if_all_its_gates_are() -> None:
    still, moving = [[0.5, 0.5]] * 2, [[0.1, 0.3], [0.2, 0.3]]
    frame = snapshots(**{schema.GRAD_H: still, ACTIVATION_H: still, ACTIVATION_I: moving})
    assert dead_units(snapshot_run(frame), LAYER).silent.tolist() == [1]


def test_a_unit_that_wakes_in_a_later_snapshot_is_not_dead() -> None:
    asleep = snapshots(steps=(0,), **{schema.GRAD_H: [[0.0], [0.0]], ACTIVATION_H: [[0.0], [0.0]]})
    awake = snapshots(steps=(50,), **{schema.GRAD_H: [[0.0], [1.0]], ACTIVATION_H: [[0.0], [0.3]]})
    assert dead_units(snapshot_run(pd.concat([asleep, awake])), LAYER).dead.tolist() == []


def test_nan_makes_no_unit_dead() -> None:
    frame = snapshots(**{schema.GRAD_H: [[NAN], [NAN]], ACTIVATION_H: [[NAN], [NAN]]})
    assert dead_units(snapshot_run(frame), LAYER).dead.tolist() == []


def test_infinity_makes_no_unit_dead() -> None:
    frame = snapshots(**{schema.GRAD_H: [[1.0], [1.0]], ACTIVATION_H: [[INF], [INF]]})
    assert dead_units(snapshot_run(frame), LAYER).dead.tolist() == []


def test_units_that_die_in_training_are_found_with_the_step_from_which_on_they_are() -> None:
    """Unit 0 dies at step 20, unit 1 at 50, unit 2 is untaught from the start, 3 lives, 4 sleeps once."""
    h = np.random.default_rng(0).random((10, 3, 5))
    grad = np.ones((10, 3, 5))
    h[2:, :, 0], h[5:, :, 1], grad[:, :, 2], h[3, :, 4] = 0.0, 0.0, 0.0, 0.0
    frame = snapshots_frame({schema.GRAD_H: grad, ACTIVATION_H: h})
    frame[schema.STEP] *= 10
    found = dead_units(snapshot_run(frame), LAYER)
    assert (found.silent.tolist(), found.without_gradient.tolist()) == ([0, 1], [2])
    assert (found.dead.tolist(), found.since.tolist()) == ([0, 1, 2], [20, 50, 0])
    assert (found.steps.tolist(), found.judged.tolist()) == (list(range(0, 100, 10)), [50, 60, 70, 80, 90])
    finding = diagnose(snapshot_run(frame)).finding("dead-units")
    assert finding is not None
    assert finding.onset == 20
    assert "step 20" in finding.sentence
    assert finding.advice[0].action == "lower-learning-rate"
    assert diagnose(snapshot_run(frame), Thresholds(judged_share=1.0)).finding("dead-units").evidence[0].value == 1


@pytest.mark.parametrize(
    ("gate", "high", "first"),
    [
        ("h", None, "revive-units"),
        ("h", 0.0, "scale-inputs"),
        (None, None, "revive-units"),
    ],
    ids=["relu", "tanh", "not recorded"],
)
def test_what_to_try_goes_by_the_cell(gate: str | None, high: float | None, first: str) -> None:
    still = snapshot_run(snapshots(**{schema.GRAD_H: [[1.0, 1.0]] * 2, ACTIVATION_H: [[0.0, 0.1], [0.0, 0.2]]}))
    block = np.zeros((4, 5))
    highs = np.full((4, 5), high, dtype=object if high is None else float)
    shares = {schema.SATURATED_LOW: block, schema.SATURATED_HIGH: highs}
    gates = {} if gate is None else {"gates": gates_frame({gate: {schema.MEAN: block, schema.STD: block, **shares}})}
    tables = {"snapshots": still.read("snapshots"), "timesteps": still.timesteps, "steps": still.steps}
    finding = diagnose(Run.from_frames(manifest(config=CHANCE), **tables, **gates)).finding("dead-units")
    assert finding is not None
    assert finding.advice[0].action == first


def test_one_place_alone_tells_no_silence() -> None:
    frame = snapshots(steps=(0,), **{schema.GRAD_H: [[1.0]], ACTIVATION_H: [[0.0]]})
    assert dead_units(snapshot_run(frame), LAYER).silent.tolist() == []


@pytest.mark.parametrize(("dead", "severity"), [(1, "info"), (3, "warning")])
def test_the_finding_is_a_warning_from_a_tenth_on(dead: int, severity: str) -> None:
    grad = np.ones((3, 20))
    grad[:, :dead] = 0
    h = np.random.default_rng(0).random((3, 20))
    found = diagnose(snapshot_run(snapshots(**{schema.GRAD_H: grad, ACTIVATION_H: h}))).finding("dead-units")
    assert found is not None
    assert found.severity == severity
    assert f"{dead} of 20 units" in found.sentence
    assert "no-snapshots" not in [
        note.name for note in diagnose(snapshot_run(snapshots(**{schema.GRAD_H: grad}))).notes
    ]
