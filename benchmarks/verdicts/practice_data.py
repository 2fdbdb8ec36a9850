"""The data of the sealed part: small languages, signals and series, batches [T, N, ...] from a seeded generator."""

import math
from collections.abc import Callable
from random import Random

import torch
from torch import Tensor

from benchmarks.verdicts.tasks import Batch, Task, entropy, generator

PAD = -100  # the target of a position that has none, as torch's cross-entropy leaves it out


def lexicon(T: int, N: int, seed: int, words: int = 14, letters: int = 9) -> Task:
    """Next letter of words drawn by Zipf's law, with a space after each; symbol 0 is the space.

    chance: entropy of the letters alone; floor: entropy of the words over their mean length, in nats a letter.
    """
    draw = Random(23)
    known = [[draw.randint(1, letters) for _ in range(draw.randint(2, 6))] + [0] for _ in range(words)]
    weights = [1 / (rank + 1) for rank in range(words)]
    law = torch.tensor(weights) / sum(weights)
    counts = torch.zeros(letters + 1)
    for word, share in zip(known, law.tolist(), strict=True):
        for letter in word:
            counts[letter] += share
    source = Random(seed)

    def text() -> list[int]:
        found = known[source.randrange(words)][source.randrange(2) :]
        while len(found) <= T:
            found = found + source.choices(known, weights)[0]
        return found[: T + 1]

    def batch(step: int) -> tuple[Tensor, Tensor]:
        whole = torch.tensor([text() for _ in range(N)]).t()
        return whole[:-1], whole[1:]

    return Task(batch, entropy(counts / counts.sum()), entropy(law) / float(counts.sum()))


