"""Signals where numbers are tiny, huge, missing or not numbers at all, and both roads to ||G_t||."""

import math

import pytest
import torch
from torch import Tensor

import graddiag
from graddiag import schema
from graddiag.recording.rows import gate_columns, timestep_columns
from graddiag.tracing import Trace, contributions
from graddiag.tracing.device_transfer import to_host
from graddiag.tracing.norms import norm, within_float32
from graddiag.tracing.signals import Signals, as_tree, from_tree, signals
from tests.tracing.models import CELLS, H, N, T, batch, single

pytestmark = pytest.mark.usefixtures("either_path")

every_cell = pytest.mark.parametrize("cell", CELLS)
NORMS = (schema.GRAD_H, schema.GRAD_H_DIRECT, schema.GRAD_H_MAX, schema.GRAD_A, schema.GRAD_W_HH)


def trace_of(module: torch.nn.RNNBase, x: Tensor, gradient: Tensor | float) -> Trace:
    """The trace after ``gradient`` has come into the output."""
    with graddiag.capture(module) as cap:
        output, _ = module(x)
        output.backward(torch.zeros_like(output) + gradient)
    return cap.trace()


def on_host(trace: Trace) -> Signals:
    found = signals(trace)
    return from_tree(found, to_host(as_tree(found)))


@every_cell
@pytest.mark.parametrize(
    ("dtype", "scale", "tolerance"),
    [(torch.float32, 1e-24, 1e-5), (torch.float32, 1e-35, 1e-3), (torch.float64, 1e-200, 1e-12)],
)
def test_tiny_gradients_keep_their_digits(cell: str, dtype: torch.dtype, scale: float, tolerance: float) -> None:
    """Gradients are linear: those of a loss in other units differ by that unit, and ratios not at all."""
    module = single(cell=cell, dtype=dtype)
    plain = signals(trace_of(module, batch(dtype), 1.0)).timesteps
    tiny = signals(trace_of(module, batch(dtype), scale)).timesteps
    for column in NORMS:
        torch.testing.assert_close(tiny[column] / scale, plain[column], rtol=tolerance, atol=0)
    for column in (schema.TRANSPORT_GAIN, schema.GRAD_W_HH_COSINE):
        torch.testing.assert_close(tiny[column], plain[column], rtol=tolerance, atol=tolerance, equal_nan=True)


@every_cell
@pytest.mark.parametrize(("dtype", "scale"), [(torch.float32, 1e30), (torch.float64, 1e200)])
def test_huge_gradients_do_not_overflow(cell: str, dtype: torch.dtype, scale: float) -> None:
    module = single(cell=cell, dtype=dtype)
    plain = signals(trace_of(module, batch(dtype), 1.0)).timesteps
    huge = signals(trace_of(module, batch(dtype), scale)).timesteps
    for column in (*NORMS, schema.TRANSPORT_GAIN):
        unit = scale if column in NORMS else 1.0
        torch.testing.assert_close(huge[column] / unit, plain[column], rtol=1e-5, atol=0)


@every_cell
def test_what_float32_cannot_hold_is_its_smallest_or_largest_number(cell: str) -> None:
    tiny = timestep_columns([0], [on_host(trace_of(single(cell=cell), batch(), 1e-200))])
    assert tiny[schema.GRAD_H].tolist() == [2.0**-149] * T
    assert tiny[schema.GRAD_W_HH][0] == 0
    huge = timestep_columns([0], [on_host(trace_of(single(cell=cell), batch(), 1e200))])
    assert huge[schema.GRAD_H].tolist() == [torch.finfo(torch.float32).max] * T


@every_cell
def test_no_gradient_is_zero_and_its_ratios_are_missing(cell: str) -> None:
    """The loss is at timestep 2: nothing arrives later, and h before the first timestep is 0."""
    gradient = torch.zeros(T, N, H, dtype=torch.float64)
    gradient[2] = 1
    found = on_host(trace_of(single(cell=cell), batch(), gradient))
    for column in NORMS:
        assert not found.timesteps[column][3:].any()
    assert found.missing[schema.TRANSPORT_GAIN].tolist() == [False] * 3 + [True] * (T - 3)
    assert found.missing[schema.GRAD_W_HH_COSINE].tolist() == [True, False, False] + [True] * (T - 3)
    rows = timestep_columns([7], [found])
    assert rows[schema.TRANSPORT_GAIN].mask.tolist() == [False] * 3 + [True] * (T - 3)
    assert rows[schema.TIMESTEP].tolist() == list(range(T))
    assert rows[schema.STEP].tolist() == [7] * T


