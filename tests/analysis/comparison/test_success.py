"""Two modes of final losses: found where they are, and seldom where they are not."""

import numpy as np
import pytest

from graddiag.analysis.comparison.success import mode_boundary

SOLVED, FAILED = [0.01, 0.02, 0.005], [1.38, 1.39, 1.4]


def boundary(*arms: list[float]) -> float | None:
    return mode_boundary([np.array(arm) for arm in arms])


def test_solved_and_not_solved() -> None:
    assert boundary([*SOLVED[:1], *FAILED[:2]], [*SOLVED[1:], FAILED[2]]) == pytest.approx(0.7)


def test_two_arms_that_differ_by_a_constant_are_no_two_modes() -> None:
    assert boundary(FAILED, SOLVED) is None


def test_a_single_run_far_off_is_no_mode() -> None:
    assert boundary(FAILED, [1.38, 1.41, 0.01]) is None


def test_equal_values_are_one_mode_and_two_values_two() -> None:
    assert boundary([1.0, 1.0], [1.0, 1.0]) is None
    assert boundary([1.0, 0.0], [1.0, 0.0]) == 0.5


def test_nan_and_inf_are_left_out() -> None:
    assert boundary([float("nan"), 0.01, 1.4], [float("inf"), 0.01, 1.4]) == pytest.approx(0.705)
    assert boundary([float("nan")], []) is None
    assert mode_boundary([]) is None
