"""The apart part: long trainings that learn, each judged at 10, 50 and 100% of its steps."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.verdicts import field_data as data
from benchmarks.verdicts.case import ANY, Case, Expected, Families, Family, Label
from benchmarks.verdicts.field_nets import (
    VAE,
    Controller,
    cost,
    counted,
    ctc,
    density,
    elbo,
    gaussian,
    hazard,
    pairwise,
    reinforce,
    starts,
    thirds,
    under,
    validation,
)
from benchmarks.verdicts.labels import FIND, FINE, HEALTHY, NOTED, UNMEASURED
from benchmarks.verdicts.nets import Net, start
from benchmarks.verdicts.optimizers import cosine, optimizer, restarts, warmup
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("apart")

STEPS = 3000
# at chance so far, as it is on the way there
PLATEAU = Label(("stuck", "learning", "unknown"), (None,), (*FINE, *FIND), failed=False)


def pool(batch: object, N: int, seed: int, count: int = 2000) -> data.Batch:
    """Mini-batches of targets by timestep from ``count`` sequences."""
    return data.dataset(batch, count, N, seed, tokens=True)


@FAMILIES.family("healthy")
def load_in_epochs(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 2, 12, 1, last=False)
        more = {"every": 50, "metrics": validation(data.load(12, 200, 2), mse, 100)}
        batch = pool(data.load(12, 2000, 1), 16, 3)
        return Training(net, batch, optimizer("adam:0.003", net), mse, STEPS, **more)

    yield from thirds(self, "val_loss", build, (HEALTHY, under(0.3)), (HEALTHY, under(0.15)), (HEALTHY, under(0.15)))


@FAMILIES.family("healthy")
def letters_for_long(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 12, 24, 28, symbols=28, last=False)
        more = {"every": 50, "clip": "norm:1", "before": cosine(0.5, STEPS)}
        return Training(net, data.sentences(12, 8, 1), optimizer("momentum:0.5", net), steps=STEPS, **more)

    told = (NOTED, under(1.5)), (NOTED, under(0.8)), (NOTED, under(0.8))
    yield from thirds(self, "momentum, cosine, clip", build, *told)


@FAMILIES.family("healthy")
def slow_agent(self: Family) -> Iterator[Case]:
    """Rewards by chance at first; small batches, so that the reward is coarse."""

    def build() -> Training:
        net = Net("gru", 3, 12, 2)
        watch = {"goal": "reward", "better": "higher", "chance": 0.5}
        more = {"every": 50, "forward": reinforce(entropy=0.01), "watch": watch}
        return Training(net, data.maze(5, 8, 1), optimizer("sgd:0.05", net), steps=STEPS, **more)

    def reward(low: float, high: float) -> Expected:
        return Expected(measure="reward", final=(low, high))

    told = (PLATEAU, reward(0.4, 0.9)), (HEALTHY, reward(0.6, 1.0)), (HEALTHY, reward(0.85, 1.0))
    yield from thirds(self, "REINFORCE, entropy bonus", build, *told)


@FAMILIES.family("healthy")
def late_fall(self: Family) -> Iterator[Case]:
    """Sums modulo 3 at each timestep: the later ones follow one after the other."""

    def build() -> Training:
        net = Net("gru", 8, 24, 3, symbols=3, last=False)
        more = {"every": 50, "watch": {"chance_loss": math.log(3)}}
        return Training(net, data.digits(8, 32, 3, 1), optimizer("adam:0.002", net), steps=STEPS, **more)

    told = (HEALTHY, under(1.0)), (HEALTHY, under(0.5)), (HEALTHY, under(0.2))
    yield from thirds(self, "modular sum", build, *told)


@FAMILIES.family("healthy")
def load_with_restarts(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("tanh", 2, 16, 1, last=False)
        more = {"every": 50, "before": restarts(0.3, 600)}
        return Training(net, pool(data.load(10, 2000, 4), 8, 5), optimizer("sgd:0.3", net), mse, STEPS, **more)

    yield from thirds(self, "SGD", build, *[(HEALTHY, under(0.4))] * 3)


@FAMILIES.family("healthy")
def annealed_for_long(self: Family) -> Iterator[Case]:
    """The weight of the divergence rises to 0.5 over 2,000 steps."""

    def build() -> Training:
        net = VAE(1, 16, 3)
        more = {"every": 50, "forward": elbo(lambda step: 0.5 * min(1.0, step / 2000))}
        batch = pool(data.beats(10, 2000, 1), 16, 2)
        return Training(net, batch, optimizer("adam:0.003", net), steps=STEPS, **more)

    yield from thirds(self, "VAE", build, *[(UNMEASURED, Expected(measure="recon", final=(0.0, 20.0)))] * 3)


@FAMILIES.family("healthy")
def dictation(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 4, 16, 6, last=False)
        more = {"every": 50, "forward": ctc, "clip": "norm:5", "before": warmup(0.003, 200)}
        return Training(net, data.spoken(3, 3, 8, 1), optimizer("adamw:0.003", net), steps=STEPS, **more)

    yield from thirds(self, "CTC", build, (HEALTHY, under(2.5)), (HEALTHY, under(0.4)), (HEALTHY, under(0.2)))


@FAMILIES.family("healthy")
def shop(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 12, 16, 24, symbols=24, last=False)
        more = {"every": 50, "forward": pairwise(24)}
        return Training(net, pool(data.clicks(8, 2000, 1), 16, 2), optimizer("adagrad:0.03", net), steps=STEPS, **more)

    yield from thirds(self, "BPR, Adagrad", build, *[(HEALTHY, under(0.5))] * 3)


@FAMILIES.family("healthy")
def noisy_labels(self: Family) -> Iterator[Case]:
    """15% of the labels are wrong: the floor is 0.42 nats, 60% of chance."""

    def build() -> Training:
        net = Net("lstm", 6, 16, 2, symbols=4)
        metrics = validation(data.genes(10, 300, 2, 0.15), ce, 100, right="val_acc")
        more = {"every": 50, "metrics": metrics, "watch": {"chance_loss": "ln 2"}}
        return Training(net, data.genes(10, 16, 1, 0.15), optimizer("adam:0.005", net), steps=STEPS, **more)

    told = (HEALTHY, under(0.67)), (HEALTHY, under(0.55)), (HEALTHY, under(0.52))
    yield from thirds(self, "a motif", build, *told)


@FAMILIES.family("healthy")
def weather(self: Family) -> Iterator[Case]:
    """Lorenz's system by a plain RNN: slower and slower, for ever."""

    def build() -> Training:
        net = start(Net("tanh", 3, 24, 3, last=False), "orth", 0.8)
        batch = pool(data.lorenz(10, 2000, 1), 16, 2)
        return Training(net, batch, optimizer("adam:0.001", net), mse, STEPS, every=50)

    yield from thirds(
        self, "one step ahead", build, (HEALTHY, under(0.2)), (HEALTHY, under(0.05)), (HEALTHY, under(0.03))
    )


