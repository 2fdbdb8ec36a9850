"""Whether clipping turned the gradient."""

import math

import numpy as np
import pytest
import torch

from graddiag import schema
from graddiag.analysis import direction_change
from graddiag.clipping import parse
from graddiag.run import Run
from tests.analysis.runs import NAN, manifest, steps_frame


def run_of(clip: str | None, kept: list[float], **columns: list[float | None]) -> Run:
    frame = steps_frame([1.0] * len(kept), **{schema.CLIP_COEFFICIENT: kept}, **columns)
    return Run.from_frames(manifest(clip=clip), steps=frame)


@pytest.mark.parametrize("clip", ["none", "norm:1.0", "auto:10", "zclip"])
def test_one_factor_for_all_keeps_it(clip: str) -> None:
    found = direction_change(run_of(clip, [1.0, 0.5]))
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
        found = direction_change(run_of(clip, [kept]))
        if found.cosines:
            assert found.direction == "bounded"
            assert found.cosines["min"] == kept
            assert cosine >= kept - 1e-12
            assert math.degrees(math.acos(min(cosine, 1.0))) <= (found.angle or 0) + 1e-5


def test_a_cosine_that_was_logged_is_taken() -> None:
    """Clamping [3, .1] to 1 gives [1, .1]: a cosine of .9978, by far above the bound of .335."""
    found = direction_change(run_of("value:1", [0.335, 1.0, NAN], **{schema.CLIP_COSINE: [0.9978, 1.0, NAN]}))
    assert (found.direction, found.clipped_steps) == ("measured", 1)
    assert found.cosines["50%"] == 0.9978
    assert found.angle == pytest.approx(3.8, abs=0.1)
    assert "median 0.998; worst" in found.caption


def test_where_nothing_was_clipped_nothing_was_turned() -> None:
    found = direction_change(run_of("value:1", [1.0, 1.0]))
    assert found.caption == "Direction of the gradient under clipping (clip off, seed 0): value:1 changed no gradient."


@pytest.mark.parametrize(
    ("clip", "words"), [(None, "No clip policy was recorded"), ("mine", "does not know the policy mine")]
)
def test_of_an_unknown_policy_nothing_is_known(clip: str | None, words: str) -> None:
    found = direction_change(run_of(clip, [0.5]))
    assert found.direction == "unknown"
    assert words in (found.missing or "")


def test_all_nan_has_no_cosine() -> None:
    found = direction_change(run_of("value:1", [NAN, NAN]))
    assert (found.cosines, found.angle) == ({}, None)
    assert np.isfinite(found.clipped_steps)
