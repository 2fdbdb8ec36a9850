"""Frames that were read back from files against those of a run: the same columns, values and nulls."""

import numpy as np
import pandas as pd

from graddiag.run import numbers


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """``found`` in Arrow-backed columns, so that null and NaN are apart."""
    assert list(found.columns) == list(expected.columns)
    for name in expected:
        if pd.api.types.is_string_dtype(expected[name]):
            assert found[name].tolist() == expected[name].tolist(), name
        else:
            for one, other in zip(numbers(found[name]), numbers(expected[name]), strict=True):
                np.testing.assert_array_equal(one, other, err_msg=name)
