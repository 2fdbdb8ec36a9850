"""The run that is damaged: a short training of an LSTM with every table, tags, notes and a kept summary."""

from pathlib import Path

import torch
from torch import nn

import graddiag


class Model(nn.Module):
    """An LSTM and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2, 4)
        self.head = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0][-1])


def make_base(root: Path, steps: int = 60) -> Path:
    """The run ``root/base``, finished, with parts of several levels."""
    torch.manual_seed(0)
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(5, 8, 2)
    y = x[0, :, :1]
    about = {
        "seed": 3,
        "clip": "norm:1",
        "task": "recall",
        "experiment": "torture",
        "arm": "clip on",
        "chance_loss": 1.0,
    }
    with graddiag.watch(model, optimizer, run="base", root=root, snapshot_every=20, config={"lr": 0.1}, **about) as run:
        for step in range(steps):
            optimizer.zero_grad()
            loss = (model(x) - y).square().mean()
            loss.backward()
            if step == 30:
                run.try_thresholds(lambda: (model(x) - y).square().mean())
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            run.log(loss=loss, val_loss=loss * 1.1)
    graddiag.annotate(run.path, tags=["one", "two"], notes="notes")
    graddiag.list_runs(root)
    return run.path
