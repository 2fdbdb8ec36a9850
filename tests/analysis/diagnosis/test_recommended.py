"""The range of thresholds that recorded norms support."""

import numpy as np
import pytest

from graddiag.analysis import recommended_thresholds, what_if
from graddiag.run import Run
from tests.analysis.runs import INF, manifest, steps_frame


def run_of(norms: list[float], clip: str = "none", **fields: object) -> Run:
    return Run.from_frames(manifest(clip=clip, **fields), steps=steps_frame(norms))


def test_half_to_ten_times_the_mean_norm() -> None:
    found = recommended_thresholds(run_of([1.0, 2.0, 3.0] * 50))
    assert (found.mean_norm, found.low, found.high) == pytest.approx((2.0, 1.0, 20.0))
    assert (found.share_at_low, found.share_at_high) == pytest.approx((1.0, 0.0), abs=0.34)
    assert found.share_at_low == what_if(run_of([1.0, 2.0, 3.0] * 50)).at(1.0).clipped_share[0]
    assert (found.few, found.inside) == (False, None)
    assert "Pascanu" in found.literature


def test_a_spike_and_what_comes_after_it_do_not_move_the_range() -> None:
    calm, spiked = (recommended_thresholds(run_of([1.0] * 500 + [last] + [3.0] * 499)) for last in (1.0, 1e9))
    assert (spiked.low, spiked.high) == pytest.approx((0.5, 10.0))
    assert spiked.left_out == 500
    assert calm.left_out == 0
    assert "500 steps left out" in spiked.caption


def test_the_start_clips_one_step_in_ten_where_the_range_allows_it() -> None:
    norms = list(np.linspace(0.5, 3.0, 1000))
    found = recommended_thresholds(run_of(norms))
    assert found.left_out == 0
    assert found.safety_net == 2.8
    assert found.share_at_net == what_if(run_of(norms)).at(2.8).clipped_share[0] == pytest.approx(0.08, abs=0.002)
    assert what_if(run_of(norms)).at(2.7).clipped_share[0] > 0.1  # with a digit less it would clip more
    assert recommended_thresholds(run_of([1.0] * 11)).few


def test_norms_that_are_all_alike_are_clipped_all_or_none() -> None:
    run = run_of([5.0] * 200)
    found = recommended_thresholds(run)
    assert (found.safety_net, found.share_at_net, found.autoclip) == (5.1, 0.0, 5.0)
    assert "reasonable 2.5 (clips all) to 50 (none)" in found.caption
    assert "5 clips 100%; of 200 steps." in what_if(run).caption


def test_autoclip_is_the_tenth_percentile() -> None:
    norms = [10.0 + n / 10 for n in range(101)]
    assert recommended_thresholds(run_of(norms)).autoclip == pytest.approx(11.0)


@pytest.mark.parametrize(("clip", "inside"), [("norm:5", True), ("norm:0.1", False), ("norm:50", False)])
def test_it_judges_the_runs_own_threshold(clip: str, inside: bool) -> None:
    found = recommended_thresholds(run_of([2.0] * 200, clip=clip))
    assert found.inside is inside
    assert f", {'within' if inside else 'outside'}." in found.caption


def test_the_reduction_of_the_loss_stands_beside_it() -> None:
    assert "for a loss that is the sum over 20 timesteps." in recommended_thresholds(
        run_of([2.0] * 200, loss_reduction="sum over 20 timesteps")
    ).caption  # fmt: skip


def test_without_a_finite_norm_there_is_no_number() -> None:
    found = recommended_thresholds(run_of([INF, INF]))
    assert (found.mean_norm, found.low, found.high, found.safety_net, found.autoclip) == (None,) * 5
    assert found.missing == "Every recorded gradient norm is NaN or inf."
