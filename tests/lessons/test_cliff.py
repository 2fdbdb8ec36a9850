"""The cliff against an unrolled unit under autograd, graddiag's own cell, and what clipping makes of a step on it."""

import numpy as np
import pytest
import torch

from graddiag import cells
from graddiag.cells.values import Weights
from graddiag.lessons import cliff

POINTS = [(4.6, -2.35), (5.0, -2.6), (3.2, -1.1), (7.0, -4.0), (4.0, -2.0)]


def by_autograd(w: float, b: float) -> tuple[float, float, float]:
    at = torch.tensor([w, b], dtype=torch.float64, requires_grad=True)
    x = torch.tensor(0.5, dtype=torch.float64)
    for _ in range(50):
        x = at[0] * torch.sigmoid(x) + at[1]
    error = (torch.sigmoid(x) - 0.7) ** 2
    error.backward()
    return float(error.detach()), *at.grad.tolist()


@pytest.mark.parametrize(("w", "b"), POINTS)
def test_error_and_gradient_are_exact(w: float, b: float) -> None:
    found = [float(each) for each in cliff.error_and_gradient(np.float64(w), np.float64(b))]
    assert found == pytest.approx(by_autograd(w, b), rel=1e-10)


@pytest.mark.parametrize(("w", "b"), POINTS)
def test_it_is_a_sigmoid_rnn_of_one_unit(w: float, b: float) -> None:
    one = torch.ones(1, 1, dtype=torch.float64)
    weights = Weights(w_ih=0 * one, w_hh=w * one, b_ih=torch.tensor([b], dtype=torch.float64), b_hh=0 * one[0])
    x, start = torch.zeros(50, 1, 1, dtype=torch.float64), torch.sigmoid(0.5 * one)
    states = cells.forward("rnn_sigmoid", x, start, None, weights)
    direct = torch.zeros_like(states.h)
    direct[-1] = 2 * (states.h[-1] - cliff.TARGET)
    adjoint = cells.adjoint("rnn_sigmoid", states, weights, direct)
    grads = cells.weight_gradients("rnn_sigmoid", x, states, weights, adjoint)
    _, by_w, by_b = (float(each) for each in cliff.error_and_gradient(np.float64(w), np.float64(b)))
    assert float(grads.w_hh) == pytest.approx(by_w, rel=1e-10)
    assert float(grads.b_ih) == pytest.approx(by_b, rel=1e-10)


def test_the_wall_is_thousands_of_times_steeper_than_the_rest() -> None:
    found = cliff.section(4.6)
    assert found.grad_norm.values.max() > 4000 * found.median
    ground = cliff.surface()
    assert ground.error.shape == (len(ground.b), len(ground.w))
    assert ground.grad_norm.max() > 50


@pytest.mark.parametrize("w", [3.0, 4.6, 5.0, 6.0])
def test_the_top_of_the_wall_is_found_however_narrow_it_is(w: float) -> None:
    found = cliff.section(w)
    top = found.b[found.grad_norm.values.argmax()]
    _, by_w, by_b = cliff.error_and_gradient(w, top + np.linspace(-1e-3, 1e-3, 200_001))
    assert found.grad_norm.values.max() >= 0.999 * np.hypot(by_w, by_b).max()
    _, by_w, by_b = cliff.error_and_gradient(w, np.linspace(-4, -1, 1501))
    assert found.median == pytest.approx(np.median(np.hypot(by_w, by_b)))


@pytest.mark.parametrize(("start", "lr"), [((4.6, -2.0), 0.5), ((4.6, -2.0), 0.05), ((3.5, -1.2), 0.5)])
def test_the_view_holds_the_descents_and_the_wall(start: tuple[float, float], lr: float) -> None:
    descents = [cliff.descend(start, lr, clip, 30) for clip in ("none", "norm:0.1")]
    (left, right), (bottom, top) = cliff.view(descents)
    found = cliff.section(start[0])
    assert bottom < found.b[found.grad_norm.values.argmax()] < top
    for descent in descents:
        assert ((descent.points > (left, bottom)) & (descent.points < (right, top))).all()
    assert right - left < 2 > top - bottom


def test_the_view_leaves_out_where_a_descent_is_thrown_to() -> None:
    thrown = cliff.descend((4.6, -2.0), 1.0, "none", 30)
    assert thrown.points[:, 1].max() > 10
    (_, right), (_, top) = cliff.view([thrown])
    assert right < 8
    assert top < 0


def test_one_step_from_the_wall_is_thrown_and_with_clipping_is_not() -> None:
    start = (4.6, -2.0)
    thrown, held = (cliff.descend(start, 0.5, clip, 30) for clip in ("none", "norm:0.1"))
    assert thrown.length > 0.9
    assert held.length <= 0.5 * 0.1 + 1e-9
    assert held.errors[-1] < thrown.errors[-1] / 10
    assert thrown.points[0].tolist() == held.points[0].tolist() == list(start)


def test_a_descent_is_gradient_descent() -> None:
    found = cliff.descend((5.0, -2.5), 0.1, "none", 2)
    _, by_w, by_b = by_autograd(5.0, -2.5)
    np.testing.assert_allclose(found.points[1], [5.0 - 0.1 * by_w, -2.5 - 0.1 * by_b], rtol=1e-12)
    assert found.norms[0] == pytest.approx(np.hypot(by_w, by_b), rel=1e-10)
    assert len(found.points) == len(found.errors) == len(found.norms) == 3
