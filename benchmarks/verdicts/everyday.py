"""The tasks of the blind part: batches [T, N, ...] from a seeded generator, as in common applications."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.verdicts.tasks import Batch, generator

PADDING = -100  # a target that cross entropy leaves out


def demand(T: int, N: int, noise: float, seed: int, *, level: float = 1.0) -> Batch:
    """The next value, at each timestep, of series with a level, a weekly season and noise, [T, N, 1].

    Guessing the mean leaves a variance of level^2 + 0.5 + noise^2; the floor is a little above noise^2.
    """
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        base, day = level * torch.randn(N, generator=draw), torch.randint(0, 7, (N,), generator=draw)
        season = torch.sin(2 * math.pi * (torch.arange(T + 1)[:, None] + day) / 7)
        whole = (base + season + noise * torch.randn(T + 1, N, generator=draw))[..., None]
        return whole[:-1], whole[1:]

    return batch


def reviews(T: int, N: int, seed: int, *, wrong: float = 0.0) -> Batch:
    """Whether a text of 24 symbols [T, N] is positive: six praise, six blame, and 0 turns the next one round.

    wrong: the share of the labels that is drawn at random.
    """
    draw = generator(seed)
    value = torch.zeros(24).index_fill(0, torch.arange(1, 7), 1.0).index_fill(0, torch.arange(7, 13), -1.0)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(0, 24, (T, N), generator=draw)
        turned = torch.cat([torch.ones(1, N), 1.0 - 2.0 * (x[:-1] == 0)])
        y = ((value[x] * turned).sum(0) + 0.1 > 0).long()
        drawn = torch.randint(0, 2, (N,), generator=draw)
        return x, torch.where(torch.rand(N, generator=draw) < wrong, drawn, y)

    return batch


def tags(T: int, N: int, seed: int, *, words: int = 20) -> Batch:
    """One of five tags for each word [T, N]; that of the first five words depends on the word before."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(0, words, (T, N), generator=draw)
        before = torch.cat([torch.zeros_like(x[:1]), x[:-1]])
        return x, torch.where(x < 5, (x + before) % 5, x % 5)

    return batch


def sentences(T: int, N: int, seed: int) -> Batch:
    """``tags`` of sentences of 4 to T words, longest first: symbol 20 and target ``PADDING`` fill the rest."""
    whole, draw = tags(T, N, seed), generator(seed + 1)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x, y = whole(step)
        lengths = torch.randint(4, T + 1, (N,), generator=draw).sort(descending=True).values
        filled = torch.arange(T)[:, None] >= lengths
        return x.masked_fill(filled, 20), y.masked_fill(filled, PADDING)

    return batch


