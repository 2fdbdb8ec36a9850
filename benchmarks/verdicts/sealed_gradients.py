"""The sealed part: short trainings that fail in the gradient, the units or the numbers: too large, too small, NaN."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.labels import (
    BAD_BATCH,
    BROKEN,
    DEAD,
    EXPLODES,
    FADES,
    FIND,
    SATURATES,
)
from benchmarks.verdicts.nets import Net, fill, start, times
from benchmarks.verdicts.optimizers import optimizer
from benchmarks.verdicts.practice_data import activity, during, intents, tank
from benchmarks.verdicts.practice_nets import PackedTagger
from benchmarks.verdicts.sequences import padded
from benchmarks.verdicts.tasks import first_sign, mse, remember
from benchmarks.verdicts.training import Training

FAMILIES = Families("sealed")


@FAMILIES.family("saturated")
def inputs_in_units(self: Family) -> Iterator[Case]:
    def raw() -> Training:
        net = Net("lstm", 3, 24, 2)
        data = first_sign(25, 32, 1000.0, 49).batch
        return Training(net, data, optimizer("adam:0.001", net), watch={"chance_loss": "ln 2"})

    def wide() -> Training:
        net = times(Net("tanh", 3, 32, 2), "weight_", 60.0)
        data = first_sign(20, 32, 1.0, 50).batch
        return Training(net, data, optimizer("adam:0.001", net), watch={"chance_loss": "ln 2"})

    label = SATURATES.also(causes=("exploding",), actions="change-cell clip")
    yield self.case("inputs of 1000, LSTM", label, raw, Expected(final=(0.6, 1.2)))
    yield self.case("weights 60 times too large, RNN", label, wide, Expected(final=(0.55, 2.5)))


@FAMILIES.family("exploding")
def relu_overflows(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Net("relu", 1, 32, 1, last=False), "eye", 1.35)
        return Training(net, tank(60, 16, 51), optimizer("sgd:0.01", net), mse, steps=250)

    yield self.case("1.35 times the identity", EXPLODES, build, Expected(final=(1.0, math.inf), nonfinite=None))


@FAMILIES.family("vanishing")
def far_away(self: Family) -> Iterator[Case]:
    def delay() -> Training:
        net = Net("tanh", 8, 32, 4, symbols=8)
        data = remember(90, 16, 4, 52).batch
        return Training(net, data, optimizer("adam:0.001", net), watch={"chance_loss": "ln 4"})

    def after_padding() -> Training:
        net = Net("gru", 2, 16, 2)
        data = padded(8, 100, 32, 53)
        return Training(net, data, optimizer("adam:0.002", net), steps=200, watch={"chance_loss": "ln 2"})

    yield self.case("RNN over 90 timesteps", FADES, delay, Expected(final=(1.3, 1.5), kept=(0, 1e-4)))
    about = Expected(final=(0.66, 0.73), kept=(0, 1e-4))
    yield self.case("state read after 100 timesteps of padding", FADES, after_padding, about)


@FAMILIES.family("dead")
def relus_off(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = fill(Net("relu", 3, 24, 4), "bias_hh", -12.0)
        data = activity(16, 32, 4, 54)
        return Training(net, data, optimizer("adam:0.003", net), watch={"chance_loss": "ln 4"})

    yield self.case("bias of -12", DEAD.also(causes=("no-gradient",)), build, Expected(final=(1.35, 1.45)))


@FAMILIES.family("sign")
def gradient_ascent(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 3, 24, 4)
        data = activity(16, 32, 4, 55)
        return Training(net, data, optimizer("adam:0.005", net), before=_turned, watch={"chance_loss": "ln 4"})

    label = Label(("diverged",), (None, "learning-rate-high", "exploding"), (*FIND, "*"))
    yield self.case("maximised by mistake", label, build, Expected(final=(3, math.inf)))


def _turned(step: int, net: nn.Module, opt: torch.optim.Optimizer) -> None:
    opt.param_groups[0]["maximize"] = True


@FAMILIES.family("decay")
def weights_decayed_away(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 16, 32, 10, symbols=30)
        opt = torch.optim.AdamW(net.parameters(), 0.005, weight_decay=40.0)
        return Training(net, intents(10, 32, 10, 56), opt, watch={"chance_loss": "ln 10"})

    label = Label(("stuck",), (None, "vanishing", "no-gradient"), (*FIND, "*"))
    yield self.case("AdamW, 40", label, build, Expected(final=(2.2, 2.4)))


@FAMILIES.family("non-finite")
def nan_appears(self: Family) -> Iterator[Case]:
    def log_of_zero() -> Training:
        net = Net("lstm", 3, 24, 5)

        def loss(output: Tensor, y: Tensor) -> Tensor:
            p = (40 * output).softmax(-1)
            return -(functional.one_hot(y, 5) * p.log() + (1 - functional.one_hot(y, 5)) * (1 - p).log()).sum(-1).mean()

        return Training(net, activity(16, 32, 5, 57), optimizer("adam:0.01", net), loss)

    def constant_sequence() -> Training:
        net, data = Net("gru", 3, 24, 3), activity(16, 32, 3, 58)
        flat = during(
            data, lambda step: step == 170, lambda x, y: (torch.where(torch.arange(32)[:, None] == 4, 1.0, x), y)
        )

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = flat(step)
            return (x - x.mean(0)) / x.std(0), y

        return Training(net, batch, optimizer("adam:0.005", net))

    def root_of_zero() -> Training:
        net, data = PackedTagger(9, 8, 12, 1), intents(10, 16, 8, 59)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            found = net(x % 8 + 1)
            near = (found[0] - found[-1]).square().sum(-1).sqrt()
            return (near - (x[0] == x[-1]).float() * near).mean() + found.square().mean()

        def zeroed(step: int, net: nn.Module, opt: torch.optim.Optimizer) -> None:
            if step == 120:
                fill(net, "head.weight", 0.0)

        return Training(net, data, optimizer("adam:0.01", net), forward=forward, before=zeroed)

    yield self.case("log of 0", BROKEN, log_of_zero, Expected(nonfinite=True))
    yield self.case(
        "0/0 in one batch", BAD_BATCH.also(actions="guard-operation"), constant_sequence, Expected(nonfinite=True)
    )
    yield self.case("root of 0", BROKEN, root_of_zero, Expected(nonfinite=True))
