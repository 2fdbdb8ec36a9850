"""skorch: its nets step with a closure."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import graddiag
from tests.third_party.trainings import reaches_every_timestep, recorded

skorch = pytest.importorskip("skorch", exc_type=ImportError)
pytestmark = [pytest.mark.third_party, pytest.mark.filterwarnings("ignore")]
T = 9


class Last(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(2, 6, batch_first=True)
        self.head = nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.gru(x)[0][:, -1])


def train(root: Path | None) -> tuple[nn.Module, Path | None]:
    torch.manual_seed(0)
    x = torch.randn(48, T, 2, generator=torch.Generator().manual_seed(1))
    net = skorch.NeuralNetRegressor(
        Last, max_epochs=3, lr=0.1, batch_size=8, train_split=None, verbose=0, iterator_train__shuffle=False
    )
    net.initialize()
    recorder = None if root is None else graddiag.watch(net.module_, net.optimizer_, run="skorch", root=root)
    net.partial_fit(x.numpy(), x.sum((1, 2)).unsqueeze(1).numpy())
    if recorder is not None:
        recorder.close()
    return net.module_, None if recorder is None else recorder.path


def test_a_net_is_recorded_step_by_step(tmp_path: Path) -> None:
    run = recorded(train, tmp_path)
    assert len(run.steps) == 3 * 6
    reaches_every_timestep(run, T)
