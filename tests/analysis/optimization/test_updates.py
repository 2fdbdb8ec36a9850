"""Updates against weights."""

import numpy as np
import pandas as pd
import pytest

from graddiag import schema
from graddiag.analysis import updates
from graddiag.run import Run
from tests.analysis.runs import INF, manifest, steps_frame


def parameters(**ratios: list[float]) -> pd.DataFrame:
    rows = [(step, name, ratio) for name, column in ratios.items() for step, ratio in enumerate(column)]
    return pd.DataFrame(rows, columns=[schema.STEP, schema.PARAMETER, schema.UPDATE_RATIO])


def test_all_together_and_by_parameter_the_largest_first() -> None:
    steps = steps_frame([1.0] * 4, **{schema.UPDATE_RATIO: [0.002, None, 0.004, 0.006]})
    run = Run.from_frames(manifest(), steps=steps, parameters=parameters(w=[1e-3, 2e-3], b=[INF, 0.5], z=[1e-5, 1e-5]))
    found = updates(run)
    assert found.steps.tolist() == [0, 2, 3]
    assert found.median == 0.004
    assert [each.parameter for each in found.parameters] == ["b", "w", "z"]
    assert [each.near for each in found.parameters] == [0.0, 1.0, 0.0]
    assert (found.parameters[0].from_zero, found.parameters[0].steps) == (1, 1)
    assert found.parameters[1].low == pytest.approx(np.quantile([1e-3, 2e-3], 0.1))
    assert "median step 0.004; 4 times the rule of thumb of 0.001" in found.caption


def test_without_a_ratio_it_says_so() -> None:
    found = updates(Run.from_frames(manifest(), steps=steps_frame([1.0, 2.0])))
    assert (found.median, found.parameters) == (None, ())
    assert found.missing == "No update was measured: no recorded step of this run has a ratio."
