"""What every threshold would have done, against doing it one threshold and one step at a time."""

import re

import numpy as np
import pytest
import torch

from graddiag import schema
from graddiag.analysis import what_if
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
