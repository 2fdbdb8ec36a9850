"""Optimizers of another thread than the training's belong to another training."""

import threading
from pathlib import Path

import torch
from torch import nn

import graddiag
from graddiag import schema


class SteppedElsewhere(torch.optim.SGD):
    """Between a gradient and its use another optimizer makes an update, in this thread or in another one."""

    beside: torch.optim.Optimizer
    in_thread = False

    def step(self, closure: object = None) -> None:
        if self.in_thread:
            thread = threading.Thread(target=self.beside.step)
            thread.start()
            thread.join()
        super().step()


def ratios(root: Path, *, in_thread: bool) -> list[float]:
    torch.manual_seed(0)
    model, other = nn.GRU(2, 3), nn.Parameter(torch.ones(3))
    other.grad = torch.ones(3)
    optimizer = SteppedElsewhere(model.parameters(), lr=0.1)
    optimizer.beside, optimizer.in_thread = torch.optim.SGD([other], lr=0.1), in_thread
    with graddiag.watch(model, optimizer, run="r", root=root):
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(4, 2, 2))[0].square().mean().backward()
            optimizer.step()
    return graddiag.load_run(root / "r").steps[schema.UPDATE_RATIO].tolist()


def test_what_another_thread_updates_meanwhile_is_no_part_of_a_step(tmp_path: Path) -> None:
    alone, beside = (ratios(tmp_path / str(each), in_thread=each) for each in (False, True))
    assert alone == beside
    assert all(each > 0 for each in alone)
