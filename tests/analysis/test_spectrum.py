"""Lyapunov exponents and Jacobians of traces against brute force; spectra and credit of modules."""

import json
import math
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

import graddiag
from graddiag.analysis.spectrum import credit_of, lyapunov, lyapunov_of, spectra_of, state_jacobians
from graddiag.errors import SettingError
from graddiag.tracing import Trace
from tests.reference.oracle import cell
from tests.reference.test_traces import KINDS, build

F64 = torch.float64
T, N = 20, 3


def traced(layer: torch.nn.RNNBase, x: Tensor, **which: object) -> Trace:
    with graddiag.capture(layer) as cap:
        layer(x)
    return cap.trace(**which)


def brute_force(kind: str, layer: torch.nn.RNNBase, x: Tensor) -> Tensor:
    """J_t by autograd through one timestep at a time, [T, N, D, D], for a single layer from zero states."""
    weights = {name.removesuffix("_l0"): p.detach() for name, p in layer.named_parameters()}
    H, found = layer.hidden_size, []
    state = torch.zeros(x.shape[1], 2 * H if kind == "lstm" else H, dtype=F64)

    def after(one: Tensor, x_t: Tensor) -> Tensor:
        kept = cell(kind, weights, x_t.unsqueeze(0), (one[:H].unsqueeze(0), one[H:].unsqueeze(0)))
        return torch.cat([kept[name][0] for name in (("h", "c_next") if kind == "lstm" else ("h",))])

    for x_t in x:
        each = [
            torch.autograd.functional.jacobian(lambda s, x_n=x_n: after(s, x_n), one)
            for one, x_n in zip(state, x_t, strict=True)
        ]
        found.append(torch.stack(each))
        state = torch.stack([after(one, x_n) for one, x_n in zip(state, x_t, strict=True)]).detach()
    return torch.stack(found)


@pytest.mark.parametrize(("home", "kind"), KINDS)
def test_exponents_are_those_of_the_product_of_autograds_jacobians(home: ModuleType, kind: str) -> None:
    layer = build(home, kind)
    if kind == "rnn_relu":
        with torch.no_grad():
            layer.bias_ih_l0.fill_(5)  # every unit awake: a dead one has no exponent
    x = torch.randn(3, N, 3, dtype=F64)  # a longer product has lost its smallest directions to rounding
    J, trace = brute_force(kind, layer, x), traced(layer, x)
    torch.testing.assert_close(state_jacobians(trace), J, rtol=1e-10, atol=1e-13)
    found = lyapunov(trace, transient=0, windows=1)
    for n in range(N):
        product = torch.eye(J.shape[-1], dtype=F64)
        for t in range(3):
            product = J[t, n] @ product
        volumes = torch.linalg.qr(product).R.diagonal().abs().log() / 3
        expected = volumes.sort(descending=True).values.numpy()
        np.testing.assert_allclose(found.by_sample[n], expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.exponents, found.by_sample.mean(0))


