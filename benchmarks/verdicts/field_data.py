"""The data of the apart part: simulated records of machines, people and languages, batches [T, N, ...]."""

import math
from random import Random

import torch
from torch import Tensor

from benchmarks.verdicts.tasks import Batch, generator

BLANK = 0
NOUNS = ("cat", "dog", "bird", "child", "king", "moon")
VERBS = ("sees", "likes", "finds", "hears")
LETTERS = " abcdefghijklmnopqrstuvwxyz."


def load(T: int, N: int, seed: int, noise: float = 0.15) -> Batch:
    """Electricity load by the hour: a day of 24, a week's level and the temperature; inputs [T, N, 2], next load."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        hours = torch.arange(T + 1)[:, None] + torch.randint(0, 168, (N,), generator=draw)
        heat = 0.6 * torch.randn(N, generator=draw) + 0.4 * torch.sin(2 * math.pi * (hours - 3) / 24)
        weekend = (hours // 24 % 7 >= 5).float()
        whole = torch.sin(2 * math.pi * (hours - 8) / 24) - 0.8 * weekend + 0.7 * heat.clamp_min(0) ** 2
        whole = whole + noise * torch.randn(T + 1, N, generator=draw)
        return torch.stack([whole[:-1], heat[:-1]], -1), whole[1:, :, None]

    return batch


def lorenz(T: int, N: int, seed: int, dt: float = 0.04) -> Batch:
    """The Lorenz system by Runge-Kutta, each coordinate of about unit size [T, N, 3], and its next state."""
    draw = generator(seed)

    def slope(s: Tensor) -> Tensor:
        x, y, z = s.unbind(-1)
        return torch.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], -1)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        s, found = torch.randn(N, 3, generator=draw) * 5 + torch.tensor([0.0, 0.0, 24.0]), []
        for _ in range(T + 16):
            a = slope(s)
            b = slope(s + dt / 2 * a)
            c = slope(s + dt / 2 * b)
            s = s + dt / 6 * (a + 2 * b + 2 * c + slope(s + dt * c))
            found.append(s)
        whole = (torch.stack(found[-T - 1 :]) - torch.tensor([0.0, 0.0, 24.0])) / torch.tensor([8.0, 9.0, 8.5])
        return whole[:-1], whole[1:]

    return batch


def volatility(T: int, N: int, seed: int) -> Batch:
    """Returns of a market whose ln of the variance is a slow autoregression [T, N, 1]; the target is the next one."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        state, found = torch.randn(N, generator=draw), []
        for _ in range(T + 1):
            state = 0.95 * state + 0.31 * torch.randn(N, generator=draw)
            found.append((0.7 * state).exp() * torch.randn(N, generator=draw))
        whole = torch.stack(found)[..., None]
        return whole[:-1], whole[1:]

    return batch


def bearing(T: int, N: int, classes: int, seed: int, noise: float = 0.4) -> Batch:
    """Vibration [T, N, 1] with a shock every 3 + y timesteps, of random phase: the period is the class."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        y = torch.randint(0, classes, (N,), generator=draw)
        phase = torch.randint(0, 60, (N,), generator=draw)
        shocks = ((torch.arange(T)[:, None] + phase) % (3 + y) == 0).float()
        return (2 * shocks + noise * torch.randn(T, N, generator=draw))[..., None], y

    return batch


def genes(T: int, N: int, seed: int, wrong: float = 0.0, share: float = 0.5) -> Batch:
    """Bases 0 to 3 [T, N]; in a ``share`` of the sequences the motif 3 0 3 0 x 0, and a share ``wrong`` of labels is
    flipped."""
    draw, motif = generator(seed), torch.tensor([3, 0, 3, 0, -1, 0])

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(0, 4, (T, N), generator=draw)
        y = torch.rand(N, generator=draw) < share
        at = torch.randint(0, T - 5, (N,), generator=draw)
        for place, base in enumerate(motif.tolist()):
            if base >= 0:
                old = x[at + place, torch.arange(N)]
                x[at + place, torch.arange(N)] = torch.where(y, base, old)
        return x, (y ^ (torch.rand(N, generator=draw) < wrong)).long()

    return batch


def clicks(T: int, N: int, seed: int, groups: int = 4, each: int = 6, stay: float = 0.9) -> Batch:
    """Items of a shop [T, N]: a user stays in a group of items with probability ``stay`` and takes one of it by
    Zipf's law; the next item at each timestep."""
    draw, law = generator(seed), 1 / torch.arange(1, each + 1).float()

    def batch(step: int) -> tuple[Tensor, Tensor]:
        group, found = torch.randint(0, groups, (N,), generator=draw), []
        for _ in range(T + 1):
            leaves = torch.rand(N, generator=draw) > stay
            group = torch.where(leaves, torch.randint(0, groups, (N,), generator=draw), group)
            found.append(group * each + torch.multinomial(law, N, replacement=True, generator=draw))
        whole = torch.stack(found)
        return whole[:-1], whole[1:]

    return batch


