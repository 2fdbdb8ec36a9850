"""Trainings that fail by their data, their outcome or what is not finite. Held out: not for writers of rules."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, ctc_loss, log_softmax

from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.kinds_of_training import spoken
from benchmarks.verdicts.labels import (
    AT_CHANCE,
    BAD_BATCH,
    BROKEN,
    CHANGED,
    UNTOLD,
)
from benchmarks.verdicts.nets import Net
from benchmarks.verdicts.optimizers import optimizer, schedule
from benchmarks.verdicts.tasks import (
    Batch,
    bce,
    echo,
    generator,
    majority,
    mse,
    nll,
    random_labels,
    shuffled,
)
from benchmarks.verdicts.training import StopTrainingError, Training

FAMILIES = Families("held-out")
family = FAMILIES.family
LN2, LN3 = 0.6931, 1.0986


def noise(T: int, N: int, out: int, shift: float = 0.0, seed: int = 1) -> Batch:
    """Inputs and targets that have nothing to do with each other; the targets of variance 1 about ``shift``."""
    draw = generator(seed)
    return lambda step: (torch.randn(T, N, 3, generator=draw), shift + torch.randn(N, out, generator=draw))


@family("outcome")
def only_the_mean(self: Family) -> Iterator[Case]:
    """A regression on noise about a mean: falls to its variance and stays; whose chance is told."""
    for cell, shift, spec in (
        ("gru", 2.0, "adam:0.005"),
        ("lstm", -3.0, "momentum:0.01"),
        ("tanh", 4.0, "sgd:0.05"),
        ("relu", 0.0, "adamw:0.001"),
    ):

        def build(cell=cell, shift=shift, spec=spec) -> Training:
            net = Net(cell, 3, 24, 1)
            batch = noise(12, 64, 1, shift)
            return Training(net, batch, optimizer(spec, net), mse, steps=500, config={"chance_loss": 1.0})

        yield self.case(f"{cell} about {shift:g} {spec}", AT_CHANCE, build, Expected(final=(0.9, 1.15)))


@family("outcome")
def answer_is_not_in_the_input(self: Family) -> Iterator[Case]:
    """The parity of two inputs of which one is not shown: nothing can be learned."""
    for cell, spec, told in (
        ("gru", "adam:0.003", True),
        ("tanh", "momentum:0.02", True),
        ("lstm", "rmsprop:0.001", False),
    ):

        def build(cell=cell, spec=spec, told=told) -> Training:
            net, draw = Net(cell, 1, 24, 1), generator(5)

            def batch(step: int) -> tuple[Tensor, Tensor]:
                bits = torch.randint(0, 2, (2, 64), generator=draw).float()
                x = torch.randn(10, 64, 1, generator=draw) * 0.1
                x[0, :, 0] = bits[0]
                return x, (bits[0] != bits[1]).float()[:, None]

            config = {"chance_loss": "ln 2"} if told else {}
            return Training(net, batch, optimizer(spec, net), bce, steps=400, config=config)

        label = AT_CHANCE if told else UNTOLD
        yield self.case(f"{cell} {spec} {told}", label, build, Expected(final=(0.98 * LN2, 0.72)))


@family("outcome")
def bump_that_returns(self: Family) -> Iterator[Case]:
    """At chance with labels at random; for a while the learning rate is high, the loss rises and comes back."""
    for cell, high in (("gru", 3.0), ("lstm", 5.0)):

        def build(cell=cell, high=high) -> Training:
            net = Net(cell, 4, 24, 3)
            before = schedule(lambda step: high if 150 <= step < 180 else 0.05)
            opt = optimizer("sgd:0.05", net)
            config = {"chance_loss": "ln 3"}
            batch = random_labels(10, 32, 3).batch
            return Training(net, batch, opt, before=before, steps=500, config=config)

        label = AT_CHANCE.also(causes=("learning-rate-high", "changed-during-training"), actions="lower-learning-rate")
        yield self.case(f"{cell} {high}", label, build, Expected(final=(1.06, 1.2)))


@family("outcome")
def density_of_noise(self: Family) -> Iterator[Case]:
    """A likelihood of noise: it falls to the entropy of the targets, which is told, and no farther."""
    for cell, spec in (("gru", "adam:0.005"), ("tanh", "adamw:0.003")):

        def build(cell=cell, spec=spec) -> Training:
            net = Net(cell, 3, 24, 2)
            return Training(
                net, noise(10, 64, 1, 1.5), optimizer(spec, net), nll, steps=500, config={"chance_loss": 0.5}
            )

        yield self.case(f"{cell} {spec}", AT_CHANCE, build, Expected(final=(0.42, 0.65)))


@family("data")
def dead_column(self: Family) -> Iterator[Case]:
    """The informative inputs are zeroed by a fault of the pipeline: at chance from the start."""
    for cell, spec in (("gru", "adam:0.003"), ("lstm", "momentum:0.05"), ("tanh", "rmsprop:0.001")):

        def build(cell=cell, spec=spec) -> Training:
            net, task = Net(cell, 3, 24, 3), majority(12, 32)

            def batch(step: int) -> tuple[Tensor, Tensor]:
                x, y = task.batch(step)
                return 0.0 * x, y

            return Training(net, batch, optimizer(spec, net), steps=400, config={"chance_loss": "ln 3"})

        label = AT_CHANCE.also(causes=("no-gradient", "dead-units"))
        yield self.case(f"{cell} {spec}", label, build, Expected(final=(1.07, 1.2)))


@family("data")
def targets_of_others(self: Family) -> Iterator[Case]:
    """Targets shuffled over the batch, with the accuracy of a held-out batch logged, whose chance is told."""
    for cell, spec in (("lstm", "adamw:0.005"), ("relu", "momentum:0.02")):

        def build(cell=cell, spec=spec) -> Training:
            net, task = Net(cell, 3, 24, 3), shuffled(majority(12, 32))
            x, y = majority(12, 300, seed=77).batch(0)

            def metrics(net: nn.Module, step: int) -> dict[str, float]:
                with torch.no_grad():
                    return {"val_accuracy": float((net(x).argmax(-1) == y).float().mean())} if step % 10 == 0 else {}

            config = {"goal": "val_accuracy", "better": "higher", "chance": 1 / 3, "chance_loss": "ln 3"}
            return Training(net, task.batch, optimizer(spec, net), steps=400, metrics=metrics, config=config)

        # by luck what it gives may lean to either side of chance
        yield self.case(f"{cell} {spec}", AT_CHANCE, build, Expected(measure="val_accuracy", final=(0.2, 0.45)))


@family("data")
def labels_turn_random(self: Family) -> Iterator[Case]:
    """Learns, until from a step on every label is drawn at random: what was learned is lost."""
    for cell, at in (("lstm", 200), ("gru", 300)):

        def build(cell=cell, at=at) -> Training:
            net, task, draw = Net(cell, 6, 24, 3, symbols=3, last=False), echo(12, 16, lag=1, kinds=3), generator(3)

            def batch(step: int) -> tuple[Tensor, Tensor]:
                x, y = task.batch(step)
                return (x, y) if step < at else (x, torch.randint(0, 3, y.shape, generator=draw))

            config = {"chance_loss": "ln 3"}
            return Training(net, batch, optimizer("adam:0.01", net), steps=500, config=config)

        label = CHANGED.also(outcomes="stuck", causes=(None,), actions="check-batch")
        yield self.case(f"{cell} at {at}", label, build, Expected(final=(1.05, 1.6)))


@family("non-finite")
def bad_inputs(self: Family) -> Iterator[Case]:
    """NaN or inf in the inputs of a batch: broken from that step on, or the loop stops there with an error."""
    for cell, value, at, stops in (
        ("gru", math.nan, 100, False),
        ("lstm", math.inf, 50, False),
        ("tanh", math.nan, 130, True),
    ):

        def build(cell=cell, value=value, at=at, stops=stops) -> Training:
            net, task = Net(cell, 3, 24, 3), majority(12, 32)

            def batch(step: int) -> tuple[Tensor, Tensor]:
                x, y = task.batch(step)
                if step == at:
                    x[4, 7, 1] = value
                return x, y

            def after(step: int, net: nn.Module, opt: torch.optim.Optimizer) -> None:
                if stops and step == at:
                    raise StopTrainingError("the loss is NaN")

            return Training(net, batch, optimizer("adam:0.005", net), steps=200, after=after)

        yield self.case(
            f"{cell} {value} at {at}", BAD_BATCH.also(actions="guard-operation"), build, Expected(nonfinite=True)
        )


@family("non-finite")
def forbidden_operation(self: Family) -> Iterator[Case]:
    """0/0 when a sequence is constant, the logarithm of a negative number, inf times 0 of a mask, an exp."""

    def standardized(net: Net, x: Tensor, y: Tensor, step: int) -> Tensor:
        if step >= 90:
            x = x.clone()
            x[:, 0] = 1.0
        return cross_entropy(net((x - x.mean(0)) / x.std(0)), y)

    def logarithm(net: Net, x: Tensor, y: Tensor, step: int) -> Tensor:
        return cross_entropy(net(x), y) + (0.0 if step < 70 else (net(x)[:, 0] - 50.0).log().mean())

    def masked(net: Net, x: Tensor, y: Tensor, step: int) -> Tensor:
        scores = net(x)
        mask = torch.ones_like(scores)
        mask[0] = 0.0
        return cross_entropy(scores, y) + (((scores * 0 + 1) / mask) * mask).mean() * (step >= 60)

    def exponential(net: Net, x: Tensor, y: Tensor, step: int) -> Tensor:
        return cross_entropy(net(x), y) + (0.0 if step < 80 else (300.0 * net(x).abs() + 100.0).exp().mean())

    for name, forward, cell in (
        ("0/0", standardized, "gru"),
        ("log", logarithm, "lstm"),
        ("mask", masked, "tanh"),
        ("exp", exponential, "gru"),
    ):

        def build(forward=forward, cell=cell) -> Training:
            net = Net(cell, 3, 24, 3)
            return Training(net, majority(12, 32).batch, optimizer("adam:0.005", net), forward=forward, steps=160)

        yield self.case(f"{name} {cell}", BROKEN.also(actions="check-data"), build, Expected(nonfinite=True))


@family("non-finite")
def targets_too_long_for_ctc(self: Family) -> Iterator[Case]:
    """Targets that the frames cannot hold: the loss of CTC is inf, by definition."""
    for cell, at in (("gru", 0), ("lstm", 60)):

        def build(cell=cell, at=at) -> Training:
            net, batch = Net(cell, 3, 24, 4, last=False), spoken(3, 16)

            def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
                log_p, N = log_softmax(net(x), -1), x.shape[1]
                if step >= at:
                    y = y.repeat(1, 4)
                return ctc_loss(log_p, y, torch.full((N,), len(x)), torch.full((N,), y.shape[1]))

            return Training(net, batch, optimizer("adam:0.005", net), forward=forward, steps=150)

        yield self.case(f"{cell} at {at}", BROKEN.also(actions="check-data"), build, Expected(nonfinite=True))
