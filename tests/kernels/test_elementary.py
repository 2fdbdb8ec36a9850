"""sigmoid and tanh of the kernels against float64."""

import numpy as np
import pytest
import torch

pytest.importorskip("numba")

from graddiag.kernels.elementary import sigmoid, tanh
from graddiag.kernels.jit import jit

VALUES = np.concatenate([np.linspace(-30, 30, 20001), np.geomspace(1e-20, 1, 1001), -np.geomspace(1e-20, 1, 1001), [0]])


@jit
def tanhs(x: np.ndarray, found: np.ndarray) -> None:
    for k in range(len(x)):
        found[k] = tanh(x[k])


@jit
def sigmoids(x: np.ndarray, found: np.ndarray) -> None:
    for k in range(len(x)):
        found[k] = sigmoid(x[k])


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 4e-7), (np.float64, 1e-15)])
@pytest.mark.parametrize(("compiled", "exact"), [(tanhs, torch.tanh), (sigmoids, torch.sigmoid)])
def test_relative_error(compiled: object, exact: object, dtype: type, tolerance: float) -> None:
    x = VALUES.astype(dtype)
    found = np.empty_like(x)
    compiled(x, found)
    expected = exact(torch.from_numpy(x).double()).numpy()

    assert found.dtype == dtype
    assert (np.abs(found - expected) <= tolerance * np.abs(expected)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_not_finite(dtype: type) -> None:
    x = np.array([np.nan, np.inf, -np.inf, 200, -200] * 8, dtype=dtype)
    found = np.empty_like(x)

    tanhs(x, found)
    np.testing.assert_array_equal(found[:5], [np.nan, 1, -1, 1, -1])
    np.testing.assert_array_equal(found, np.tile(found[:5], 8))
    sigmoids(x, found)
    np.testing.assert_allclose(found[:5], [np.nan, 1, 0, 1, 0], rtol=1e-6, atol=1e-40)
    np.testing.assert_array_equal(found, np.tile(found[:5], 8))