def text(words: int, letters: int, length: int, law: int = 23) -> Tensor:
    """A text [length] of words of 3 to 6 letters, the k-th as frequent as 1/k, with 0 between them."""
    draw = generator(law)
    sizes = torch.randint(3, 7, (words,), generator=draw)
    lexicon = [torch.randint(1, letters + 1, (int(size),), generator=draw) for size in sizes]
    chosen = torch.multinomial(1 / torch.arange(1.0, words + 1), length // 4, replacement=True, generator=draw)
    return torch.cat([torch.cat([lexicon[k], torch.zeros(1, dtype=torch.long)]) for k in chosen.tolist()])[:length]


def characters(T: int, N: int, seed: int, *, words: int = 20, letters: int = 12) -> Batch:
    """Windows of ``text`` at random places, and the next letter at each timestep; letters + 1 symbols."""
    whole, draw = text(words, letters, 30000), generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        at = torch.randint(0, len(whole) - T - 1, (N,), generator=draw) + torch.arange(T + 1)[:, None]
        return whole[at[:-1]], whole[at[1:]]

    return batch


def pages(T: int, N: int, *, words: int = 20, letters: int = 12) -> Batch:
    """``text`` read by N readers from N places on, window after window, for a state that is carried."""
    whole = text(words, letters, 30000)
    places = torch.arange(N) * (len(whole) // N)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        at = (places + step * T + torch.arange(T + 1)[:, None]) % len(whole)
        return whole[at[:-1]], whole[at[1:]]

    return batch


def copying(length: int, gap: int, N: int, kinds: int, seed: int) -> Batch:
    """Symbols 1 to ``kinds``, a gap of zeros, a marker, and the symbols again as targets, [2 length + gap, N].

    The loss of a net that only knows when to answer is length / T x ln kinds.
    """
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        symbols = torch.randint(1, kinds + 1, (length, N), generator=draw)
        x, y = torch.zeros(2, 2 * length + gap, N, dtype=torch.long)
        x[:length], x[length + gap], y[length + gap :] = symbols, kinds + 1, symbols
        return x, y

    return batch


def addends(T: int, N: int, seed: int) -> Batch:
    """The sum of the two marked ones of T numbers between 0 and 1; guessing the mean leaves 1/6."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        numbers, marks = torch.rand(T, N, generator=draw), torch.zeros(T, N)
        marks[torch.randint(0, T // 2, (N,), generator=draw), torch.arange(N)] = 1.0
        marks[torch.randint(T // 2, T, (N,), generator=draw), torch.arange(N)] = 1.0
        return torch.stack([numbers, marks], -1), (numbers * marks).sum(0)[:, None]

    return batch


def alarms(T: int, N: int, share: float, seed: int, *, height: float = 2.5) -> Batch:
    """Whether the noise [T, N, 1] has a bump of three timesteps, as a ``share`` of the sequences has; target [N, 1]."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x, y = torch.randn(T, N, 1, generator=draw), (torch.rand(N, generator=draw) < share).float()
        at = torch.randint(0, T - 3, (N,), generator=draw)
        for later in range(3):
            x[at + later, torch.arange(N), 0] += height * y
        return x, y[:, None]

    return batch


def masked(batch: Batch, mask: int, share: float, seed: int) -> Batch:
    """A ``share`` of the symbols [T, N] replaced by ``mask``: they alone are targets."""
    draw = generator(seed)

    def hidden(step: int) -> tuple[Tensor, Tensor]:
        x, _ = batch(step)
        where = torch.rand(x.shape, generator=draw) < share
        where[0, 0] = True
        return x.masked_fill(where, mask), x.masked_fill(~where, PADDING)

    return hidden


def ordered(length: int, N: int, kinds: int, seed: int) -> Batch:
    """Symbols 1 to ``kinds`` [length, N], and the same in ascending order."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(1, kinds + 1, (length, N), generator=draw)
        return x, x.sort(0).values

    return batch


def games(T: int, N: int, kinds: int, end: float, seed: int) -> Batch:
    """Symbols [T, N] that an agent sees, and where an episode begins [T, N]: with probability ``end``, and at 0."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        first = torch.rand(T, N, generator=draw) < end
        first[0] = True
        return torch.randint(0, kinds, (T, N), generator=draw), first.float()

    return batch


def goals(N: int, far: int, seed: int) -> Batch:
    """Places between -far and far, [1, N, 1], for an agent that walks to them."""
    draw = generator(seed)
    return lambda step: (torch.randint(-far, far + 1, (1, N, 1), generator=draw).float(), torch.zeros(1))


def gestures(T: int, N: int, kinds: int, noise: float, seed: int) -> Batch:
    """Which of ``kinds`` frequencies a wave has, of any phase and under noise [T, N, 2]."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        y = torch.randint(0, kinds, (N,), generator=draw)
        angle = (0.3 + 0.5 * y) * torch.arange(T)[:, None] + 6.28 * torch.rand(N, generator=draw)
        return torch.stack([angle.sin(), angle.cos()], -1) + noise * torch.randn(T, N, 2, generator=draw), y

    return batch


def returns(T: int, N: int, share: float, seed: int) -> Batch:
    """A number of variance 1 of which the mean of the last three inputs [T, N, 3] explains ``share``."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 3, generator=draw)
        known = x[-3:, :, :1].sum(0) / 3**0.5
        return x, share**0.5 * known + (1 - share) ** 0.5 * torch.randn(N, 1, generator=draw)

    return batch


def both(T: int, N: int, seed: int) -> Batch:
    """Which third of the noise [T, N, 2] has the largest sum, and the mean of its second input times T^0.5: [N, 2]."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 2, generator=draw)
        label = torch.stack([third[..., 0].sum(0) for third in x.tensor_split(3)]).argmax(0)
        return x, torch.stack([label.float(), x[..., 1].mean(0) * T**0.5], -1)

    return batch


def one_batch_late(batch: Batch) -> Batch:
    """The targets of the batch before: an error of alignment."""
    kept = [batch(0)[1]]

    def late(step: int) -> tuple[Tensor, Tensor]:
        x, y = batch(step)
        kept.append(y)
        return x, kept.pop(0)

    return late


def shifted(batch: Batch, by: Callable[[int], float]) -> Batch:
    """Inputs and targets plus ``by(step)``."""

    def moved(step: int) -> tuple[Tensor, Tensor]:
        x, y = batch(step)
        return x + by(step), y + by(step)

    return moved


def outliers(batch: Batch, period: int, factor: float) -> Batch:
    """The last batch of each ``period`` with inputs and targets times ``factor``."""

    def scaled(step: int) -> tuple[Tensor, Tensor]:
        x, y = batch(step)
        return (factor * x, factor * y) if step % period == period - 1 else (x, y)

    return scaled


def smooth(output: Tensor, target: Tensor) -> Tensor:
    """Cross entropy with labels smoothed by 0.1."""
    return functional.cross_entropy(output, target, label_smoothing=0.1)


def quantile(output: Tensor, target: Tensor, level: float = 0.9) -> Tensor:
    """Pinball loss."""
    off = target - output
    return torch.maximum(level * off, (level - 1) * off).mean()
