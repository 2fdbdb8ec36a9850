"""Records the run of this folder with the graddiag that is installed: ``python record.py schema-4``.

Each was recorded by the last version of its schema. A run of an old schema is never made again.
"""

import inspect
import sys

import torch
from torch import nn

import graddiag


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(2, 3), nn.Linear(3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0][-1])


def main(name: str) -> None:
    torch.manual_seed(0)
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    about = {"seed": 0, "clip": "norm:0.1", "task": "recall", "arm": "clip on", "config": {"lr": 0.1}}
    if "snapshot_every" in inspect.signature(graddiag.watch).parameters:  # the first version had no snapshots
        about["snapshot_every"] = 4
    with graddiag.watch(model, optimizer, run=name, root=".", every=2, **about) as recorder:
        for _ in range(6):
            x = torch.randn(4, 5, 2)
            optimizer.zero_grad()
            loss = (model(x) - x[0, :, :1]).square().mean()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            recorder.log(loss=loss)
            optimizer.step()


if __name__ == "__main__":
    main(sys.argv[1])