@FAMILIES.family("healthy")
def risk(self: Family) -> Iterator[Case]:
    """A few percent of the likelihood is all that there is."""

    def build() -> Training:
        net = Net("gru", 1, 12, 1, last=False)
        more = {"every": 50, "metrics": validation(data.volatility(20, 400, 2), gaussian, 100)}
        batch = pool(data.volatility(20, 4000, 1), 32, 3, 4000)
        return Training(net, batch, optimizer("adam:0.002", net), gaussian, STEPS, **more)

    yield from thirds(self, "variance of returns", build, *[(UNMEASURED, Expected(final=ANY))] * 3)


@FAMILIES.family("healthy")
def course(self: Family) -> Iterator[Case]:
    """Each stage has longer sequences: the loss jumps when it begins."""

    def build() -> Training:
        net = Net("lstm", 8, 20, 5, symbols=4, last=False)
        parts = [data.brackets(T, 16, T) for T in (3, 6, 9, 12, 16)]
        batch = lambda step: parts[min(4, step // 600)](step)  # noqa: E731
        return Training(net, batch, optimizer("rmsprop:0.002", net), steps=STEPS, every=50)

    yield from thirds(self, "depth of brackets", build, *[(HEALTHY, under(0.6))] * 3)


@FAMILIES.family("healthy")
def online(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 1, 12, 1, last=False)
        return Training(net, pool(data.pendulum(15, 2000, 1), 1, 2), optimizer("sgd:0.05", net), mse, STEPS, every=50)

    yield from thirds(self, "batch 1, SGD", build, (HEALTHY, under(0.7)), (HEALTHY, under(0.5)), (HEALTHY, under(0.4)))


@FAMILIES.family("healthy")
def tags_tuned_on(self: Family) -> Iterator[Case]:
    """Begins where another training ended, on noisy labels: there is little left to learn."""

    def build() -> Training:
        net, batch = Net("tanh", 8, 24, 3, symbols=20, last=False), data.slots(8, 16, 1)

        def wrong(step: int) -> tuple[Tensor, Tensor]:
            x, y = batch(step)
            return x, torch.where(torch.rand(y.shape) < 0.1, torch.randint(0, 3, y.shape), y)

        first = optimizer("adam:0.01", net)
        for step in range(300):
            x, y = wrong(step)
            first.zero_grad()
            ce(net(x), y).backward()
            first.step()
        more = {"every": 50, "forward": counted(ce), "watch": {"chance_loss": 0.66}}
        return Training(net, wrong, optimizer("adam:0.0001", net), steps=STEPS, **more)

    yield from thirds(self, "10% of wrong tags", build, *[(HEALTHY, under(0.42))] * 3)


@FAMILIES.family("healthy")
def balanced(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Controller(8, 8)
        more = {"every": 50, "forward": cost, "clip": "norm:10"}
        return Training(net, starts(16, 1), optimizer("adam:0.001", net), steps=STEPS, **more)

    yield from thirds(self, "cost of a beam", build, *[(UNMEASURED, Expected(final=ANY))] * 3)


@FAMILIES.family("healthy")
def machines(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("tanh", 2, 12, 1, last=False)
        more = {"every": 50, "metrics": validation(data.wear(12, 400, 2), hazard, 100)}
        return Training(net, pool(data.wear(12, 2000, 1), 32, 3), optimizer("adamw:0.002", net), hazard, STEPS, **more)

    yield from thirds(self, "hazard", build, *[(HEALTHY, under(0.4))] * 3)


@FAMILIES.family("healthy")
def pen(self: Family) -> Iterator[Case]:
    """A density whose loss goes below 0 early."""

    def build() -> Training:
        net = Net("gru", 2, 16, 4, last=False)
        more = {"every": 50, "clip": "norm:5"}
        return Training(net, data.strokes(10, 16, 1), optimizer("rmsprop:0.002", net), density, STEPS, **more)

    yield from thirds(self, "negative loss", build, (NOTED, under(1.0)), (NOTED, under(-0.5)), (NOTED, under(-0.9)))


@FAMILIES.family("healthy")
def outliers(self: Family) -> Iterator[Case]:
    """A batch whose targets are 30 times too large, every 700 steps: spikes, clipped."""

    def build() -> Training:
        net, batch = Net("tanh", 2, 16, 1, last=False), pool(data.load(10, 2000, 6), 16, 7)

        def spoiled(step: int) -> tuple[Tensor, Tensor]:
            x, y = batch(step)
            return (x, 30 * y) if step % 700 == 250 else (x, y)

        more = {"every": 50, "clip": "norm:2"}
        return Training(net, spoiled, optimizer("momentum:0.02", net), mse, STEPS, **more)

    yield from thirds(self, "bad batches", build, (HEALTHY, under(0.5)), (HEALTHY, under(0.2)), (HEALTHY, under(0.2)))
