"""Omega from the recorded gains: by value, and against Jacobians that autograd gives."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import graddiag
from graddiag import schema
from graddiag.analysis import OmegaForm, Selection, omega, selections
from graddiag.errors import SettingError
from graddiag.run import Run
from tests.analysis.runs import INF, LAYER, NAN, manifest, net, timesteps_frame

F64 = torch.float64
FORMS: tuple[OmegaForm, ...] = ("norm", "squared")


def of_gains(gains: object, layer: Selection = LAYER, **columns: object) -> Run:
    """A run of these gains [S, T]; a gradient arrived at every timestep."""
    gains = np.asarray(gains)
    total = {schema.GRAD_H: np.ones(gains.shape)}
    return Run.from_frames(manifest(), timesteps=timesteps_frame({schema.TRANSPORT_GAIN: gains, **total}, layer))


@pytest.mark.parametrize(("form", "each"), [("norm", 0.01), ("squared", 0.0361)])
def test_the_two_forms_are_not_alike(form: OmegaForm, each: float) -> None:
    """W = aQ at a = .9 costs .01 a timestep by norms, .0361 by squared norms."""
    found = omega(net(0.9, timesteps=11), LAYER, form=form)
    np.testing.assert_allclose(found.per_timestep.values, [each] * 4, rtol=1e-12)
    np.testing.assert_allclose(found.total.values, [10 * each] * 4, rtol=1e-12)
    np.testing.assert_allclose(found.by_timestep.values, [NAN, *[each] * 10], rtol=1e-12)
    assert (found.usual, found.from_growth) == (pytest.approx(each), 0)
    assert (found.n_terms, found.nonfinite_gains, found.missing) == (40, 0, None)
    assert "equation 9" in found.caption if form == "norm" else "equation 10" in found.caption


@pytest.mark.parametrize(("form", "each"), [("norm", 0.01), ("squared", 0.0361)])
def test_a_scaled_rotation_that_was_recorded(form: OmegaForm, each: float, tmp_path: Path) -> None:
    torch.manual_seed(0)
    rnn = graddiag.nn.RNN(2, 4, nonlinearity="identity", dtype=F64)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(0.9 * torch.linalg.qr(torch.randn(4, 4, dtype=F64)).Q)
    found = omega(recorded(rnn, tmp_path), Selection("", 0, "forward"), form=form)
    np.testing.assert_allclose(found.per_timestep.values, each, rtol=1e-6)  # the store holds float32
    np.testing.assert_allclose(found.total.values, 7 * each, rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("batch", [1, 3])
def test_a_tanh_rnn_against_autograds_jacobians(form: OmegaForm, batch: int, tmp_path: Path) -> None:
    """lambda_t by autograd on the unrolled net, J_t by autograd through one timestep, the batch as one state."""
    torch.manual_seed(0)
    rnn = graddiag.nn.RNN(2, 4, dtype=F64)
    with torch.no_grad():
        rnn.weight_hh_l0.mul_(3)
    run = recorded(rnn, tmp_path, batch)
    torch.manual_seed(1)
    x = torch.randn(8, batch, 2, dtype=F64)

    def after(h: torch.Tensor, x_t: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x_t @ rnn.weight_ih_l0.T + rnn.bias_ih_l0 + h @ rnn.weight_hh_l0.T + rnn.bias_hh_l0)

    states = [torch.zeros(batch, 4, dtype=F64)]
    for x_t in x:
        states.append(after(states[-1], x_t))
        states[-1].retain_grad()
    torch.stack(states[1:]).square().sum().backward()
    ratios = []
    for t in range(1, 8):
        lam = states[t + 1].grad.flatten()
        J = torch.autograd.functional.jacobian(lambda h, t=t: after(h, x[t]), states[t].detach())
        ratios.append((J.reshape(4 * batch, 4 * batch).T @ lam).norm() / lam.norm())
    r = torch.stack(ratios)
    expected = (r - 1).square() if form == "norm" else (r.square() - 1).square()

    found = omega(run, Selection("", 0, "forward"), form=form)
    np.testing.assert_allclose(found.total.values[0], expected.sum().item(), rtol=1e-5)
    np.testing.assert_allclose(found.per_timestep.values[0], expected.mean().item(), rtol=1e-5)
    np.testing.assert_allclose(found.by_timestep.values[1:], expected.numpy(), rtol=1e-4)
    assert found.from_growth == pytest.approx((expected[r > 1].sum() / expected.sum()).item(), rel=1e-4)


def recorded(rnn: torch.nn.RNN, root: Path, batch: int = 3) -> Run:
    """One step, with a loss at each of eight timesteps."""
    torch.manual_seed(1)
    with graddiag.watch(rnn, run="net", root=root) as recorder:
        rnn(torch.randn(8, batch, 2, dtype=F64))[0].square().sum().backward()
        recorder.step()
    return graddiag.load_run(recorder.path)


@pytest.mark.parametrize("form", FORMS)
def test_both_directions_of_two_layers_each_have_their_own(form: OmegaForm, tmp_path: Path) -> None:
    """That of a reverse direction leaves out the gain that leads out of the end of the data, not of its beginning."""
    torch.manual_seed(0)
    gru = torch.nn.GRU(2, 4, num_layers=2, bidirectional=True)
    with graddiag.watch(gru, run="net", root=tmp_path) as recorder:
        gru(torch.randn(6, 3, 2))[0].square().sum().backward()
        recorder.step()
    run = graddiag.load_run(recorder.path)
    power = 1 if form == "norm" else 2
    for layer in selections(run):
        rows = run.read(schema.TABLE_TIMESTEPS, where=layer.where)
        gains = rows[schema.TRANSPORT_GAIN].to_numpy(dtype=np.float64)
        between = gains[:-1] if layer.reverse else gains[1:]
        found = omega(run, layer, form=form)
        assert found.total.values[0] == pytest.approx(np.square(between**power - 1).sum(), rel=1e-12)
        assert np.isnan(found.by_timestep.values[-1 if layer.reverse else 0])
        assert np.isfinite(found.by_timestep.values).sum() == 5
    assert len(selections(run)) == 4


def test_what_is_missing_has_no_term_and_what_is_not_finite_is_told() -> None:
    gains = np.array([[9, 0.5, 0, 2], [9, NAN, 1, 1], [9, 1, INF, 1], [9, None, 1, 1], [9, None, None, None]], object)
    found = omega(of_gains(gains), LAYER, form="norm")
    np.testing.assert_array_equal(found.total.values, [0.25 + 1 + 1, NAN, NAN, 0, NAN])
    np.testing.assert_array_equal(found.per_timestep.values, [0.75, NAN, NAN, 0, NAN])
    assert found.total.states.tolist() == [0, 3, 4, 1, 2]  # value, NaN, inf, zero, missing
    np.testing.assert_allclose(found.by_timestep.values, [NAN, 0.125, 1 / 3, 0.25])
    assert (found.n_terms, found.nonfinite_gains) == (9, 2)
    assert found.from_growth == pytest.approx(1 / 2.25)
    assert "2 of the gains NaN or inf." in found.caption
    json.dumps(found.to_dict(), allow_nan=False)


def test_its_course_over_training() -> None:
    found = omega(of_gains([[1, 0.5, 0.5], [1, 0.9, 0.9], [1, 1.0, 1.0]]), LAYER, form="norm")
    np.testing.assert_allclose(found.per_timestep.values, [0.25, 0.01, 0], atol=1e-15)
    assert found.caption.endswith("median 0.01; first to last 0.25 to 0; 0% due to gains above 1.")
    assert omega(net(1.0, timesteps=5), LAYER).from_growth is None


def test_a_shorter_sequence_is_its_own() -> None:
    rows = net(0.5, steps=2, timesteps=5).timesteps
    short = (rows[schema.STEP] == 0) & (rows[schema.TIMESTEP] > 2)
    found = omega(Run.from_frames(manifest(), timesteps=rows[~short]), LAYER, form="norm")
    np.testing.assert_allclose(found.total.values, [2 * 0.25, 4 * 0.25])
    np.testing.assert_allclose(found.per_timestep.values, 0.25)


def test_steps_may_come_in_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    gains = np.random.default_rng(0).uniform(0.5, 1.5, (7, 6))
    whole = omega(of_gains(gains), LAYER).to_dict()
    monkeypatch.setattr("graddiag.analysis.timesteps.grid._AT_ONCE", 2)
    parts = omega(of_gains(gains), LAYER).to_dict()
    assert parts.pop("from_growth") == pytest.approx(whole.pop("from_growth"))
    np.testing.assert_allclose(parts.pop("by_timestep")["values"][1:], whole.pop("by_timestep")["values"][1:])
    assert parts == whole


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (Run.from_frames(manifest()), "No timestep was recorded"),
        (net(0.9, timesteps=1), "have one timestep"),
        (of_gains(np.full((2, 3), None, dtype=object)), "The transport gain was not recorded"),
        (of_gains(np.full((2, 3), NAN)), "At no recorded step are the transport gains .* all finite"),
    ],
    ids=["empty", "one timestep", "no gain", "all NaN"],
)
def test_what_cannot_be_known_is_said(run: Run, why: str) -> None:
    found = omega(run, LAYER)
    assert re.search(why, found.missing or "")
    assert (found.usual, found.from_growth, found.n_terms) == (None, None, 0)


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(SettingError, match=r"omega\(form='l1'\): the form is one of squared, norm\."):
        omega(net(0.9, timesteps=5), LAYER, form="l1")
