"""The plain part: short trainings that fail by the gradient through time: it vanishes, explodes, is cut or clipped."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts import ordinary_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.field_nets import carried, counted, under, validation
from benchmarks.verdicts.labels import (
    CLIP_LOW,
    CLIPPED_EXPLODES,
    CUT,
    DEAD,
    EXPLODES,
    FADES,
    MISPLACED,
    NO_GRADIENT,
    SATURATES,
)
from benchmarks.verdicts.nets import Loop, Net, Tapped, fill, keep, start, times
from benchmarks.verdicts.projects_nets import fit
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("plain")

LN3, LN4, LN5 = math.log(3), math.log(4), math.log(5)
FADED = {"kept": (0.0, 1e-4)}
AT_LN4, AT_LN3 = Expected((LN4 - 0.1, LN4 + 0.2), **FADED), Expected((LN3 - 0.1, LN3 + 0.2), **FADED)


@FAMILIES.family("vanishing")
def small_recurrent_weights(self: Family) -> Iterator[Case]:
    def gauss() -> Training:
        net = start(Net("tanh", 6, 20, 3, symbols=8), "gauss", 0.35)
        return fit(net, data.first_word(28, 32, 3, 1), "momentum:0.02")

    yield self.case("tanh, N(0, 0.35^2 / H), momentum", FADES, gauss, AT_LN3)

    def relu() -> Training:
        net = start(Net("relu", 4, 24, 4), "eye", 0.5)
        return fit(net, data.mark(36, 32, 4, 1), "sgd:0.1", forward=counted(ce))

    yield self.case("relu, half of the identity", FADES.also(causes=("dead-units",)), relu, AT_LN4)

    def rmsprop() -> Training:
        net = start(Net("tanh", 4, 32, 4), "orth", 0.4)
        return fit(net, data.mark(48, 24, 4, 1), "rmsprop:0.0005", steps=250, watch={"chance_loss": "ln 4"})

    yield self.case("tanh, 0.4 of an orthogonal matrix, RMSprop", FADES, rmsprop, AT_LN4)


@FAMILIES.family("vanishing")
def gates_forget(self: Family) -> Iterator[Case]:
    def lstm() -> Training:
        net = keep(Net("lstm", 6, 20, 3, symbols=8), -1.5)
        return fit(net, data.first_word(50, 24, 3, 1), "adam:0.001", steps=200)

    yield self.case("LSTM, forget bias of -1.5", FADES, lstm, AT_LN3)

    def gru() -> Training:
        net = keep(Net("gru", 4, 24, 4), -3.0)
        return fit(net, data.mark(30, 32, 4, 1), "sgd:0.2")

    yield self.case("GRU, update bias of -3", FADES, gru, AT_LN4)


@FAMILIES.family("vanishing")
def sequence_too_long(self: Family) -> Iterator[Case]:
    def gru() -> Training:
        net = Net("gru", 6, 16, 4, symbols=9)
        return fit(net, data.first_word(180, 8, 4, 1), "momentum:0.01", steps=120)

    yield self.case("GRU, 180 timesteps", FADES, gru, Expected((LN4 - 0.15, LN4 + 0.25), **FADED))

    def tanh() -> Training:
        net = Net("tanh", 4, 24, 4)
        return fit(net, data.mark(100, 16, 4, 1), "adam:0.0005", steps=150, clip="norm:1")

    yield self.case("tanh, 100 timesteps, Adam", FADES, tanh, Expected((LN4 - 0.15, LN4 + 0.25), **FADED))

    def gaps() -> Training:
        net = Net("lstm", 1, 16, 1)
        return fit(net, data.gap(120, 16, 1), "sgd:0.05", mse, 120)

    floor = data.gap_variance(120)
    yield self.case(
        "LSTM, pulses, 120 timesteps",
        FADES.also(outcomes="unknown"),
        gaps,
        Expected((0.6 * floor, 1.6 * floor), **FADED),
    )


@FAMILIES.family("vanishing")
def deep_and_small(self: Family) -> Iterator[Case]:
    def three() -> Training:
        net = start(Net("tanh", 4, 20, 4, num_layers=3), "orth", 0.5)
        return fit(net, data.mark(30, 24, 4, 1), "adamw:0.0005", steps=200)

    yield self.case("three tanh layers", FADES, three, AT_LN4)

    def two() -> Training:
        net = keep(Net("gru", 6, 16, 3, symbols=8, num_layers=2), -2.5)
        return fit(net, data.first_word(32, 24, 3, 1), "sgd:0.1", steps=200)

    yield self.case("two GRU layers, update bias of -2.5", FADES, two, AT_LN3)


@FAMILIES.family("vanishing")
def state_by_hand(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Tapped(functional.softsign, 6, 24, 3, symbols=8), "orth", 0.6)
        return fit(net, data.first_word(30, 24, 3, 1), "sgd:0.1", steps=200)

    yield self.case("softsign, tapped", FADES, build, under(LN3 + 0.2, LN3 - 0.1))

    def sigmoid() -> Training:
        net = start(Tapped(torch.sigmoid, 4, 20, 4), "gauss", 1.0)
        return fit(net, data.mark(24, 32, 4, 1), "adam:0.0005", steps=200)

    yield self.case("sigmoid, Adam, tapped", FADES, sigmoid, under(LN4 + 0.2, LN4 - 0.1))


@FAMILIES.family("vanishing")
def memory_at_each_timestep(self: Family) -> Iterator[Case]:
    """The switch is held for several timesteps at a high level; a state that forgets at once gets the rest."""

    def build() -> Training:
        net = start(Net("tanh", 3, 20, 4, last=False), "orth", 0.04)
        lagged = data.mapped(data.residues(30, 16, 2, 1), _lagged)
        return fit(net, lagged, "sgd:0.05", steps=300)

    yield self.case("the symbol of four timesteps ago", FADES, build, Expected((1.1, 1.5), **FADED))


def _lagged(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Three independent bits a timestep; the class is made of two of those of four timesteps ago."""
    bits = torch.randint(0, 2, (*x.shape, 3), generator=torch.Generator().manual_seed(step))
    kinds = 2 * bits[..., 0] + bits[..., 1]
    return 2.0 * bits - 1, torch.cat([torch.zeros_like(kinds[:4]), kinds[:-4]])