@pytest.mark.parametrize("kind", ["rnn_tanh", "lstm", "gru"])
@pytest.mark.parametrize("transient", [0, 5])
def test_their_sum_is_the_mean_of_ln_det(kind: str, transient: int) -> None:
    layer, x = build(torch.nn, kind), torch.randn(T, N, 3, dtype=F64)
    found, J = lyapunov(traced(layer, x), transient=transient), brute_force(kind, layer, x)
    expected = torch.linalg.slogdet(J[transient:]).logabsdet.mean().item()
    assert found.total == pytest.approx(expected, rel=1e-10)
    assert (found.timesteps, found.transient, found.state) == (T - transient, transient, J.shape[-1])
    assert found.windows.shape == (4, J.shape[-1])
    lengths = np.bincount([place * 4 // (T - transient) for place in range(T - transient)])
    assert found.windows.sum(1) @ lengths / (T - transient) == pytest.approx(expected, rel=1e-10)


def linear(W: Tensor) -> graddiag.nn.RNN:
    rnn = graddiag.nn.RNN(2, len(W), nonlinearity="identity", dtype=F64)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(W)
    return rnn


def test_a_scaled_rotation_has_one_exponent() -> None:
    Q, _ = torch.linalg.qr(torch.randn(6, 6, dtype=F64, generator=torch.Generator().manual_seed(3)))
    for a in (0.9, 1.0, 1.1):
        found = lyapunov(traced(linear(a * Q), torch.randn(T, 2, 2, dtype=F64)))
        np.testing.assert_allclose(found.exponents, math.log(a), atol=1e-12)
        assert found.horizon == (pytest.approx(-1 / math.log(0.9)) if a == 0.9 else None)
        few = lyapunov(traced(linear(a * Q), torch.randn(T, 2, 2, dtype=F64)), count=2)
        np.testing.assert_allclose(few.exponents, math.log(a), atol=1e-12)
        assert few.total is None


def test_a_diagonal_map_has_those_of_its_entries() -> None:
    d = torch.tensor([0.5, 1.5, 0.9], dtype=F64)
    trace = traced(linear(torch.diag(d)), torch.randn(60, 1, 2, dtype=F64))
    np.testing.assert_allclose(lyapunov(trace).exponents, np.log([1.5, 0.9, 0.5]), rtol=1e-12)
    largest = lyapunov(trace, count=1, transient=50).exponents
    np.testing.assert_allclose(largest, [math.log(1.5)], rtol=1e-8)


def test_dead_units_are_minus_infinity_and_nan_is_a_finding() -> None:
    torch.manual_seed(0)
    rnn = torch.nn.RNN(2, 3, nonlinearity="relu", dtype=F64)
    with torch.no_grad():
        rnn.bias_ih_l0.copy_(torch.tensor([50.0, 50.0, -50.0]))
    found = lyapunov(traced(rnn, torch.randn(T, 2, 2, dtype=F64)))
    assert np.isfinite(found.exponents).tolist() == [True, True, False]
    assert found.exponents[2] == found.total == -math.inf
    x = torch.randn(T, 2, 2, dtype=F64)
    x[T - 1, 1] = math.nan
    found = lyapunov(traced(torch.nn.RNN(2, 3, dtype=F64), x))
    assert np.isnan(found.by_sample[1]).all()
    assert np.isfinite(found.by_sample[0]).all()
    assert np.isnan(found.exponents).all()
    assert found.horizon is None
    json.dumps(found.to_dict(), allow_nan=False)
    assert "1 sample of 2 met NaN or inf, so there is no mean; of the others the largest lies between" in found.caption
    assert [each.tolist() for each in found.spread] == [found.by_sample[0].tolist()] * 2


BUILDS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
AWKWARD = {
    "one timestep": (1, 2, 3, 0.5),
    "two timesteps": (2, 2, 3, 0.5),
    "three timesteps": (3, 2, 3, 0.5),
    "one unit": (5, 2, 1, 0.5),
    "one sample": (5, 1, 3, 0.5),
    "NaN": (5, 2, 3, math.nan),
    "inf": (5, 2, 3, math.inf),
}


@pytest.mark.parametrize("case", AWKWARD)
@pytest.mark.parametrize("kind", BUILDS)
def test_awkward_traces_give_a_result_and_a_sentence(kind: str, case: str) -> None:
    timesteps, samples, hidden, value = AWKWARD[case]
    layer, x = BUILDS[kind](2, hidden, bidirectional=True), torch.full((timesteps, samples, 2), value)
    with graddiag.capture(layer) as cap:
        layer(x)[0].sum().backward()
    D = 2 * hidden if kind == "lstm" else hidden
    for trace in cap.traces:
        assert state_jacobians(trace).shape == (timesteps, samples, D, D)
        matrix = credit_of(trace)
        assert matrix.values.shape == (timesteps, timesteps)
        assert matrix.caption.endswith(".")
        json.dumps(matrix.to_dict(), allow_nan=False)
    exponents = lyapunov_of(layer, x)
    assert len(exponents) == 2
    for found in exponents:
        assert found.by_sample.shape == (samples, D)
        assert len(found.windows) == min(4, timesteps)
        assert (found.missing is not None) == bool(np.isnan(found.by_sample).any(axis=1).all())
        assert (found.missing is not None) or case != "NaN"
        assert found.caption.endswith(".")
        assert "nan" not in found.caption
        json.dumps(found.to_dict(), allow_nan=False)
    for spectrum in spectra_of(layer):
        assert spectrum.caption.endswith(".")
    with pytest.raises(SettingError, match=rf"lyapunov\(windows={timesteps + 1}\)"):
        lyapunov(cap.traces[0], windows=timesteps + 1)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_weight_with_nan_or_inf_has_no_spectrum_and_no_exponent(value: float) -> None:
    rnn = torch.nn.RNN(2, 3)
    with torch.no_grad():
        rnn.weight_hh_l0[0, 0] = value
    assert spectra_of(rnn) == ()
    (found,) = lyapunov_of(rnn, torch.randn(5, 1, 2))
    assert (
        found.missing
        == "The states of (model), layer 0, forward meet NaN or inf in every sample: they have no exponents."
    )


@pytest.mark.parametrize("kind", ["rnn_tanh", "lstm", "gru"])
def test_each_sequence_of_a_packed_batch_is_its_own(kind: str) -> None:
    layer, lengths, x = build(torch.nn, kind, bidirectional=True), [6, 9, 4], torch.randn(9, 3, 3, dtype=F64)
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    for direction in ("forward", "reverse"):
        trace = traced(layer, packed, direction=direction)
        found = lyapunov(trace, transient=1)
        for n, length in enumerate(trace.lengths.tolist()):
            original = lengths.index(length)
            alone = lyapunov(traced(layer, x[:length, original : original + 1], direction=direction), transient=1)
            np.testing.assert_allclose(found.by_sample[n], alone.exponents, rtol=1e-10)
    assert lyapunov(trace, transient=6).by_sample.shape[0] == 1
    assert state_jacobians(trace)[8, 2].count_nonzero() == 0


def test_layers_above_have_their_own_input_and_samples_may_be_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = build(torch.nn, "gru", num_layers=2), torch.randn(T, N, 3, dtype=F64)
    upper = torch.nn.GRU(4, 4, dtype=F64)
    upper.load_state_dict({name.replace("l1", "l0"): p for name, p in layer.state_dict().items() if "l1" in name})
    with graddiag.capture(layer) as cap:
        layer(x)
    lower_output = cap.trace(layer=0).h
    whole, alone = lyapunov(cap.trace(layer=1)), lyapunov(traced(upper, lower_output))
    np.testing.assert_allclose(whole.by_sample, alone.by_sample, rtol=1e-10)
    monkeypatch.setattr("graddiag.cells.lyapunov._CHUNK", 1)
    np.testing.assert_allclose(lyapunov(cap.trace(layer=1)).by_sample, whole.by_sample, rtol=1e-10)


def test_an_lstm_needs_its_whole_state() -> None:
    """The product of the dh/dh blocks alone is wrong by many orders of magnitude."""
    torch.manual_seed(0)
    lstm, x = torch.nn.LSTM(3, 8, dtype=F64), torch.randn(60, 1, 3, dtype=F64)
    with torch.no_grad():
        lstm.bias_ih_l0[8:16] = 2.0  # the forget gate open
    J, (h, c) = state_jacobians(traced(lstm, x))[:, 0], torch.zeros(2, 1, 1, 8, dtype=F64)
    h.requires_grad_()
    last = lstm(x, (h, c))[0][-1, 0]
    truth = torch.stack([torch.autograd.grad(unit, h, retain_graph=True)[0].flatten() for unit in last])
    whole, of_h = torch.eye(16, dtype=F64), torch.eye(8, dtype=F64)
    for J_t in J:
        whole, of_h = J_t @ whole, J_t[:8, :8] @ of_h
    torch.testing.assert_close(whole[:8, :8], truth, rtol=1e-9, atol=0)
    assert of_h.norm() < 1e-6 * truth.norm()


def test_settings_out_of_range() -> None:
    trace = traced(torch.nn.RNN(2, 3), torch.randn(T, 2, 2))
    for asked in ({"count": 0}, {"count": 4}, {"transient": T}, {"windows": 0}):
        ((name, value),) = asked.items()
        with pytest.raises(SettingError, match=rf"lyapunov\({name}={value}\): with T={T} and D=3 it has to be from"):
            lyapunov(trace, **asked)
    with graddiag.capture(rnn := torch.nn.RNN(2, 3)) as cap:
        rnn(torch.randn(4, 1, 2))[0].sum().backward()
    with pytest.raises(SettingError, match=r"credit_of\(at=\[4\]\): the sequence has timesteps 0 to 3"):
        credit_of(cap.trace(), [4])


def test_the_spectrum_of_a_module() -> None:
    torch.manual_seed(0)
    found = spectra_of(torch.nn.ModuleDict({"a": torch.nn.LSTM(2, 3, bidirectional=True), "b": torch.nn.RNN(2, 4)}))
    assert [each.parameter for each in found] == ["a.weight_hh_l0", "a.weight_hh_l0_reverse", "b.weight_hh_l0"]
    assert [block.gate for block in found[0].blocks] == ["i", "f", "g", "o"]
    assert found[2].blocks[0].norm >= found[2].blocks[0].radius
    assert found[2].caption.startswith("Largest singular value and spectral radius of b.weight_hh_l0 (")
    json.dumps(found[0].to_dict(), allow_nan=False)


def test_the_credit_matrix_of_a_trace() -> None:
    rnn = linear(0.5 * torch.eye(3, dtype=F64))
    with graddiag.capture(rnn) as cap:
        rnn(torch.randn(9, 1, 2, dtype=F64))[0][[2, 8]].sum().backward()
    found = credit_of(cap.trace())
    assert found.loss_timesteps.tolist() == list(range(9))
    np.testing.assert_allclose(found.values[8], math.sqrt(3) * 0.5 ** np.arange(8, -1, -1.0), rtol=1e-12)
    np.testing.assert_allclose(found.values[2, :3], math.sqrt(3) * 0.5 ** np.arange(2, -1, -1.0), rtol=1e-12)
    assert (found.values[4, :5] == 0).all()
    assert np.isnan(found.values[4, 5:]).all()
    assert found.fading == 7  # .5^7 is below 1%
    assert found.caption.endswith(
        "of what timestep 8 sends, 0.00391 is left at timestep 0; it is below 1% after 7 timesteps."
    )
