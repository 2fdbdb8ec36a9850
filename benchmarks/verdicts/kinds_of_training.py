"""Trainings of other kinds than a batch and a loss: policy gradients, an autoencoder, CTC, a held-out set."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, ctc_loss, log_softmax, mse_loss, one_hot

from benchmarks.verdicts.case import ANY, Case, Expected, Family, Label, Span
from benchmarks.verdicts.nets import Net
from benchmarks.verdicts.tasks import Batch, Task, generator
from benchmarks.verdicts.training import Forward, Scalars, Training

PARTS = (0.1, 0.5, 1.0)


def judged_at(
    self: Family,
    name: str,
    labels: tuple[Label, Label, Label],
    build: Callable[[], Training],
    expected: Expected | None = None,
    parts: tuple[Span, Span, Span] | None = None,
) -> Iterator[Case]:
    """Three cases of one training, judged at 10, 50 and 100%; ``parts``: the ranges of the measure at these."""
    expected = expected or Expected()
    for at, label, span in zip(PARTS, labels, parts or (ANY, ANY, expected.final), strict=True):
        about = {"at": at, "training": f"{self.name}: {name}"}
        yield self.case(f"{name} @{at:.0%}", label, build, replace(expected, final=span), **about)


def against(
    net: nn.Module,
    batch: tuple[Tensor, Tensor],
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    names: tuple[str, ...] = ("val_loss",),
    every: int = 25,
) -> Callable[[nn.Module, int], Scalars]:
    """Scalars of a held-out batch every so many steps: its loss, and a name with ``acc`` its share of right answers."""
    x, y = batch

    def metrics(_: nn.Module, step: int) -> Scalars:
        if step % every:
            return {}
        net.eval()
        with torch.no_grad():
            output = net(x)
        net.train()
        right = (output.argmax(-1) == y).float().mean() if y.dtype == torch.long else torch.zeros(())
        return {name: float(right if "acc" in name else loss(output, y)) for name in names}

    return metrics


def policy_gradient(actions: int, rewarded: Callable[[Tensor, Tensor], Tensor], entropy: float = 0.0) -> Forward:
    """REINFORCE with a running baseline: the loss of actions drawn after the last timestep; logs the reward."""
    baseline = [0.0]

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        log_p = log_softmax(net(x), -1)
        taken = torch.multinomial(log_p.detach().exp(), 1)[:, 0]
        reward = rewarded(taken, y)
        advantage = reward - baseline[0]
        baseline[0] += 0.05 * (float(reward.mean()) - baseline[0])
        spread = -(log_p.exp() * log_p).sum(-1).mean()
        loss = -(advantage * log_p.gather(1, taken[:, None])[:, 0]).mean() - entropy * spread
        return loss, {"reward": float(reward.mean())}

    return forward


def hit(taken: Tensor, y: Tensor) -> Tensor:
    return (taken == y).float()


class Autoencoder(nn.Module):
    """A sequence [T, N, I] through a recurrent encoder to a Gaussian code and back by a decoder of one layer."""

    def __init__(self, cell: str, inputs: int, hidden: int, code: int, T: int) -> None:
        super().__init__()
        self.encoder = Net(cell, inputs, hidden, 2 * code)
        self.decoder = nn.Sequential(nn.Linear(code, 32), nn.Tanh(), nn.Linear(32, T * inputs))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruction, and KL of the code from N(0, 1) in nats a sequence."""
        mean, log_variance = self.encoder(x).chunk(2, -1)
        code = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        found = self.decoder(code).view(x.shape[1], *x.shape[::2]).transpose(0, 1)
        return found, 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(-1).mean()


def annealed(beta: Callable[[int], float], noise: float = 0.3) -> Forward:
    """The negative bound with its KL weighted by ``beta(step)``; logs both terms, beta and the bound itself."""

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
        found, kl = net(x)
        off = 0.5 * ((found - x) / noise).square().sum((0, 2)).mean()
        weight = beta(step)
        return off + weight * kl, {
            "reconstruction": float(off),
            "kl": float(kl),
            "beta": weight,
            "elbo": -float(off + kl),
        }

    return forward


def waves(T: int, N: int, seed: int = 1) -> Task:
    """Sines of two unknowns, phase and frequency, with noise: what an autoencoder of two numbers can compress."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        phase, speed = 6.28 * torch.rand(N, generator=draw), 0.2 + 0.2 * torch.rand(N, generator=draw)
        x = torch.sin(speed * torch.arange(T)[:, None] + phase) + 0.1 * torch.randn(T, N, generator=draw)
        return x[..., None], x[..., None]

    return Task(batch)


def spoken(length: int, N: int, kinds: int = 3, seed: int = 1, noise: float = 0.3) -> Batch:
    """Frames of ``length`` symbols, each held for three frames; targets [N, length]. No symbol follows itself."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        steps = torch.randint(1, kinds, (length, N), generator=draw)
        symbols = (torch.randint(0, kinds, (1, N), generator=draw) + torch.cumsum(steps, 0)) % kinds
        frames = one_hot(symbols.repeat_interleave(3, 0), kinds).float()
        return frames + noise * torch.randn(frames.shape, generator=draw), symbols.t() + 1

    return batch


def ctc(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
    """CTC with blank 0; logs the share of sequences whose greedy reading is right."""
    log_p = log_softmax(net(x), -1)
    T, N = x.shape[:2]
    loss = ctc_loss(log_p, y, torch.full((N,), T), torch.full((N,), y.shape[1]))
    if step % 20:
        return loss, {}
    right = sum(_read(path) == target for path, target in zip(log_p.argmax(-1).t().tolist(), y.tolist(), strict=True))
    return loss, {"accuracy": right / N}


def _read(path: list[int]) -> list[int]:
    """The symbols of a path without repetitions and blanks."""
    return [each for before, each in zip([-1, *path], path, strict=False) if each not in (before, 0)]


def noisy_set(batch: tuple[Tensor, Tensor], classes: int, share: float, seed: int = 2) -> tuple[Tensor, Tensor]:
    """The batch with ``share`` of its labels drawn at random."""
    x, y = batch
    draw = generator(seed)
    drawn = torch.randint(0, classes, y.shape, generator=draw)
    return x, torch.where(torch.rand(y.shape, generator=draw) < share, drawn, y)


def drawn_from(whole: tuple[Tensor, Tensor], N: int, seed: int = 3) -> Batch:
    """Batches of ``N`` sequences of a set."""
    draw, (x, y) = generator(seed), whole
    sequences = 1 if y.dim() > 1 and y.shape[:2] == x.shape[:2] else 0

    def batch(step: int) -> tuple[Tensor, Tensor]:
        chosen = torch.randint(0, x.shape[1], (N,), generator=draw)
        return x[:, chosen], y[:, chosen] if sequences else y[chosen]

    return batch


def classify(output: Tensor, target: Tensor) -> Tensor:
    return cross_entropy(output.flatten(0, -2), target.flatten())


def forecast(output: Tensor, target: Tensor) -> Tensor:
    return mse_loss(output, target)


def ramp(start: int, end: int, top: float = 1.0) -> Callable[[int], float]:
    """0 up to ``start``, then linearly to ``top`` at ``end``."""
    return lambda step: top * min(1.0, max(0.0, (step - start) / (end - start)))


LN = math.log
