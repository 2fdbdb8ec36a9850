"""The exponents of a snapshot against the product of autograd's Jacobians, and what a run keeps of them."""

import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import graddiag
from graddiag import schema
from graddiag.analysis.spectrum import lyapunov, state_jacobians
from graddiag.cells.lyapunov import exponents
from graddiag.recording.rows import lyapunov_columns
from graddiag.run import Run
from graddiag.tracing import Trace
from graddiag.tracing.lyapunov import leading_growth
from tests.analysis.test_spectrum import brute_force, traced
from tests.nn.nets import projection_warning
from tests.reference.test_traces import KINDS, build
from tests.tracing.models import F64

MOST = schema.LYAPUNOV_EXPONENTS


def found(trace: Trace) -> Tensor:
    """By sample and exponent, [n, k]."""
    grown = leading_growth(trace)
    assert grown is not None
    return exponents(grown.total.sum(0), grown.counted.sum(0))


def of_product(J: Tensor, k: int) -> Tensor:
    """The exponents of J [T, D, D] by one QR of the whole product: true as long as the product can be resolved."""
    T, D, _ = J.shape
    Q = torch.eye(D, dtype=F64)
    if k < D:
        drawn = torch.randn(D, k, dtype=F64, generator=torch.Generator().manual_seed(0))
        Q = torch.linalg.qr(drawn).Q
    for J_t in J:
        Q = J_t @ Q
    return (torch.linalg.qr(Q).R.diagonal().abs().log() / T).sort(descending=True).values


