"""The tasks of the unseen part: batches [T, N, ...] from a seeded generator, and what guessing reaches."""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.verdicts.tasks import Batch, generator


def sums(T: int, N: int, seed: int) -> Batch:
    """Binary addition, lowest digit first: two digits a timestep [T, N, 2], the digit of the sum [T, N, 1].

    Chance is ln 2 a digit, and stays ln 2 at all but the first for a net that does not carry.
    """
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        digits = torch.randint(0, 2, (T, N, 2), generator=draw)
        carry, found = torch.zeros(N, dtype=torch.long), []
        for pair in digits:
            total = pair.sum(-1) + carry
            found.append(total % 2)
            carry = total // 2
        return 2.0 * digits - 1, torch.stack(found)[..., None].float()

    return batch


def templates(T: int, N: int, kinds: int, noise: float, seed: int, law: int = 17) -> Batch:
    """Which of ``kinds`` fixed sequences [T, 2] of unit size is under the noise; ``law`` draws these."""
    shapes, draw = torch.randn(T, kinds, 2, generator=generator(law)), generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        y = torch.randint(0, kinds, (N,), generator=draw)
        return shapes[:, y] + noise * torch.randn(T, N, 2, generator=draw), y

    return batch


def leaky(T: int, N: int, seed: int, rate: float = 0.8, noise: float = 0.1) -> Batch:
    """The leaky sum of white noise [T, N, 1] at each timestep, under noise whose variance is the floor."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 1, generator=draw)
        level, found = torch.zeros(N, 1), []
        for x_t in x:
            level = rate * level + x_t
            found.append(level)
        return x, torch.stack(found) + noise * torch.randn(T, N, 1, generator=draw)

    return batch


def chaotic(T: int, N: int, seed: int, noise: float = 0.02) -> Batch:
    """The next value of the logistic map at 3.8, seen under noise, less a half, times 4."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        values = [0.1 + 0.8 * torch.rand(N, generator=draw)]
        for _ in range(T + 10):
            values.append(3.8 * values[-1] * (1 - values[-1]))
        whole = torch.stack(values[-T - 1 :])[..., None]
        whole = 4 * (whole + noise * torch.randn(whole.shape, generator=draw) - 0.5)
        return whole[:-1], whole[1:]

    return batch


def position(T: int, N: int, seed: int) -> Batch:
    """At which timestep the input [T, N, 1] was largest: T classes."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 1, generator=draw)
        return x, x[..., 0].argmax(0)

    return batch


def hidden_state(T: int, N: int, seed: int, stay: float = 0.92, noise: float = 1.0) -> Batch:
    """The state of a chain of two states at each timestep [T, N], from its sign under noise [T, N, 1]."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        turns = torch.rand(T, N, generator=draw) > stay
        turns[0] = torch.rand(N, generator=draw) < 0.5
        state = torch.cumsum(turns.long(), 0) % 2
        return 2.0 * state[..., None] - 1 + noise * torch.randn(T, N, 1, generator=draw), state

    return batch


def sinks(T: int, N: int, seed: int) -> Batch:
    """Whether a walk of steps +-1 [T, N, 1] was ever at -2 or below; targets [N, 1], about half of them 1."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = 2.0 * torch.randint(0, 2, (T, N, 1), generator=draw) - 1
        return x, (torch.cumsum(x, 0) <= -2).any(0).float()

    return batch


def rare_key(T: int, N: int, share: float, seed: int, *, shown: bool = True) -> Batch:
    """Whether the sequence of symbols 0 to 3 has a 0, as a ``share`` of them has; not shown: 0 is replaced by 1."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(1, 4, (T, N), generator=draw)
        y = torch.rand(N, generator=draw) < share
        at = torch.randint(0, T, (N,), generator=draw)
        if shown:
            x[at, torch.arange(N)] = torch.where(y, 0, x[at, torch.arange(N)])
        return x, y.float()[:, None]

    return batch


def padded(content: int, padding: int, N: int, seed: int) -> Batch:
    """The sign of the first of ``content`` inputs; zeros follow for ``padding`` timesteps, [T, N, 2]."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.zeros(content + padding, N, 2)
        x[:content] = 0.3 * torch.randn(content, N, 2, generator=draw)
        y = torch.randint(0, 2, (N,), generator=draw)
        x[0, :, 0] = 2.0 * y - 1
        return x, y

    return batch


def stream(lag: int, window: int, N: int, kinds: int, seed: int) -> Batch:
    """Windows one after the other of endless sequences; at each timestep the symbol of ``lag`` timesteps ago."""
    draw = generator(seed)
    kept = [torch.randint(0, kinds, (lag, N), generator=draw)]

    def batch(step: int) -> tuple[Tensor, Tensor]:
        whole = torch.cat([kept[0], torch.randint(0, kinds, (window, N), generator=draw)])
        kept[0] = whole[-lag:]
        return whole[lag:], whole[:window]

    return batch


def reversal(length: int, N: int, kinds: int, seed: int) -> Batch:
    """Symbols 1 to ``kinds`` [length, N] and the same from the last to the first."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(1, kinds + 1, (length, N), generator=draw)
        return x, x.flip(0)

    return batch


def repeated(batch: Batch, times: int) -> Batch:
    """Each batch for so many steps."""
    kept: list[tuple[Tensor, Tensor]] = []

    def held(step: int) -> tuple[Tensor, Tensor]:
        if step % times == 0 or not kept:
            kept[:] = [batch(step)]
        return kept[0]

    return held


def by_step(choose: Callable[[int], Batch]) -> Batch:
    """The batch of the task that ``choose`` names for the step."""
    return lambda step: choose(step)(step)


def swapped(batch: Batch, share: Callable[[int], float], classes: int, seed: int) -> Batch:
    """The batches with ``share(step)`` of the labels drawn at random."""
    draw = generator(seed)

    def drawn(step: int) -> tuple[Tensor, Tensor]:
        x, y = batch(step)
        other = torch.randint(0, classes, y.shape, generator=draw)
        return x, torch.where(torch.rand(y.shape, generator=draw) < share(step), other, y)

    return drawn
