"""The tasks of the next part: batches [T, N, ...] from a seeded generator."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.verdicts.tasks import Batch, generator

FILLER = 9  # the symbol that fills a sequence of ``parcels``
WORDS = 5  # keywords of ``spotted``; symbols 5 to 8 are other words


def spotted(T: int, N: int, seed: int, *, first: bool = False, words: int = WORDS) -> Batch:
    """Symbols [T, N] with one keyword, the class, at any timestep or at the first; symbols 5 to 8 elsewhere."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(WORDS, 9, (T, N), generator=draw)
        y = torch.randint(0, words, (N,), generator=draw)
        at = torch.zeros(N, dtype=torch.long) if first else torch.randint(0, T, (N,), generator=draw)
        x[at, torch.arange(N)] = y
        return x, y

    return batch


def machine(T: int, N: int, seed: int) -> Batch:
    """The state of a machine of five states [T, N] after each of the symbols 0 to 2: on, back to 0, or as it is."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.multinomial(torch.tensor([0.6, 0.15, 0.25]), T * N, replacement=True, generator=draw).view(T, N)
        state, found = torch.zeros(N, dtype=torch.long), []
        for symbol in x:
            state = torch.where(symbol == 0, (state + 1) % 5, torch.where(symbol == 1, 0, state))
            found.append(state)
        return x, torch.stack(found)

    return batch


def turns(T: int, N: int, seed: int) -> Batch:
    """Steps 0 (back) and 1 (on) [T, N]: the place on a ring of three after each."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(0, 2, (T, N), generator=draw)
        return x, (2 * x - 1).cumsum(0) % 3

    return batch


def gestures(T: int, N: int, seed: int, *, noise: float = 0.1, kinds: int = 4, size: float = 1.0) -> Batch:
    """Strokes [T, N, 2] of random direction; the class is how much they turn to the left at each timestep."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        y = torch.randint(0, kinds, (N,), generator=draw)
        angle = 2 * math.pi * torch.rand(N, generator=draw) + 0.25 * y * torch.arange(T)[:, None]
        x = torch.stack([angle.cos(), angle.sin()], -1)
        return size * (x + noise * torch.randn(x.shape, generator=draw)), y

    return batch


def load(T: int, N: int, seed: int, *, noise: float = 0.2, unit: float = 1.0, level: float = 0.0) -> Batch:
    """Load and the two phases of the hour [T, N, 3] to the load of the next hour [T, N, 1] in ``unit`` from ``level``.

    v = 0.7 v + 0.5 sin(hour) + noise: the floor of the squared error is (unit x noise)^2.
    """
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        hour = torch.randint(0, 12, (N,), generator=draw) + torch.arange(T + 11)[:, None]
        phase, v = 2 * math.pi * hour / 12, [torch.zeros(N)]
        for t in range(T + 10):
            v.append(0.7 * v[-1] + 0.5 * phase[t].sin() + noise * torch.randn(N, generator=draw))
        whole = torch.stack(v)[-T - 1 :]
        x = torch.stack([whole[:-1], phase[-T - 1 : -1].sin(), phase[-T - 1 : -1].cos()], -1)
        return x, level + unit * whole[1:, :, None]

    return batch


def pendulum(T: int, N: int, seed: int, *, noise: float = 0.05, unit: float = 1.0, level: float = 0.0) -> Batch:
    """Pushes [T, N, 1] on a pendulum at rest to its angle after each [T, N, 1], under noise, in ``unit``."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 1, generator=draw)
        angle, speed, found = torch.zeros(N, 1), torch.zeros(N, 1), []
        for push in x:
            speed = 0.6 * speed - 0.4 * angle.sin() + 0.4 * push
            angle = angle + speed
            found.append(angle)
        y = torch.stack(found)
        return x, level + unit * (y + noise * torch.randn(y.shape, generator=draw))

    return batch


def verses(T: int, N: int, seed: int, *, symbols: int = 8, sure: float = 0.85) -> Batch:
    """The next symbol at each timestep: the sum of the last two, modulo, with the probability ``sure``, else any."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        found = list(torch.randint(0, symbols, (2, N), generator=draw))
        for _ in range(T):
            other = torch.randint(0, symbols, (N,), generator=draw)
            kept = torch.rand(N, generator=draw) < sure
            found.append(torch.where(kept, (found[-1] + found[-2]) % symbols, other))
        whole = torch.stack(found)[1:]
        return whole[:-1], whole[1:]

    return batch


def battery(T: int, N: int, seed: int, *, unit: float = 1.0, level: float = 0.0) -> Batch:
    """Currents [T, N, 1] to the charge at the end [N, 1]: what goes in counts 0.8; over the root of T."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 1, generator=draw)
        charge = (0.8 * x.clamp_min(0) + x.clamp_max(0)).sum(0) / T**0.5
        return x, level + unit * charge

    return batch


