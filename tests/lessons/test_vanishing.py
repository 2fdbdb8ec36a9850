"""The lesson on vanishing against the statements of docs/concepts.md, and against autograd."""

import math
from typing import get_args

import numpy as np
import pytest
import torch

from graddiag.lessons import networks, vanishing
from graddiag.lessons.values import Nonlinearity

PHI = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda a: a,
    "truncated-relu": lambda a: a.clamp(0, 20),
}


@pytest.mark.parametrize("gain", [0.9, 1.0, 1.1])
def test_without_a_nonlinearity_the_gain_is_all_there_is(gain: float) -> None:
    found = vanishing.decay(gain, 60, "identity", drive=1.0)
    np.testing.assert_allclose(found.norms.values, found.theory.values, rtol=1e-10)
    np.testing.assert_allclose(found.bound.values, found.theory.values, rtol=1e-10)
    assert found.ratio == pytest.approx(gain**59, rel=1e-10)
    assert found.factor == pytest.approx(gain, rel=1e-10)


def test_what_the_page_says_of_nine_tenths_and_eleven() -> None:
    assert f"{vanishing.decay(0.9, 60, 'identity', 1.0).ratio:.1%}" == "0.2%"
    assert round(vanishing.decay(1.1, 60, "identity", 1.0).ratio) == 277


@pytest.mark.parametrize("phi", get_args(Nonlinearity))
def test_it_is_what_autograd_gives(phi: Nonlinearity) -> None:
    found = vanishing.decay(1.2, 9, phi, drive=0.7)
    weight, states = 1.2 * networks.orthogonal(), []
    h = torch.zeros(1, networks.UNITS, dtype=torch.float64, requires_grad=True)
    for x in networks.inputs(9, 0.7):
        h = PHI[phi](x + h @ weight.t())
        h.retain_grad()
        states.append(h)
    (states[-1] * networks.loss_at_the_end(9)[-1]).sum().backward()
    expected = [float(state.grad.norm()) for state in states]
    np.testing.assert_allclose(found.norms.values, expected, rtol=1e-12)


@pytest.mark.parametrize("phi", get_args(Nonlinearity))
@pytest.mark.parametrize("gain", [0.7, 1.0, 1.5])
def test_the_bound_holds_everywhere(phi: Nonlinearity, gain: float) -> None:
    found = vanishing.decay(gain, 50, phi, drive=1.0)
    assert (found.norms.values <= found.bound.values * (1 + 1e-12)).all()


def test_a_saturated_net_vanishes_whatever_its_spectral_radius() -> None:
    found = vanishing.decay(1.5, 60, "tanh", drive=2.0)
    radius = torch.linalg.eigvals(1.5 * networks.orthogonal()).abs()
    assert radius.numpy() == pytest.approx(1.5)
    assert found.ratio < 1e-10
    assert found.slope.values.mean() < 0.4
    assert "shrinks" in found.caption


def test_without_input_tanh_is_linear_at_zero() -> None:
    found = vanishing.decay(1.3, 30, "tanh", drive=0.0)
    np.testing.assert_allclose(found.norms.values, found.theory.values, rtol=1e-12)


def test_relu_may_let_nothing_through_and_that_is_zero_not_missing() -> None:
    found = vanishing.decay(0.5, 60, "relu", drive=0.0)
    assert found.norms.values[-1] > 0
    assert (found.norms.values[:-1] == 0).all()
    assert "exactly zero" in found.caption
    assert found.horizon == 0.0


def test_the_horizon_is_the_distance_to_one_over_e() -> None:
    assert vanishing.decay(0.9, 60, "identity", 1.0).horizon == pytest.approx(-1 / math.log(0.9))
    assert vanishing.decay(1.1, 60, "identity", 1.0).horizon == math.inf


def test_the_matrix_of_fact_eleven() -> None:
    found = vanishing.powers(0.9, 5.0, 80)
    assert found.peak == pytest.approx(19.38, abs=5e-3)
    assert found.peak_k == 9
    assert found.first_below_one == 55
    assert found.spectral_norm == pytest.approx(5.157, abs=5e-4)
    np.testing.assert_allclose(found.bound.values, found.spectral_norm**found.k)
    assert found.radius.values[8] == pytest.approx(0.9**9)


def test_a_matrix_that_stays_large_says_so() -> None:
    found = vanishing.powers(1.0, 5.0, 80)
    assert found.first_below_one is None
    assert "still" in found.caption
