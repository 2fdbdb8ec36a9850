"""Signal and noise of gradients whose truth is known: a mean gradient and noise of a given size."""

import numpy as np
import pytest

from graddiag import schema
from graddiag.analysis import gradient_noise
from graddiag.analysis.optimization.noise import batch_of
from graddiag.run import Run
from tests.analysis.runs import NAN, manifest, steps_frame


def cosines(signal: float, steps: int = 2000, size: int = 400) -> list[float]:
    """Cosines between successive gradients with |G|^2 / E|g|^2 = signal."""
    rng = np.random.default_rng(1)
    mean = np.zeros(size)
    mean[0] = np.sqrt(signal)
    gradients = mean + rng.normal(0, np.sqrt((1 - signal) / size), (steps + 1, size))
    lengths = np.linalg.norm(gradients, axis=1)
    return list((gradients[1:] * gradients[:-1]).sum(axis=1) / (lengths[1:] * lengths[:-1]))


def run_of(values: list[float | None], **config: object) -> Run:
    steps = steps_frame([1.0] * len(values), **{schema.GRAD_COSINE: values})
    return Run.from_frames(manifest(config=config), steps=steps)


@pytest.mark.parametrize("signal", [0.1, 0.5, 0.9])
def test_the_share_of_signal_is_found(signal: float) -> None:
    found = gradient_noise(run_of(cosines(signal), batch=20))
    assert found.signal == pytest.approx(signal, abs=0.02)
    assert found.interval is not None
    assert found.interval[0] <= signal + 0.005
    assert found.interval[1] >= signal - 0.005
    assert found.noise_scale == pytest.approx((1 - signal) / signal, rel=0.2)
    assert found.signal_to_noise == pytest.approx(1 / found.noise_scale)
    assert found.batch == 20


def walk(mean: np.ndarray, spread: np.ndarray, steps: int, seed: int, batch: int = 1) -> tuple[Run, float]:
    """A run whose gradients have this mean [D] and, over one sample, these standard deviations [D]; and its signal."""
    noise = spread / np.sqrt(batch)
    gradients = mean + noise * np.random.default_rng(seed).normal(size=(steps + 1, len(mean)))
    lengths = np.linalg.norm(gradients, axis=1)
    turned = (gradients[1:] * gradients[:-1]).sum(axis=1) / (lengths[1:] * lengths[:-1])
    frame = steps_frame(list(lengths), **{schema.GRAD_COSINE: [None, *turned]})
    return Run.from_frames(manifest(), steps=frame), float(mean @ mean / (mean @ mean + noise @ noise))


def test_the_signal_is_of_squares_and_not_the_mean_cosine() -> None:
    """Few directions hold the noise, so that norms vary: the mean cosine is far below the share of the square."""
    mean, spread = np.array([0.6, 0.0, 0.0]), np.array([2.0, 0.2, 0.1])
    run, signal = walk(mean, spread, 20_000, seed=0, batch=2)
    found = gradient_noise(run)
    assert found.signal == pytest.approx(signal, rel=0.05)
    assert found.mean_cosine is not None
    assert abs(found.mean_cosine - signal) > 0.2 * signal


@pytest.mark.parametrize("steps", [40, 200, 1000])
def test_the_interval_holds_the_signal_about_as_often_as_it_says(steps: int) -> None:
    held = []
    for seed in range(300):
        run, signal = walk(np.full(30, 0.2), np.full(30, 0.4), steps, seed)
        low, high = gradient_noise(run).interval or (0.0, 0.0)
        held.append(low < signal < high)
    assert 0.91 <= np.mean(held) <= 0.99


def test_a_norm_that_falls_over_training_leaves_the_signal() -> None:
    run, signal = walk(np.full(30, 0.2), np.full(30, 0.4), 1000, seed=1)
    frame = run.steps.assign(**{schema.GRAD_NORM: run.steps[schema.GRAD_NORM] * np.geomspace(1e3, 1, 1001)})
    found = gradient_noise(Run.from_frames(manifest(), steps=frame))
    assert found.signal == pytest.approx(signal, rel=0.1)


def test_without_norms_there_is_no_signal() -> None:
    steps = steps_frame([None] * 50, **{schema.GRAD_COSINE: [0.5] * 50})
    assert "needs the gradient norms" in (gradient_noise(Run.from_frames(manifest(), steps=steps)).missing or "")


def test_a_policy_that_changes_the_direction_is_judged_by_the_norms_after_it() -> None:
    columns = {schema.GRAD_COSINE: [0.5] * 50, schema.GRAD_NORM_CLIPPED: [1.0] * 50}
    steps = steps_frame(list(np.geomspace(1, 9, 50)), **columns)
    turned, kept = (gradient_noise(Run.from_frames(manifest(clip=clip), steps=steps)) for clip in ("value:1", "norm:1"))
    assert turned.signal == pytest.approx(0.5)
    assert kept.signal is not None
    assert kept.signal < 0.5


def test_what_a_larger_batch_would_buy() -> None:
    found = gradient_noise(run_of([0.25] * 40))
    assert found.noise_scale == 3.0
    assert found.gain == {2: pytest.approx(4 / 2.5), 4: pytest.approx(4 / 1.75), 16: pytest.approx(4 / (1 + 3 / 16))}
    assert "twice the batch would make a step 1.6 times as useful" in found.caption


def test_blocks_follow_the_course_of_training() -> None:
    found = gradient_noise(run_of([0.8] * 100 + [0.1] * 100))
    assert (found.blocks[0].first, found.blocks[1].first) == (1, 24)
    assert found.blocks[0].signal == pytest.approx(0.8)
    assert found.blocks[-1].signal == pytest.approx(0.1)


def test_gradients_that_swing_have_no_signal_to_tell() -> None:
    found = gradient_noise(run_of([-0.3] * 50))
    assert (found.signal, found.noise_scale, found.gain, found.missing) == (None, None, {}, None)
    assert "mean -0.3; on the whole each turns against the one before" in found.caption
    assert found.blocks[0].signal is None


def test_a_mean_that_cannot_be_told_from_zero_is_no_signal() -> None:
    found = gradient_noise(run_of([0.5, -0.49] * 30))
    assert (found.signal, found.noise_scale) == (None, None)
    assert found.interval is not None


def test_norms_alone_tell_no_noise() -> None:
    found = gradient_noise(Run.from_frames(manifest(), steps=steps_frame([1.0] * 50)))
    assert found.missing is not None
    assert "cannot be measured from norms alone" in found.missing
    assert (found.signal, found.interval, found.blocks) == (None, None, ())


def test_a_few_cosines_are_too_few() -> None:
    found = gradient_noise(run_of([0.5] * 5 + [NAN]))
    assert found.missing == "5 finite cosines between successive gradients are too few to tell noise; 20 would do."


def test_the_batch_of_a_configuration() -> None:
    assert batch_of({"batch": 32}) == 32
    assert batch_of({"batch_size": 8}) == 8
    assert batch_of({"batch": "many"}) is None
    assert batch_of({}) is None
