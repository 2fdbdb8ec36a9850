"""Trainings in other units, with the same label; they may be looked at while rules are written."""

from collections.abc import Iterator

from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.invariance import variants
from benchmarks.verdicts.labels import FADES, HEALTHY
from benchmarks.verdicts.nets import Net, start
from benchmarks.verdicts.optimizers import optimizer
from benchmarks.verdicts.tasks import Task, markov, remember
from benchmarks.verdicts.training import Training

FAMILIES = Families("tune")
family = FAMILIES.family


@family("invariance")
def healthy_in_other_units(self: Family) -> Iterator[Case]:
    """A GRU that learns the next symbol of a chain."""

    def make(T: int, N: int) -> tuple[Training, Task]:
        net, task = Net("gru", 12, 24, 12, symbols=12, last=False), markov(T, N)
        config = {"chance_loss": task.chance}
        return Training(net, task.batch, optimizer("sgd:1", net), steps=250, config=config), task

    yield from variants(self, "gru", HEALTHY, Expected(final=(1.3, 2.2)), make, T=15, lr=1.0)


@family("invariance")
def vanishing_in_other_units(self: Family) -> Iterator[Case]:
    """A tanh RNN of which nothing reaches the first symbol."""

    def make(T: int, N: int) -> tuple[Training, Task]:
        net, task = start(Net("tanh", 8, 24, 3, symbols=6), "orth", 0.5), remember(T, N)
        return Training(net, task.batch, optimizer("sgd:1", net), steps=200, config={"chance_loss": task.chance}), task

    yield from variants(self, "tanh", FADES, Expected(final=(1.05, 1.35), kept=(0, 1e-6)), make, T=30, lr=0.05)
