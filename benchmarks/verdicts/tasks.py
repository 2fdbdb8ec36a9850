"""The tasks of the suite: batches from a seeded generator, and what guessing and knowing everything reach."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy, mse_loss

Batch = Callable[[int], tuple[Tensor, Tensor]]  # step -> inputs [T, N, ...], targets


@dataclass(frozen=True)
class Task:
    """batch: of a step. chance: loss of the best guess without the inputs. floor: loss of the best possible model."""

    batch: Batch
    chance: float = math.nan
    floor: float = 0.0


def generator(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


def ce(output: Tensor, target: Tensor) -> Tensor:
    return cross_entropy(output.flatten(0, -2), target.flatten())


def mse(output: Tensor, target: Tensor) -> Tensor:
    return mse_loss(output, target)


def bce(output: Tensor, target: Tensor) -> Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(output, target)


def nll(output: Tensor, target: Tensor) -> Tensor:
    """Of a Gaussian whose mean and ln of the deviation are the two outputs, without the constant."""
    mean, log_deviation = output[..., :1], output[..., 1:].clamp(-6, 4)
    return (log_deviation + 0.5 * ((target - mean) / log_deviation.exp()) ** 2).mean()


def entropy(p: Tensor) -> float:
    return float(-(p * p.clamp_min(1e-12).log()).sum())


def remember(T: int, N: int = 16, kinds: int = 3, seed: int = 1) -> Task:
    """Name the symbol at timestep 0 at the end; what is between are other symbols. 2 x kinds symbols."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(kinds, 2 * kinds, (T, N), generator=draw)
        x[0] = torch.randint(0, kinds, (N,), generator=draw)
        return x, x[0].clone()

    return Task(batch, math.log(kinds))


def first_sign(T: int, N: int = 16, size: float = 1.0, seed: int = 1) -> Task:
    """Whether the first of three inputs was positive at timestep 0; noise of a fifth of that size besides."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = 0.2 * torch.randn(T, N, 3, generator=draw)
        y = torch.randint(0, 2, (N,), generator=draw)
        x[0, :, 0] = 2.0 * y - 1
        return size * x, y

    return Task(batch, math.log(2))


def majority(T: int, N: int = 32, classes: int = 3, size: float = 1.0, seed: int = 1) -> Task:
    """Which of the inputs has the largest sum over the last ten timesteps."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, classes, generator=draw)
        return size * x, x[-10:].sum(0).argmax(-1)

    return Task(batch, math.log(classes))


def last_sign(T: int, N: int = 32, size: float = 1.0, seed: int = 1) -> Task:
    """Whether the first of four inputs is positive at the last timestep: no memory is needed."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 4, generator=draw)
        return size * x, (x[-1, :, 0] > 0).long()

    return Task(batch, math.log(2))


def markov(T: int, N: int = 16, symbols: int = 12, seed: int = 1, sharp: float = 2.0, order: int = 1) -> Task:
    """The next symbol of a Markov chain, at each timestep. chance: entropy of its stationary distribution; floor: its
    entropy rate. order 2: the next depends on the symbol before the last alone, so two chains are interleaved."""
    law = torch.softmax(sharp * torch.randn(symbols, symbols, generator=generator(7)), 1)
    stationary = torch.linalg.matrix_power(law.double(), 200)[0]
    rate = float((stationary * torch.tensor([entropy(row) for row in law]).double()).sum())
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        chain = [torch.multinomial(stationary.float(), N, replacement=True, generator=draw) for _ in range(order)]
        for t in range(order, T + 1):
            chain.append(torch.multinomial(law[chain[t - order]], 1, generator=draw)[:, 0])
        whole = torch.stack(chain)
        return whole[:-1], whole[1:]

    return Task(batch, entropy(stationary.float()), rate)


def echo(T: int, N: int = 16, lag: int = 3, kinds: int = 4, seed: int = 1) -> Task:
    """Name the symbol of ``lag`` timesteps ago, at each timestep; the first ``lag`` targets are 0."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(0, kinds, (T, N), generator=draw)
        y = torch.cat([torch.zeros(lag, N, dtype=torch.long), x[:-lag]])
        return x, y

    return Task(batch, math.log(kinds) * (T - lag) / T)


def autoregression(T: int, N: int = 16, noise: float = 0.3, seed: int = 1) -> Task:
    """The next value of x_t = 1.6 x_{t-1} - .8 x_{t-2} + noise, at each timestep; the floor is the noise's variance."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = [torch.randn(N, generator=draw) for _ in range(2)]
        for _ in range(T + 19):
            x.append(1.6 * x[-1] - 0.8 * x[-2] + noise * torch.randn(N, generator=draw))
        whole = torch.stack(x[-T - 1 :])[..., None]
        return whole[:-1], whole[1:]

    # variance of this AR(2): (1 - a2) s2 / ((1 + a2) ((1 - a2)^2 - a1^2)) with a1 = 1.6, a2 = -.8
    return Task(batch, noise**2 * 1.8 / (0.2 * (1.8**2 - 1.6**2)), noise**2)


def mean_of(T: int, N: int = 32, seed: int = 1) -> Task:
    """The sum of the first of two inputs over time, over the root of T."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 2, generator=draw)
        return x, x[..., :1].sum(0) / T**0.5

    return Task(batch, 1.0)


def weak(T: int, N: int = 64, share: float = 0.03, seed: int = 1) -> Task:
    """A target of variance 1 of which the inputs explain ``share``, as returns on a market. The floor is 1 - share."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 2, generator=draw)
        y = share**0.5 * x[-2, :, :1] + (1 - share) ** 0.5 * torch.randn(N, 1, generator=draw)
        return x, y

    return Task(batch, 1.0, 1 - share)


def random_labels(T: int, N: int = 32, classes: int = 4, seed: int = 1, prior: tuple[float, ...] = ()) -> Task:
    """Labels that have nothing to do with the inputs; ``prior``: how often each comes."""
    draw, p = generator(seed), torch.tensor(prior or (1 / classes,) * classes)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(T, N, 4, generator=draw)
        return x, torch.multinomial(p, N, replacement=True, generator=draw)

    return Task(batch, entropy(p))


def shuffled(task: Task, seed: int = 5) -> Task:
    """The same with the targets of other sequences and timesteps: only how often each comes can be learned."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x, y = task.batch(step)
        y = y[torch.randperm(len(y), generator=draw)]
        return x, y if y.dim() == 1 else y[:, torch.randperm(y.shape[1], generator=draw)]

    return Task(batch, task.chance, task.chance)


def fixed(task: Task, count: int) -> Task:
    """The first ``count`` batches again and again."""
    batches = [task.batch(step) for step in range(count)]
    return Task(lambda step: batches[step % count], task.chance, task.floor)
