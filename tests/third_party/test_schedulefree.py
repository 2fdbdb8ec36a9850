"""Schedule-free optimizers: they hold other weights in evaluation than in training."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

import graddiag
from tests.third_party.trainings import reaches_every_timestep, recorded

schedulefree = pytest.importorskip("schedulefree", exc_type=ImportError)
pytestmark = [pytest.mark.third_party, pytest.mark.filterwarnings("ignore")]
T, STEPS, EVERY = 8, 12, 4


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 6)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][-1])


def classifier(kind: str) -> tuple[Classifier, Optimizer]:
    torch.manual_seed(0)
    model = Classifier()
    settings = {"lr": 0.05} | ({"warmup_steps": 3} if kind.startswith("AdamW") else {})
    return model, getattr(schedulefree, kind)(model.parameters(), **settings)


def data(step: int) -> tuple[Tensor, Tensor]:
    x = torch.randn(T, 16, 3, generator=torch.Generator().manual_seed(step))
    return x, (x.sum((0, 2)) > 0).long()


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("kind", ["AdamWScheduleFree", "SGDScheduleFree", "RAdamScheduleFree"])
def test_updates_are_those_of_the_weights_in_training(kind: str, tmp_path: Path) -> None:
    """The update ratio is that of ``step()``; the switch to the averaged weights and back is no update."""
    ratios: list[dict[str, float]] = []

    def train(root: Path | None) -> tuple[nn.Module, Path | None]:
        model, optimizer = classifier(kind)
        recorder = None if root is None else graddiag.watch(model, optimizer, run=kind, root=root, clip="norm:1.0")
        ratios.clear()
        for step in range(STEPS):
            model.train()
            optimizer.train()
            x, y = data(step)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            before = weights(model)
            if recorder is not None:
                recorder.log(loss=loss)
            optimizer.step()
            after = weights(model)
            ratios.append({name: _relative(before[name], after[name]) for name in before})
            if step % EVERY == EVERY - 1:
                model.eval()
                optimizer.eval()
                with torch.no_grad():
                    model(data(100 + step)[0])
        if recorder is not None:
            recorder.close()
        return model, None if recorder is None else recorder.path

    run = recorded(train, tmp_path)
    assert len(run.steps) == STEPS
    reaches_every_timestep(run, T)
    measured = run.parameters.pivot(index="step", columns="parameter", values="update_ratio")
    for name in measured:
        assert measured[name].to_list() == pytest.approx([each[name] for each in ratios], rel=1e-4), name


def _relative(before: Tensor, after: Tensor) -> float:
    return float((after.double() - before.double()).norm() / before.double().norm())