def melody(T: int, N: int, seed: int, free: float = 0.15) -> Batch:
    """Notes 0 to 11 [T, N]: a figure of four notes that is repeated two notes higher; a share ``free`` is drawn."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        figure = torch.randint(0, 12, (4, N), generator=draw)
        at = torch.arange(T + 1)
        whole = (figure[at % 4] + 2 * (at // 4)[:, None]) % 12
        drawn = torch.randint(0, 12, whole.shape, generator=draw)
        whole = torch.where(torch.rand(whole.shape, generator=draw) < free, drawn, whole)
        return whole[:-1], whole[1:]

    return batch


def pendulum(T: int, N: int, seed: int, noise: float = 0.03, dt: float = 0.2) -> Batch:
    """The angle of a damped pendulum [T, N, 1] that a random torque drives [T, N, 1]."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        torque = torch.randn(T, N, generator=draw)
        angle, speed, found = torch.zeros(N), torch.zeros(N), []
        for push in torque:
            speed = speed + dt * (push * 1.5 - angle.sin() - 0.5 * speed)
            angle = angle + dt * speed
            found.append(angle)
        y = torch.stack(found) * 2
        return torque[..., None], (y + noise * torch.randn(T, N, generator=draw))[..., None]

    return batch


def brackets(T: int, N: int, seed: int, deepest: int = 4) -> Batch:
    """0 opens and 1 closes, other symbols do nothing [T, N]; the depth at each timestep, 0 to ``deepest``."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x, depth, found = torch.randint(0, 4, (T, N), generator=draw), torch.zeros(N, dtype=torch.long), []
        for row in x:
            depth = (depth + (row == 0).long() - (row == 1).long()).clamp(0, deepest)
            found.append(depth)
        return x, torch.stack(found)

    return batch


def digits(T: int, N: int, base: int, seed: int, every: bool = True) -> Batch:
    """Digits [T, N] and their sum modulo ``base``, at each timestep or at the last alone. Chance is ln base."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(0, base, (T, N), generator=draw)
        y = torch.cumsum(x, 0) % base
        return x, y if every else y[-1]

    return batch


def sentences(T: int, N: int, seed: int) -> Batch:
    """Letters [T, N] of sentences as "the cat sees a dog.", and the next letter; 28 symbols."""
    draw = Random(seed)

    def text() -> list[int]:
        found = ""
        while len(found) < T + 12:
            one, other, verb = draw.choice(NOUNS), draw.choice(NOUNS), draw.choice(VERBS)
            found += f"the {one} {verb} {draw.choice(('a', 'the'))} {other}. "
        at = draw.randrange(10)
        return [LETTERS.index(letter) for letter in found[at : at + T + 1]]

    pool = torch.tensor([text() for _ in range(1500)]).t()
    choose = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        whole = pool[:, torch.randint(0, pool.shape[1], (N,), generator=choose)]
        return whole[:-1], whole[1:]

    return batch


def spoken(letters: int, stretch: int, N: int, seed: int, kinds: int = 5, noise: float = 0.3) -> Batch:
    """Frames [letters x stretch, N, 4] of ``letters`` letters 1 to ``kinds`` that are not the same one after the
    other, a vector with noise for each; targets [N, letters]."""
    draw, shapes = generator(seed), torch.randn(kinds + 1, 4, generator=generator(41))

    def batch(step: int) -> tuple[Tensor, Tensor]:
        y = [torch.randint(0, kinds, (N,), generator=draw)]
        for _ in range(letters - 1):
            y.append((y[-1] + torch.randint(1, kinds, (N,), generator=draw)) % kinds)
        whole = torch.stack(y) + 1
        frames = shapes[whole.repeat_interleave(stretch, 0)]
        return frames + noise * torch.randn(frames.shape, generator=draw), whole.t()

    return batch


def beats(T: int, N: int, seed: int, noise: float = 0.1) -> Batch:
    """A heart's trace [T, N, 1]: narrow peaks of one period and size a sequence; the target is the trace itself."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        period, size = 6 + 6 * torch.rand(N, generator=draw), 1 + torch.rand(N, generator=draw)
        phase = torch.rand(N, generator=draw)
        turn = (torch.arange(T)[:, None] / period + phase) * 2 * math.pi
        trace = size * (turn.cos() * 3 - 3).exp() - 0.25
        x = (2 * (trace + noise * torch.randn(T, N, generator=draw)))[..., None]
        return x, x

    return batch


def wear(T: int, N: int, seed: int) -> Batch:
    """Sensors [T, N, 2] of a machine whose wear adds up, and the hazard's events [T, N]: 1 where it fails, 0 before,
    -1 after."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        speed = 0.05 + 0.25 * torch.rand(N, generator=draw)
        level = torch.cumsum(speed * (0.5 + torch.rand(T, N, generator=draw)), 0)
        sensors = torch.stack([level, speed.expand(T, N) * 4], -1) + 0.3 * torch.randn(T, N, 2, generator=draw)
        fails = torch.rand(T, N, generator=draw) < torch.sigmoid(4 * (level - 2))
        before = torch.cumsum(fails.long(), 0) - fails.long()
        return sensors, torch.where(before > 0, -1.0, fails.float())

    return batch


