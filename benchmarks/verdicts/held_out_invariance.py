"""Trainings in other units, with the same label. Held out: whoever writes rules does not read this."""

from collections.abc import Iterator

from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.invariance import variants
from benchmarks.verdicts.labels import AT_CHANCE, HEALTHY
from benchmarks.verdicts.nets import Net
from benchmarks.verdicts.optimizers import optimizer
from benchmarks.verdicts.tasks import Task, echo, random_labels
from benchmarks.verdicts.training import Training

FAMILIES = Families("held-out")
family = FAMILIES.family


@family("invariance")
def echo_in_other_units(self: Family) -> Iterator[Case]:
    """A tanh RNN that learns to name the symbol of a timestep ago."""

    def make(T: int, N: int) -> tuple[Training, Task]:
        net, task = Net("tanh", 6, 24, 4, symbols=4, last=False), echo(T, N, lag=1)
        return Training(net, task.batch, optimizer("sgd:1", net), steps=250, config={"chance_loss": task.chance}), task

    yield from variants(self, "tanh", HEALTHY, Expected(final=(0, 0.5)), make, T=12, lr=0.5)


@family("invariance")
def chance_in_other_units(self: Family) -> Iterator[Case]:
    """An LSTM given labels at random."""

    def make(T: int, N: int) -> tuple[Training, Task]:
        net, task = Net("lstm", 4, 24, 3), random_labels(T, N, 3)
        return Training(net, task.batch, optimizer("sgd:1", net), steps=300, config={"chance_loss": task.chance}), task

    yield from variants(self, "lstm", AT_CHANCE, Expected(final=(1.05, 1.15)), make, T=10, lr=0.05)