def recorded(model: nn.Module, root: Path, x: Tensor) -> Run:
    """A run of one update, with a snapshot."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=root, snapshot_every=1):
        model(x)[0].square().sum().backward()
        optimizer.step()
    return graddiag.load_run(root / "r")


@pytest.mark.parametrize(("home", "kind"), KINDS)
def test_they_are_those_of_the_product_of_autograds_jacobians(home: ModuleType, kind: str) -> None:
    layer = build(home, kind)
    if kind == "rnn_relu":
        with torch.no_grad():
            layer.bias_ih_l0.fill_(5)  # every unit awake: a dead one has no exponent
    x = torch.randn(3, 2, 3, dtype=F64)
    J, by_sample = brute_force(kind, layer, x), found(traced(layer, x))
    assert by_sample.shape == (2, 8 if kind == "lstm" else 4)
    for n in range(2):
        torch.testing.assert_close(by_sample[n], of_product(J[:, n], MOST), rtol=1e-10, atol=1e-12)
    volume = torch.linalg.slogdet(J).logabsdet.mean(0)
    torch.testing.assert_close(by_sample.sum(1), volume, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", ["rnn_tanh", "lstm", "gru"])
def test_of_a_large_state_the_leading_ones_of_few_samples(kind: str) -> None:
    torch.manual_seed(0)
    layer = {"rnn_tanh": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[kind](3, 12, dtype=F64)
    x = torch.randn(3, 9, 3, dtype=F64)
    trace = traced(layer, x)
    J, by_sample = state_jacobians(trace), found(trace)
    assert by_sample.shape == (3, MOST)
    for row, n in zip(by_sample, (0, 3, 6), strict=True):
        torch.testing.assert_close(row, of_product(J[:, n], MOST), rtol=1e-9, atol=1e-12)
    whole = lyapunov(traced(layer, x[:, ::3]), transient=0, count=MOST, windows=1)
    np.testing.assert_allclose(by_sample, whole.by_sample, rtol=1e-12)


@projection_warning
def test_a_projection_a_layer_norm_and_a_residual_connection() -> None:
    torch.manual_seed(0)
    settings = {"nonlinearity": "tanh", "layer_norm": True, "residual": True}
    for layer in (nn.LSTM(3, 5, proj_size=2, dtype=F64), graddiag.nn.RNN(3, 6, dtype=F64, **settings)):
        trace = traced(layer, torch.randn(3, 2, 3, dtype=F64))
        J = state_jacobians(trace)
        for n, row in enumerate(found(trace)):
            torch.testing.assert_close(row, of_product(J[:, n], MOST), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", ["rnn_tanh", "lstm", "gru"])
def test_each_sequence_of_a_packed_batch_is_its_own(kind: str) -> None:
    layer, lengths, x = build(torch.nn, kind, bidirectional=True), [6, 9, 4], torch.randn(9, 3, 3, dtype=F64)
    for direction in ("forward", "reverse"):
        trace = traced(layer, pack_padded_sequence(x, lengths, enforce_sorted=False), direction=direction)
        for n, length in enumerate(trace.lengths.tolist()):
            sample = lengths.index(length)
            alone = found(traced(layer, x[:length, sample : sample + 1], direction=direction))
            torch.testing.assert_close(found(trace)[n : n + 1], alone, rtol=1e-10, atol=1e-12)


def test_a_tenth_of_the_way_only_turns_the_directions_and_what_ends_within_it_is_left_out() -> None:
    gru, x = build(torch.nn, "gru"), torch.randn(40, 2, 3, dtype=F64)
    trace = traced(gru, pack_padded_sequence(x, [40, 4]))
    assert found(trace).shape[0] == 1
    expected = lyapunov(traced(gru, x[:, :1]), transient=4, windows=1).exponents
    np.testing.assert_allclose(found(trace)[0], expected, rtol=1e-10)
    columns = lyapunov_columns(7, trace.key, leading_growth(trace))
    assert (columns[schema.STEP], columns[schema.SAMPLES], columns[schema.TIMESTEPS]) == (7, 1, 36)


def test_nothing_of_it_touches_the_random_numbers_of_the_training() -> None:
    trace = traced(nn.LSTM(3, 9), torch.randn(5, 2, 3))
    torch.manual_seed(3)
    before = torch.get_rng_state()
    leading_growth(trace)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_a_run_keeps_mean_and_range_over_samples(name: str, direction: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = getattr(nn, name)(3, 5, num_layers=2, bidirectional=True), torch.randn(20, 8, 3)
    with graddiag.capture(model) as cap:
        model(x)
    rows = recorded(model, tmp_path, x).lyapunov
    rows = rows[(rows[schema.LAYER] == 1) & (rows[schema.DIRECTION] == direction)]
    expected = found(cap.trace(layer=1, direction=direction))
    assert rows[schema.INDEX].tolist() == list(range(8 if name == "LSTM" else 5))
    np.testing.assert_allclose(rows[schema.EXPONENT], expected.mean(0), rtol=1e-5)
    np.testing.assert_allclose(rows[schema.EXPONENT_LOW], expected.min(0).values, rtol=1e-5)
    np.testing.assert_allclose(rows[schema.EXPONENT_HIGH], expected.max(0).values, rtol=1e-5)
    assert set(rows[schema.SAMPLES]) == {4}
    assert set(rows[schema.TIMESTEPS]) == {18}


def test_a_dead_unit_is_minus_infinity_and_nan_is_nan(tmp_path: Path) -> None:
    relu = nn.RNN(2, 3, nonlinearity="relu")
    with torch.no_grad():
        relu.bias_ih_l0.copy_(torch.tensor([50.0, 50.0, -50.0]))
    values = recorded(relu, tmp_path / "dead", torch.randn(6, 2, 2)).lyapunov[schema.EXPONENT].to_numpy()
    assert np.isfinite(values).tolist() == [True, True, False]
    assert values[2] == -math.inf
    x = torch.randn(6, 2, 2)
    x[3, 1] = math.nan
    rows = recorded(nn.RNN(2, 3), tmp_path / "nan", x).lyapunov
    assert rows[[schema.EXPONENT, schema.EXPONENT_LOW, schema.EXPONENT_HIGH]].isna().all(axis=None)
    assert len(rows) == 3


def test_weights_that_were_changed_before_have_none() -> None:
    rnn = graddiag.nn.RNN(2, 3)
    with graddiag.capture(rnn) as cap, torch.no_grad():
        with torch.enable_grad():
            rnn(torch.randn(4, 1, 2))
        rnn.weight_hh_l0.mul_(2)
    assert leading_growth(cap.trace()) is None


def test_a_cell_in_a_loop_is_one_sequence() -> None:
    torch.manual_seed(0)
    cell, layer = nn.GRUCell(2, 3, dtype=F64), nn.GRU(2, 3, dtype=F64)
    layer.load_state_dict({f"{name}_l0": p for name, p in cell.state_dict().items()})
    x, state = torch.randn(12, 2, 2, dtype=F64), None
    with graddiag.capture(cell) as cap:
        for x_t in x:
            state = cell(x_t, state)
        state.sum().backward()
    torch.testing.assert_close(found(cap.trace()), found(traced(layer, x)), rtol=1e-10, atol=1e-12)
