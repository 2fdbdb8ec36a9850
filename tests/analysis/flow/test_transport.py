"""Products of transport gains, by value."""

import math

import numpy as np

from graddiag import schema
from graddiag.analysis.flow import transport
from tests.analysis.runs import INF, NAN, travelled


def test_logarithms_of_zero_and_of_what_is_not_finite() -> None:
    found = transport.log_gains(np.array([[1.0, math.e, 0.0, NAN, INF]]))
    np.testing.assert_array_equal(found, [[0, 1, transport.LN_ZERO, np.nan, np.nan]])


def test_the_first_timestep_present_leads_to_the_initial_state() -> None:
    present = np.array([[True, True, True], [False, True, True]])
    found = transport.between_timesteps(np.ones((2, 3)), present)
    np.testing.assert_array_equal(found, [[np.nan, 1, 1], [1, np.nan, 1]])


def test_stretch_is_the_largest_product_over_any_part() -> None:
    gains = np.array([[NAN, 0.1, 2.0, 3.0, 0.5, 4.0, 0.01], [NAN, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]])
    np.testing.assert_allclose(np.exp(transport.stretch(transport.log_gains(gains))), [12.0, 0.5])
    assert transport.stretch(np.full((1, 3), NAN)).tolist() == [-INF]


def test_with_one_loss_at_the_end_the_product_of_the_gains_arrives() -> None:
    gains = np.full((1, 6), 0.5)
    columns = travelled(gains, np.eye(1, 6, 5))
    logs = transport.log_gains(transport.between_timesteps(gains, np.ones((1, 6), dtype=bool)))
    touched = transport.touched_by_loss(columns[schema.GRAD_H_DIRECT], 1e-3)
    arriving = np.exp(transport.arrival(logs, columns[schema.GRAD_H], touched))
    np.testing.assert_allclose(arriving, [0.5**5])
    np.testing.assert_allclose(arriving, columns[schema.GRAD_H][:, 0] / columns[schema.GRAD_H][:, -1])


def test_the_worst_served_timestep_counts() -> None:
    direct = np.array([[0.0, 1.0, 0.0, 0.0, 0.0, 1.0]])
    columns = travelled(np.full((1, 6), 0.1), direct)
    logs = transport.log_gains(columns[schema.TRANSPORT_GAIN])
    found = transport.arrival(logs, columns[schema.GRAD_H], transport.touched_by_loss(direct, 1e-3))
    np.testing.assert_allclose(np.exp(found), [1e-3])


def test_a_loss_at_every_timestep_serves_each_in_full() -> None:
    columns = travelled(np.full((1, 6), 0.01), np.array([[0.002, 1.0, 1.0, 0.5, 1.0, 1.0]]))
    touched = transport.touched_by_loss(columns[schema.GRAD_H_DIRECT], 1e-3)
    found = transport.arrival(transport.log_gains(columns[schema.TRANSPORT_GAIN]), columns[schema.GRAD_H], touched)
    assert found.tolist() == [0.0]


def test_a_gradient_cut_to_zero_does_not_arrive_at_all() -> None:
    total, direct = np.array([[0.0, 0.0, 0.5, 1.0]]), np.array([[0.0, 0.0, 0.0, 1.0]])
    logs = transport.log_gains(np.array([[NAN, NAN, 0.0, 0.5]]))
    found = transport.arrival(logs, total, transport.touched_by_loss(direct, 1e-3))
    assert np.exp(found).tolist() == [0.0]


def test_without_gains_the_totals_tell() -> None:
    total, direct = np.array([[0.25, 0.5, 1.0]]), np.array([[0.0, 0.0, 1.0]])
    found = transport.arrival(np.full((1, 3), NAN), total, transport.touched_by_loss(direct, 1e-3))
    np.testing.assert_allclose(np.exp(found), [0.25])


def test_without_any_gradient_nothing_is_known() -> None:
    nothing = np.zeros((1, 3))
    found = transport.arrival(np.full((1, 3), NAN), nothing, transport.touched_by_loss(nothing, 1e-3))
    assert np.isnan(found).all()
