"""The lesson on gates against known values, and against torch.nn."""

import math

import numpy as np
import pytest
import torch

from graddiag.lessons import gates, networks


def test_the_cell_alone_loses_a_tenth_at_every_timestep() -> None:
    found = gates.keep(math.log(9), 41, seen=0.0, drive=0.5)
    lstm, gru, _ = found.lines
    np.testing.assert_allclose(lstm.values[:-1] / lstm.values[1:], 0.9, rtol=1e-10)
    np.testing.assert_allclose(gru.values, lstm.values, rtol=1e-10)
    np.testing.assert_allclose(found.theory.values, lstm.values, rtol=1e-10)
    assert lstm.values[0] == pytest.approx(0.014781, abs=5e-7)


def test_a_gate_wide_open_keeps_everything() -> None:
    found = gates.keep(40.0, 60, seen=0.0, drive=0.5)
    np.testing.assert_allclose(found.lines[0].values, 1.0, rtol=1e-10)
    assert found.mean_f == 1.0


def test_the_time_constant_is_that_of_the_gate() -> None:
    found = gates.keep(math.log(9), 20, seen=0.0, drive=0.5)
    assert found.gate == pytest.approx(0.9)
    assert found.time_constant == pytest.approx(-1 / math.log(0.9))
    assert found.mean_f == pytest.approx(0.9)
    assert found.mean_z == pytest.approx(0.9)


@pytest.mark.parametrize("bias", [-2.0, 0.0, 8.0])
def test_every_bias_of_the_slider_gives_numbers(bias: float) -> None:
    found = gates.keep(bias, 200, seen=1.0, drive=2.0)
    assert all(np.isfinite(line.values).all() for line in found.lines)
    assert all(line.values[-1] == 1.0 for line in found.lines)


def test_the_rnn_is_worse_than_an_open_gate() -> None:
    lstm, _, rnn = gates.keep(3.0, 60, seen=0.0, drive=0.5).lines
    assert rnn.values[0] < 1e-6 < lstm.values[0]


@pytest.mark.parametrize(("kind", "gates_"), [("lstm", 4), ("gru", 3)])
def test_with_gates_that_read_it_is_what_torch_gives(kind: str, gates_: int) -> None:
    """torch.nn run cell by cell, the state of every timestep kept."""
    found = gates.keep(1.5, 12, seen=0.7, drive=0.5)
    weights = gates._gated(gates_, candidate=2, bias=1.5, seen=0.7)
    cell = (torch.nn.LSTMCell if kind == "lstm" else torch.nn.GRUCell)(networks.UNITS, networks.UNITS).double()
    with torch.no_grad():
        for name in ("ih", "hh"):
            getattr(cell, f"weight_{name}").copy_(getattr(weights, f"w_{name}"))
            getattr(cell, f"bias_{name}").copy_(getattr(weights, f"b_{name}"))
    zero = torch.zeros(1, networks.UNITS, dtype=torch.float64)
    state, kept = (zero, zero) if kind == "lstm" else zero, []
    for x in networks.inputs(12, 0.5):
        state = cell(x, state)
        kept.append(state[1] if kind == "lstm" else state)
        kept[-1].retain_grad()
    (state[0] if kind == "lstm" else state).mul(networks.loss_at_the_end(12)[-1]).sum().backward()
    expected = np.array([float(one.grad.norm()) for one in kept])
    line = found.lines[0 if kind == "lstm" else 1]
    np.testing.assert_allclose(line.values, expected / expected[-1], rtol=1e-10)
