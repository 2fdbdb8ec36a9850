"""Reach: exponent, horizon and ratio of gradients whose fading is known."""

import math

import numpy as np
import pandas as pd
import pytest

from graddiag import schema
from graddiag.analysis import Selection, reach
from graddiag.run import Run
from tests.analysis.runs import INF, LAYER, NAN, manifest, net, timesteps_frame, travelled


def test_a_known_gain_gives_its_exponent_horizon_and_ratio() -> None:
    found = reach(net(0.5, timesteps=11), LAYER)
    assert found.exponent == pytest.approx(math.log(0.5))
    assert found.horizon == pytest.approx(1 / math.log(2))
    assert found.ratio == pytest.approx(0.5**10)
    np.testing.assert_allclose(found.arriving_by_step, 0.5**10)
    assert (found.exponent_interval, found.no_interval) == (None, "no interval: 4 recorded steps, 200 are needed")
    long = reach(net(0.5, steps=200, timesteps=11), LAYER)
    assert long.exponent_interval == pytest.approx((math.log(0.5),) * 2)
    assert (found.n_steps, found.n_gains, found.length) == (4, 40, 11)
    assert found.missing is None


def test_with_one_loss_exponent_times_length_is_the_ratio() -> None:
    gains = np.random.default_rng(0).uniform(0.5, 1.2, (3, 20))
    run = Run.from_frames(manifest(), timesteps=timesteps_frame(travelled(gains, np.eye(1, 20, 19).repeat(3, axis=0))))
    found = reach(run, LAYER)
    np.testing.assert_allclose(np.exp(found.exponent_by_step * 19), found.ratio_by_step)
    np.testing.assert_allclose(found.arriving_by_step, np.minimum(1, np.min(found_ratios(gains), axis=1)))


def found_ratios(gains: np.ndarray) -> np.ndarray:
    """||dh_t|| / ||dh_T|| at every t."""
    return np.exp(np.cumsum(np.log(gains[:, :0:-1]), axis=1))


@pytest.mark.parametrize(("gain", "horizon"), [(1.0, INF), (1.1, INF), (0.9, -1 / math.log(0.9))])
def test_what_does_not_fade_has_no_horizon(gain: float, horizon: float) -> None:
    assert reach(net(gain, timesteps=5), LAYER).horizon == pytest.approx(horizon)


@pytest.mark.parametrize(
    ("gains", "growth"),
    [
        ([1.0, 0.1, 3.0, 5.0, 1.0], 15.0),
        ([1.0, 4.0, 0.1, 3.0, 5.0], 15.0),
        ([1.0, 5.0, 3.0, 0.1, 1.0], 1.5),
    ],
    ids=["in the middle", "late", "after a dip"],
)
def test_growth_is_against_what_the_loss_puts_in(gains: list[float], growth: float) -> None:
    run = Run.from_frames(manifest(), timesteps=timesteps_frame(travelled([gains], np.eye(1, 5, 4))))
    assert reach(run, LAYER).growth_by_step == pytest.approx([growth])


@pytest.mark.parametrize("gain", [0.01, 10.0])
def test_beyond_float32_the_gains_tell_what_the_stored_norms_cannot(gain: float) -> None:
    """Norms as a float64 run stores them: held within what float32 can tell apart from 0 and inf."""
    columns = travelled(np.full((2, 60), gain), np.eye(1, 60, 59).repeat(2, axis=0))
    columns[schema.GRAD_H] = columns[schema.GRAD_H].clip(2.0**-149, np.finfo(np.float32).max)
    found = reach(Run.from_frames(manifest(), timesteps=timesteps_frame(columns)), LAYER)
    assert found.ratio == pytest.approx(gain**59, rel=1e-9)
    assert found.arriving_by_step == pytest.approx([min(1.0, gain**59)] * 2, rel=1e-9)
    assert found.growth_by_step == pytest.approx([max(gain, gain**59)] * 2, rel=1e-9)