def quotes(T: int, N: int, seed: int, *, share: float = 0.05) -> Batch:
    """A target [N, 1] of variance 1; the difference of the last two values of the second input explains ``share``."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 2, generator=draw)
        signal = (x[-1, :, 1:] - x[-2, :, 1:]) / 2**0.5
        return x, share**0.5 * signal + (1 - share) ** 0.5 * torch.randn(N, 1, generator=draw)

    return batch


def basket(T: int, N: int, seed: int, *, kinds: int = 4, goods: int = 12) -> Batch:
    """Which of the first ``kinds`` of the goods is in the basket [T, N]: targets [N, kinds]."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(0, goods, (T, N), generator=draw)
        return x, functional.one_hot(x, goods)[..., :kinds].amax(0).float()

    return batch


def alarms(T: int, N: int, share: float, seed: int, *, noise: float = 0.4) -> Batch:
    """Whether the record [T, N, 1] has a burst of three timesteps, as a ``share`` has: the target [N, 1]."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x, rows = noise * torch.randn(T, N, 1, generator=draw), torch.arange(N)
        y = (torch.rand(N, 1, generator=draw) < share).float()
        at = torch.randint(0, T - 3, (N,), generator=draw)
        for t in range(3):
            x[at + t, rows] += 1.5 * y
        return x, y

    return batch


def which_first(T: int, N: int, seed: int) -> Batch:
    """Symbols [T, N] in which 0 and 1 come once each: whether the 1 comes first."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x, rows = torch.randint(2, 6, (T, N), generator=draw), torch.arange(N)
        place = torch.rand(T, N, generator=draw).argsort(0)[:2]
        x[place[0], rows], x[place[1], rows] = 0, 1
        return x, (place[1] < place[0]).long()

    return batch


def lifetimes(T: int, N: int, seed: int, *, end: float = 3.0) -> Batch:
    """Records [T, N, 2] to [N, 2]: a time of mean exp(mean of the first input x root T), cut at ``end``; 1 if seen."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 2, generator=draw)
        scale = (0.8 * x[..., :1].mean(0) * T**0.5).exp()
        time = -scale * torch.rand(N, 1, generator=draw).clamp_min(1e-6).log()
        return x, torch.cat([time.clamp(1e-3, end), (time < end).float()], -1)

    return batch


def calls(T: int, N: int, seed: int) -> Batch:
    """Signals [T, N, 1] to counts [T, N, 1] of a Poisson law whose ln of the rate is the leaky sum of the signals."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 1, generator=draw)
        level, found = torch.zeros(N, 1), []
        for x_t in x:
            level = 0.6 * level + 0.4 * x_t
            found.append(level)
        return x, torch.poisson((torch.stack(found) + 0.5).exp(), generator=draw)

    return batch


def speech(count: int, N: int, seed: int, *, kinds: int = 4, noise: float = 0.3) -> Batch:
    """Letters 1 to ``kinds`` [N, count] as frames [5 count, N, kinds]: of each five, two to four are on."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        letters = torch.randint(1, kinds + 1, (N, count), generator=draw)
        long = torch.randint(2, 5, (count, N), generator=draw)
        on = torch.arange(5)[:, None, None] < long
        shown = functional.one_hot(letters.t() - 1, kinds) * on[..., None]
        frames = shown.transpose(0, 1).reshape(5 * count, N, kinds).float()
        return frames + noise * torch.randn(frames.shape, generator=draw), letters

    return batch


def sorting(length: int, N: int, seed: int, *, kinds: int = 6) -> Batch:
    """Symbols 1 to ``kinds`` [length, N] and the same from the smallest to the largest."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(1, kinds + 1, (length, N), generator=draw)
        return x, x.sort(0).values

    return batch


def tides(T: int, N: int, seed: int, *, noise: float = 0.1) -> Batch:
    """Two waves of fixed periods and random amplitudes under noise [T, N, 1], for an autoencoder."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        t, height = torch.arange(T)[:, None], torch.randn(2, N, generator=draw)
        x = height[0] * (2 * math.pi * t / 12).sin() + height[1] * (2 * math.pi * t / 7).cos()
        x = (x + noise * torch.randn(T, N, generator=draw))[..., None]
        return x, x

    return batch


def parcels(T: int, N: int, seed: int, *, least: int = 3, most: int = 0, words: int = 4) -> Batch:
    """Sequences of ``least`` to ``most``, or T, symbols, then ``FILLER``, the longest first; the first is the class."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(WORDS, 9, (T, N), generator=draw)
        x[0] = torch.randint(0, words, (N,), generator=draw)
        long = torch.randint(least, (most or T) + 1, (N,), generator=draw).sort(descending=True).values
        return torch.where(torch.arange(T)[:, None] < long, x, FILLER), x[0].clone()

    return batch


def stream(lag: int, window: int, N: int, seed: int, *, kinds: int = 4) -> Batch:
    """Windows of an endless sequence, one after the other, to the symbol of ``lag`` timesteps ago [window, N]."""
    draw = generator(seed)
    past = [torch.randint(0, kinds, (lag, N), generator=draw)]

    def batch(step: int) -> tuple[Tensor, Tensor]:
        whole = torch.cat([past[0], torch.randint(0, kinds, (window, N), generator=draw)])
        past[0] = whole[-lag:]
        return whole[lag:], whole[:window]

    return batch