def maze(T: int, N: int, seed: int) -> Batch:
    """A corridor: a sign at timestep 0 of [T, N, 3], a mark at the last; 1 or 0 is the way out [N]."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        y = torch.randint(0, 2, (N,), generator=draw)
        x = torch.zeros(T, N, 3)
        x[0, :, 0], x[-1, :, 1] = 2.0 * y - 1, 1.0
        x[..., 2] = 0.1 * torch.randn(T, N, generator=draw)
        return x, y

    return batch


def orders(T: int, N: int, seed: int, busy: float = 0.3) -> Batch:
    """Demand of spare parts [T, N, 1], 0 on most days; the rate of days with demand differs by part, and the target
    is the next day's."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        rate = 2 * busy * torch.rand(N, generator=draw)
        size = 1 + 3 * torch.rand(N, generator=draw)
        sold = (torch.rand(T + 1, N, generator=draw) < rate).float()
        whole = (sold * size * (0.5 + torch.rand(T + 1, N, generator=draw)))[..., None]
        return whole[:-1], whole[1:]

    return batch


def calls(T: int, N: int, seed: int) -> Batch:
    """Counts of calls by the hour [T, N, 1], Poisson about 6 (1 + sin), of random phase, over 5; the next count."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        phase = 12 * torch.rand(N, generator=draw)
        rate = 6 * (1.05 + torch.sin(2 * math.pi * (torch.arange(T + 1)[:, None] + phase) / 12))
        counts = torch.poisson(rate, generator=draw)[..., None]
        return counts[:-1] / 5, counts[1:]

    return batch


def strokes(T: int, N: int, seed: int) -> Batch:
    """Steps of a pen [T, N, 2] round circles of either sense, and the next step; the noise is small."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        turn = (0.3 + 0.5 * torch.rand(N, generator=draw)) * (2.0 * torch.randint(0, 2, (N,), generator=draw) - 1)
        angle = torch.arange(T + 1)[:, None] * turn + 6.28 * torch.rand(N, generator=draw)
        whole = torch.stack([angle.cos(), angle.sin()], -1) + 0.05 * torch.randn(T + 1, N, 2, generator=draw)
        return whole[:-1], whole[1:]

    return batch


def slots(T: int, N: int, seed: int) -> Batch:
    """Words [T, N] of 0 to 19; a word from 10 on is a place after 0 or 1, a time after 2 or 3, else nothing: tags
    2, 1 and 0."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(4, 20, (T, N), generator=draw)
        x[::2] = torch.randint(0, 8, x[::2].shape, generator=draw)
        before = torch.cat([torch.full((1, N), 9), x[:-1]])
        y = torch.where(before < 2, 2, torch.where(before < 4, 1, 0))
        return x, torch.where(x >= 10, y, 0)

    return batch


def wake(T: int, N: int, share: float, seed: int, size: float = 1.5) -> Batch:
    """Whether a fixed call of six timesteps is in the noise [T, N, 2], as in a ``share`` of the sequences; [N, 1]."""
    draw, call = generator(seed), torch.randn(6, 2, generator=generator(43))

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 2, generator=draw)
        y = torch.rand(N, generator=draw) < share
        at = torch.randint(0, T - 5, (N,), generator=draw)
        for place in range(6):
            x[at + place, torch.arange(N)] += size * y[:, None] * call[place]
        return x, y.float()[:, None]

    return batch


def reversed_digits(length: int, N: int, seed: int) -> Batch:
    """Symbols 1 to 8 [length, N], and the same from the last to the first, each one more than it was."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(1, 9, (length, N), generator=draw)
        return x, x.flip(0) % 8 + 1

    return batch


def temporal_order(T: int, N: int, seed: int) -> Batch:
    """Two marks, 0 or 1 each, early and in the middle, among symbols 2 to 5 [T, N]: which in which order, 4 classes."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x, each = torch.randint(2, 6, (T, N), generator=draw), torch.arange(N)
        first, second = torch.randint(0, 2, (2, N), generator=draw)
        x[torch.randint(0, T // 5, (N,), generator=draw), each] = first
        x[torch.randint(T // 2, T // 2 + T // 5, (N,), generator=draw), each] = second
        return x, 2 * first + second

    return batch


def dataset(batch: Batch, count: int, N: int, seed: int, tokens: bool = False) -> Batch:
    """Mini-batches of N from ``count`` sequences of ``batch``'s next call, shuffled anew each epoch.

    ``batch`` must give ``count`` sequences; tokens: its targets are by timestep, [T, N, ...].
    """
    draw, (x, y) = generator(seed), batch(0)
    order: list[Tensor] = []

    def part(step: int) -> tuple[Tensor, Tensor]:
        if not order:
            order.extend(torch.randperm(count, generator=draw).split(N))
        chosen = order.pop()
        return x[:, chosen], y[:, chosen] if tokens else y[chosen]

    return part