@FAMILIES.family("exploding")
def relu_grows(self: Family) -> Iterator[Case]:
    broad = EXPLODES.also(causes=("learning-rate-high",))

    def series() -> Training:
        net = start(Net("relu", 1, 24, 1, last=False), "gauss", 2.2)
        return fit(net, data.season(40, 16, 0.2, 1), "sgd:0.001", mse, 200)

    yield self.case("relu, gain of 2.2, SGD", broad, series, Expected((0.9, math.inf), nonfinite=None))

    def layers() -> Training:
        net = start(Net("relu", 1, 16, 1, num_layers=2), "eye", 1.25)
        return fit(net, data.gap(40, 24, 1), "sgd:0.0000000000000001", mse, 150)

    yield self.case(
        "two relu layers, 1.25 of the identity, SGD at 1e-16",
        broad,
        layers,
        Expected((1.0, math.inf), growth=(1e3, math.inf), nonfinite=None),
    )


@FAMILIES.family("exploding")
def tanh_chaos(self: Family) -> Iterator[Case]:
    label = EXPLODES.also(causes=("saturated-gates", "learning-rate-high"), actions="scale-inputs shorten-path")

    def build() -> Training:
        net = start(Net("tanh", 6, 48, 4, symbols=9), "gauss", 3.0)
        return fit(net, data.first_word(60, 24, 4, 1), "sgd:0.05", steps=250)

    yield self.case("tanh, gain of 3", label.also(causes=("vanishing",)), build, under(math.inf, LN4 - 0.1))

    def slow() -> Training:
        net = start(Net("tanh", 1, 48, 2, last=False), "gauss", 4.0)
        return fit(net, data.switch(50, 16, 1), "sgd:0.000001", steps=250)

    expected = Expected((0.6, math.inf), growth=(1e3, math.inf))
    yield self.case("tanh, gain of 4, SGD at 1e-6", label, slow, expected)

    def clipped() -> Training:
        net = start(Net("tanh", 4, 64, 4), "gauss", 3.0)
        return fit(net, data.mark(60, 24, 4, 1), "sgd:0.01", steps=250, clip="norm:1")

    label = CLIPPED_EXPLODES.also(causes=("saturated-gates", "learning-rate-high"), actions="scale-inputs")
    yield self.case("tanh, gain of 3, SGD at 0.01, clipped at 1", label, clipped, expected)


