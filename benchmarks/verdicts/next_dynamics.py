"""The next part: short trainings that fail in the recurrence: fading, growth, saturation, dead units, cuts, NaN."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts import coming_data as data
from benchmarks.verdicts import likelihoods
from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.coming_nets import at_step, between, carrying, fit, poisson, wild
from benchmarks.verdicts.common_data import mapped
from benchmarks.verdicts.everyday_nets import accuracy, r2, scored
from benchmarks.verdicts.field_nets import Seq2Seq, counted, ctc, translating
from benchmarks.verdicts.labels import BAD_BATCH, BROKEN, CUT, DEAD, EXPLODES, FADES, SATURATES
from benchmarks.verdicts.nets import Loop, Net, Tapped, fill, keep, start, times
from benchmarks.verdicts.optimizers import optimizer
from benchmarks.verdicts.sequences import reversal
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Scalars, Training

FAMILIES = Families("next")

GUARDED = BAD_BATCH.also(actions="guard-operation")
LN5 = {"chance_loss": "ln 5"}


@FAMILIES.family("vanishing")
def a_keyword_long_ago(self: Family) -> Iterator[Case]:
    def build(net: nn.Module, T: int, spec: str, steps: int = 250, N: int = 16) -> Training:
        return fit(net, data.spotted(T, N, 1, first=True), spec, steps=steps, watch=LN5)

    yield self.case(
        "tanh at half of an orthogonal matrix",
        FADES,
        lambda: build(start(Net("tanh", 8, 24, 5, symbols=9), "orth", 0.5), 40, "momentum:0.05"),
        between(1.5, 1.7, kept=(0, 1e-4)),
    )
    yield self.case(
        "LSTM that forgets",
        FADES.also(causes=("saturated-gates",)),
        lambda: build(keep(Net("lstm", 8, 24, 5, symbols=9), -3.0), 40, "adam:0.001"),
        between(1.5, 1.7, kept=(0, 1e-4)),
    )
    yield self.case(
        "GRU that forgets",
        FADES.also(causes=("saturated-gates",)),
        lambda: build(keep(Net("gru", 8, 24, 5, symbols=9), -3.0), 40, "sgd:0.2"),
        between(1.5, 1.7, kept=(0, 1e-4)),
    )
    yield self.case(
        "two layers of tanh",
        FADES,
        lambda: build(start(Net("tanh", 8, 24, 5, symbols=9, num_layers=2), "orth", 0.7), 50, "adam:0.0005"),
        between(1.5, 1.7, kept=(0, 1e-3)),
    )
    yield self.case(
        "LSTM, 150 timesteps",
        FADES,
        lambda: build(Net("lstm", 8, 16, 5, symbols=9), 150, "sgd:0.1", 120, 8),
        between(1.5, 1.75, kept=(0, 1e-4)),
    )


@FAMILIES.family("vanishing")
def flat_functions(self: Family) -> Iterator[Case]:
    def logistic() -> Training:
        net = Tapped(torch.sigmoid, 8, 24, 5, symbols=9)
        held = scored(data.spotted(30, 200, 2, first=True), 25, val_acc=accuracy)
        return fit(net, data.spotted(30, 16, 1, first=True), "momentum:0.1", steps=250, metrics=held)

    yield self.case("a tapped sigmoid", FADES, logistic, between(1.5, 1.7))

    def weak() -> Training:
        net = times(Net("relu", 8, 24, 5, symbols=9), "weight_hh", 0.2)
        return fit(net, data.spotted(24, 16, 1, first=True), "sgd:0.1", steps=250, watch=LN5)

    yield self.case("relu with small weights", FADES.also(causes=("dead-units",)), weak, between(1.5, 1.7))

    def each() -> Training:
        net = times(start(Net("tanh", 8, 24, 3, symbols=2, last=False), "orth", 1.0), "weight_hh", 0.02)
        return fit(net, data.turns(20, 32, 1), "sgd:0.1", forward=counted(ce), watch={"chance_loss": "ln 3"})

    yield self.case("a loss at each timestep", FADES, each, between(1.0, 1.12))


@FAMILIES.family("exploding")
def growth_back_through_time(self: Family) -> Iterator[Case]:
    def relu() -> Training:
        net = start(Net("relu", 1, 24, 1), "eye", 1.4)
        return fit(net, data.battery(40, 32, 1), "sgd:1e-12", mse, 150, watch={"chance_loss": 0.8})

    label = EXPLODES.also(causes=("learning-rate-low",), actions="raise-learning-rate")
    yield self.case("relu from 1.4 times the identity, a rate that bears it", label, relu, wild(100.0))

    def linear() -> Training:
        net = start(Tapped(lambda z: z, 1, 16, 1), "orth", 1.25)
        return fit(net, data.battery(30, 32, 1), "sgd:0.01", mse, 150)

    causes = (*EXPLODES.causes, "learning-rate-high")
    label = Label(("broken", "diverged", "stuck"), causes, EXPLODES.actions)
    yield self.case("a linear recurrence by hand", label, linear, wild(1.0))

    def chaos() -> Training:
        net = start(Net("tanh", 2, 48, 4), "gauss", 4.0)
        return fit(net, data.gestures(40, 32, 1), "momentum:0.3", steps=250, watch={"chance_loss": "ln 4"})

    label = EXPLODES.also(causes=("saturated-gates", "learning-rate-high", "vanishing"))
    yield self.case("a chaotic tanh", label, chaos, wild(1.3))

    def deep() -> Training:
        net = start(Net("relu", 3, 24, 1, last=False, num_layers=2), "orth", 2.4)
        return fit(net, data.load(30, 16, 1), "sgd:0.01", mse, 150)

    causes = (*EXPLODES.causes, "learning-rate-high", "dead-units", "vanishing")
    label = Label(("broken", "diverged", "stuck"), causes, (*EXPLODES.actions, "revive-units"))
    yield self.case("two layers of relu", label, deep, wild(0.3))


@FAMILIES.family("saturation")
def inputs_in_raw_units(self: Family) -> Iterator[Case]:
    def strokes(cell: str, spec: str, size: float) -> Training:
        net = Net(cell, 2, 24, 4)
        held = scored(data.gestures(14, 200, 2, noise=0.6, size=size), 25, val_acc=accuracy)
        return fit(net, data.gestures(14, 32, 1, noise=0.6, size=size), spec, metrics=held)

    yield self.case("tanh, strokes in micrometres", SATURATES, lambda: strokes("tanh", "sgd:0.02", 3000.0))
    yield self.case("GRU, strokes in micrometres", SATURATES, lambda: strokes("gru", "adam:0.0005", 3000.0))

    def clock() -> Training:
        def stamped(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            return torch.cat([x, 1.7e6 + torch.arange(len(x)).view(-1, 1, 1).expand(*x.shape[:2], 1)], -1), y

        net = Net("lstm", 2, 24, 1)
        held = mapped(data.battery(14, 200, 2), stamped)
        return fit(
            net, mapped(data.battery(14, 32, 1), stamped), "adam:0.001", mse, metrics=scored(held, 25, val_r2=r2)
        )

    label = SATURATES.also(causes=("dead-units",), actions="check-data")
    yield self.case("a time stamp beside the value", label, clock, between(-0.2, 0.1, "val_r2"))


@FAMILIES.family("saturation")
def large_weights(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = times(times(Net("lstm", 8, 24, 5, symbols=9), "weight_ih", 60.0), "weight_hh", 60.0)
        held = scored(data.spotted(14, 200, 2, first=True), 25, val_acc=accuracy)
        return fit(net, data.spotted(14, 32, 1, first=True), "sgd:0.01", metrics=held)

    label = SATURATES.also(causes=("exploding",), actions="clip")
    yield self.case("an initialization sixty times too wide", label, build, between(1.4, 2.2))


@FAMILIES.family("dead units")
def relus_that_are_off(self: Family) -> Iterator[Case]:
    def bias() -> Training:
        net = fill(Net("relu", 2, 24, 4), "bias_hh", -8.0)
        return fit(net, data.gestures(12, 32, 1), "adam:0.002", watch={"chance_loss": "ln 4"})

    yield self.case("biases of -8", DEAD, bias, between(1.35, 1.42))

    def negative() -> Training:
        net = Net("relu", 1, 24, 1)
        with torch.no_grad():
            net.recurrent.weight_ih_l0.abs_()
        held = mapped(data.battery(12, 200, 2), lambda x, y, step: (x - 40, y))
        batch = mapped(data.battery(12, 32, 1), lambda x, y, step: (x - 40, y))
        return fit(net, batch, "sgd:0.01", mse, metrics=scored(held, 25, val_r2=r2))

    label = DEAD.also(actions="scale-inputs check-data")
    yield self.case("inputs that are all below 0", label, negative, between(-0.2, 0.05, "val_r2"))

    def killed() -> Training:
        net = Net("relu", 8, 24, 5, symbols=3, last=False)
        before = at_step(100, lambda net, used: fill(net, "bias_ih", -60.0))
        return fit(net, data.machine(10, 32, 1), "adam:0.003", before=before, forward=counted(ce))

    label = DEAD.also(outcomes="diverged", causes=("changed-during-training",), actions="revert-change check-data")
    yield self.case("since step 100", label, killed, between(1.4, 1.75))


@FAMILIES.family("truncation")
def what_is_asked_lies_before_the_cut(self: Family) -> Iterator[Case]:
    def middle() -> Training:
        net = Loop("gru", 8, 24, 5, symbols=9, cut=lambda t, T: t == 3)
        return fit(net, data.spotted(12, 32, 1, first=True), "adam:0.003", watch=LN5)

    yield self.case("one detach in a loop", CUT, middle, between(1.5, 1.7))

    def every() -> Training:
        net = Loop("lstm", 8, 24, 5, symbols=9, cut=lambda t, T: True)
        held = scored(data.spotted(12, 200, 2, first=True), 20, val_acc=accuracy)
        return fit(net, data.spotted(12, 32, 1, first=True), "adam:0.003", metrics=held)

    yield self.case("a detach after each timestep", CUT, every, between(1.5, 1.7))

    def window() -> Training:
        net = Net("gru", 8, 32, 4, symbols=4, last=False)
        return fit(net, data.stream(30, 6, 16, 1), "adam:0.003", forward=carrying(), config={"distance": 30})

    yield self.case("windows of 6 for a lag of 30, which is told", CUT, window, between(1.36, 1.41))

    def decoder() -> Training:
        net = Seq2Seq(7, 32, cut=True)
        return fit(net, reversal(6, 32, 6, 1), "sgd:0.05", forward=translating())

    label = CUT.also(causes=("no-gradient", "parameters-not-updated"), actions="connect-loss update-parameters")
    yield self.case("the state between encoder and decoder", label, decoder, between(0.0, 0.3, "token_acc"))


@FAMILIES.family("NaN")
def an_operation_without_guard(self: Family) -> Iterator[Case]:
    def logarithm() -> Training:
        net = times(Net("gru", 2, 24, 4), "head", 400.0)
        return fit(
            net,
            data.gestures(10, 32, 1),
            "sgd:0.1",
            lambda o, y: functional.nll_loss(o.softmax(-1).log(), y),
            120,
        )

    yield self.case("the logarithm of a softmax", BROKEN, logarithm, Expected(nonfinite=True))

    def root() -> Training:
        net = Net("lstm", 3, 16, 2, last=False)
        return fit(net, data.load(12, 32, 1), "adam:0.03", likelihoods.unguarded, 150)

    yield self.case("the root of a variance", BROKEN, root, Expected(nonfinite=True))

    def counts() -> Training:
        net = times(Net("gru", 1, 16, 1, last=False), "head", 40.0)
        return fit(net, mapped(data.calls(12, 32, 1), lambda x, y, step: (x, 1000 * y)), "sgd:1", poisson, 120)

    label = BROKEN.also(causes=("exploding", "learning-rate-high"), actions="clip lower-learning-rate scale-inputs")
    yield self.case("the exponential of an output", label, counts, Expected(nonfinite=True))

    def mask() -> Training:
        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            known = (torch.rand(y.shape[1]) < 0.2).float()
            each = (net(x) - y).square().mean((0, 2))
            return (each * known).sum() / known.sum()

        return fit(Net("gru", 3, 16, 1, last=False), data.load(10, 16, 1), "adam:0.01", steps=300, forward=forward)

    label = BROKEN.also(actions="check-data")
    yield self.case("the mean over a mask that may be empty", label, mask, Expected(nonfinite=True))

    def unit() -> Training:
        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            code = net(x).relu()
            return ce(4 * code / code.norm(dim=-1, keepdim=True), y)

        net = fill(Net("gru", 2, 16, 4), "head.bias", -0.3)
        return fit(net, data.gestures(10, 32, 1), "adam:0.005", steps=150, forward=forward)

    yield self.case(
        "a code of length 0 that is normalized", BROKEN.also(causes=("dead-units",)), unit, Expected(nonfinite=True)
    )


@FAMILIES.family("NaN")
def a_batch_that_is_not_finite(self: Family) -> Iterator[Case]:
    def sensor() -> Training:
        def lost(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            return (x.masked_fill(torch.rand_like(x) < 0.001, math.nan), y) if step == 140 else (x, y)

        net = Net("lstm", 1, 16, 1, last=False)
        return fit(net, mapped(data.pendulum(16, 32, 1), lost), "adam:0.005", mse, 250)

    yield self.case("values of a sensor are missing", GUARDED, sensor, Expected(nonfinite=True))

    def ratio() -> Training:
        def divided(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            return x, y / (0.0 if step == 90 else 1.0)

        return fit(Net("gru", 1, 16, 1), mapped(data.battery(12, 32, 1), divided), "momentum:0.05", mse, 200)

    yield self.case("a target is divided by 0", GUARDED, ratio, Expected(nonfinite=True))

    def short() -> Training:
        net = Net("gru", 4, 16, 5, last=False, bidirectional=True)
        batch = mapped(data.speech(4, 16, 1), lambda x, y, step: (x[:3] if step == 60 else x, y))
        return fit(net, batch, "adam:0.01", steps=160, forward=ctc)

    yield self.case("CTC, fewer frames than letters", GUARDED, short, Expected(nonfinite=True))


@FAMILIES.family("NaN")
def too_large_for_half(self: Family) -> Iterator[Case]:
    def build() -> Training:
        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
            error = (net(x) - y).half()
            return (error * error).float().mean(), {}

        net = Net("lstm", 3, 16, 1, last=False)
        batch = data.load(12, 32, 1, unit=1.0, level=400.0)
        return Training(net, batch, optimizer("adam:0.01", net), steps=150, forward=forward)

    label = BROKEN.also(actions="scale-loss check-data")
    yield self.case("squares above 65,504", label, build, Expected(nonfinite=True))