def peaks(T: int, N: int, seed: int) -> Batch:
    """Symbols 1 to 8, each sequence T/2 to T long, then 0: whether a symbol is larger than both neighbours.

    Targets are PAD at the ends and after the end of a sequence.
    """
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(1, 9, (T, N), generator=draw)
        ends = torch.randint(T // 2, T + 1, (N,), generator=draw)
        x[torch.arange(T)[:, None] >= ends] = 0
        y = torch.full((T, N), PAD)
        inner = ((x[1:-1] > x[:-2]) & (x[1:-1] > x[2:])).long()
        y[1:-1] = torch.where(x[2:] > 0, inner, PAD)
        return x, y

    return batch


def intents(T: int, N: int, classes: int, seed: int, shown: float = 1.0) -> Batch:
    """One of ``classes`` keywords somewhere among 20 other words names the class; a share ``shown`` has its keyword."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(classes, classes + 20, (T, N), generator=draw)
        y = torch.randint(0, classes, (N,), generator=draw)
        at, each = torch.randint(0, T, (N,), generator=draw), torch.arange(N)
        x[at, each] = torch.where(torch.rand(N, generator=draw) < shown, y, x[at, each])
        return x, y

    return batch


def activity(T: int, N: int, classes: int, seed: int, noise: float = 0.3, scale: float = 1.0) -> Batch:
    """Three channels of an accelerometer [T, N, 3]; a class is a frequency, phases are random."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        y = torch.randint(0, classes, (N,), generator=draw)
        phase = 6.28 * torch.rand(N, 3, generator=draw)
        wave = torch.sin((0.3 + 0.5 * y[:, None]) * torch.arange(T)[:, None, None] + phase)
        return scale * (wave + noise * torch.randn(T, N, 3, generator=draw)), y

    return batch


def sales(T: int, N: int, seed: int, noise: float = 0.2, wild: float = 0.0) -> Batch:
    """Level, trend and a week of 7 [T, N, 1], and the next value at each timestep; noise is in both.

    wild: the share of targets that an outlier of deviation 8 is added to.
    """
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        days = torch.arange(T + 1)[:, None].float()
        level, trend = torch.randn(N, generator=draw), 0.5 * torch.randn(N, generator=draw)
        phase = 6.28 * torch.rand(N, generator=draw)
        whole = level + trend * days / T + torch.sin(6.28 * days / 7 + phase)
        whole = (whole + noise * torch.randn(T + 1, N, generator=draw))[..., None]
        x, y = whole[:-1], whole[1:].clone()
        hit = torch.rand(y.shape, generator=draw) < wild
        return x, y + hit * 8 * torch.randn(y.shape, generator=draw)

    return batch


def tank(T: int, N: int, seed: int, noise: float = 0.05) -> Batch:
    """The level of a tank that an inflow [T, N, 1] fills and that empties by the root of its level, less 2."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.rand(T, N, 1, generator=draw)
        level, found = 2 + torch.zeros(N, 1), []
        for flow in x:
            level = (level + flow - 0.35 * level.sqrt()).clamp_min(0)
            found.append(level)
        y = torch.stack(found) - 2
        return 2 * x - 1, y + noise * torch.randn(y.shape, generator=draw)

    return batch


def agree(T: int, N: int, kinds: int, seed: int) -> Batch:
    """Whether the first and the last symbol are the same, as in half of the sequences [T, N]; chance is ln 2."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(0, kinds, (T, N), generator=draw)
        y = torch.randint(0, 2, (N,), generator=draw)
        other = (x[0] + torch.randint(1, kinds, (N,), generator=draw)) % kinds
        x[-1] = torch.where(y == 1, x[0], other)
        return x, y

    return batch


def translated(length: int, N: int, kinds: int, seed: int) -> Batch:
    """Symbols 1 to ``kinds`` [length, N] and each one's word of another language, neighbours swapped."""
    words = torch.cat([torch.zeros(1, dtype=torch.long), 1 + torch.randperm(kinds, generator=generator(31))])
    draw, order = generator(seed), torch.arange(length)
    order[: length - length % 2] = order[: length - length % 2].view(-1, 2).flip(1).flatten()

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(1, kinds + 1, (length, N), generator=draw)
        return x, words[x[order]]

    return batch


def parity(T: int, N: int, bits: int, seed: int) -> Batch:
    """The parity of the first ``bits`` of T signs [T, N, 1]; chance is ln 2, and stays so until it is solved."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(0, 2, (T, N, 1), generator=draw)
        return 2.0 * x - 1, x[:bits, :, 0].sum(0) % 2

    return batch


def quality(T: int, N: int, seed: int) -> Batch:
    """Items [T, N, 3] with a hidden quality [N, 1], the mean over time of the first channel less half the second."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 3, generator=draw)
        return x, ((x[..., :1] - 0.5 * x[..., 1:2]).mean(0)) * T**0.5

    return batch


def rare(T: int, N: int, share: float, seed: int, size: float = 2.5) -> Batch:
    """Whether a bump of five timesteps is in the noise [T, N, 1], as in a ``share`` of the sequences; y [N, 1]."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 1, generator=draw)
        y = torch.rand(N, generator=draw) < share
        at = torch.randint(0, T - 5, (N,), generator=draw)
        inside = (torch.arange(T)[:, None] - at).div(5, rounding_mode="floor") == 0
        return x + size * (inside & y)[..., None], y.float()[:, None]

    return batch


def mislabelled(batch: Batch, share: float, classes: int, seed: int) -> Batch:
    """The batches with a ``share`` of the labels drawn at random."""
    draw = generator(seed)

    def wrong(step: int) -> tuple[Tensor, Tensor]:
        x, y = batch(step)
        drawn = torch.randint(0, classes, y.shape, generator=draw)
        return x, torch.where(torch.rand(y.shape, generator=draw) < share, drawn, y)

    return wrong


def during(
    batch: Batch, is_on: Callable[[int], bool], change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
) -> Batch:
    """The batches, changed at the steps where ``is_on``."""

    def chosen(step: int) -> tuple[Tensor, Tensor]:
        x, y = batch(step)
        return change(x, y) if is_on(step) else (x, y)

    return chosen


def noisy_floor(classes: int, share: float) -> float:
    """The floor of ``mislabelled`` in nats."""
    wrong = share / classes
    right = 1 - share + wrong
    return -right * math.log(right) - (classes - 1) * wrong * math.log(wrong)
