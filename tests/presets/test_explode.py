"""explode-vanish: the linear network follows its gain exactly, the others stay within their bounds."""

import math

import numpy as np
import pandas as pd

from graddiag.lessons.cliff import error_and_gradient
from graddiag.presets.explode import ExplodeVanish, _others, around, exponents, on_the_cliff


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


def test_what_grows_is_told_of_the_longest_sequences() -> None:
    rows = [("relu", 10, 1.0, 0.2), ("relu", 40, 1.0, -0.1), ("relu", 40, 2.0, 0.3), ("tanh", 40, 2.0, -0.1)]
    found = pd.DataFrame(rows, columns=["nonlinearity", "length", "gain", "exponent"]).assign(bound=1.0)
    assert _others(found) == (
        "Over 40 timesteps relu grows from a gain of 2 on, always within its bound; "
        "tanh never grows, always within its bound."
    )


def test_close_up_the_surface_is_the_same_one() -> None:
    w, b = on_the_cliff()
    near = around((w, b))
    assert (near.w[0], near.w[-1]) == (w - 0.05, w + 0.05)
    error, *_ = error_and_gradient(near.w[3], near.b[-2])
    assert near.error[-2, 3] == error
