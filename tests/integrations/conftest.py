"""A run as a training leaves it, with every kind of number a tracker can be given: null, NaN, inf and tiny ones."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

import graddiag

STEPS = 9
EVERY = 2


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, num_layers=2, bidirectional=True)
        self.head = nn.Linear(10, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [T, N, 3]; the result is [N, 1]."""
        return self.head(self.lstm(x)[0].mean(0))


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> graddiag.Run:
    torch.manual_seed(0)
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    root = tmp_path_factory.mktemp("runs")
    about = {"experiment": "a pair", "arm": "clip on", "clip": "norm:0.1", "config": {"width (units)": 5, "deep": {}}}
    with graddiag.watch(net, optimizer, run="of tests", root=root, every=EVERY, seed=3, **about) as recorder:
        for step in range(STEPS):
            optimizer.zero_grad()
            loss = net(torch.randn(6, 4, 3)).square().mean()
            loss.backward()
            recorder.log(loss=loss, odd={3: math.inf, 4: -math.inf, 5: math.nan}.get(step, 1e-24), late=step or None)
            torch.nn.utils.clip_grad_norm_(net.parameters(), 0.1)
            optimizer.step()
    return graddiag.load_run(recorder.path)


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> graddiag.Run:
    """A run that was broken off before its first step."""
    net = Net()
    root = tmp_path_factory.mktemp("runs")
    with graddiag.watch(net, run="empty", root=root) as recorder:
        pass
    return graddiag.load_run(Path(recorder.path))
