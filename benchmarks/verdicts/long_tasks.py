"""The tasks of the fresh long trainings, nets that start converged, and changes in the middle of a training."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts.fresh_healthy import marked
from benchmarks.verdicts.optimizers import optimizer
from benchmarks.verdicts.tasks import Batch, entropy, generator
from benchmarks.verdicts.training import Forward, Scalars

Change = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

FIFTH = entropy(torch.tensor([0.84, 0.04, 0.04, 0.04, 0.04]))  # the floor of wrong_fifth, in nats


def seasonal(T: int, N: int, noise: float, seed: int) -> Batch:
    """Waves of unknown phase and period under noise [T, N, 1], and their next value [N, 1] under noise too."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        phase, period = 6.28 * torch.rand(N, generator=draw), 5 + 5 * torch.rand(N, generator=draw)
        wave = torch.sin(6.28 * torch.arange(T + 1)[:, None] / period + phase)
        wave = (wave + noise * torch.randn(T + 1, N, generator=draw))[..., None]
        return wave[:-1], wave[-1]

    return batch


def most_frequent(T: int, N: int, kinds: int, seed: int, share: float = 0.0) -> Batch:
    """The symbol that comes most often; a ``share`` of the labels is drawn at random."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(0, kinds, (T, N), generator=draw)
        drawn = torch.randint(0, kinds, (N,), generator=draw)
        y = functional.one_hot(x, kinds).sum(0).argmax(-1)
        return x, torch.where(torch.rand(N, generator=draw) < share, drawn, y)

    return batch


def largest_step(T: int, N: int, seed: int) -> Batch:
    """The largest step between neighbours of the first of two inputs [T, N, 2], less 2: a number [N, 1]."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 2, generator=draw)
        return x, x[..., :1].diff(dim=0).abs().amax(0) - 2

    return batch


def either(T: int, N: int, seed: int) -> Batch:
    """Whether two bits at the last two timesteps differ; the other input is noise."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 2, generator=draw)
        x[..., 0] = torch.randint(0, 2, (T, N), generator=draw) * 2.0 - 1
        return x, (x[-1, :, 0] * x[-2, :, 0] < 0).long()

    return batch


def lines(T: int, N: int, seed: int) -> Batch:
    """Lines of unknown height and slope under noise [T, N, 1], for an autoencoder."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        height, slope = torch.randn(N, generator=draw), torch.randn(N, generator=draw)
        x = height + slope * torch.linspace(-1, 1, T)[:, None] + 0.1 * torch.randn(T, N, generator=draw)
        return x[..., None], x[..., None]

    return batch


def wrong_fifth(T: int, N: int, seed: int) -> Batch:
    """``marked`` with a fifth of the labels drawn at random."""
    task, draw = marked(T, N, seed=seed), generator(seed + 1)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x, y = task.batch(step)
        drawn = torch.randint(0, 5, (N,), generator=draw)
        return x, torch.where(torch.rand(N, generator=draw) < 0.2, drawn, y)

    return batch


def unseen(T: int, N: int, kinds: int, seed: int) -> Batch:
    """Symbols, and labels drawn at random."""
    draw = generator(seed)
    return lambda step: (
        torch.randint(0, kinds, (T, N), generator=draw),
        torch.randint(0, kinds, (N,), generator=draw),
    )


def from_step(batch: Batch, first: int, change: Change, last: float = float("inf")) -> Batch:
    """The batches, but those of the steps ``first`` to ``last`` as ``change`` makes them."""

    def changed(step: int) -> tuple[Tensor, Tensor]:
        x, y = batch(step)
        return change(x, y) if first <= step <= last else (x, y)

    return changed


def pretrained(
    net: nn.Module, batch: Batch, loss: Callable[[Tensor, Tensor], Tensor], steps: int, rate: float = 0.01
) -> nn.Module:
    """The net after updates that nobody records."""
    opt = optimizer(f"adamw:{rate}", net)
    for step in range(steps):
        x, y = batch(step)
        opt.zero_grad()
        loss(net(x), y).backward()
        opt.step()
    return net


def distilled(temperature: Callable[[int], float], kinds: int) -> Forward:
    """Cross-entropy against a sure teacher, both softened by ``temperature(step)``; logs it, and the accuracy."""

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        heat, z = temperature(step), net(x)
        target = (6 * functional.one_hot(y, kinds) / heat).softmax(-1)
        right = float((z.argmax(-1) == y).float().mean())
        return functional.cross_entropy(z / heat, target), {"temperature": heat, "train_acc": right}

    return forward


def penalised(weight: Callable[[int], float]) -> Forward:
    """Cross-entropy plus ``weight(step)`` times the squares of all parameters; logs the weight."""

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        squares = sum(parameter.square().sum() for parameter in net.parameters())
        return functional.cross_entropy(net(x), y) + weight(step) * squares, {"penalty": weight(step)}

    return forward


def nearness(taken: Tensor, y: Tensor) -> Tensor:
    """A reward of 0 for the right action, and less the farther the one that was taken is from it."""
    return -(taken - y).abs().float() / 2
