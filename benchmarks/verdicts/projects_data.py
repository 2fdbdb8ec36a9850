"""The data of the outside part: simulated records of machines, bodies, markets and programs, batches [T, N, ...]."""

import math

import torch
from torch import Tensor

from benchmarks.verdicts.tasks import Batch, generator

REGISTER = 5  # values of the register of a traced program


def plant(T: int, N: int, seed: int, noise: float = 0.1) -> Batch:
    """Three coupled sensors of a plant that an operator's steps drive [T, N, 3], and their next values."""
    draw = generator(seed)
    mix = torch.tensor([[0.8, 0.15, 0.0], [-0.2, 0.7, 0.2], [0.0, -0.3, 0.85]])

    def batch(step: int) -> tuple[Tensor, Tensor]:
        state, push, found = torch.randn(N, 3, generator=draw), torch.zeros(N, 1), []
        for _ in range(T + 6):
            moved = torch.rand(N, 1, generator=draw) < 0.1
            push = torch.where(moved, torch.randn(N, 1, generator=draw), push)
            state = state @ mix + 0.3 * push + noise * torch.randn(N, 3, generator=draw)
            found.append(state)
        whole = torch.stack(found[-T - 1 :])
        return whole[:-1], whole[1:]

    return batch


def phones(T: int, N: int, kinds: int, seed: int, noise: float = 0.8) -> Batch:
    """Frames [T, N, 6] of phones that last 3 timesteps or more; the phone of each frame."""
    draw, shapes = generator(seed), torch.randn(kinds, 6, generator=generator(53))

    def batch(step: int) -> tuple[Tensor, Tensor]:
        phone, found = torch.randint(0, kinds, (N,), generator=draw), []
        for t in range(T):
            turns = (torch.rand(N, generator=draw) < 0.5) & (t % 3 == 0)
            phone = torch.where(turns, torch.randint(0, kinds, (N,), generator=draw), phone)
            found.append(phone)
        y = torch.stack(found)
        return shapes[y] + noise * torch.randn(T, N, 6, generator=draw), y

    return batch


def trips(T: int, N: int, seed: int) -> Batch:
    """Words [T, N]: 0 is "from", 1 is "to", 2 to 6 are cities, the rest others; tags of cities: 1 after "from", 2
    after "to", by the last of these words, and 0 for all else."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x, last, found = torch.randint(0, 14, (T, N), generator=draw), torch.zeros(N, dtype=torch.long), []
        for word in x:
            last = torch.where(word < 2, word + 1, last)
            found.append(torch.where((word > 1) & (word < 7), last, 0))
        return x, torch.stack(found)

    return batch


def drums(T: int, N: int, seed: int, free: float = 0.05) -> Batch:
    """A bar of 8 steps for 4 drums that is repeated [T, N, 4]; a share ``free`` of the hits is turned; the next."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        bar = (torch.rand(8, N, 4, generator=draw) < 0.3).float()
        whole = bar[torch.arange(T + 1) % 8]
        turned = torch.rand(whole.shape, generator=draw) < free
        whole = torch.where(turned, 1 - whole, whole)
        return whole[:-1], whole[1:]

    return batch


def isochores(T: int, N: int, seed: int, stay: float = 0.97) -> Batch:
    """Bases [T, N] of regions that are rich in 0 and 1 or in 2 and 3, and the next base."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        turns = torch.rand(T + 1, N, generator=draw) > stay
        turns[0] = torch.rand(N, generator=draw) < 0.5
        rich = torch.rand(T + 1, N, generator=draw) < 0.85
        pair = (torch.cumsum(turns.long(), 0) + (~rich).long()) % 2
        whole = 2 * pair + torch.randint(0, 2, (T + 1, N), generator=draw)
        return whole[:-1], whole[1:]

    return batch


def heartbeats(T: int, N: int, seed: int, noise: float = 0.2) -> Batch:
    """An ECG [T, N, 1] of three classes: a regular rhythm, one that loses a beat, one with a wide beat."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        y, period = torch.randint(0, 3, (N,), generator=draw), 7 + torch.randint(0, 2, (N,), generator=draw)
        at = torch.arange(T)[:, None] + torch.randint(0, 7, (N,), generator=draw)
        beat, phase = at // period, at % period
        odd = beat % 3 == 1
        trace = (phase == 2).float() * 2 - (phase == 3).float()
        trace = torch.where(odd & (y == 1), 0.0, trace)
        trace = torch.where(odd & (y == 2) & (phase > 1) & (phase < 6), 1.0, trace)
        return (trace + noise * torch.randn(T, N, generator=draw))[..., None], y

    return batch


