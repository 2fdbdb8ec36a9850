"""Quantiles over steps in bounded memory: which rows are kept."""

import numpy as np
import pytest

from graddiag.analysis import cell_path, reach
from graddiag.analysis.timesteps import means
from graddiag.run import Run
from tests.analysis.runs import LAYER, manifest, timesteps_frame, travelled


def rows_of(steps: int, at_once: int) -> np.ndarray:
    some = means.StepReservoir()
    values = np.arange(steps, dtype=float)[:, None]
    for start in range(0, steps, at_once):
        some.add(values[start : start + at_once])
    return some.rows().ravel()


@pytest.mark.parametrize("at_once", [1, 3, 7, 100])
def test_rows_that_are_kept_stay_evenly_spaced_however_they_come(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(means, "KEPT", 4)
    assert rows_of(8, at_once).tolist() == list(range(8))
    assert rows_of(9, at_once).tolist() == [0, 2, 4, 6, 8]
    assert rows_of(100, at_once).tolist() == list(range(0, 100, 16))


def test_a_shorter_stretch_ends_in_nan() -> None:
    some = means.StepReservoir()
    some.add(np.ones((1, 2)))
    some.add(np.ones((2, 3)))
    np.testing.assert_array_equal(some.rows(), [[1, 1, np.nan], [1, 1, 1], [1, 1, 1]])
    assert means.StepReservoir().rows().shape == (0, 0)


def test_of_many_steps_means_are_of_all_and_quantiles_of_some(monkeypatch: pytest.MonkeyPatch) -> None:
    gains = np.exp(np.random.default_rng(0).normal(-0.1, 0.3, (2000, 4)))
    columns = travelled(gains, np.eye(1, 4, 3).repeat(2000, axis=0)) | {
        "grad_c": np.ones((2000, 4)),
        "grad_c_path": gains,
    }
    run = Run.from_frames(manifest(), timesteps=timesteps_frame(columns))
    whole, path = reach(run, LAYER), cell_path(run, LAYER)
    np.testing.assert_allclose(whole.gain_low[1:], np.quantile(gains[:, 1:], 0.1, axis=0), rtol=1e-6)
    np.testing.assert_allclose(path.by_timestep.values[:3], np.median(gains[:, :3], axis=0), rtol=1e-6)
    monkeypatch.setattr(means, "KEPT", 200)
    some, some_path = reach(run, LAYER), cell_path(run, LAYER)
    np.testing.assert_allclose(some.gain_by_timestep, whole.gain_by_timestep, rtol=1e-12)
    np.testing.assert_allclose(some.gain_by_timestep[1:], np.exp(np.log(gains[:, 1:]).mean(axis=0)), rtol=1e-12)
    np.testing.assert_allclose(some.gain_low, whole.gain_low, rtol=0.1)
    np.testing.assert_array_equal(some_path.by_step.values, path.by_step.values)
    assert (some_path.ratio, some_path.missing) == (path.ratio, None)
    assert 0 < np.abs(some_path.by_timestep.values[:3] - path.by_timestep.values[:3]).max() < 0.1
