"""explode-vanish: the linear network follows its gain exactly, the others stay within their bounds."""

import math

import numpy as np

from graddiag.presets.explode import ExplodeVanish, exponents, on_the_cliff


def test_the_linear_network_follows_its_gain() -> None:
    """FACTS 1."""
    found = exponents(ExplodeVanish(nonlinearities=("identity",), gains=(0.9, 1.0, 1.1), lengths=(60,)))
    np.testing.assert_allclose(found["exponent"], [math.log(0.9), 0.0, math.log(1.1)], atol=1e-12)


def test_the_others_stay_within_their_bounds() -> None:
    """FACTS 10: gain times the largest slope."""
    found = exponents(ExplodeVanish(gains=(0.5, 1.0, 2.0), lengths=(10, 40)))
    assert len(found) == 4 * 3 * 2
    assert (found["exponent"] <= found["bound"] + 1e-9).all()
    assert (found[found["nonlinearity"] == "sigmoid"]["exponent"] < 0).all()


def test_the_descent_starts_on_the_wall() -> None:
    w, b = on_the_cliff()
    assert w == 4.6
    assert -4 < b < -1
