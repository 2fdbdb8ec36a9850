"""The later part: short trainings that fail by the gradient through time: vanishing, exploding, saturation, cuts."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts import common_data as data
from benchmarks.verdicts.case import ANY, Case, Expected, Families, Family, Label
from benchmarks.verdicts.everyday_nets import accuracy, scored
from benchmarks.verdicts.field_nets import Seq2Seq, carried, counted, translating, under, validation
from benchmarks.verdicts.labels import CLIPPED_EXPLODES, CUT, DEAD, EXPLODES, FADES, NO_GRADIENT, SATURATES
from benchmarks.verdicts.nets import Loop, Net, fill, keep, start, times
from benchmarks.verdicts.projects_nets import fit
from benchmarks.verdicts.tasks import bce, ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("later")

LN4 = {"watch": {"chance_loss": "ln 4"}}
LN2 = {"watch": {"chance_loss": "ln 2"}}


def faded(high: float, low: float, kept: float = 1e-3) -> Expected:
    """A final loss in a range, and at most that share of the gradient at the first timestep."""
    return Expected((low, high), kept=(0.0, kept))


@FAMILIES.family("vanishing")
def small_recurrent_matrix(self: Family) -> Iterator[Case]:
    def tanh() -> Training:
        net = start(Net("tanh", 8, 28, 4, symbols=9), "orth", 0.45)
        return fit(net, data.badge(36, 32, 1), "momentum:0.03", steps=300, **LN4)

    yield self.case("tanh, 0.45 orthogonal, 36 timesteps", FADES, tanh, faded(1.5, 1.3))

    def relu() -> Training:
        net = start(Net("relu", 8, 32, 4, symbols=9), "gauss", 0.5)
        return fit(net, data.badge(30, 32, 1), "sgd:0.1", steps=300, forward=counted(ce))

    label = FADES.also(causes=("dead-units",), actions="revive-units")
    yield self.case("relu, Gaussian of 0.5, 30 timesteps", label, relu, faded(1.5, 1.3))


@FAMILIES.family("vanishing")
def gates_that_forget(self: Family) -> Iterator[Case]:
    def lstm() -> Training:
        net = keep(Net("lstm", 8, 24, 4, symbols=9), -2.5)
        held = scored(data.badge(32, 200, 2), 50, val_acc=accuracy)
        return fit(net, data.badge(32, 32, 1), "adam:0.001", steps=300, metrics=held)

    yield self.case("LSTM, forget bias -2.5", FADES, lstm, faded(1.5, 1.3))

    def gru() -> Training:
        net = keep(Net("gru", 2, 24, 2), -3.0)
        return fit(net, data.ends(40, 32, 1), "sgd:0.1", steps=300, **LN2)

    # the last value alone gives a part of the answer: the loss falls to about 0.55, or below, and stays there
    fine = ("continue", "train-longer", "log-metric", "stop-early", "give-chance", *FADES.actions, None)
    label = Label(("learning", "learned", "stuck", "unknown"), ("vanishing", None), fine, failed=False)
    yield self.case("GRU, update bias -3, half of the answer is near", label, gru, faded(0.68, 0.4))


@FAMILIES.family("vanishing")
def long_way_back(self: Family) -> Iterator[Case]:
    def lstm() -> Training:
        return fit(Net("lstm", 8, 20, 4, symbols=9), data.badge(140, 12, 1), "sgd:0.1", steps=140, **LN4)

    yield self.case("LSTM over 140 timesteps", FADES, lstm, faded(1.5, 1.3))

    def gru() -> Training:
        net = Net("gru", 8, 20, 4, symbols=9, num_layers=2)
        return fit(net, data.badge(120, 12, 1), "nesterov:0.02", steps=120, **LN4)

    yield self.case("two layers of GRU over 120 timesteps", FADES, gru, faded(1.5, 1.3))


@FAMILIES.family("vanishing")
def lag_out_of_reach(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Net("tanh", 8, 28, 4, symbols=4, last=False), "orth", 0.08)

        def delayed(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            return x, torch.cat([torch.zeros_like(x[:5]), x[:-5]])

        batch = data.mapped(data.neighbours(30, 16, 1), delayed)
        return fit(net, batch, "sgd:0.1", steps=300)

    yield self.case("loss at each timestep, five timesteps ago", FADES, build, faded(1.45, 1.1))


@FAMILIES.family("exploding")
def large_recurrent_matrix(self: Family) -> Iterator[Case]:
    def tanh() -> Training:
        net = start(Net("tanh", 8, 32, 4, symbols=9), "gauss", 3.5)
        return fit(net, data.badge(40, 32, 1), "sgd:0.1", steps=250, **LN4)

    label = EXPLODES.also(causes=("saturated-gates", "vanishing"), actions="shorten-path")
    yield self.case("tanh, Gaussian of 3.5", label, tanh, Expected((1.36, math.inf)))

    def relu() -> Training:
        net = start(Net("relu", 1, 24, 1, last=False), "eye", 1.5)
        return fit(net, data.boiler(60, 16, 1), "sgd:0.001", mse, 130)

    yield self.case("relu, 1.5 of the identity", EXPLODES, relu, Expected(ANY, nonfinite=None))

    def overflow() -> Training:
        net = start(Net("relu", 1, 16, 1), "eye", 2.2)
        batch = data.mapped(data.odds(60, 16, 1), lambda x, y, step: (x[..., :1], y))
        return fit(net, batch, "adam:0.001", mse, 150)

    yield self.case("relu, 2.2 of the identity: the loss overflows", EXPLODES, overflow, Expected(ANY, nonfinite=None))


@FAMILIES.family("exploding")
def clipped_and_useless(self: Family) -> Iterator[Case]:
    def tanh() -> Training:
        net = start(Net("tanh", 8, 32, 4, symbols=9), "orth", 1.9)
        return fit(net, data.badge(50, 16, 1), "sgd:0.05", steps=220, clip="norm:1", **LN4)

    label = CLIPPED_EXPLODES.also(causes=("saturated-gates",), actions="raise-clip-threshold change-cell")
    yield self.case("tanh, 1.9 orthogonal, norm of 1", label, tanh, Expected((1.36, 3.0), growth=(10, math.inf)))

    def value() -> Training:
        net = start(Net("tanh", 8, 32, 4, symbols=9), "gauss", 2.3)
        return fit(net, data.badge(50, 16, 1), "sgd:0.003", steps=220, clip="value:0.5", **LN4)

    yield self.case("tanh, Gaussian of 2.3, values of 0.5", label, value, Expected((1.36, 4.0), growth=(10, math.inf)))


@FAMILIES.family("saturation")
def raw_units(self: Family) -> Iterator[Case]:
    def raw(cell: str, opt: str, size: float) -> Training:
        batch = data.mapped(data.ends(16, 32, 1, size=size), lambda x, y, step: (x, (x[0, :, 0] > 0).long()))
        return fit(Net(cell, 2, 24, 2), batch, opt, steps=300, **LN2)

    expected = Expected((0.66, 0.85), kept=(0, 1e-3))
    yield self.case("tanh, inputs of 3,000", SATURATES, lambda: raw("tanh", "sgd:0.05", 3000.0), expected)
    yield self.case("LSTM, inputs of 5,000", SATURATES, lambda: raw("lstm", "adam:0.0003", 5000.0), expected)

    def offset() -> Training:
        net = Net("gru", 1, 24, 1, last=False)
        batch = data.mapped(data.boiler(20, 16, 1), lambda x, y, step: (101_325 + 10 * x, y))
        return fit(net, batch, "adam:0.002", mse, 300)

    yield self.case("GRU, pressure in pascal", SATURATES, offset, under(1.0, 0.5))


@FAMILIES.family("dead units")
def relu_never_on(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = fill(start(Net("relu", 3, 32, 4), "orth", 0.8), "bias_ih", -9.0)
        return fit(net, data.engines(12, 32, 4, 1), "momentum:0.05", steps=300, **LN4)

    yield self.case("a bias of -9", DEAD, build, under(1.5, 1.3))

    def middle() -> Training:
        net = start(Net("relu", 3, 24, 4, num_layers=3), "orth", 0.8)
        net.recurrent.bias_ih_l1.data.fill_(-12.0)
        held = scored(data.engines(12, 200, 4, 2), 50, val_acc=accuracy)
        return fit(net, data.engines(12, 32, 4, 1), "adam:0.002", steps=300, metrics=held)

    yield self.case("the middle one of three layers", DEAD.also(causes=(None,)), middle, under(1.5, 1.3))


@FAMILIES.family("dead units")
def killed_by_one_update(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("relu", 1, 24, 1, last=False)
        batch = data.boiler(16, 16, 1, level=4.0)

        def gradient(net: nn.Module, step: int) -> None:
            if step == 30:
                for name, parameter in net.named_parameters():
                    if "bias_" in name:
                        parameter.grad.fill_(300.0)

        return fit(net, batch, "sgd:0.02", mse, 300, gradient=gradient)

    label = DEAD.also(outcomes="diverged unknown", causes=("exploding", "changed-during-training"), actions="clip")
    yield self.case("biases driven below 0 at step 30", label, build, under(1.0, 0.4))


@FAMILIES.family("cut")
def state_detached(self: Family) -> Iterator[Case]:
    def each() -> Training:
        net = Loop("lstm", 8, 24, 4, symbols=9, cut=lambda t, T: t % 4 == 3)
        return fit(net, data.badge(16, 32, 1), "adam:0.003", steps=250, **LN4)

    yield self.case("LSTM cell, every fourth timestep of 16", CUT, each, under(1.5, 1.25))

    def start_detached() -> Training:
        net = Loop("gru", 8, 24, 4, symbols=9, cut=lambda t, T: t == 2)
        return fit(net, data.badge(14, 32, 1), "rmsprop:0.001", steps=250, **LN4)

    yield self.case("GRU cell, once near the first timestep", CUT, start_detached, under(1.5, 1.25))


@FAMILIES.family("cut")
def windows_too_short(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 24, 4, symbols=4, last=False)
        batch, forward = carried(20, 8, 16, 4, 1)
        return fit(net, batch, "adam:0.005", steps=350, forward=forward, config={"distance": 20}, **LN4)

    yield self.case("windows of 8, a lag of 20 that is declared", CUT, build, under(1.45, 1.33))


@FAMILIES.family("cut")
def decoder_without_encoder(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Seq2Seq(7, 20, cut=True)
        return fit(net, data.cipher(10, 32, 6, 1), "adam:0.001", steps=300, forward=translating())

    label = CUT.also(
        outcomes="unknown",
        causes=("no-gradient", "parameters-not-updated", None),
        actions="connect-loss update-parameters *",
    )
    yield self.case("state of the encoder detached", label, build, under(2.0, 1.2))


@FAMILIES.family("initialization")
def equal_weights(self: Family) -> Iterator[Case]:
    def zeros() -> Training:
        net = times(Net("gru", 3, 24, 4), "", 0.0)
        return fit(net, data.engines(12, 32, 4, 1), "adam:0.003", steps=250, **LN4)

    label = FADES.also(
        causes=("no-gradient", "dead-units", None), actions="overfit-one-batch check-data connect-loss *"
    )
    yield self.case("all at 0", label, zeros, under(1.45, 1.33))

    def tiny() -> Training:
        net = times(Net("lstm", 3, 24, 4, num_layers=3), "", 0.001)
        return fit(net, data.engines(12, 32, 4, 1), "sgd:0.1", steps=300, **LN4)

    yield self.case("three layers a thousand times too small", label, tiny, under(1.45, 1.33))


@FAMILIES.family("loss")
def probabilities_flattened(self: Family) -> Iterator[Case]:
    def clamped(output: Tensor, target: Tensor) -> Tensor:
        return functional.nll_loss(functional.softmax(output, -1).clamp_min(0.9).log(), target) + 0 * output.sum()

    def build() -> Training:
        return fit(Net("gru", 3, 20, 4), data.engines(10, 32, 4, 1), "adam:0.003", clamped, 250)

    label = NO_GRADIENT.also(outcomes="unknown", causes=("vanishing", None), actions="*")
    yield self.case("probabilities clamped at 0.9", label, build, under(0.106, 0.1))

    def squashed() -> Training:
        net = Net("lstm", 8, 20, 40, symbols=40, last=False)
        batch = data.weekdays(14, 16, 1, symbols=40)
        return fit(net, batch, "sgd:0.2", lambda o, y: ce(o.softmax(-1), y), 350)

    told = FADES.also(outcomes="unknown", causes=("learning-rate-low", None), actions="raise-learning-rate *")
    yield self.case("softmax twice, 40 symbols", told, squashed, under(3.72, 3.6))


@FAMILIES.family("output")
def relu_on_the_output(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 20, 1, symbols=5)
        head = nn.Sequential(nn.Linear(20, 1), nn.ReLU())
        with torch.no_grad():
            head[0].bias.fill_(-6.0)
        net.head = head
        held = validation(data.orders(12, 200, 0.3, 2), bce, 50)
        return fit(net, data.orders(12, 32, 0.3, 1), "adam:0.003", bce, 250, metrics=held)

    label = NO_GRADIENT.also(outcomes="unknown", causes=("vanishing", "dead-units", None), actions="*")
    yield self.case("a relu after the head is never on", label, build, under(0.72, 0.66))
