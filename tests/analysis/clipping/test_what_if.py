"""What other thresholds would have done: to norms typed by hand, and to losses that were tried."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
import torch

from graddiag import schema
from graddiag.analysis import Counterfactuals, counterfactual, what_if
from graddiag.run import Run
from tests.analysis.runs import INF, NAN, manifest, steps_frame

NORMS = np.random.default_rng(0).lognormal(0, 2, 61)
LRS = np.random.default_rng(1).uniform(0.01, 0.2, 61)
THRESHOLDS = [1e-3, float(NORMS[7]), float(NORMS[7]) + 1e-6, 0.5, 1.0, float(NORMS.max()), 1e6]


def run_of(norms: object, lrs: object = None, clip: str = "none") -> Run:
    columns = {} if lrs is None else {schema.LR: lrs}
    return Run.from_frames(manifest(clip=clip), steps=steps_frame(list(norms), **columns))


def factors(norms: np.ndarray, threshold: float) -> np.ndarray:
    """torch's factor for each norm, one by one."""
    found = []
    for norm in norms:
        parameter = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        parameter.grad = torch.tensor([norm], dtype=torch.float64)
        torch.nn.utils.clip_grad_norm_([parameter], threshold)
        found.append(float(parameter.grad) / norm)
    return np.array(found)


def test_all_thresholds_at_once_are_what_torch_does_with_each() -> None:
    found = what_if(run_of(NORMS, LRS)).at(THRESHOLDS)
    for place, threshold in enumerate(THRESHOLDS):
        k = factors(NORMS, threshold)
        assert found.clipped_share[place] == pytest.approx((threshold / (NORMS + 1e-6) < 1).mean())
        assert found.mean_coefficient[place] == pytest.approx(k.mean(), rel=1e-12)
        assert found.median_coefficient[place] == pytest.approx(np.median(k), rel=1e-12)
        assert found.mean_lr[place] == pytest.approx((LRS * k).mean(), rel=1e-12)


def test_an_even_number_of_steps_has_the_mean_of_two_as_median() -> None:
    found = what_if(run_of([1.0, 2.0, 4.0, 8.0])).at(2.0)
    assert found.median_coefficient[0] == pytest.approx((1.0 + 2 / (4 + 1e-6)) / 2, rel=1e-6)
    assert np.isnan(found.mean_lr[0])


def test_a_spike_hides_no_small_norm() -> None:
    norms = np.append(np.full(999, 1e-3), 1e12)
    found = what_if(run_of(norms)).at([1e-4, 1.0])
    np.testing.assert_allclose(found.mean_coefficient, [0.999 * 1e-4 / (1e-3 + 1e-6), 0.999], rtol=1e-12)


def test_the_caption_says_what_the_thresholds_that_it_shows_would_do() -> None:
    norms = [1.0] * 90 + [2.0] * 9 + [1234.5]
    found = what_if(run_of(norms))
    told = re.findall(r"([\d.,e]+) clips ([\d.]+)%", found.caption)
    assert len(told) >= 2
    for threshold, share in told:
        limit = float(threshold.replace(",", ""))
        assert float(share) == pytest.approx(100 * sum(norm + 1e-6 > limit for norm in norms) / 100)


def test_nan_and_inf_are_left_out_and_counted_and_missing_is_neither() -> None:
    found = what_if(run_of([1.0, NAN, INF, None, 3.0]))
    assert found.norms.tolist() == [1.0, 3.0]
    assert found.nonfinite_steps == 2
    assert found.at(2.0).clipped_share[0] == 0.5
    assert "2 steps with NaN or inf left out" in found.caption


@pytest.mark.parametrize(
    ("norms", "words"),
    [
        ([], "No step was recorded"),
        ([NAN, INF], "Every recorded gradient norm is NaN or inf"),
        ([None, None], "No gradient norm was recorded"),
        ([0.0, 0.0], "exactly 0: no threshold would clip"),
    ],
)
def test_what_cannot_be_known_is_said(norms: list[float | None], words: str) -> None:
    assert words in (what_if(run_of(norms)).missing or "")


def test_the_curves_that_are_drawn_are_monotone_and_reach_both_ends() -> None:
    drawn = what_if(run_of(NORMS, LRS, clip="norm:1.5")).drawn
    assert (np.diff(drawn.clipped_share) <= 0).all()
    assert (np.diff(drawn.mean_coefficient) >= 0).all()
    assert (drawn.clipped_share[0], drawn.clipped_share[-1]) == (1.0, 0.0)
    assert drawn.mean_lr[-1] == pytest.approx(LRS.mean())
    assert what_if(run_of(NORMS, clip="norm:1.5")).threshold == 1.5


def test_sum_and_mean_loss_differ_by_a_factor_and_so_do_their_thresholds() -> None:
    mean, summed = what_if(run_of(NORMS)), what_if(run_of(20 * NORMS))
    np.testing.assert_allclose(summed.at(5.0).mean_coefficient, mean.at(0.25).mean_coefficient, rtol=1e-4)


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
    assert "recorder.look(" in found.caption