def test_a_growth_beyond_float64_is_the_largest_number_and_no_inf() -> None:
    direct, most = np.eye(1, 60, 59), np.finfo(np.float32).max
    columns = {schema.TRANSPORT_GAIN: np.full((1, 60), 1e8), schema.GRAD_H: np.where(direct, 1.0, most)}
    columns[schema.GRAD_H_DIRECT] = direct
    found = reach(Run.from_frames(manifest(), timesteps=timesteps_frame(columns)), LAYER)
    assert found.growth_by_step == pytest.approx([np.finfo(float).max], rel=1e-9)


def test_a_gradient_that_only_adds_up_has_not_grown() -> None:
    total = np.arange(50.0, 0.0, -1.0)[None]
    gains = np.append(1.0, total[0, 1:] - 1 + 1e-9)[None] / np.append(1.0, total[0, 1:])[None]
    frame = timesteps_frame(
        {schema.GRAD_H: total, schema.GRAD_H_DIRECT: np.ones((1, 50)), schema.TRANSPORT_GAIN: gains}
    )
    assert reach(Run.from_frames(manifest(), timesteps=frame), LAYER).growth_by_step[0] <= 1


def test_zero_missing_and_nonfinite_gains_are_counted_and_left_out() -> None:
    gains = np.array([[9.0, 0.5, 0.0, None, INF, NAN, 0.5]], dtype=object)
    frame = timesteps_frame({schema.TRANSPORT_GAIN: gains, schema.GRAD_H: np.ones((1, 7))})
    found = reach(Run.from_frames(manifest(), timesteps=frame), LAYER)
    assert (found.n_gains, found.zero_gains, found.nonfinite_gains) == (2, 1, 2)
    assert found.exponent == pytest.approx(math.log(0.5))
    assert found.exponent_interval is None
    np.testing.assert_allclose(found.gain_by_timestep[[1, 6]], 0.5)
    assert np.isnan(found.gain_by_timestep[[0, 2, 3, 4, 5]]).all()


def test_a_reverse_direction_is_read_from_its_own_end() -> None:
    layer = Selection("lstm", 0, "reverse")
    columns = travelled(np.full((1, 6), 0.5), np.eye(1, 6, 5))
    turned = {name: values[:, ::-1] for name, values in columns.items()}
    turned[schema.TRANSPORT_GAIN] = np.array([[0.5, 0.5, 0.5, 0.5, 0.25, 7.0]])
    found = reach(Run.from_frames(manifest(), timesteps=timesteps_frame(turned, layer)), layer)
    assert found.ratio == pytest.approx(0.5**5)
    assert found.n_gains == 5
    np.testing.assert_allclose(found.gain_by_timestep, [0.5, 0.5, 0.5, 0.5, 0.25, np.nan])


def test_unequal_lengths_start_and_end_where_they_do() -> None:
    frame = net(0.5, steps=2, timesteps=5).timesteps
    columns = travelled(np.full((1, 3), 0.5), np.eye(1, 3, 2))
    short = timesteps_frame(columns, steps=[2])
    frame = pd.concat([frame[short.columns], short], ignore_index=True)
    found = reach(Run.from_frames(manifest(), timesteps=frame), LAYER)
    np.testing.assert_allclose(found.ratio_by_step, [0.5**4, 0.5**4, 0.5**2])
    np.testing.assert_allclose(found.arriving_by_step, [0.5**4, 0.5**4, 0.5**2])


def test_where_the_loss_enters_is_told() -> None:
    assert reach(net(0.5, timesteps=10), LAYER).touched_share == pytest.approx(0.1)
    dense = reach(net(0.5, timesteps=10, dense=True), LAYER)
    assert (dense.touched_share, dense.dense) == (1.0, True)
    np.testing.assert_allclose(dense.arriving_by_step, 1.0)


def test_the_interval_holds_the_mean_and_is_the_same_each_time() -> None:
    gains = np.exp(np.random.default_rng(1).normal(-0.5, 0.1, (200, 6)))
    run = Run.from_frames(manifest(), timesteps=timesteps_frame(travelled(gains, np.ones((200, 6)))))
    found, again = reach(run, LAYER), reach(run, LAYER)
    assert found.exponent_interval == again.exponent_interval
    assert found.exponent_interval is not None
    low, high = found.exponent_interval
    assert low < -0.5 < high
    assert high - low < 0.05
