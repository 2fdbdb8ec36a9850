"""A course in a few numbers: means, or the largest as log10; what is not finite or not measured is left out."""

import numpy as np

from graddiag.analysis.optimization.sparklines import spark

NAN, INF = float("nan"), float("inf")


def none_missing(values: np.ndarray) -> np.ndarray:
    return np.zeros(len(values), dtype=bool)


def test_means_of_equal_parts() -> None:
    values = np.array([1.0, 3.0, 10.0, 20.0])
    assert spark(values, none_missing(values), points=2) == (2.0, 15.0)
    assert spark(values, none_missing(values)) == (1.0, 3.0, 10.0, 20.0)


def test_no_peak_is_lost() -> None:
    values = np.ones(10_000)
    values[7777] = 1e30
    assert max(each for each in spark(values, none_missing(values), peaks=True) if each is not None) == 30.0


def test_what_has_no_number_is_none() -> None:
    values = np.array([NAN, INF, 0.0, 5.0])
    assert spark(values, none_missing(values)) == (None, None, 0.0, 5.0)
    assert spark(values, none_missing(values), peaks=True) == (None, None, None, 0.699)
    assert spark(values, np.ones(4, dtype=bool)) == (None,) * 4
    assert spark(np.zeros(0), np.zeros(0, dtype=bool)) == ()


def test_a_mean_beyond_what_a_float_holds_is_none() -> None:
    assert spark(np.array([1e308, 1e308]), np.zeros(2, dtype=bool), points=1) == (None,)
