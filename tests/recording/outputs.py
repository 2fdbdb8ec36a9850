"""A net, its targets, and the columns of its training that say what it explains."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import graddiag
from graddiag import schema

T, N, V, H = 7, 9, 5, 8
STEPS = 8
Loss = Callable[[Tensor, Tensor], Tensor]


class Net(nn.Module):
    """A GRU and a linear head at every timestep, or at the last one."""

    def __init__(self, out: int = V, *, last: bool = False, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, H, dtype=dtype)
        self.head = nn.Linear(H, out, dtype=dtype)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        h = self.rnn(x)[0]
        return self.head(h[-1] if self.last else h)


def trained(
    root: Path,
    model: nn.Module,
    loss_of: Loss,
    targets: Sequence[Tensor],
    *,
    every: int = 1,
    lr: float = 0.1,
    scaler: torch.amp.GradScaler | None = None,
    around: Callable[[], AbstractContextManager[Any]] = nullcontext,
    passes: int = 1,
    meanwhile: Callable[[nn.Module], None] = lambda model: None,
    dtype: torch.dtype = torch.float32,
    x: Tensor | None = None,
) -> tuple[Any, Any]:
    """The columns explained and constant_loss [S] of a training with these targets, ``passes`` of them a step."""
    generator = torch.Generator().manual_seed(5)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    with graddiag.watch(model, optimizer, run="r", root=root, every=every, scaler=scaler) as recorder:
        for group in range(len(targets) // passes):
            optimizer.zero_grad()
            total = torch.zeros(())
            for y in targets[group * passes : (group + 1) * passes]:
                given = torch.randn(T, N, 3, generator=generator, dtype=dtype) if x is None else x
                with around():
                    loss = loss_of(model(given), y) / passes
                (loss if scaler is None else scaler.scale(loss)).backward()
                total = total + loss.detach()
            meanwhile(model)
            recorder.log(loss=total.item())
            if scaler is None:
                optimizer.step()
            else:
                scaler.step(optimizer)
                scaler.update()
    steps = graddiag.load_run(root / "r").steps
    return column(steps, schema.EXPLAINED), column(steps, schema.CONSTANT_LOSS)


def column(steps: Any, name: str) -> Any:
    return steps[name].to_numpy(dtype=float) if name in steps else np.full(len(steps), np.nan)


def constant_logits(targets: Sequence[Tensor], width: int) -> list[Tensor]:
    """Log frequencies of the classes [C] over all targets up to each of them; -100 marks padding."""
    counts, found = torch.zeros(width, dtype=torch.float64), []
    for y in targets:
        counts = counts + torch.bincount(y[y >= 0].flatten(), minlength=width)
        found.append((counts / counts.sum()).clamp(min=1e-12).log())
    return found


def classes(*shape: int, count: int = STEPS, pad: bool = False) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    weights = torch.tensor([0.5, 0.2, 0.1, 0.1, 0.1])
    found = [
        torch.multinomial(weights, math.prod(shape), True, generator=generator).reshape(shape) for _ in range(count)
    ]
    if pad:
        for y in found:
            y[-2:, : len(y) // 2] = -100
    return found


def cross_entropy(z: Tensor, y: Tensor, **settings: Any) -> Tensor:
    return functional.cross_entropy(z.reshape(-1, z.shape[-1]), y.reshape(-1), **settings)


def check(found: Any, expected: Sequence[float], rel: float = 1e-4) -> None:
    assert found.tolist() == pytest.approx(list(expected), rel=rel, abs=rel)


def expected_of(losses: Sequence[float], constants: Sequence[float]) -> list[float]:
    return [1 - loss / constant for loss, constant in zip(losses, constants, strict=True)]


def spied(loss_of: Loss, kept: list[tuple[Tensor, Tensor]]) -> Loss:
    """The same loss, which keeps the outputs and targets that it saw."""

    def loss(z: Tensor, y: Tensor) -> Tensor:
        kept.append((z.detach().double().clone(), y))
        return loss_of(z, y)

    return loss


def numbers_of(*shape: int, count: int = STEPS, loc: float = 4.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    scales = 1 + torch.rand(count, generator=generator)
    return [loc + scale * torch.randn(*shape, generator=generator) for scale in scales]


def rates_of(targets: Sequence[Tensor], known_from: int = 0) -> list[float]:
    """The mean squared error of the mean over all targets from ``known_from`` up to each of them, by column."""
    found = []
    for step, y in enumerate(targets):
        mean = torch.cat([each.reshape(-1, y.shape[-1]) for each in targets[min(known_from, step) : step + 1]]).mean(0)
        found.append((y.double() - mean.double()).square().mean().item())
    return found
