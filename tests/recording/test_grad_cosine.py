"""How the gradient turns from update to update, and its zeros, as recorded; against autograd by hand."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag import schema
from graddiag.recording.grad_cosine import GradientCosine
from graddiag.run import Run, numbers


class Net(nn.Module):
    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.embedding = nn.Embedding(6, 3, dtype=dtype)
        self.rnn = nn.LSTM(3, 5, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        return self.rnn(self.embedding(x))[0]


def recorded(
    root: Path, every: int, steps: int = 6, scale: float = 1.0, closure: bool = False
) -> tuple[Run, list[Tensor]]:
    """A run, and the gradient that each update used, flat, in float64."""
    torch.manual_seed(0)
    model, used = Net(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)

    def evaluate() -> Tensor:
        optimizer.zero_grad()
        loss = model(x).square().mean() * scale
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        return loss

    with graddiag.watch(model, optimizer, run="run", root=root, every=every) as recorder:
        for _ in range(steps):
            x = torch.randint(4, (7, 2))
            loss = evaluate() if not closure else None
            optimizer.step(evaluate if closure else None)
            used.append(torch.cat([p.grad.flatten() for p in model.parameters()]).double())
            del loss
    return graddiag.load_run(recorder.path), used


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("scale", [1.0, 1e-25])
def test_the_cosine_with_the_gradient_of_the_update_before(tmp_path: Path, every: int, scale: float) -> None:
    run, used = recorded(tmp_path, every, scale=scale)
    values, missing = numbers(run.steps[schema.GRAD_COSINE])
    measured = [step for step in range(1, 6) if step % every == 0]
    assert [step for step in range(6) if not missing[step]] == measured
    for step in measured:
        a, b = used[step] / used[step].norm(), used[step - 1] / used[step - 1].norm()
        assert values[step] == pytest.approx(float(a @ b), abs=1e-6)


def test_with_a_closure_the_gradients_that_were_used_count(tmp_path: Path) -> None:
    run, used = recorded(tmp_path, 1, closure=True)
    expected = float(torch.nn.functional.cosine_similarity(used[3], used[2], dim=0))
    assert numbers(run.steps[schema.GRAD_COSINE])[0][3] == pytest.approx(expected, abs=1e-6)


def test_zeros_are_counted_by_parameter(tmp_path: Path) -> None:
    run, _ = recorded(tmp_path, 1, steps=1)
    shares = dict(zip(run.parameters[schema.PARAMETER], numbers(run.parameters[schema.ZEROS])[0], strict=True))
    assert shares["embedding.weight"] == pytest.approx(2 / 6), "two of the six tokens are never drawn"
    assert shares["rnn.weight_hh_l0"] == 0.0


def test_a_sparse_gradient_leaves_its_zeros_out_and_has_no_cosine(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(6, 3, sparse=True), nn.RNN(3, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="run", root=tmp_path) as recorder:
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.tensor([[0], [1], [0]]))[0].sum().backward()
            optimizer.step()
    run = graddiag.load_run(recorder.path)
    assert numbers(run.steps[schema.GRAD_COSINE])[1].all()
    shares = dict(zip(run.parameters[schema.PARAMETER], numbers(run.parameters[schema.ZEROS])[0], strict=True))
    assert shares["0.weight"] == pytest.approx(4 / 6)


def test_half_precision_counts_exactly(tmp_path: Path) -> None:
    model = nn.Linear(100, 100, dtype=torch.float16)
    model.weight.grad = torch.zeros_like(model.weight)
    model.weight.grad[:3] = 1e-7
    share = graddiag.recording.weights.WeightCopy(model).sizes().zeros["weight"]
    assert float(share) == pytest.approx(0.97)


def test_a_kept_gradient_is_measured_against_that_of_the_next_step_only() -> None:
    model = nn.Linear(2, 1, bias=False)
    cosine_of = GradientCosine(model)
    assert cosine_of.cosine() is None, "no gradient at all"
    model.weight.grad = torch.tensor([[1.0, 0.0]])
    assert cosine_of.cosine() is None, "none was kept"
    cosine_of.keep()
    model.weight.grad = torch.tensor([[1.0, 1.0]])
    assert float(cosine_of.cosine() or 0) == pytest.approx(0.5**0.5)
    cosine_of.keep()
    model.weight.grad = torch.tensor([[0.0, 0.0]])
    found = cosine_of.cosine()
    assert found is not None
    assert found.isnan()
    cosine_of.forget()
    assert cosine_of.cosine() is None


def test_the_type_of_the_parameters_is_told(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, dtype=torch.bfloat16))
    with graddiag.watch(model, run="run", root=tmp_path) as recorder:
        pass
    assert graddiag.load_run(recorder.path).manifest.environment["dtype"] == "float32, bfloat16"
