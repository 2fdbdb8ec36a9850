"""Whether clipping saved a step, by value on rows typed by hand."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from graddiag import schema
from graddiag.analysis import Counterfactuals, counterfactual
from graddiag.run import Run
from tests.analysis.runs import INF, NAN, manifest

Looked = tuple[float, float, Sequence[tuple[float | None, float]]]


def looked_run(*steps: Looked, **fields: object) -> Run:
    """For each step: norm, loss before, and (threshold, loss after), None without clipping."""
    rows = [
        {
            schema.STEP: 10 * number,
            schema.INDEX: place,
            schema.THRESHOLD: threshold,
            schema.GRAD_NORM: norm,
            schema.CLIP_COEFFICIENT: 1.0 if threshold is None else min(1.0, threshold / (norm + 1e-6)),
            schema.LOSS_BEFORE: before,
            schema.LOSS_AFTER: after,
        }
        for number, (norm, before, tried) in enumerate(steps)
        for place, (threshold, after) in enumerate(tried)
    ]
    frame = pd.DataFrame(rows)
    frame[schema.THRESHOLD] = frame[schema.THRESHOLD].astype(object).where(frame[schema.THRESHOLD].notna(), None)
    return Run.from_frames(manifest(**fields), counterfactuals=frame)


def steps_of_every_kind(**fields: object) -> Run:
    return looked_run(
        (8.0, 2.0, [(0.5, 1.95), (1.0, 1.9), (None, 30.0)]),  # off the cliff
        (3.0, 2.0, [(0.5, 1.9), (1.0, 1.8), (None, 1.85)]),
        (3.0, 2.0, [(0.5, 1.95), (1.0, 1.9), (None, 1.5)]),
        (0.9, 2.0, [(0.5, 1.95), (1.0, 1.8), (None, 1.8)]),
        (9.0, 2.0, [(0.5, 1.95), (1.0, 1.9), (None, NAN)]),
        (NAN, NAN, [(0.5, NAN), (1.0, NAN), (None, NAN)]),
        (9.0, 2.0, [(0.5, INF), (1.0, INF), (None, 1.0)]),
        (3.0, 2.0, [(0.5, 1.8), (1.0, 2.5), (None, 3.0)]),
        **fields,
    )


def test_each_outcome_under_the_threshold_of_the_run() -> None:
    found = counterfactual(steps_of_every_kind(clip="norm:1.0"))
    outcomes = ["saved", "helped", "slowed", "untouched", "saved", "unknown", "slowed", "saved"]
    assert [each.outcome for each in found.steps] == outcomes
    assert found.threshold == 1.0
    assert {each.judged for each in found.steps} == {1.0}
    assert [each.best for each in found.steps] == [1.0, 1.0, INF, INF, 1.0, None, INF, 0.5]
    assert dict(found.counts) == {"saved": 3, "helped": 1, "slowed": 2, "untouched": 1, "unknown": 1}
    assert (found.steps[0].free, found.steps[0].with_clipping) == (30.0, 1.9)
    assert found.cliff == found.steps[4]
    assert "by norm:1; 3 saved; 1 helped; 2 slowed; 1 untouched; 1 NaN or inf either way; of 8 steps." in found.caption


def test_a_run_that_did_not_clip_is_judged_by_the_best_threshold_tried() -> None:
    found = counterfactual(steps_of_every_kind(clip="none"))
    assert found.threshold is None
    assert [each.judged for each in found.steps] == [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5]
    assert [each.outcome for each in found.steps][-1] == "saved"
    assert "by the best of the thresholds tried; 3 saved" in found.caption


def test_a_threshold_that_was_not_tried_is_not_judged() -> None:
    found = counterfactual(looked_run((3.0, 2.0, [(0.5, 1.8), (None, 3.0)]), clip="norm:1.0"))
    assert found.steps[0].judged == 0.5


def test_with_nothing_tried_beside_no_clipping_nothing_is_known() -> None:
    found = counterfactual(looked_run((INF, 2.0, [(None, NAN)])))
    (step,) = found.steps
    assert (step.judged, step.best, step.outcome) == (None, None, "unknown")
    assert np.isnan(step.with_clipping)
    assert found.cliff == step


def test_thresholds_ascend_and_without_clipping_is_inf() -> None:
    step = counterfactual(steps_of_every_kind()).steps[0]
    np.testing.assert_array_equal(step.thresholds, [0.5, 1.0, INF])
    np.testing.assert_allclose(step.coefficients, [0.5 / 8, 1 / 8, 1.0], rtol=1e-6)


@pytest.mark.parametrize("run", [Run.from_frames(manifest())], ids=["empty"])
def test_a_run_without_looks_says_how_to_look(run: Run) -> None:
    found = counterfactual(run)
    assert isinstance(found, Counterfactuals)
    assert found.steps == ()
    assert found.cliff is None
    assert "recorder.try_thresholds(" in found.caption
