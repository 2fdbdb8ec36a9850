"""Which timesteps teach the recurrent weight: by hand, and against autograd on an unrolled net."""

from pathlib import Path

import numpy as np
import pytest
import torch

import graddiag
from graddiag import schema
from graddiag.analysis import CellState, Selection, weight_contributions
from graddiag.run import Run
from tests.analysis.runs import INF, LAYER, NAN, manifest, timesteps_frame


def run_of(norms: object, cosines: object = None) -> Run:
    columns = {schema.GRAD_W_HH: norms} | ({} if cosines is None else {schema.GRAD_W_HH_COSINE: cosines})
    return Run.from_frames(manifest(), timesteps=timesteps_frame(columns))


def test_by_hand() -> None:
    """G = 3 e1, 4 e2: their sum is 5 long, the cosines .6 and .8."""
    found = weight_contributions(run_of([[3.0, 4.0]], [[0.6, 0.8]]), LAYER)
    np.testing.assert_allclose(found.cancellation.values, [5 / 7])
    np.testing.assert_allclose(found.effective_timesteps.values, [49 / 25])
    np.testing.assert_allclose(found.share.values, [3 / 7, 4 / 7])
    np.testing.assert_allclose(found.cosine.values, [0.6, 0.8])
    assert (found.median_cancellation, found.median_effective_timesteps) == pytest.approx((5 / 7, 49 / 25))


@pytest.mark.parametrize(
    ("norms", "effective_timesteps"), [([2.0] * 8, 8.0), ([0.0] * 7 + [1e-30], 1.0), ([1e30] * 4, 4.0)]
)
def test_the_effective_number_of_timesteps(norms: list[float], effective_timesteps: float) -> None:
    found = weight_contributions(run_of([norms], [[1.0] * len(norms)]), LAYER)
    assert found.median_effective_timesteps == pytest.approx(effective_timesteps)
    assert found.median_cancellation == pytest.approx(1.0)


def test_contributions_that_undo_one_another_leave_nothing() -> None:
    cosines = np.array([[None, None]], dtype=object)
    found = weight_contributions(run_of([[1.0, 1.0]], [[0.0, 0.0]]), LAYER)
    assert found.cancellation.states.tolist() == [CellState.ZERO]
    unknown = weight_contributions(run_of([[1.0, 1.0]], cosines), LAYER)
    assert unknown.cancellation.states.tolist() == [CellState.MISSING]
    assert unknown.median_effective_timesteps == 2.0


def test_nan_inf_zero_and_missing_stay_apart() -> None:
    norms = np.array([[1.0, 1.0], [NAN, 1.0], [INF, 1.0], [0.0, 0.0], [None, None]], dtype=object)
    found = weight_contributions(run_of(norms, np.ones((5, 2))), LAYER)
    expected = [CellState.VALUE, CellState.NAN, CellState.NAN, CellState.MISSING, CellState.MISSING]
    assert found.effective_timesteps.states.tolist() == expected
    assert found.steps_without_gradient == 1
    np.testing.assert_allclose(found.share.values, [0.5, 0.5])
    assert "none at 1 step." in found.caption


def test_shorter_sequences_share_among_their_own_timesteps() -> None:
    norms = np.array([[1.0, 1.0, None], [1.0, 1.0, 2.0]], dtype=object)
    found = weight_contributions(run_of(norms, np.ones((2, 3))), LAYER)
    np.testing.assert_allclose(found.share.values, [(0.5 + 0.25) / 2, (0.5 + 0.25) / 2, 0.5])
    np.testing.assert_allclose(found.effective_timesteps.values, [2.0, 16 / 6])


def test_a_weight_that_nothing_ever_taught_is_said() -> None:
    assert "got no gradient from any timestep" in (weight_contributions(run_of([[0.0, 0.0]]), LAYER).missing or "")
    assert "not recorded" in (weight_contributions(Run.from_frames(manifest(), timesteps=timesteps_frame(
        {schema.GRAD_H: np.ones((1, 2))})), LAYER).missing or "")  # fmt: skip


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_against_autograd_with_a_weight_of_its_own_at_each_timestep(kind: str, tmp_path: Path) -> None:
    """dL/dW_hh of an unrolled cell whose W_hh is another leaf at each t is G_t."""
    torch.manual_seed(0)
    T, N, I, H = 6, 3, 2, 4
    net = getattr(torch.nn, kind)(I, H).double()
    x, target = torch.randn(T, N, I).double(), torch.randn(N, H).double()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
    with graddiag.watch(net, optimizer, run="run", root=tmp_path) as recorder:
        loss = (net(x)[0][-1] - target).square().mean()
        loss.backward()
        recorder.log(loss=loss)
        optimizer.step()
    cell = getattr(torch.nn, f"{kind}Cell")(I, H).double()
    weights = [net.weight_hh_l0.detach().clone().requires_grad_() for _ in range(T)]
    state = None
    for t in range(T):
        given = {
            "weight_hh": weights[t],
            "weight_ih": net.weight_ih_l0,
            "bias_ih": net.bias_ih_l0,
            "bias_hh": net.bias_hh_l0,
        }
        state = torch.func.functional_call(cell, given, (x[t], state))
    h = state[0] if kind == "LSTM" else state
    G = torch.stack(torch.autograd.grad((h - target).square().mean(), weights))
    a = G.flatten(1).norm(dim=1)
    found = weight_contributions(graddiag.load_run(recorder.path), Selection("", 0, "forward"))
    np.testing.assert_allclose(found.share.values, (a / a.sum()).numpy(), rtol=1e-6)
    np.testing.assert_allclose(found.cancellation.values, [float(G.sum(0).norm() / a.sum())], rtol=1e-6)
    np.testing.assert_allclose(found.effective_timesteps.values, [float(a.sum() ** 2 / a.square().sum())], rtol=1e-6)
