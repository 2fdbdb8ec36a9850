"""What clipping changes in an update: the direction and the effective learning rate, by values typed by hand."""

import math

import numpy as np
import pytest
import torch

from graddiag import schema
from graddiag.analysis import CellState, direction_change, effective_lr
from graddiag.clipping import parse
from graddiag.run import Run
from tests.analysis.runs import NAN, manifest, steps_frame


def turned_run(clip: str | None, kept: list[float], **columns: list[float | None]) -> Run:
    frame = steps_frame([1.0] * len(kept), **{schema.CLIP_COEFFICIENT: kept}, **columns)
    return Run.from_frames(manifest(clip=clip), steps=frame)


@pytest.mark.parametrize("clip", ["none", "norm:1.0", "auto:10", "zclip"])
def test_one_factor_for_all_keeps_it(clip: str) -> None:
    found = direction_change(turned_run(clip, [1.0, 0.5]))
    assert (found.direction, found.clipped_steps, found.angle) == ("kept", 1, None)


@pytest.mark.parametrize("clip", ["value:0.5", "agc:0.01"])
def test_the_coefficient_bounds_the_cosine_of_any_gradient(clip: str) -> None:
    torch.manual_seed(0)
    for scale in (0.01, 0.3, 1.0, 30.0):
        parameter = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
        parameter.grad = torch.randn(7, 5, dtype=torch.float64) * scale
        before = parameter.grad.clone()
        kept = float(parse(clip)([parameter]).coefficient)
        cosine = float((before * parameter.grad).sum() / before.norm() / parameter.grad.norm())
        found = direction_change(turned_run(clip, [kept]))
        if found.cosines:
            assert found.direction == "bounded"
            assert found.cosines["min"] == kept
            assert cosine >= kept - 1e-12
            assert math.degrees(math.acos(min(cosine, 1.0))) <= (found.angle or 0) + 1e-5


def test_a_cosine_that_was_logged_is_taken() -> None:
    """Clamping [3, .1] to 1 gives [1, .1]: a cosine of .9978, by far above the bound of .335."""
    found = direction_change(turned_run("value:1", [0.335, 1.0, NAN], **{schema.CLIP_COSINE: [0.9978, 1.0, NAN]}))
    assert (found.direction, found.clipped_steps) == ("measured", 1)
    assert found.cosines["50%"] == 0.9978
    assert found.angle == pytest.approx(3.8, abs=0.1)
    assert "median 0.998; worst" in found.caption


def test_where_nothing_was_clipped_nothing_was_turned() -> None:
    found = direction_change(turned_run("value:1", [1.0, 1.0]))
    assert found.caption == "Direction of the gradient under clipping (clip off, seed 0): value:1 changed no gradient."


@pytest.mark.parametrize(
    ("clip", "words"), [(None, "No clip policy was recorded"), ("mine", "does not know the policy mine")]
)
def test_of_an_unknown_policy_nothing_is_known(clip: str | None, words: str) -> None:
    found = direction_change(turned_run(clip, [0.5]))
    assert found.direction == "unknown"
    assert words in (found.missing or "")


def test_all_nan_has_no_cosine() -> None:
    found = direction_change(turned_run("value:1", [NAN, NAN]))
    assert (found.cosines, found.angle) == ({}, None)
    assert np.isfinite(found.clipped_steps)


def run_of(lr: list[float | None], kept: list[float | None]) -> Run:
    columns = {schema.LR: lr, schema.CLIP_COEFFICIENT: kept}
    return Run.from_frames(manifest(clip="norm:1", arm="clip on"), steps=steps_frame([1.0] * len(lr), **columns))


def test_it_is_the_product_step_by_step() -> None:
    found = effective_lr(run_of([0.1, 0.1, 0.2, 0.2], [1.0, 0.5, 0.25, NAN]))
    np.testing.assert_allclose(found.effective.values, [0.1, 0.05, 0.05, np.nan])
    assert found.effective.states.tolist()[-1] == CellState.NAN
    assert found.mean_lr == pytest.approx(0.4 / 3)
    assert found.mean_effective == pytest.approx(0.2 / 3)
    assert found.ratio == pytest.approx(0.5)
    assert found.caption == (
        "Effective learning rate, mean over steps (clip on, seed 0): 0.0667, 50.0% of the 0.133 that was set."
    )


def test_what_was_not_recorded_is_missing() -> None:
    found = effective_lr(run_of([None, 0.1], [1.0, None]))
    assert found.effective.states.tolist() == [CellState.MISSING, CellState.MISSING]
    assert found.missing == "No clip coefficient was recorded: what clipping left of the learning rate is not known."
    assert "recorder.log(lr=" in (effective_lr(run_of([None], [1.0])).missing or "")


def test_a_learning_rate_of_zero_is_zero_and_has_no_ratio() -> None:
    found = effective_lr(run_of([0.0, 0.0], [1.0, 0.5]))
    assert found.effective.states.tolist() == [CellState.ZERO] * 2
    assert found.ratio is None
