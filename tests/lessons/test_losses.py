"""The lesson on losses and saturation against known values."""

import math

import numpy as np
import pytest

from graddiag.lessons import losses


@pytest.mark.parametrize(("z", "ce", "se"), [(-10.0, -0.99995, -4.54e-5), (0.0, -0.5, -0.125)])
def test_slopes_of_a_wrong_and_of_an_undecided_unit(z: float, ce: float, se: float) -> None:
    found = losses.unit_loss(z)
    assert found.cross_entropy_slope == pytest.approx(ce, abs=5e-6)
    assert found.squared_error_slope == pytest.approx(se, rel=2e-4)


@pytest.mark.parametrize(("p", "ce", "se"), [(0.01, 4.605, 0.49005), (0.0001, 9.210, 0.4999)])
def test_what_a_mistake_costs(p: float, ce: float, se: float) -> None:
    found = losses.unit_loss(losses.logit(p))
    assert found.p == pytest.approx(p, rel=1e-12)
    assert found.cross_entropy == pytest.approx(ce, abs=5e-4)
    assert found.squared_error == pytest.approx(se, abs=5e-5)


def test_slopes_are_those_of_the_formulas() -> None:
    found = losses.slopes(-3.0)
    p = 1 / (1 + np.exp(-found.z))
    np.testing.assert_allclose(found.cross_entropy, p - 1, atol=1e-14)
    np.testing.assert_allclose(found.squared_error, (p - 1) * p * (1 - p), atol=1e-14)


def test_only_cross_entropy_leaves_the_hole() -> None:
    found = losses.escape(-6.0, lr=1.0, steps=300)
    assert found.p[losses.CROSS_ENTROPY].values[-1] > 0.99
    assert found.p[losses.SQUARED_ERROR].values[-1] < 0.01
    assert found.p[losses.CROSS_ENTROPY].values[0] == found.p[losses.SQUARED_ERROR].values[0]


@pytest.mark.parametrize(("x", "dtype"), [(89.0, "float32"), (710.0, "float64")])
def test_the_sigmoid_as_written_breaks_where_the_facts_say(x: float, dtype: str) -> None:
    assert math.isnan(losses.squash(x, dtype).naive)
    assert losses.squash(x, dtype).stable == 1.0
    assert losses.squash(x - 1, dtype).naive == 1.0
