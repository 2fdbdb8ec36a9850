"""The definition of the truth, by value."""

import math

import pytest

from benchmarks.verdicts.truth import Measured, Truth, largest_jump, truth


def training(steps: int = 20, each: bool = False, **numbers: object) -> Truth:
    """A training whose every step has these numbers; a list is by step."""
    values = {"loss": 1.0, "norm": 1.0, "growth": 1.0, "kept": 0.5, **numbers}
    values.setdefault("used", values["norm"])
    by_step = {name: value if isinstance(value, list) else [value] * steps for name, value in values.items()}
    return truth([Measured(**{name: by_step[name][at] for name in by_step}) for at in range(steps)], each)


@pytest.mark.parametrize(
    ("kept", "label"), [(1e-7, "vanishing"), (9e-7, "vanishing"), (1e-5, None), (1.1e-4, "healthy"), (0.0, "vanishing")]
)
def test_what_arrives_from_a_loss_at_the_end(kept: float, label: str | None) -> None:
    assert training(kept=kept).label == label


@pytest.mark.parametrize(("kept", "label"), [(0.04, "vanishing"), (0.1, None), (0.3, "healthy")])
def test_what_is_left_per_timestep_with_a_loss_at_each(kept: float, label: str | None) -> None:
    assert training(kept=kept, each=True).label == label


@pytest.mark.parametrize(("growth", "label"), [(3.9, "healthy"), (10.0, None), (25.0, "exploding")])
def test_growth_back_through_time(growth: float, label: str | None) -> None:
    assert training(growth=growth).label == label


def test_growth_at_a_few_steps_is_in_the_band_and_at_one_of_twenty_it_is_none() -> None:
    assert training(growth=[100.0] * 5 + [1.0] * 15).exploding is None
    assert training(growth=[100.0] + [1.0] * 19).exploding is False


def test_growth_that_clipping_cut_does_not_count() -> None:
    assert training(growth=100.0, norm=5.0, used=1.0).label == "healthy"


@pytest.mark.parametrize(("norm", "answer"), [(3.0, False), (10.0, None), (30.0, True)])
def test_a_jump_of_the_norm(norm: float, answer: bool | None) -> None:
    assert training(norm=[1.0] * 10 + [norm] + [1.0] * 9).exploding is answer
    assert training(norm=[1.0] * 10 + [norm] + [1.0] * 9, used=1.0).exploding is False


def test_the_first_norms_are_no_jump() -> None:
    assert largest_jump([1.0, 100.0, 1.0, 1.0, 1.0]) == 1.0
    assert largest_jump([0.0] * 10) == 1.0
    assert largest_jump([1.0] * 5 + [7.0, 2.0]) == 7.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e39])
def test_what_float32_does_not_hold_is_non_finite_and_leaves_only_what_came_before_it(bad: float) -> None:
    found = training(norm=[1.0] * 19 + [bad], kept=1e-9)
    assert found.label == "non-finite"
    assert found.exploding is found.vanishing is None
    assert training(loss=[1.0] * 19 + [bad], growth=100.0).exploding is True


def test_a_training_without_a_finite_step_has_one_answer() -> None:
    found = training(loss=math.nan)
    assert (found.nonfinite, found.exploding, found.vanishing) == (True, None, None)


def test_the_second_half_of_the_steps_decides_about_vanishing() -> None:
    assert training(kept=[1e-9] * 9 + [0.5] * 11).vanishing is False
    assert training(kept=[0.5] * 9 + [1e-9] * 11).vanishing is True