@every_cell
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_kept_where_it_arose(cell: str, value: float) -> None:
    gradient = torch.ones(T, N, H, dtype=torch.float64)
    gradient[3, 1, 0] = value
    found = on_host(trace_of(single(cell=cell), batch(), gradient))
    grad_h = found.timesteps[schema.GRAD_H]
    assert grad_h[4:].isfinite().all()
    assert not grad_h[:4].isfinite().any()
    assert (grad_h[3].isnan() if math.isnan(value) else grad_h[3] == math.inf).item()
    assert found.timesteps[schema.GRAD_H_DIRECT].isfinite().tolist() == [True] * 3 + [False] + [True] * (T - 4)
    assert not found.missing[schema.TRANSPORT_GAIN].any()
    assert found.timesteps[schema.TRANSPORT_GAIN][4:].isfinite().all()
    assert not found.timesteps[schema.TRANSPORT_GAIN][:4].isfinite().any()
    assert found.timesteps[schema.GRAD_W_HH][4:].isfinite().all()
    assert found.timesteps[schema.H_RMS].isfinite().all()


@every_cell
def test_a_state_that_is_not_finite(cell: str) -> None:
    x = batch()
    x[2, 0] = math.nan
    found = on_host(trace_of(single(cell=cell), x, 1.0))
    assert found.timesteps[schema.H_RMS].isfinite().tolist() == [True, True] + [False] * (T - 2)
    assert all(found.gates[gate][schema.MEAN][2:].isnan().all() for gate in found.gates)
    assert all(found.gates[gate][schema.MEAN][:2].isfinite().all() for gate in found.gates)


@every_cell
@pytest.mark.parametrize("batch_size", [1, 40])
@pytest.mark.parametrize("chunk", [1, 1 << 22])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_roads_to_a_contribution(
    cell: str, batch_size: int, chunk: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sample goes by inner products, forty by the matrix itself."""
    monkeypatch.setattr(contributions, "_CHUNK", chunk)
    module = single(cell=cell, dtype=dtype)
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(T, batch_size, 3, dtype=dtype, generator=generator)
    trace = trace_of(module, x, torch.randn(T, batch_size, H, dtype=dtype, generator=generator))

    delta, before = trace.grad_a_hh.double(), trace.before(trace.h, trace.h0).double()
    G = (delta.mT @ before).flatten(1)
    found = signals(trace).timesteps
    tolerance = 1e-5 if dtype == torch.float32 else 1e-10
    torch.testing.assert_close(found[schema.GRAD_W_HH], G.norm(dim=1), rtol=tolerance, atol=0)
    cosine = torch.cosine_similarity(G, G.sum(0, keepdim=True))
    torch.testing.assert_close(found[schema.GRAD_W_HH_COSINE][1:], cosine[1:], rtol=tolerance, atol=tolerance)
    weight = module.weight_hh_l0.grad.double()
    torch.testing.assert_close(G.sum(0).view_as(weight), weight, rtol=100 * tolerance, atol=tolerance)


@every_cell
@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_single_timestep(cell: str, batch_size: int) -> None:
    found = on_host(trace_of(single(cell=cell), torch.zeros(1, batch_size, 3, dtype=torch.float64), 1.0))
    assert timestep_columns([0], [found])[schema.TIMESTEP].tolist() == [0]
    assert gate_columns([0], [found])[schema.GATE] == list(found.gates)
    assert found.timesteps[schema.GRAD_H].item() == pytest.approx((batch_size * H) ** 0.5)
    assert found.missing[schema.GRAD_W_HH_COSINE].tolist() == [True]


def test_norms_by_value() -> None:
    assert norm(torch.tensor([3e-200, 4e-200], dtype=torch.float64)).item() == pytest.approx(5e-200, rel=1e-14)
    assert norm(torch.tensor([3e200, 4e200], dtype=torch.float64)).item() == pytest.approx(5e200, rel=1e-14)
    assert norm(torch.tensor([3e-30, 4e-30])).item() == pytest.approx(5e-30, rel=1e-6)
    assert norm(torch.tensor([3e30, 4e30])).item() == pytest.approx(5e30, rel=1e-6)
    assert norm(torch.tensor([3.0, 4.0], dtype=torch.bfloat16)).item() == 5
    assert math.isnan(norm(torch.tensor([math.nan, 1.0])).item())
    assert norm(torch.tensor([-math.inf, 1.0], dtype=torch.float64)).item() == math.inf
    assert norm(torch.zeros(2, 0, dtype=torch.float64)).tolist() == [0, 0]


def test_values_fitted_to_float32() -> None:
    values = torch.tensor([0.0, 1e-200, -1e-200, 1e200, math.inf, math.nan, 0.5], dtype=torch.float64)
    fitted = within_float32(values).float()
    assert fitted.tolist()[:5] == [0, 2.0**-149, -(2.0**-149), torch.finfo(torch.float32).max, math.inf]
    assert fitted[5].isnan()
    assert fitted[6] == 0.5
