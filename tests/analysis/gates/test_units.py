"""Saturation unit by unit."""

from pathlib import Path

import numpy as np
import pytest
import torch

import graddiag
from graddiag import schema
from graddiag.analysis import Selection, gate_units
from graddiag.run import Run
from tests.analysis.runs import LAYER, NAN, manifest, snapshots_frame


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
