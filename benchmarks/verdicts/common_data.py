"""The tasks of the later part: batches [T, N, ...] from a seeded generator, and changes of them."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.verdicts.tasks import Batch, generator

KNOWN = 4  # symbols of ``badge`` that are asked for; others fill the sequence


def weekdays(T: int, N: int, seed: int, *, symbols: int = 7, sure: float = 0.8) -> Batch:
    """The next symbol at each timestep: 3 x + 1 modulo ``symbols`` with the probability ``sure``, else any."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        found = [torch.randint(0, symbols, (N,), generator=draw)]
        for _ in range(T):
            other = torch.randint(0, symbols, (N,), generator=draw)
            found.append(torch.where(torch.rand(N, generator=draw) < sure, (3 * found[-1] + 1) % symbols, other))
        whole = torch.stack(found)
        return whole[:-1], whole[1:]

    return batch


def weekday_entropy(symbols: int = 7, sure: float = 0.8) -> float:
    """Entropy rate of ``weekdays``, the floor of its loss; chance is ln ``symbols``."""
    right, other = sure + (1 - sure) / symbols, (1 - sure) / symbols
    return -right * math.log(right) - ((symbols - 1) * other * math.log(other) if other else 0.0)


def badge(T: int, N: int, seed: int) -> Batch:
    """Symbols [T, N]: the first is one of four, the class; symbols 4 to 8 follow. Chance is ln 4."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(KNOWN, 9, (T, N), generator=draw)
        x[0] = torch.randint(0, KNOWN, (N,), generator=draw)
        return x, x[0].clone()

    return batch


def stock(T: int, N: int, seed: int, *, most: int = 4) -> Batch:
    """Withdrawals 0, nothing 1 and deliveries 2 [T, N]: what is in stock after each, from 0 to ``most``."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(0, 3, (T, N), generator=draw)
        level, found = torch.zeros(N, dtype=torch.long), []
        for change in x - 1:
            level = (level + change).clamp(0, most)
            found.append(level)
        return x, torch.stack(found)

    return batch


def ends(T: int, N: int, seed: int, *, size: float = 1.0) -> Batch:
    """Whether the first of the values [T, N, 2] is larger at timestep 0 than at the last; ln 2 by guessing."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = 0.3 * torch.randn(T, N, 2, generator=draw)
        x[0, :, 0], x[-1, :, 0] = torch.randn(2, N, generator=draw)
        return size * x, (x[0, :, 0] > x[-1, :, 0]).long()

    return batch


def parity(T: int, N: int, seed: int) -> Batch:
    """Bits -1 and 1 [T, N, 1]: whether the number of ones is odd; no smaller set of bits predicts it."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        bits = torch.randint(0, 2, (T, N, 1), generator=draw)
        return 2.0 * bits - 1, bits.sum(0)[:, 0] % 2

    return batch


def boiler(T: int, N: int, seed: int, *, noise: float = 0.1, unit: float = 1.0, level: float = 0.0) -> Batch:
    """The temperature of a boiler at each timestep [T, N, 1]: y = 0.85 y + 0.5 x from 0, under noise.

    unit, level: of the targets. The floor of the squared error is (unit x noise)^2.
    """
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 1, generator=draw)
        y, found = torch.zeros(N, 1), []
        for x_t in x:
            y = 0.85 * y + 0.5 * x_t
            found.append(y)
        return x, level + unit * (torch.stack(found) + noise * torch.randn(T, N, 1, generator=draw))

    return batch


def boiler_variance(T: int, noise: float = 0.1) -> float:
    """Variance of the targets of ``boiler`` over time and batch, the loss of their mean."""
    return sum(0.25 * (1 - 0.85 ** (2 * t)) / (1 - 0.85**2) for t in range(1, T + 1)) / T + noise**2


def swing(T: int, N: int, seed: int, *, noise: float = 0.0, size: float = 1.0) -> Batch:
    """The next value of a damped oscillation of random phase and amplitude, seen under noise [T, N, 1]."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        phase = 2 * math.pi * torch.rand(N, generator=draw)
        height = 0.5 + torch.rand(N, generator=draw)
        t = torch.arange(T + 1.0)[:, None]
        whole = (height * (-0.03 * t).exp() * torch.sin(0.5 * t + phase))[..., None]
        whole = size * (whole + noise * torch.randn(whole.shape, generator=draw))
        return whole[:-1], whole[1:]

    return batch


def odds(T: int, N: int, seed: int, *, share: float = 0.03) -> Batch:
    """A target [N, 1] of variance 1: the mean of the first input over the last three timesteps explains ``share``."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 2, generator=draw)
        signal = x[-3:, :, :1].mean(0) * 3**0.5
        return x, share**0.5 * signal + (1 - share) ** 0.5 * torch.randn(N, 1, generator=draw)

    return batch