@FAMILIES.family("saturation")
def raw_units(self: Family) -> Iterator[Case]:
    def pressure() -> Training:
        net = Net("lstm", 1, 20, 2, last=False)
        batch = data.mapped(data.switch(20, 24, 1), lambda x, y, step: (101_325 + 500 * x, y))
        return fit(net, batch, "adam:0.001", steps=250)

    expected = under(0.75, 0.6)
    label = SATURATES.also(causes=(None,), actions="check-data overfit-one-batch")
    yield self.case("LSTM, pascals", label, pressure, expected)

    def marks() -> Training:
        net = Net("tanh", 4, 24, 4)
        return fit(net, data.mark(16, 32, 4, 1, size=400.0), "sgd:0.02", steps=300)

    yield self.case("tanh, inputs of 800", SATURATES, marks, under(1.8, LN4 - 0.15))

    def gru() -> Training:
        net = Net("gru", 4, 16, 4)
        return fit(net, data.mark(20, 32, 4, 1, size=2000.0), "momentum:0.005", steps=250)

    yield self.case("GRU, inputs of 4,000", SATURATES, gru, under(2.5, LN4 - 0.15))


@FAMILIES.family("saturation")
def large_weights(self: Family) -> Iterator[Case]:
    def embedding() -> Training:
        net = times(Net("tanh", 8, 24, 3, symbols=8), "embedding", 150.0)
        return fit(net, data.first_word(12, 32, 3, 1), "sgd:0.05", steps=300)

    yield self.case("embeddings of size 150", SATURATES, embedding, under(1.6, LN3 - 0.1))

    def inward() -> Training:
        net = times(Net("lstm", 4, 20, 4), "weight_ih", 800.0)
        return fit(net, data.mark(14, 32, 4, 1), "sgd:0.05", steps=250)

    yield self.case("LSTM, input weights of 200", SATURATES, inward, under(1.8, LN4 - 0.15))


