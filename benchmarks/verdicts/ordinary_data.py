"""The data, networks and losses of the plain part: symbols, series and pulses from seeded generators, [T, N, ...]."""

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts.nets import Net
from benchmarks.verdicts.tasks import Batch, entropy, generator
from benchmarks.verdicts.training import Forward, Scalars

_COMMON = (
    "the of and to in is that was for it with as his on be at by had not are but from or have an they which one you "
    "were her all she there would their we him been has when who will more no if out so said"
)
WORDS = _COMMON.split()
LETTERS = " abcdefghijklmnopqrstuvwxyz"


def word_law() -> Tensor:
    """How often each word comes: 1 / (rank + 2), normalized."""
    weight = 1 / (torch.arange(len(WORDS)) + 3.0)
    return weight / weight.sum()


def letter_entropies() -> tuple[float, float]:
    """Entropy of the letters, and entropy per letter of the text: words are independent of each other."""
    law, often = word_law(), torch.zeros(len(LETTERS))
    for p, word in zip(law.tolist(), WORDS, strict=True):
        for letter in word + " ":
            often[LETTERS.index(letter)] += p
    return entropy(often / often.sum()), entropy(law) / float(often.sum())


@cache
def _text(seed: int) -> Tensor:
    drawn = torch.multinomial(word_law(), 6000, replacement=True, generator=generator(seed))
    return torch.tensor([LETTERS.index(letter) for word in drawn for letter in WORDS[word] + " "])