def radar(T: int, N: int, seed: int, noise: float = 1.0) -> Batch:
    """Plots of a target in two dimensions that drifts, under noise [T, N, 2], and where it is."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        speed = 0.2 * torch.randn(N, 2, generator=draw) + 0.06 * torch.randn(T, N, 2, generator=draw).cumsum(0)
        place = speed.cumsum(0)
        return place + noise * torch.randn(T, N, 2, generator=draw), place

    return batch


def programs(T: int, N: int, seed: int) -> Batch:
    """Instructions of a register modulo 5 [T, N]: 0 adds one, 1 takes one, 2 doubles, 3 clears, 4 waits; its value."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x, value, found = torch.randint(0, 5, (T, N), generator=draw), torch.zeros(N, dtype=torch.long), []
        for op in x:
            table = torch.stack([value + 1, value - 1, 2 * value, 0 * value, value])
            value = table.gather(0, op[None])[0] % REGISTER
            found.append(value)
        return x, torch.stack(found)

    return batch


def decimals(T: int, N: int, seed: int) -> Batch:
    """Two numbers, the lowest digit first, as symbols 10 a + b [T, N], and the digits of their sum."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        pairs, carry, found = torch.randint(0, 10, (2, T, N), generator=draw), torch.zeros(N, dtype=torch.long), []
        for total in pairs.sum(0):
            found.append((total + carry) % 10)
            carry = (total + carry) // 10
        return 10 * pairs[0] + pairs[1], torch.stack(found)

    return batch


def counts(T: int, N: int, seed: int, shape: float = 0.0) -> Batch:
    """Orders a day: Poisson of a rate with a week and a level, or of a gamma of that ``shape`` times it. Inputs
    [T, N, 2] are ln (1 + count) and the promotion of the next day; targets are the next counts [T, N, 1]."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        day = torch.arange(T + 1)[:, None] + torch.randint(0, 7, (N,), generator=draw)
        promotion = (torch.rand(T + 1, N, generator=draw) < 0.2).float()
        level = 0.7 + 0.6 * torch.randn(N, generator=draw)
        rate = (level + 0.8 * torch.sin(2 * math.pi * day / 7) + 0.9 * promotion).exp()
        if shape:
            weight = torch._standard_gamma(torch.full(rate.shape, shape), generator=draw) / shape
            rate = rate * weight
        found = torch.poisson(rate, generator=draw)
        return torch.stack([(1 + found[:-1]).log(), promotion[1:]], -1), found[1:, :, None]

    return batch


def thick(T: int, N: int, seed: int, share: float = 0.3) -> Batch:
    """A number [N, 1] of which the last two of the inputs [T, N, 3] explain ``share``, with noise of heavy tails."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 3, generator=draw)
        known = (x[-1, :, :1] - x[-2, :, :1]) / 2**0.5
        tail = torch.randn(N, 1, generator=draw) / (torch.rand(N, 1, generator=draw) + 0.05).sqrt()
        return x, share**0.5 * known + (1 - share) ** 0.5 * 0.6 * tail

    return batch


def strokes(T: int, N: int, seed: int) -> Batch:
    """Pen moves along a wave, to the left or to the right by chance [T, N, 1], and the next move."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        side = 2.0 * torch.randint(0, 2, (T + 1, N), generator=draw) - 1
        turn = torch.arange(T + 1)[:, None] * 0.6 + 6.28 * torch.rand(N, generator=draw)
        whole = (side * (1.2 + 0.6 * turn.sin()) + 0.08 * torch.randn(T + 1, N, generator=draw))[..., None]
        return whole[:-1], whole[1:]

    return batch


def gap_recall(T: int, N: int, seed: int, kinds: int = 4, gap: int = 0) -> Batch:
    """Symbol of the marked place: x is 1 + symbol where marked, else 0 or a distractor above ``kinds``; [T, N]. The
    marked place is in the first third, at least ``gap`` timesteps from the end."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        y = torch.randint(0, kinds, (N,), generator=draw)
        x = kinds + 1 + torch.randint(0, 3, (T, N), generator=draw)
        last = max(1, min(T // 3, T - gap))
        x[torch.randint(0, last, (N,), generator=draw), torch.arange(N)] = 1 + y
        return x, y

    return batch


def shelf(count: int, batch: Batch, N: int, seed: int) -> Batch:
    """Mini-batches of N out of ``count`` batches' sequences, drawn with replacement; x and y have N on axis 1, or y
    on axis 0 if it has no time."""
    made = [batch(step) for step in range(count)]
    x = torch.cat([each[0] for each in made], 1)
    axis = 1 if made[0][1].shape[0] == x.shape[0] and made[0][1].dim() > 1 else 0
    y, draw = torch.cat([each[1] for each in made], axis), generator(seed)

    def drawn(step: int) -> tuple[Tensor, Tensor]:
        rows = torch.randint(0, x.shape[1], (N,), generator=draw)
        return x[:, rows], y.index_select(axis, rows)

    return drawn


def altered(batch: Batch, change: object) -> Batch:
    """The batches as ``change(step, x, y)`` makes them."""

    def made(step: int) -> tuple[Tensor, Tensor]:
        x, y = batch(step)
        return change(step, x, y)  # type: ignore[operator,no-any-return]

    return made
