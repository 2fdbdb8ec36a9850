"""Trainings with other losses than the mean of a cross-entropy or squared error, most of them healthy; and healthy ones
whose success is small, late or noisy. They may be looked at while rules are written."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.labels import HEALTHY, UNMEASURED, UNTOLD
from benchmarks.verdicts.nets import Net, fill, keep, start, times
from benchmarks.verdicts.optimizers import optimizer
from benchmarks.verdicts.tasks import (
    Batch,
    autoregression,
    ce,
    entropy,
    generator,
    majority,
    markov,
    mse,
    random_labels,
    remember,
    weak,
)
from benchmarks.verdicts.training import Training

FAMILIES = Families("tune")
family = FAMILIES.family
Loss = Callable[[Tensor, Tensor], Tensor]


def rare(T: int, N: int, share: float, seed: int = 1, *, told: bool = True) -> Batch:
    """Whether a mark came in the first input, which is so in ``share`` of the sequences; targets [N, 1]. Not told: the
    mark is not in the inputs."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = 0.3 * torch.randn(T, N, 3, generator=draw)
        y = (torch.rand(N, 1, generator=draw) < share).float()
        if told:
            x[T // 2, :, :1] += 2 * y
        return x, y

    return batch


def weighted(*weights: float) -> Loss:
    return lambda z, y: functional.cross_entropy(z.flatten(0, -2), y.flatten(), torch.tensor(weights))


def positive(weight: float) -> Loss:
    return lambda z, y: functional.binary_cross_entropy_with_logits(z, y, pos_weight=torch.tensor([weight]))


@family("healthy")
def class_weights(self: Family) -> Iterator[Case]:
    """A cross-entropy with a weight by class, of a task that is learned."""
    for cell, spec, weights in (
        ("gru", "adam:0.01", (1.0, 4.0, 0.5)),
        ("lstm", "momentum:0.3", (0.2, 1.0, 3.0)),
        ("tanh", "adam:0.003", (1.0, 10.0, 10.0)),
    ):

        def build(cell=cell, spec=spec, weights=weights) -> Training:
            net = start(Net(cell, 3, 24, 3), "orth", 0.9) if cell == "tanh" else Net(cell, 3, 24, 3)
            return Training(net, majority(12, 32).batch, optimizer(spec, net), weighted(*weights), steps=400)

        yield self.case(f"{cell} {spec} {weights}", HEALTHY, build, Expected(final=(0, 0.8)))


@family("outcome")
def class_weights_at_chance(self: Family) -> Iterator[Case]:
    """The same with labels at random: nothing is learned but how often each class comes."""
    for cell, spec, weights in (("gru", "adam:0.003", (1.0, 4.0, 0.5)), ("lstm", "sgd:0.3", (0.2, 1.0, 3.0))):

        def build(cell=cell, spec=spec, weights=weights) -> Training:
            net, task = Net(cell, 4, 24, 3), random_labels(12, 64, 3)
            return Training(net, task.batch, optimizer(spec, net), weighted(*weights), steps=400)

        p = torch.tensor(weights) / sum(weights)
        yield self.case(f"{cell} {spec}", UNTOLD, build, Expected(final=(entropy(p) - 0.06, entropy(p) + 0.1)))


@family("healthy")
def rare_positives(self: Family) -> Iterator[Case]:
    """One sequence in 5 to 20 is positive, told by a mark half a sequence ago; with and without pos_weight."""
    for cell, spec, share, weight in (
        ("gru", "adam:0.01", 0.05, 1.0),
        ("lstm", "adam:0.01", 0.1, 9.0),
        ("gru", "momentum:0.2", 0.2, 4.0),
        ("lstm", "rmsprop:0.003", 0.05, 20.0),
    ):

        def build(cell=cell, spec=spec, share=share, weight=weight) -> Training:
            net = Net(cell, 3, 24, 1)
            return Training(net, rare(16, 64, share), optimizer(spec, net), positive(weight), steps=400)

        yield self.case(f"{cell} {spec} {share} x{weight:g}", HEALTHY, build, Expected(final=(0, 0.3)))


@family("outcome")
def rare_positives_untold(self: Family) -> Iterator[Case]:
    """The same without the mark: the loss falls to the entropy of a rare class, which a constant has."""
    for cell, spec, share, weight in (
        ("gru", "adam:0.003", 0.05, 1.0),
        ("lstm", "adam:0.003", 0.1, 9.0),
        ("tanh", "momentum:0.05", 0.2, 4.0),
    ):

        def build(cell=cell, spec=spec, share=share, weight=weight) -> Training:
            net = Net(cell, 3, 24, 1)
            return Training(net, rare(16, 64, share, told=False), optimizer(spec, net), positive(weight), steps=400)

        q = weight * share / (weight * share + 1 - share)
        constant = -weight * share * math.log(q) - (1 - share) * math.log(1 - q)
        yield self.case(
            f"{cell} {spec} {share} x{weight:g}", UNTOLD, build, Expected(final=(0.75 * constant, 1.3 * constant))
        )


ROBUST: dict[str, Loss] = {
    "l1": functional.l1_loss,
    "huber": functional.huber_loss,
    "smooth l1": lambda z, y: functional.smooth_l1_loss(z, y, beta=0.1),
    "quantile": lambda z, y: torch.maximum(0.8 * (y - z), 0.2 * (z - y)).mean(),
    "log cosh": lambda z, y: ((z - y).cosh().log()).mean(),
}


@family("healthy")
def robust_losses(self: Family) -> Iterator[Case]:
    """A series with a floor above 0, under losses that are no squared error; learned."""
    for name, cell, spec in (
        ("l1", "gru", "adam:0.005"),
        ("huber", "lstm", "adam:0.01"),
        ("smooth l1", "tanh", "momentum:0.05"),
        ("quantile", "gru", "rmsprop:0.002"),
        ("log cosh", "lstm", "adam:0.01"),
    ):

        def build(name=name, cell=cell, spec=spec) -> Training:
            net = Net(cell, 1, 24, 1, last=False)
            return Training(net, autoregression(20).batch, optimizer(spec, net), ROBUST[name], steps=350)

        yield self.case(f"{name} {cell} {spec}", UNMEASURED, build, Expected(final=(0, 0.45)))


@family("outcome")
def robust_losses_at_a_constant(self: Family) -> Iterator[Case]:
    """The same losses of targets that have nothing to do with the inputs and lie away from 0: the mean is learned."""
    for name, cell, spec in (
        ("l1", "lstm", "adam:0.003"),
        ("huber", "gru", "momentum:0.05"),
        ("quantile", "lstm", "rmsprop:0.001"),
    ):

        def build(name=name, cell=cell, spec=spec) -> Training:
            net, draw = Net(cell, 2, 24, 1), generator(6)

            def batch(step: int) -> tuple[Tensor, Tensor]:
                return torch.randn(12, 64, 2, generator=draw), 2 + torch.randn(64, 1, generator=draw)

            return Training(net, batch, optimizer(spec, net), ROBUST[name], steps=400)

        yield self.case(f"{name} {cell} {spec}", UNTOLD, build, Expected(final=(0.25, 0.9)))


def focal(z: Tensor, y: Tensor) -> Tensor:
    log_p = functional.log_softmax(z, -1).gather(-1, y[..., None])[..., 0]
    return (-((1 - log_p.exp()) ** 2) * log_p).mean()


OTHER: dict[str, Loss] = {
    "focal": focal,
    "margin": functional.multi_margin_loss,
    "brier": lambda z, y: (z.softmax(-1) - functional.one_hot(y, 3)).square().sum(-1).mean(),
    "soft targets": lambda z, y: functional.cross_entropy(z, 0.2 + 0.4 * functional.one_hot(y, 3).float()),
    "divergence": lambda z, y: functional.kl_div(
        z.log_softmax(-1), 0.2 + 0.4 * functional.one_hot(y, 3).float(), reduction="batchmean"
    ),
    "mean of sequences": lambda z, y: (functional.cross_entropy(z, y, reduction="none") * torch.arange(1, 33)).mean(),
}


@family("healthy")
def other_losses(self: Family) -> Iterator[Case]:
    """A task of three classes under losses that are no plain cross-entropy; learned."""
    for name, cell, spec in (
        ("focal", "gru", "adam:0.01"),
        ("margin", "lstm", "adam:0.01"),
        ("brier", "gru", "adam:0.01"),
        ("soft targets", "lstm", "adam:0.01"),
        ("divergence", "gru", "momentum:0.3"),
        ("mean of sequences", "lstm", "adam:0.01"),
    ):

        def build(name=name, cell=cell, spec=spec) -> Training:
            net = Net(cell, 3, 24, 3)
            return Training(net, majority(12, 32).batch, optimizer(spec, net), OTHER[name], steps=400)

        yield self.case(f"{name} {cell} {spec}", UNMEASURED, build)


class TwoHeads(nn.Module):
    """A class at the last timestep and a number, from one recurrent layer."""

    def __init__(self, cell: str, inputs: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.body = Net(cell, inputs, hidden, classes)
        self.number = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.body.run(x)[0]
        return self.body.read(h), self.number(h[-1])


@family("healthy")
def two_heads(self: Family) -> Iterator[Case]:
    """A class and a number from one state, with losses of very different size."""
    for cell, spec, share in (("gru", "adam:0.01", 0.5), ("lstm", "adam:0.01", 10.0), ("gru", "momentum:0.1", 0.1)):

        def build(cell=cell, spec=spec, share=share) -> Training:
            net, task = TwoHeads(cell, 3, 32, 3), majority(12, 32)

            def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
                z, number = net(x)
                off = functional.mse_loss(number, x[-6:].sum((0, 2))[:, None] / 18**0.5)
                return functional.cross_entropy(z, y) + share * off

            return Training(net, task.batch, optimizer(spec, net), forward=forward, steps=400)

        yield self.case(f"{cell} {spec} {share}", HEALTHY, build, Expected(final=(0, 0.75 * (1.1 + share))))


@family("healthy")
def late_drop(self: Family) -> Iterator[Case]:
    """A plateau at chance for most of the run, left near its end."""
    for cell, spec, T, steps in (
        ("gru", "momentum:0.1", 30, 330),
        ("gru", "adam:0.002", 25, 330),
        ("lstm", "adam:0.003", 25, 360),
        ("gru", "sgd:0.7", 20, 360),
    ):

        def build(cell=cell, spec=spec, T=T, steps=steps) -> Training:
            net = keep(Net(cell, 8, 32, 3, symbols=6), 2.0)
            return Training(net, remember(T, 32).batch, optimizer(spec, net), steps=steps)

        yield self.case(f"{cell} T={T} {spec}", HEALTHY, build, Expected(final=(0, 0.9)))


@family("healthy")
def tiny_share(self: Family) -> Iterator[Case]:
    """Targets of which the inputs explain 1 to 2%, learned from large batches."""
    for cell, share, N, spec in (("gru", 0.02, 512, "adam:0.003"), ("lstm", 0.015, 768, "adam:0.005")):

        def build(cell=cell, share=share, N=N, spec=spec) -> Training:
            net = times(fill(Net(cell, 2, 16, 1), "head.bias", 0.0), "head.weight", 0.2)
            return Training(net, weak(6, N, share).batch, optimizer(spec, net), mse, steps=400)

        # that this little is not significant is right as well
        label = UNMEASURED.also(outcomes="stuck", actions="overfit-one-batch check-data give-chance")
        yield self.case(f"{cell} {share} N={N}", label, build, Expected(final=(0.9, 1.01)))


@family("healthy")
def noisy_accuracy(self: Family) -> Iterator[Case]:
    """The accuracy of batches of four sequences beside a loss that falls."""
    for cell, spec, classes, N in (
        ("gru", "adam:0.005", 3, 4),
        ("lstm", "adam:0.005", 4, 8),
        ("tanh", "adam:0.003", 3, 4),
    ):

        def build(cell=cell, spec=spec, classes=classes, N=N) -> Training:
            net = Net(cell, classes, 24, classes)

            def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, dict[str, float]]:
                z = net(x)
                return functional.cross_entropy(z, y), {"accuracy": float((z.argmax(-1) == y).float().mean())}

            return Training(net, majority(12, N, classes).batch, optimizer(spec, net), forward=forward, steps=500)

        yield self.case(f"{cell} {spec} {classes} N={N}", HEALTHY, build, Expected(final=(0, 1.0)))


@family("healthy")
def carried_state(self: Family) -> Iterator[Case]:
    """Windows of one long chain whose state is handed on, detached; with a squared error and with classes."""
    for cell, spec in (("gru", "adam:0.01"), ("lstm", "momentum:0.5"), ("tanh", "adam:0.003")):

        def build(cell=cell, spec=spec) -> Training:
            net, task = Net(cell, 12, 32, 12, symbols=12, last=False), markov(20 * 320)
            x, y = task.batch(0)
            state: list[object] = [None]

            def batch(step: int) -> tuple[Tensor, Tensor]:
                at = slice(20 * step, 20 * step + 20)
                return x[at], y[at]

            def forward(net: Net, x: Tensor, y: Tensor, step: int) -> Tensor:
                h, last = net.run(x, state[0])
                state[0] = tuple(each.detach() for each in last) if isinstance(last, tuple) else last.detach()
                return ce(net.read(h), y)

            return Training(net, batch, optimizer(spec, net), forward=forward, steps=320)

        label = HEALTHY.also(causes=("truncated-reach",))
        yield self.case(f"{cell} {spec}", label, build, Expected(final=(1.2, 2.0)))