def letters(T: int, N: int, seed: int) -> Batch:
    """Windows of a text of independent words; the next letter at each timestep, 27 classes."""
    draw, text = generator(seed), _text(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        at = torch.randint(0, len(text) - T - 1, (N,), generator=draw)
        whole = text[at + torch.arange(T + 1)[:, None]]
        return whole[:-1], whole[1:]

    return batch


def mark(T: int, N: int, kinds: int, seed: int, *, at: int = 0, noise: float = 0.3, size: float = 1.0) -> Batch:
    """Which of ``kinds`` inputs is 2 at timestep ``at``; all others are noise. Chance is ln kinds."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = noise * torch.randn(T, N, kinds, generator=draw)
        y = torch.randint(0, kinds, (N,), generator=draw)
        x[at, torch.arange(N), y] = 2.0
        return size * x, y

    return batch


def first_word(T: int, N: int, kinds: int, seed: int, *, fillers: int = 5) -> Batch:
    """Symbols [T, N]: the first one, below ``kinds``, is the class; ``fillers`` other symbols follow."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(kinds, kinds + fillers, (T, N), generator=draw)
        x[0] = torch.randint(0, kinds, (N,), generator=draw)
        return x, x[0].clone()

    return batch


def switch(T: int, N: int, seed: int, *, level: float = 0.8, size: float = 1.0) -> Batch:
    """A switch with hysteresis at each timestep [T, N]: on above ``level``, off below its negative, else as before."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 1, generator=draw)
        state, found = torch.zeros(N, dtype=torch.long), []
        for x_t in x[..., 0]:
            state = torch.where(x_t > level, 1, torch.where(x_t < -level, 0, state))
            found.append(state)
        return size * x, torch.stack(found)

    return batch


def depth(T: int, N: int, most: int, seed: int) -> Batch:
    """Brackets, 0 opens and 1 closes; the number that is open after each of them, at most ``most``."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        coin, level, x, y = torch.randint(0, 2, (T, N), generator=draw), torch.zeros(N, dtype=torch.long), [], []
        for each in coin:
            closes = torch.where(level == 0, 0, torch.where(level == most, 1, each))
            level = level + 1 - 2 * closes
            x.append(closes)
            y.append(level)
        return torch.stack(x), torch.stack(y)

    return batch


def residues(T: int, N: int, modulus: int, seed: int) -> Batch:
    """Bits [T, N] and the number of ones so far modulo ``modulus``, at each timestep."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(0, 2, (T, N), generator=draw)
        return x, x.cumsum(0) % modulus

    return batch


def maximum(T: int, N: int, seed: int, *, size: float = 1.0) -> Batch:
    """The largest of the uniform inputs [T, N, 1] so far, at each timestep."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.rand(T, N, 1, generator=draw)
        return x, size * x.cummax(0).values

    return batch


def gap(T: int, N: int, seed: int) -> Batch:
    """Two pulses in [T, N, 1], one in each half; the time between them over T."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x, each = torch.zeros(T, N, 1), torch.arange(N)
        first = torch.randint(0, T // 2, (N,), generator=draw)
        second = torch.randint(T // 2, T, (N,), generator=draw)
        x[first, each], x[second, each] = 1.0, 1.0
        return x, (second - first)[:, None] / T

    return batch


def gap_variance(T: int) -> float:
    """Variance of the target of ``gap``: the loss of its mean."""
    half = T // 2
    return (half**2 - 1 + (T - half) ** 2 - 1) / 12 / T**2


def season(T: int, N: int, noise: float, seed: int, *, period: int = 7, law: int = 23) -> Batch:
    """The next value of a periodic series of unit variance under noise, from a random phase. Floor: noise^2."""
    shape = torch.randn(period, generator=generator(law))
    shape, draw = (shape - shape.mean()) / shape.std(correction=0), generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        phase = torch.randint(0, period, (N,), generator=draw)
        whole = shape[(torch.arange(T + 1)[:, None] + phase) % period]
        whole = (whole + noise * torch.randn(T + 1, N, generator=draw))[..., None]
        return whole[:-1], whole[1:]

    return batch


def tone(T: int, N: int, kinds: int, noise: float, seed: int) -> Batch:
    """Which of ``kinds`` frequencies a sine of random phase has, under noise."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        y, phase = torch.randint(0, kinds, (N,), generator=draw), 2 * math.pi * torch.rand(N, generator=draw)
        wave = torch.sin((0.4 + 0.5 * y) * torch.arange(T)[:, None] + phase)
        return (wave + noise * torch.randn(T, N, generator=draw))[..., None], y

    return batch


def reviews(T: int, N: int, classes: int, seed: int, *, words: int = 30, prior: tuple[float, ...] = ()) -> Batch:
    """Words [T, N], independent under the class; each class has its own law of the words."""
    law = torch.softmax(1.2 * torch.randn(classes, words, generator=generator(31)), -1)
    draw, often = generator(seed), torch.tensor(prior or (1.0,) * classes)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        y = torch.multinomial(often, N, replacement=True, generator=draw)
        return torch.multinomial(law[y], T, replacement=True, generator=draw).t().contiguous(), y

    return batch


def explained(T: int, N: int, share: float, seed: int, *, lag: int = 2, mean: float = 0.0) -> Batch:
    """A target of variance 1 around ``mean`` of which the first input ``lag`` timesteps ago explains ``share``."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 3, generator=draw)
        noise = torch.randn(N, 1, generator=draw)
        return x, mean + share**0.5 * x[-lag, :, :1] + (1 - share) ** 0.5 * noise

    return batch


def volatile(T: int, N: int, seed: int) -> Batch:
    """Values whose deviation is 0.2 after a value below 0 and 2 else; the next value at each timestep."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = [torch.randn(N, generator=draw)]
        for _ in range(T):
            x.append(torch.where(x[-1] < 0, 0.2, 2.0) * torch.randn(N, generator=draw))
        whole = torch.stack(x)[..., None]
        return whole[:-1], whole[1:]

    return batch


def spelled(count: int, hold: int, N: int, kinds: int, seed: int, noise: float = 0.3) -> Batch:
    """Letters 1 to ``kinds`` [N, count], each held for ``hold`` frames as one of ``kinds`` inputs [T, N, kinds]."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        y = torch.randint(1, kinds + 1, (N, count), generator=draw)
        x = functional.one_hot(y.t() - 1, kinds).float().repeat_interleave(hold, 0)
        return x + noise * torch.randn(x.shape, generator=draw), y

    return batch


def few(batch: Batch, count: int, seed: int = 3) -> Batch:
    """Mini-batches of half of the sequences of ``count`` batches, drawn anew at each step."""
    kept = [batch(step) for step in range(count)]
    x, y = kept[0]
    axis = 1 if y.shape[:2] == x.shape[:2] else 0
    x, y = torch.cat([each for each, _ in kept], 1), torch.cat([each for _, each in kept], axis)
    draw, N = generator(seed), x.shape[1]

    def drawn(step: int) -> tuple[Tensor, Tensor]:
        chosen = torch.randperm(N, generator=draw)[: N // 2]
        return x[:, chosen], y.index_select(axis, chosen)

    return drawn


def mapped(batch: Batch, change: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]) -> Batch:
    """The batches as ``change(x, y, step)`` gives them."""
    return lambda step: change(*batch(step), step)


class Pooled(Net):
    """Reads the mean of the outputs over time."""

    def read(self, h: Tensor) -> Tensor:
        return self.head(self.drop(h.mean(0)))


class Normed(Net):
    """Batch normalization of the inputs [T, N, I] over time and batch."""

    def __init__(self, cell: str, inputs: int, hidden: int, out: int, **more: object) -> None:
        super().__init__(cell, inputs, hidden, out, **more)  # type: ignore[arg-type]
        self.norm = nn.BatchNorm1d(inputs)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.norm(x.flatten(0, 1)).view(x.shape))


class Skipping(Net):
    """Layers of the same size whose outputs are added to their inputs."""

    def __init__(self, cell: str, size: int, out: int, layers: int, **more: object) -> None:
        super().__init__(cell, size, size, out, **more)  # type: ignore[arg-type]
        kind = type(self.recurrent)
        self.above = nn.ModuleList(kind(size, size) for _ in range(layers - 1))

    def run(self, x: Tensor, state: object = None) -> tuple[Tensor, object]:
        h, last = super().run(x, state)
        for layer in self.above:
            h = h + layer(h)[0]
        return h, last


def masked(lengths: Callable[[int, int], Tensor]) -> Forward:
    """Cross-entropy over the timesteps before ``lengths(step, N)`` [N] alone."""

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        real = torch.arange(len(x))[:, None] < lengths(step, x.shape[1])
        output = net(x)
        right = (output.argmax(-1) == y)[real].float().mean()
        return functional.cross_entropy(output[real], y[real]), {"acc": float(right)}

    return forward


def normal(output: Tensor, target: Tensor) -> Tensor:
    """Negative log-likelihood of a Gaussian of mean 0 whose ln of the deviation is the output, with its constant."""
    log_s = output.clamp(-5, 4)
    return (log_s + 0.5 * (target / log_s.exp()).square()).mean() + 0.5 * math.log(2 * math.pi)