@FAMILIES.family("dead units")
def relu_is_off(self: Family) -> Iterator[Case]:
    def bias() -> Training:
        net = fill(Net("relu", 4, 24, 4), "bias_ih", -6.0)
        return fit(net, data.mark(12, 32, 4, 1), "sgd:0.1", steps=300)

    yield self.case("biases of -6", DEAD, bias, under(LN4 + 0.1, LN4 - 0.05))

    def middle() -> Training:
        net = fill(Net("relu", 4, 16, 4, num_layers=3), "bias_ih_l1", -9.0)
        return fit(net, data.mark(12, 32, 4, 1), "adam:0.0005", steps=250)

    yield self.case("the middle one of three layers", DEAD, middle, under(LN4 + 0.1, LN4 - 0.05))

    def killed() -> Training:
        net = Net("relu", 1, 20, 1, last=False)

        def before(step: int, net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
            if step == 20:
                fill(net, "bias_hh", -50.0)

        return fit(net, data.maximum(14, 24, 1), "sgd:0.05", mse, 300, before=before)

    label = DEAD.also(outcomes="diverged", causes=("changed-during-training",), actions="revert-change check-data")
    yield self.case("biases are overwritten at step 20", label, killed, under(0.2, 0.02))


@FAMILIES.family("truncation")
def detached_state(self: Family) -> Iterator[Case]:
    def often() -> Training:
        net = Loop("gru", 4, 24, 4, cut=lambda t, T: t % 5 == 4)
        return fit(net, data.mark(16, 32, 4, 1), "adam:0.003", steps=200)

    yield self.case("GRU, every five timesteps", CUT, often, under(LN4 + 0.1, LN4 - 0.1))

    def always() -> Training:
        net = Loop("lstm", 6, 20, 3, symbols=8, cut=lambda t, T: True)
        return fit(net, data.first_word(12, 32, 3, 1), "momentum:0.05", steps=250)

    yield self.case("LSTM, at each timestep", CUT, always, under(LN3 + 0.1, LN3 - 0.1))

    def early() -> Training:
        net = Loop("tanh", 4, 24, 4, cut=lambda t, T: t == T - 3)
        return fit(net, data.mark(20, 32, 4, 1), "adam:0.001", steps=250)

    yield self.case("tanh, once, two timesteps before the end", CUT, early, under(LN4 + 0.15, LN4 - 0.1))


@FAMILIES.family("truncation")
def window_too_short(self: Family) -> Iterator[Case]:
    def build() -> Training:
        batch, forward = carried(20, 8, 16, 3, 1)
        net = Net("lstm", 6, 24, 3, symbols=3, last=False)
        return fit(net, batch, "adam:0.003", steps=300, forward=forward, config={"distance": 20})

    label = CUT.also(actions="shorten-path")
    yield self.case("windows of 8, distance of 20", label, build, under(LN3 + 0.1, LN3 - 0.05))


@FAMILIES.family("truncation")
def encoder_without_gradient(self: Family) -> Iterator[Case]:
    label = NO_GRADIENT.also(
        causes=("parameters-not-updated", "truncated-reach"), actions="update-parameters lengthen-window"
    )

    def detached() -> Training:
        net = start(Net("tanh", 4, 20, 4), "orth", 0.7)

        def forward(net: Net, x: Tensor, y: Tensor, step: int) -> Tensor:
            return ce(net.read(net.run(x)[0].detach()), y)

        return fit(net, data.mark(20, 32, 4, 1), "adam:0.003", steps=250, forward=forward)

    yield self.case("outputs are detached before the head", label, detached, under(LN4 + 0.1, LN4 - 0.15))

    def data_attribute() -> Training:
        net = Net("gru", 6, 20, 3, symbols=8)

        def forward(net: Net, x: Tensor, y: Tensor, step: int) -> Tensor:
            with torch.no_grad():
                h, _ = net.run(x)
            return ce(net.read(h), y)

        return fit(net, data.first_word(25, 32, 3, 1), "sgd:0.1", steps=250, forward=forward)

    yield self.case("the encoder runs under no_grad", label, data_attribute, under(LN3 + 0.1, LN3 - 0.1))


@FAMILIES.family("clipping")
def threshold_too_low(self: Family) -> Iterator[Case]:
    def norm() -> Training:
        net = Net("gru", 8, 24, 27, symbols=27, last=False)
        return fit(net, data.letters(20, 12, 1), "sgd:0.3", steps=250, clip="norm:0.0003")

    yield self.case("letters, SGD, norm of 3e-4", CLIP_LOW, norm, under(3.5, 3.1))

    def value() -> Training:
        net = Net("lstm", 1, 20, 2, last=False)
        held = validation(data.switch(16, 100, 2), ce, 50)
        return fit(net, data.switch(16, 32, 1), "momentum:0.05", clip="value:0.000003", metrics=held)

    yield self.case("switch, momentum, values of 3e-6", CLIP_LOW, value, under(0.75, 0.64))

    def summed() -> Training:
        net = Net("gru", 8, 20, 4, symbols=30)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            return functional.cross_entropy(net(x), y, reduction="sum")

        return fit(net, data.reviews(12, 64, 4, 1), "sgd:0.0003", steps=300, forward=forward, clip="norm:0.1")

    yield self.case("summed loss, norm of 0.1", CLIP_LOW, summed, under(64 * 1.6, 64 * 1.25))


@FAMILIES.family("clipping")
def clipped_after_the_update(self: Family) -> Iterator[Case]:
    label = MISPLACED.also(causes=("exploding", "learning-rate-high"), actions="lower-learning-rate")

    def build() -> Training:
        net = start(Net("tanh", 4, 40, 4), "gauss", 3.0)
        return fit(net, data.mark(50, 24, 4, 1), "sgd:0.1", steps=200, clip="norm:1", clip_at="after-update")

    yield self.case("tanh, gain of 3", label, build, Expected((LN4 - 0.1, math.inf), nonfinite=None))
