"""The apart part: short trainings whose gradient explodes, vanishes or is cut on its way through time."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.verdicts import field_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.field_nets import carried, under
from benchmarks.verdicts.labels import CLIPPED_EXPLODES, CUT, DEAD, EXPLODES, FADES, HEALTHY, MISPLACED, SATURATES
from benchmarks.verdicts.nets import Loop, Net, Tapped, fill, keep, start
from benchmarks.verdicts.optimizers import optimizer
from benchmarks.verdicts.tasks import mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("apart")

BY_CHANCE = {"chance_loss": math.log(2)}


@FAMILIES.family("exploding")
def grown(self: Family) -> Iterator[Case]:
    def relu() -> Training:
        net = start(Net("relu", 3, 20, 2), "orth", 1.6)
        return Training(net, data.maze(40, 16, 1), optimizer("sgd:0.05", net), steps=250, watch=BY_CHANCE)

    about = Expected(growth=(1.5, math.inf), nonfinite=True)
    yield self.case("ReLU, orthogonal 1.6", EXPLODES, relu, about)

    def linear() -> Training:
        net = start(Tapped(lambda a: a, 3, 16, 2), "orth", 1.15)
        return Training(net, data.maze(50, 16, 1), optimizer("sgd:0.01", net), steps=200, watch=BY_CHANCE)

    yield self.case(
        "linear by hand, orthogonal 1.15", EXPLODES, linear, Expected(final=(0.66, math.inf), nonfinite=None)
    )

    def clipped() -> Training:
        net = start(Net("tanh", 4, 32, 4, symbols=6), "gauss", 3.0)
        more = {"clip": "norm:0.5", "watch": {"chance_loss": "ln 4"}}
        return Training(net, data.temporal_order(40, 32, 1), optimizer("sgd:0.1", net), steps=250, **more)

    about = Expected(final=(1.33, 4.0), growth=(10.0, math.inf))
    yield self.case("tanh, Gaussian 3, clipped", CLIPPED_EXPLODES, clipped, about)

    def misplaced() -> Training:
        net = start(Net("relu", 3, 20, 2), "orth", 1.6)
        more = {"clip": "norm:1", "clip_at": "after-update", "watch": BY_CHANCE}
        return Training(net, data.maze(40, 16, 2), optimizer("sgd:0.05", net), steps=250, **more)

    label = MISPLACED.also(causes=("exploding", "non-finite"), actions="*")
    yield self.case("clipped after the update", label, misplaced, Expected(nonfinite=True))


@FAMILIES.family("vanishing")
def faded(self: Family) -> Iterator[Case]:
    about = Expected(final=(0.66, 0.74), kept=(0.0, 1e-4))

    def lstm() -> Training:
        net = keep(Net("lstm", 3, 16, 2), -3.0)
        return Training(net, data.maze(30, 32, 1), optimizer("sgd:0.1", net), steps=250, watch=BY_CHANCE)

    yield self.case("LSTM, forget bias -3", FADES, lstm, about)

    def gru() -> Training:
        net = keep(Net("gru", 3, 16, 2), -4.0)
        return Training(net, data.maze(40, 32, 1), optimizer("momentum:0.05", net), steps=250, watch=BY_CHANCE)

    yield self.case("GRU that overwrites", FADES, gru, about)

    def tanh() -> Training:
        net = start(Net("tanh", 6, 24, 4, symbols=6), "orth", 0.6)
        watch = {"chance_loss": "ln 4"}
        return Training(net, data.temporal_order(60, 32, 1), optimizer("rmsprop:0.001", net), steps=250, watch=watch)

    yield self.case("tanh, order of two marks", FADES, tanh, Expected(final=(1.3, 1.45), kept=(0.0, 1e-4)))

    def sigmoid() -> Training:
        net = Tapped(torch.sigmoid, 3, 16, 2)
        return Training(net, data.maze(25, 32, 1), optimizer("sgd:0.1", net), steps=250, watch=BY_CHANCE)

    yield self.case("sigmoid by hand", FADES, sigmoid, under(0.74, 0.66))

    def deep() -> Training:
        net = start(Net("tanh", 3, 16, 2, num_layers=3), "orth", 0.5)
        return Training(net, data.maze(35, 32, 1), optimizer("adamw:0.001", net), steps=200, watch=BY_CHANCE)

    yield self.case("three layers of tanh", FADES, deep, about)


@FAMILIES.family("dead units")
def all_below_zero(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = fill(Net("relu", 3, 16, 2), "bias_ih", -4.0)
        return Training(net, data.maze(12, 32, 1), optimizer("sgd:0.1", net), steps=200, watch=BY_CHANCE)

    yield self.case("ReLU, bias -4", DEAD.also(causes=("no-gradient",)), build, under(0.72, 0.68))

    def tapped() -> Training:
        net = fill(Tapped(torch.relu, 2, 16, 1, last=False), "inward.bias", -8.0)
        return Training(net, data.load(12, 32, 1), optimizer("sgd:0.05", net), mse, 250)

    label = DEAD.also(causes=("no-gradient", None), actions="*")
    yield self.case("ReLU by hand", label, tapped, under(2.0, 0.5))


@FAMILIES.family("saturated")
def at_the_ends(self: Family) -> Iterator[Case]:
    """Sensors in raw counts of an analogue-digital converter."""

    def build() -> Training:
        net, batch = Net("tanh", 3, 24, 2), data.maze(15, 32, 1)

        def raw(step: int) -> tuple[Tensor, Tensor]:
            x, y = batch(step)
            return 2000 * x + 1500, y

        return Training(net, raw, optimizer("sgd:0.01", net), steps=250, watch=BY_CHANCE)

    yield self.case("counts of 12 bits", SATURATES, build, under(0.75, 0.66))


@FAMILIES.family("truncation")
def severed(self: Family) -> Iterator[Case]:
    def every() -> Training:
        net = Loop("gru", 3, 16, 2, cut=lambda t, T: True)
        return Training(net, data.maze(15, 32, 1), optimizer("adam:0.001", net), steps=250, watch=BY_CHANCE)

    yield self.case("detached at each timestep", CUT, every, under(0.72, 0.67))

    def windows() -> Training:
        net = Net("gru", 8, 24, 4, symbols=4, last=False)
        batch, forward = carried(12, 6, 16, 4, 1)
        more = {"forward": forward, "watch": {"chance_loss": "ln 4"}}
        return Training(net, batch, optimizer("adam:0.003", net), steps=400, **more)

    yield self.case("windows of 6, a lag of 12", CUT, windows, under(1.42, 1.3))


@FAMILIES.family("healthy")
def enough(self: Family) -> Iterator[Case]:
    """The gradient is as odd as above, and the task does not mind."""

    def short_memory() -> Training:
        net = keep(Net("lstm", 8, 24, 3, symbols=20, last=False), -2.0)
        return Training(net, data.slots(30, 16, 1), optimizer("adam:0.01", net), steps=300)

    yield self.case("forget bias -2, tags", HEALTHY, short_memory, under(0.2))

    def windows() -> Training:
        net = Net("gru", 8, 24, 4, symbols=4, last=False)
        batch, forward = carried(2, 12, 16, 4, 1)
        return Training(net, batch, optimizer("adam:0.01", net), forward=forward, steps=400)

    yield self.case("windows longer than the lag", HEALTHY, windows, under(0.4))

    def held() -> Training:
        net = start(Net("relu", 3, 24, 2), "eye", 1.0)
        more = {"clip": "norm:1", "watch": BY_CHANCE}
        return Training(net, data.maze(60, 32, 1), optimizer("adam:0.001", net), steps=300, **more)

    yield self.case("identity and ReLU, 60 timesteps", HEALTHY, held, under(0.3))
