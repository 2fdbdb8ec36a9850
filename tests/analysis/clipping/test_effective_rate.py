"""The learning rate that clipping leaves."""

import numpy as np
import pytest

from graddiag import schema
from graddiag.analysis import CellState, effective_lr
from graddiag.run import Run
from tests.analysis.runs import NAN, manifest, steps_frame


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
