"""The lesson on clip policies against known values."""

import math

import numpy as np
import pytest
import torch

from graddiag import clipping
from graddiag.lessons.clipping import HISTORY, clip_each

NAMES = ("none", "norm", "value", "agc", "auto", "zclip")


def by_name(gradient: tuple[float, float], threshold: float = 1.0, factor: float = 0.25) -> dict[str, object]:
    found = clip_each(gradient, threshold, factor)
    assert tuple(one.spec.partition(":")[0] for one in found) == NAMES
    return dict(zip(NAMES, found, strict=True))


def test_norm_keeps_the_direction_and_lands_under_the_threshold() -> None:
    one = by_name((3.0, 4.0))["norm"]
    assert one.norm_before == 5.0
    assert one.coefficient == pytest.approx(1 / (5 + 1e-6), rel=1e-12)
    assert one.norm_after == pytest.approx(5 / (5 + 1e-6), rel=1e-12)
    assert one.cosine == pytest.approx(1.0, rel=1e-12)
    assert one.direction == "direction kept"


def test_value_turns_the_step() -> None:
    one = by_name((3.0, 0.1))["value"]
    assert one.after.tolist() == [1.0, 0.1]
    assert one.cosine == pytest.approx(0.9978, abs=5e-5)
    assert one.direction == "turned, cosine 0.9978"


def test_agc_measures_each_row_against_its_own_weight() -> None:
    one = by_name((3.0, 0.5), factor=0.25)["agc"]
    np.testing.assert_allclose(one.after, [1.0, 0.25])
    assert (one.allowed.x, one.allowed.y) == (1.0, 0.25)


def test_below_every_threshold_nothing_is_touched() -> None:
    for one in by_name((0.5, 0.1), threshold=1.0, factor=0.5).values():
        assert one.after.tolist() == [0.5, 0.1]
        assert one.coefficient == 1.0


def test_the_adaptive_policies_follow_the_norms_they_have_seen() -> None:
    found = by_name((3.0, 4.0))
    norms = np.array([*HISTORY, 5.0])
    assert found["auto"].norm_after == pytest.approx(np.quantile(norms, 0.9), rel=1e-6)
    assert found["zclip"].norm_after < 5.0
    assert found["zclip"].cosine == pytest.approx(1.0)


def test_one_inf_makes_that_entry_nan_and_the_other_zero() -> None:
    found = by_name((math.inf, 2.0))
    for name in ("norm", "auto", "zclip"):
        assert math.isnan(found[name].after[0])
        assert found[name].after[1] == 0.0
    assert found["value"].after.tolist() == [1.0, 1.0]
    assert found["none"].after.tolist() == [math.inf, 2.0]
    assert math.isnan(found["agc"].after[0])
    assert found["agc"].after[1] == 0.25
    assert {one.nonfinite for one in found.values()} == {1}
    assert found["value"].caption == "After: (1, 1), norm 1.41."
    assert all(one.direction == "no direction" for one in found.values())


def test_one_nan_stays_under_every_policy() -> None:
    found = by_name((math.nan, 2.0))
    assert all(math.isnan(one.after[0]) for one in found.values())
    assert all(math.isnan(found[name].after[1]) for name in ("norm", "auto", "zclip"))
    assert [found[name].after[1] for name in ("none", "value", "agc")] == [2.0, 1.0, 0.25]


@pytest.mark.parametrize(("entry", "other"), [(math.inf, 0.0), (math.nan, 0.5)])
def test_within_a_row_agc_lets_an_inf_take_the_others_along_and_a_nan_not(entry: float, other: float) -> None:
    weight = torch.nn.Parameter(torch.tensor([[4.0, 4.0]]))
    weight.grad = torch.tensor([[entry, 0.5]])
    clipping.parse("agc:0.25")([weight])
    assert math.isnan(weight.grad[0, 0])
    assert weight.grad[0, 1] == other


def test_a_gradient_of_zero_has_no_direction() -> None:
    assert {one.direction for one in by_name((0.0, 0.0)).values()} == {"no direction"}
