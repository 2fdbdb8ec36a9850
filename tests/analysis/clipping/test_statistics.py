"""Norms before and after clipping, and how often and how strongly clipping engaged."""

import numpy as np
import pytest

from graddiag import schema
from graddiag.analysis import CellState, clip_statistics, norm_history
from graddiag.run import Run
from tests.analysis.runs import INF, NAN, manifest, steps_frame

NORM = [1.0, 4.0, 10.0, 0.5, INF, 2.0, NAN, 8.0]
AFTER = [1.0, 2.0, 2.0, 0.5, NAN, 2.0, NAN, 2.0]
COEFFICIENT = [1.0, 0.5, 0.2, 1.0, 0.0, 1.0, NAN, 0.25]


def clipped(clip: str = "norm:2.0") -> Run:
    columns = {
        schema.GRAD_NORM_CLIPPED: AFTER,
        schema.CLIP_COEFFICIENT: COEFFICIENT,
        schema.NONFINITE: [0, 0, 0, 0, 3, 0, 7, 0],
    }
    return Run.from_frames(manifest(clip=clip, arm="clip on"), steps=steps_frame(NORM, **columns))


def test_history_keeps_what_happened_at_each_step() -> None:
    found = norm_history(clipped())
    assert found.threshold == 2.0
    np.testing.assert_array_equal(found.before.values, [1, 4, 10, 0.5, np.nan, 2, np.nan, 8])
    assert found.before.states[4] == CellState.INF
    assert found.nonfinite.tolist() == [0, 0, 0, 0, 3, 0, 7, 0]


@pytest.mark.parametrize("clip", ["none", "value:2.0", "zclip", None, "norm:", "norm:x"])
def test_only_clipping_by_norm_has_a_threshold_to_draw(clip: str | None) -> None:
    assert norm_history(Run.from_frames(manifest(clip=clip))).threshold is None


def test_statistics_by_value() -> None:
    found = clip_statistics(clipped())
    assert (found.policy, found.steps, found.clipped_steps, found.first_clipped_step) == ("norm:2.0", 8, 4, 1)
    assert found.clipped_share == pytest.approx(4 / 7)
    assert (found.longest_stretch, found.longest_stretch_start) == (2, 1)
    assert (found.nonfinite_steps, found.first_nonfinite_step) == (2, 4)
    assert (found.norm_max, found.norm_max_step) == (10.0, 2)
    assert found.norm_percentiles["50%"] == 3.0
    assert found.coefficient_quantiles["min"] == 0.0
    assert found.coefficient_quantiles["50%"] == pytest.approx(0.225)


def test_a_coefficient_that_is_one_but_for_rounding_is_no_clipping() -> None:
    run = Run.from_frames(manifest(clip="norm:1"), steps=steps_frame([0.9], **{schema.CLIP_COEFFICIENT: [1 - 1e-12]}))
    assert clip_statistics(run).clipped_steps == 0
    assert clip_statistics(run).caption == "Clipping (clip off, seed 0): norm:1 never engaged in 1 step."


def test_what_was_not_recorded_is_none() -> None:
    found = clip_statistics(Run.from_frames(manifest(), steps=steps_frame([1.0, 2.0])))
    assert (found.clipped_share, found.first_clipped_step, found.coefficient_quantiles) == (None, None, {})


def test_stretches_of_clipped_steps() -> None:
    found = clip_statistics(clipped())
    assert (found.stretches, found.median_stretch) == (3, 1.0)
    none = clip_statistics(Run.from_frames(manifest(), steps=steps_frame([1.0], **{schema.CLIP_COEFFICIENT: [1.0]})))
    assert (none.stretches, none.median_stretch, none.longest_stretch) == (0, None, 0)


@pytest.mark.parametrize(
    ("clipped_steps", "role", "words"),
    [
        (0, "never engaged", "of no effect"),
        (1, "safety net", "caught single steps"),
        (2, "safety net", "caught single steps"),
        (3, "in between", "between"),
        (9, "in between", "between"),
        (10, "step-size limiter", "set the length of the usual step"),
    ],
)
def test_the_role_of_a_policy(clipped_steps: int, role: str, words: str) -> None:
    kept = [0.5] * clipped_steps + [1.0] * (20 - clipped_steps)
    frame = steps_frame([1.0] * 20, **{schema.CLIP_COEFFICIENT: kept})
    found = clip_statistics(Run.from_frames(manifest(clip="norm:1"), steps=frame))
    assert found.role == role
    assert words in found.role_sentence
    assert clip_statistics(Run.from_frames(manifest(clip="none"), steps=frame)).role is None


def test_spikes_that_clipping_met_and_what_it_could_not_help() -> None:
    norms = [1.0] * 10 + [50.0, 1.0, 80.0, 1.0, INF]
    kept = [1.0] * 10 + [0.04, 1.0, 1.0, 1.0, NAN]
    columns = {schema.CLIP_COEFFICIENT: kept, schema.NONFINITE: [0] * 14 + [1]}
    found = clip_statistics(Run.from_frames(manifest(clip="norm:2"), steps=steps_frame(norms, **columns)))
    assert (found.spikes, found.spikes_clipped, found.nonfinite_steps) == (2, 1, 1)
    assert "Of 2 spikes it shortened 1. It could not help 1 step with NaN or inf." in found.role_sentence


def test_spikes_are_not_known_without_norms_or_coefficients() -> None:
    found = clip_statistics(Run.from_frames(manifest(clip="norm:2"), steps=steps_frame([1.0, 2.0])))
    assert (found.spikes, found.spikes_clipped, found.role) == (0, None, None)
    assert clip_statistics(Run.from_frames(manifest(), steps=steps_frame([NAN]))).spikes is None