def engines(T: int, N: int, kinds: int, seed: int, *, noise: float = 0.8, law: int = 31) -> Batch:
    """Which of ``kinds`` engines gives the record [T, N, 3]: each has a mean of its own in each channel."""
    means, draw = torch.randn(kinds, 3, generator=generator(law)), generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        y = torch.randint(0, kinds, (N,), generator=draw)
        return means[y] + noise * 3**0.5 * torch.randn(T, N, 3, generator=draw), y

    return batch


def orders(T: int, N: int, share: float, seed: int) -> Batch:
    """Clicks [T, N] of five kinds; a ``share`` of the visits has a 0 and then later a 1, the target [N, 1]."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x, rows = torch.randint(1, 5, (T, N), generator=draw), torch.arange(N)
        y = torch.rand(N, generator=draw) < share
        at = torch.randint(0, T - 1, (N,), generator=draw)
        x[at, rows] = torch.where(y, 0, x[at, rows])
        x[-1] = torch.where(y, 1, x[-1])
        return x, y.float()[:, None]

    return batch


def neighbours(T: int, N: int, seed: int) -> Batch:
    """Symbols 0 to 3 [T, N]: at each timestep the larger of the two beside it, 0 beyond the ends."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(0, 4, (T, N), generator=draw)
        none = torch.zeros_like(x[:1])
        return x, torch.maximum(torch.cat([none, x[:-1]]), torch.cat([x[1:], none]))

    return batch


def cipher(length: int, N: int, kinds: int, seed: int) -> Batch:
    """Symbols 1 to ``kinds`` [length, N] to the sum, modulo ``kinds``, of each and the first, plus 1."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(1, kinds + 1, (length, N), generator=draw)
        return x, (x + x[:1]) % kinds + 1

    return batch


def morse(count: int, N: int, kinds: int, seed: int, *, noise: float = 0.3) -> Batch:
    """Letters 1 to ``kinds`` [N, count] as frames [4 count, N, kinds]: each letter is on for two or three of four."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        letters = torch.randint(1, kinds + 1, (N, count), generator=draw)
        on = functional.one_hot(letters.t() - 1, kinds).float().repeat_interleave(4, 0)
        long = torch.rand(count, N, generator=draw) < 0.5
        shown = torch.ones(4, count, N)
        shown[2], shown[3] = long.float(), 0.0
        on = on * shown.transpose(0, 1).reshape(4 * count, N, 1)
        return on + noise * torch.randn(on.shape, generator=draw), letters

    return batch


def unrelated(T: int, N: int, seed: int, *, classes: int = 4, prior: tuple[float, ...] = ()) -> Batch:
    """Labels drawn by ``prior``, without regard to the inputs [T, N, 3]."""
    draw, p = generator(seed), torch.tensor(prior or (1 / classes,) * classes)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        return torch.randn(T, N, 3, generator=draw), torch.multinomial(p, N, replacement=True, generator=draw)

    return batch


def mapped(batch: Batch, change: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]) -> Batch:
    """The batches as ``change(x, y, step)`` gives them."""
    return lambda step: change(*batch(step), step)


def mixed(batch: Batch, seed: int, *, since: int = 0) -> Batch:
    """The batches with the targets of other sequences, never the right ones, and timesteps, from step ``since`` on."""
    draw = generator(seed)

    def change(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
        if step < since:
            return x, y
        by = int(torch.randint(1, x.shape[1], (), generator=draw))
        if x.shape[:2] != y.shape[:2]:
            return x, y.roll(by, 0)
        return x, y.roll(by, 1)[torch.randperm(len(y), generator=draw)]

    return mapped(batch, change)


def mislabelled(batch: Batch, share: float, classes: int, seed: int) -> Batch:
    """The batches with a ``share`` of the labels drawn at random."""
    draw = generator(seed)

    def change(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
        other = torch.randint(0, classes, y.shape, generator=draw)
        return x, torch.where(torch.rand(y.shape, generator=draw) < share, other, y)

    return mapped(batch, change)


def finite(batch: Batch, count: int, size: int, seed: int, *, each: bool) -> Batch:
    """Mini-batches of ``size`` of the first ``count`` sequences; ``each``: targets are [T, N, ...], else [N, ...]."""
    draw, (x, y) = generator(seed), batch(0)
    x, y = x[:, :count], y[:, :count] if each else y[:count]

    def drawn(step: int) -> tuple[Tensor, Tensor]:
        rows = torch.randperm(count, generator=draw)[:size]
        return x[:, rows], y[:, rows] if each else y[rows]

    return drawn


def switched(first: Batch, then: Batch, at: int) -> Batch:
    """Another task from the step ``at`` on."""
    return lambda step: first(step) if step < at else then(step)
