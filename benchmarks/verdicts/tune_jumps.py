"""Trainings that fail by their data and whose loss, norm or first updates jump; and recurrences that explode and die.

They may be looked at while rules are written.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.labels import AT_CHANCE, EXPLODES, UNTOLD
from benchmarks.verdicts.nets import Net, Tapped, start, times
from benchmarks.verdicts.optimizers import optimizer
from benchmarks.verdicts.tasks import generator, markov, mean_of, mse, random_labels, shuffled
from benchmarks.verdicts.training import Training

FAMILIES = Families("tune")
family = FAMILIES.family


@family("data")
def large_first_updates_at_chance(self: Family) -> Iterator[Case]:
    """Targets that no input determines under Adam or RMSprop, whose first updates are a percent of the weights and
    more, as usual: the data are the cause."""
    for cell, spec, told in (
        ("gru", "adam:0.02", True),
        ("lstm", "rmsprop:0.005", True),
        ("tanh", "adamw:0.01", True),
        ("gru", "adam:0.03", False),
    ):

        def build(cell=cell, spec=spec, told=told) -> Training:
            task, net = shuffled(markov(20)), Net(cell, 12, 24, 12, symbols=12, last=False)
            config = {"chance_loss": round(task.chance, 4)} if told else {}
            return Training(net, task.batch, optimizer(spec, net), steps=350, config=config)

        chance = markov(10).chance
        yield self.case(f"{cell} {spec}", AT_CHANCE, build, Expected(final=(chance - 0.04, chance + 0.08)))


@family("data")
def regression_to_nothing(self: Family) -> Iterator[Case]:
    """Numbers that no input determines, under Adam with a usual rate."""
    for cell, spec in (("lstm", "adam:0.01"), ("gru", "adamw:0.02"), ("tanh", "adam:0.01")):

        def build(cell=cell, spec=spec) -> Training:
            net, draw = Net(cell, 3, 16, 1), generator(9)

            def batch(step: int) -> tuple[Tensor, Tensor]:
                return torch.randn(10, 64, 3, generator=draw), 1 + 2 * torch.randn(64, 1, generator=draw)

            return Training(net, batch, optimizer(spec, net), mse, steps=350)

        yield self.case(f"{cell} {spec}", AT_CHANCE, build, Expected(final=(3.2, 5.0)))


@family("data")
def heavy_tails(self: Family) -> Iterator[Case]:
    """Targets that no input determines, some of them far out: loss and norm jump with the batch, from the first steps
    on, whatever the learning rate."""
    for cell, spec, N in (("gru", "adam:0.02", 8), ("lstm", "rmsprop:0.005", 16), ("tanh", "adam:0.03", 8)):

        def build(cell=cell, spec=spec, N=N) -> Training:
            net, draw = Net(cell, 3, 16, 1), generator(12)

            def batch(step: int) -> tuple[Tensor, Tensor]:
                size = torch.randn(N, 1, generator=draw).exp() ** 1.5
                return torch.randn(10, N, 3, generator=draw), size * torch.randn(N, 1, generator=draw)

            return Training(net, batch, optimizer(spec, net), mse, steps=350)

        yield self.case(f"{cell} {spec} N={N}", UNTOLD, build, Expected(final=(1, 400)))


@family("outcome")
def small_head_at_chance(self: Family) -> Iterator[Case]:
    """Labels at random, and a head that starts at 0: the gradient of what is below it is 0 at first and grows."""
    for cell, spec, classes in (("gru", "adam:0.01", 3), ("lstm", "adam:0.03", 2), ("tanh", "momentum:0.1", 4)):

        def build(cell=cell, spec=spec, classes=classes) -> Training:
            net = times(times(Net(cell, 4, 16, classes), "head.weight", 0.0), "head.bias", 0.0)
            task = random_labels(10, 16, classes, prior=tuple([0.7] + [0.3 / (classes - 1)] * (classes - 1)))
            config = {"chance_loss": round(task.chance, 4)}
            return Training(net, task.batch, optimizer(spec, net), steps=350, config=config)

        chance = random_labels(10, 16, classes, prior=tuple([0.7] + [0.3 / (classes - 1)] * (classes - 1))).chance
        yield self.case(f"{cell} {spec}", AT_CHANCE, build, Expected(final=(chance - 0.07, chance + 0.12)))


@family("outcome")
def bump_of_the_data(self: Family) -> Iterator[Case]:
    """Labels at random whose majority changes for a tenth of the run: a bump of the loss, and back to chance."""
    for cell, spec in (("gru", "adam:0.02"), ("lstm", "adamw:0.01"), ("tanh", "rmsprop:0.003")):

        def build(cell=cell, spec=spec) -> Training:
            net, draw = Net(cell, 4, 16, 2), generator(13)

            def batch(step: int) -> tuple[Tensor, Tensor]:
                share = 0.9 if 150 <= step < 190 else 0.1
                return torch.randn(10, 32, 4, generator=draw), (torch.rand(32, generator=draw) < share).long()

            return Training(net, batch, optimizer(spec, net), steps=400, config={"chance_loss": 0.325})

        label = AT_CHANCE.also(causes=("changed-during-training",), actions="revert-change check-batch")
        yield self.case(f"{cell} {spec}", label, build, Expected(final=(0.2, 0.5)))


@family("exploding")
def explodes_and_dies(self: Family) -> Iterator[Case]:
    """The gradient grows through time until the units are all off, or at the ends of a hard tanh."""
    for name, g, T, spec in (
        ("relu", 1.25, 40, "sgd:0.01"),
        ("relu", 1.4, 25, "momentum:0.01"),
        ("hard", 1.6, 30, "sgd:0.1"),
    ):

        def build(name=name, g=g, T=T, spec=spec) -> Training:
            net = (
                start(Tapped(nn.functional.hardtanh, 2, 32, 1), "gauss", g)
                if name == "hard"
                else start(Net("relu", 2, 32, 1), "eye", g)
            )
            return Training(net, mean_of(T, 16).batch, optimizer(spec, net), mse, steps=200)

        label = EXPLODES.also(causes=("dead-units", "learning-rate-high"), actions="revive-units")
        yield self.case(f"{name} {g} T={T}", label, build, Expected(nonfinite=None, final=(0.5, 1e39)))
