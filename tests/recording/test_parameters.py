"""Gradients by parameter, between ``backward()`` and the update, and the sizes and spectra of the weights."""

import math

import pytest
import torch
from torch import Tensor, nn

from graddiag import schema
from graddiag.recording.norms import ByParameter
from graddiag.recording.parameters import GradientMeter, GradientNorms, recurrent_spectra
from graddiag.recording.scaling import Scale
from graddiag.recording.weights import WeightCopy


def meter_of(model: nn.Module) -> GradientMeter:
    return GradientMeter(model, lambda task: task(), Scale(None))


def take(meter: GradientMeter) -> GradientNorms:
    """The norms of a step with one update of all parameters; the next step begins."""
    meter.take()
    norms = meter.norms()
    meter.next_step()
    return norms


def set_gradient(p: nn.Parameter, *values: float) -> None:
    """Lets a backward pass bring exactly these values."""
    (p * torch.tensor(values, dtype=p.dtype)).nansum().backward(inputs=[p])


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor([3.0, 4.0]))
        self.b = nn.Parameter(torch.tensor([12.0]))


def test_norms_before_and_after_by_parameter_and_in_total() -> None:
    model = Two()
    meter = meter_of(model)
    set_gradient(model.a, 3.0, 4.0)
    set_gradient(model.b, 12.0)
    with torch.no_grad():
        model.a.grad *= 0.5
    norms = take(meter)
    assert {name: norm.item() for name, norm in norms.before.items()} == {"a": 5.0, "b": 12.0}
    assert {name: norm.item() for name, norm in norms.after.items()} == {"a": 2.5, "b": 12.0}
    totals = norms.totals()
    assert totals[schema.GRAD_NORM].item() == 13.0
    assert totals[schema.GRAD_NORM_CLIPPED].item() == pytest.approx(math.hypot(2.5, 12))
    assert int(totals[schema.NONFINITE]) == 0


def test_the_next_step_starts_empty_and_close_ends_it() -> None:
    model = Two()
    meter = meter_of(model)
    set_gradient(model.a, 1.0, 1.0)
    assert list(take(meter).before) == ["a"]
    empty = {schema.GRAD_NORM: None, schema.GRAD_NORM_CLIPPED: None, schema.NONFINITE: 0}
    assert take(meter).totals() == empty | {schema.GRADIENTS_NOT_ZEROED: 0}
    meter.close()
    set_gradient(model.a, 1.0, 1.0)
    assert not take(meter).before


def test_gradients_that_accumulate_count_as_their_sum() -> None:
    model = Two()
    meter = meter_of(model)
    for _ in range(3):
        set_gradient(model.a, 3.0, 4.0)
    assert take(meter).before["a"].item() == 15.0


@pytest.mark.parametrize(("bad", "norm"), [(math.nan, math.nan), (math.inf, math.inf), (-math.inf, math.inf)])
def test_entries_that_are_not_finite_are_counted(bad: float, norm: float) -> None:
    model = Two()
    meter = meter_of(model)
    model.a.register_hook(lambda gradient: torch.full_like(gradient, bad))
    set_gradient(model.a, 1.0, 1.0)
    set_gradient(model.b, 1.0)
    norms = take(meter)
    assert int(norms.totals()[schema.NONFINITE]) == 2
    assert norms.before["a"].item() == pytest.approx(norm, nan_ok=True)
    assert norms.totals()[schema.GRAD_NORM].item() == pytest.approx(norm, nan_ok=True)
    assert norms.before["b"].item() == 1.0


def test_a_gradient_that_is_finite_again_is_not_counted() -> None:
    """The accumulated gradient counts, not what one of its parts was."""
    model = Two()
    meter = meter_of(model)
    handle = model.a.register_hook(lambda gradient: gradient * math.nan)
    set_gradient(model.a, 1.0, 1.0)
    handle.remove()
    model.zero_grad()
    set_gradient(model.a, 1.0, 1.0)
    assert int(take(meter).totals()[schema.NONFINITE]) == 0


def test_sparse_gradients_of_an_embedding() -> None:
    embedding = nn.Embedding(10, 3, sparse=True)
    meter = meter_of(embedding)
    embedding(torch.tensor([1, 1, 7])).sum().backward()
    norms = take(meter)
    assert embedding.weight.grad.is_sparse
    assert norms.before["weight"].item() == pytest.approx(math.sqrt(3 * (2**2 + 1)), rel=1e-12)
    assert norms.after["weight"].item() == norms.before["weight"].item()


def test_tiny_and_huge_gradients() -> None:
    model = Two()
    for size in (1e-30, 1e30):
        meter = meter_of(model)
        set_gradient(model.a, 3 * size, 4 * size)
        assert take(meter).before["a"].item() == pytest.approx(5 * size, rel=1e-6)
        meter.close()
        model.zero_grad()


def test_total_norm_of_nothing_is_missing() -> None:
    assert ByParameter().total() is None
    assert ByParameter(("a", "b"), torch.tensor([3.0, 4.0], dtype=torch.float64)).total().item() == 5.0


def test_update_over_weight() -> None:
    model = Two()
    weights = WeightCopy(model)
    with torch.no_grad():
        model.a += torch.tensor([0.3, 0.4])
    sizes = weights.sizes()
    ratio, columns = sizes.ratio(), sizes.columns(None)
    assert ratio.item() == pytest.approx(0.5 / 13, rel=1e-6)
    assert columns[schema.WEIGHT_NORM]["a"].item() == 5.0
    assert columns[schema.UPDATE_RATIO]["a"].item() == pytest.approx(0.1, rel=1e-6)
    assert columns[schema.UPDATE_RATIO]["b"].item() == 0
    assert not columns[schema.GRAD_NORM]


def test_spectra_are_the_largest_over_the_gates() -> None:
    lstm = nn.LSTM(2, 3, dtype=torch.float64)
    W = torch.randn(4, 3, 3, dtype=torch.float64)
    W[2] = torch.diag(torch.tensor([5.0, -7.0, 1.0]))
    with torch.no_grad():
        lstm.weight_hh_l0.copy_(W.view(12, 3))
    found = recurrent_spectra(nn.ModuleDict({"x": lstm}))["x.weight_hh_l0"]
    assert found.radius == pytest.approx(max(7.0, torch.linalg.eigvals(W).abs().max().item()), rel=1e-12)
    assert found.norm == pytest.approx(torch.linalg.matrix_norm(W, 2).max().item(), rel=1e-12)


def test_spectra_of_a_projected_lstm_and_of_weights_that_are_not_finite() -> None:
    projected = recurrent_spectra(nn.LSTM(2, 3, proj_size=2))
    assert projected["weight_hh_l0"].radius is None
    assert projected["weight_hh_l0"].norm > 0
    rnn = nn.RNN(2, 3)
    with torch.no_grad():
        rnn.weight_hh_l0[0, 0] = math.nan
    assert recurrent_spectra(rnn) == {}


def test_neither_generator_nor_gradient_is_touched() -> None:
    rnn, x = nn.RNN(2, 3), torch.randn(4, 1, 2)
    rnn(x)[0].sum().backward()
    expected = [p.grad.clone() for p in rnn.parameters()]
    rnn.zero_grad()
    meter, state = meter_of(rnn), torch.get_rng_state()
    rnn(x)[0].sum().backward()
    take(meter)
    recurrent_spectra(rnn)
    found: list[Tensor] = [p.grad for p in rnn.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert torch.equal(torch.get_rng_state(), state)
