"""What is on the disk is what happened, and nothing happened because it was recorded."""

import math
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import Tensor

import graddiag
from graddiag import schema
from graddiag.clipping import parse
from tests.reference.oracle import unroll

STEPS = 4


class Reader(torch.nn.Module):
    """Embedding, two recurrent layers with dropout, and an answer at every timestep."""

    def __init__(self, recurrent: torch.nn.RNNBase) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(11, 5)
        self.recurrent = recurrent
        self.head = torch.nn.Linear(recurrent.hidden_size, 11)

    def forward(self, symbols: Tensor) -> Tensor:
        return self.head(self.recurrent(self.embedding(symbols))[0])


def trained(home: str, name: str, root: Path | None, every: int = 1) -> list[Tensor]:
    """Parameters after a few steps of Adam with clipping, recorded under ``root`` or not at all."""
    torch.manual_seed(0)
    module = getattr(torch.nn if home == "torch" else graddiag.nn, name)(5, 6, num_layers=2, dropout=0.5)
    model, policy = Reader(module), parse("norm:0.2")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    watched = nullcontext() if root is None else graddiag.watch(model, optimizer, run="w", root=root, every=every)
    with watched as recorder:
        for _ in range(STEPS):
            symbols = torch.randint(11, (8, 3))
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(symbols).flatten(0, 1), symbols.flatten())
            loss.backward()
            policy(model.parameters())
            if recorder is not None:
                recorder.log(loss=loss)
            optimizer.step()
    return [p.detach().clone() for p in model.parameters()]


@pytest.mark.parametrize("home", ["torch", "graddiag"])
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("every", [1, 3])
def test_recorded_or_not_a_model_trains_to_the_same_bits(home: str, name: str, every: int, tmp_path: Path) -> None:
    alone, watched = trained(home, name, None), trained(home, name, tmp_path, every)
    assert all(torch.equal(a, b) for a, b in zip(alone, watched, strict=True))
    run = graddiag.load_run(tmp_path / "w")
    assert run.steps[schema.STEP].tolist() == list(range(STEPS))
    assert sorted(run.timesteps[schema.STEP].unique()) == list(range(0, STEPS, every))


def test_a_gradient_of_1e_24_is_on_the_disk(tmp_path: Path) -> None:
    torch.manual_seed(0)
    lstm, x = torch.nn.LSTM(16, 128), torch.randn(100, 8, 16)
    exact = {name: p.detach().double().requires_grad_() for name, p in lstm.named_parameters()}
    with graddiag.watch(lstm, run="tiny", root=tmp_path) as recorder:
        lstm(x)[0][-1].square().mean().backward()
        recorder.step()

    truth = unroll("lstm", exact, x.double())
    truth.output[-1].square().mean().backward()
    frame = graddiag.load_run(tmp_path / "tiny").timesteps
    expected = truth.tapes[0, "forward"].grad("h").flatten(1).norm(dim=1)
    assert frame[schema.TIMESTEP].tolist() == list(range(100))
    assert 1e-27 < frame[schema.GRAD_H][0] < 1e-21
    torch.testing.assert_close(torch.tensor(frame[schema.GRAD_H].to_numpy()).double(), expected, rtol=1e-3, atol=0)


def test_norms_before_and_after_clipping_are_those_of_torch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    rnn = torch.nn.RNN(4, 8)
    optimizer = torch.optim.SGD(rnn.parameters(), lr=0.5)
    before = []
    with graddiag.watch(rnn, optimizer, run="clipped", root=tmp_path, clip="norm:0.3") as recorder:
        for step in range(6):
            optimizer.zero_grad()
            loss = rnn((0.2 + step) * torch.randn(6, 3, 4))[0].square().mean()
            loss.backward()
            before.append(torch.nn.utils.clip_grad_norm_(rnn.parameters(), 0.3).item())
            recorder.log(loss=loss)
            optimizer.step()

    steps = graddiag.load_run(tmp_path / "clipped").steps
    after = [min(norm, 0.3 * norm / (norm + 1e-6)) for norm in before]
    assert min(before) < 0.3 < max(before)
    assert steps[schema.GRAD_NORM].tolist() == pytest.approx(before, rel=1e-5)
    assert steps[schema.GRAD_NORM_CLIPPED].tolist() == pytest.approx(after, rel=1e-5)
    assert steps[schema.CLIP_COEFFICIENT].tolist() == pytest.approx([a / b for a, b in zip(after, before, strict=True)])


def test_one_inf_in_the_gradient_is_counted_and_kept(tmp_path: Path) -> None:
    rnn = torch.nn.RNN(2, 3)
    one_inf = torch.zeros(3, 2)
    one_inf[0, 0] = math.inf
    rnn.weight_ih_l0.register_hook(lambda gradient: gradient + one_inf)
    with graddiag.watch(rnn, run="inf", root=tmp_path) as recorder:
        rnn(torch.ones(4, 1, 2))[0].sum().backward()
        recorder.step()

    steps = graddiag.load_run(tmp_path / "inf").steps
    assert steps[schema.NONFINITE].tolist() == [1]
    assert steps[schema.GRAD_NORM].tolist() == [math.inf]
