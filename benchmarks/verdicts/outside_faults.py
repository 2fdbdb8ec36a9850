"""The outside part: short trainings that fail by mistakes of the loop: rates, clipping, updates, signs, precision."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from benchmarks.verdicts import projects_data as data
from benchmarks.verdicts import projects_losses as losses
from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.everyday_nets import accuracy, scored
from benchmarks.verdicts.field_nets import counted, under, validation
from benchmarks.verdicts.labels import (
    AT_CHANCE,
    BEFORE_UNSCALE,
    CLIP_LOW,
    FIND,
    LR_HIGH,
    LR_LOW,
    MISPLACED,
    NOT_UPDATED,
    NOT_ZEROED,
)
from benchmarks.verdicts.nets import Net, start
from benchmarks.verdicts.optimizers import schedule
from benchmarks.verdicts.projects_nets import Attending, Tied, attended, fit
from benchmarks.verdicts.sequences import reversal
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("outside")


@FAMILIES.family("learning rate")
def rate_too_low(self: Family) -> Iterator[Case]:
    def adam() -> Training:
        net = Net("gru", 8, 24, 5, symbols=5, last=False)
        held = scored(data.programs(12, 100, 2), 50, val_acc=accuracy)
        return fit(net, data.programs(12, 32, 1), "adam:0.0000002", steps=300, metrics=held)

    yield self.case("Adam at 2e-7", LR_LOW, adam, under(1.7, 1.45))

    def sgd() -> Training:
        net = Net("lstm", 3, 16, 3, last=False)
        return fit(net, data.plant(16, 32, 1), "sgd:0.0001", mse, 400)

    yield self.case("SGD at 1e-4", LR_LOW, sgd, under(1.5, 0.3))


@FAMILIES.family("learning rate")
def rate_decays_at_once(self: Family) -> Iterator[Case]:
    def each_step() -> Training:
        net = Net("lstm", 8, 24, 10, symbols=100, last=False)
        before = schedule(lambda step: 0.002 * 0.85**step)
        return fit(net, data.decimals(8, 32, 1), "adam:0.002", steps=400, before=before)

    yield self.case("a decay by epoch that is done by step", LR_LOW, each_step, under(2.32, 2.2))

    def warm() -> Training:
        net = Net("gru", 6, 24, 8, last=False)
        before = schedule(lambda step: 0.001 * (step + 1) / 1_000_000)
        return fit(net, data.phones(20, 16, 8, 1), "adamw:0.001", steps=300, before=before)

    yield self.case("a warm-up of a million steps", LR_LOW, warm, under(2.4, 1.8))


@FAMILIES.family("learning rate")
def rate_too_high(self: Family) -> Iterator[Case]:
    def attention() -> Training:
        return fit(Attending(9, 24), reversal(8, 32, 8, 1), "adam:0.5", steps=250, forward=attended("seq_acc"))

    yield self.case("attention, Adam at 0.5", LR_HIGH, attention, under(math.inf, 2.0))

    def words() -> Training:
        return fit(Tied(4, 24, 0.1), data.isochores(24, 16, 1), "momentum:8", steps=250)

    yield self.case("tied weights, momentum at 8", LR_HIGH, words, Expected((1.5, math.inf), nonfinite=None))

    def counting() -> Training:
        net = Net("gru", 2, 16, 1, last=False)
        return fit(net, data.counts(14, 16, 1), "sgd:3", losses.poisson, 250)

    yield self.case(
        "Poisson, SGD at 3", LR_HIGH.also(causes=("non-finite",)), counting, Expected((0.0, math.inf), nonfinite=None)
    )


@FAMILIES.family("clipping")
def clipped_far_too_low(self: Family) -> Iterator[Case]:
    def norm() -> Training:
        net = Net("lstm", 3, 16, 3, last=False)
        return fit(net, data.plant(16, 32, 1), "sgd:0.1", mse, 400, clip="norm:0.0005")

    yield self.case("SGD, norm of 5e-4", CLIP_LOW, norm, under(1.5, 0.3))

    def value() -> Training:
        net = Net("gru", 6, 24, 8, last=False)
        return fit(net, data.phones(20, 16, 8, 1), "momentum:0.05", steps=300, clip="value:0.00001")

    yield self.case("momentum, values of 1e-5", CLIP_LOW, value, under(2.3, 1.85))


@FAMILIES.family("clipping")
def clipped_in_the_wrong_place(self: Family) -> Iterator[Case]:
    def build(where: str) -> Training:
        net = start(Net("tanh", 2, 32, 2, last=False), "gauss", 3.0)
        return fit(net, data.radar(40, 16, 1), "sgd:0.05", mse, 300, clip="norm:0.5", clip_at=where)

    label = MISPLACED.also(causes=("exploding", "learning-rate-high"), actions="lower-learning-rate")
    expected = Expected((2.5, math.inf), nonfinite=None)
    yield self.case("after the update", label, lambda: build("after-update"), expected)
    yield self.case("before the backward pass", label, lambda: build("before-backward"), expected)


@FAMILIES.family("clipping")
def clipped_before_unscaling(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 6, 16, 8, last=False)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**14, growth_interval=100_000)
        more = {"clip": "norm:1", "scaler": scaler, "unscale": False}
        return fit(net, data.phones(16, 16, 8, 1), "sgd:0.3", steps=300, **more)

    yield self.case("SGD", BEFORE_UNSCALE, build, under(2.3, 1.85))


@FAMILIES.family("not updated")
def forgotten_parameters(self: Family) -> Iterator[Case]:
    def head_alone() -> Training:
        net = Net("lstm", 8, 24, 4, symbols=8)
        opt = Adam(net.head.parameters(), 0.005)
        return Training(net, data.gap_recall(14, 32, 1), opt, ce, 300, forward=counted(ce))

    yield self.case("the optimizer has the head alone", NOT_UPDATED, head_alone, under(1.5, 1.25))

    def new_layer() -> Training:
        net = Net("gru", 8, 24, 4, symbols=8)
        opt = Adam(net.parameters(), 0.005)
        net.recurrent = nn.GRU(8, 24)
        return Training(net, data.gap_recall(14, 32, 1), opt, ce, 300, watch={"chance_loss": "ln 4"})

    label = NOT_UPDATED.also(causes=("gradients-not-zeroed",), actions="zero-gradients")
    yield self.case("a layer that is replaced after the optimizer was made", label, new_layer, under(1.5, 1.25))

    def still_frozen() -> Training:
        net = Net("gru", 8, 24, 4, symbols=8)
        net.recurrent.requires_grad_(False)
        return fit(net, data.gap_recall(14, 32, 2), "adam:0.005", steps=300, watch={"chance_loss": "ln 4"})

    label = NOT_UPDATED.also(causes=("no-gradient",), actions="connect-loss")
    yield self.case("frozen for fine-tuning, and trained from scratch", label, still_frozen, under(1.5, 1.25))


@FAMILIES.family("not zeroed")
def gradients_pile_up(self: Family) -> Iterator[Case]:
    def sgd() -> Training:
        net = Net("lstm", 3, 16, 3, last=False)
        return fit(net, data.plant(16, 32, 1), "momentum:0.2", mse, 300, zero=False)

    yield self.case("momentum", NOT_ZEROED, sgd, Expected((0.3, math.inf), nonfinite=None))

    def adam() -> Training:
        net = Net("gru", 8, 16, 5, symbols=5, last=False)
        return fit(net, data.programs(12, 16, 1), "sgd:0.5", steps=300, zero=False, forward=counted(ce))

    yield self.case("SGD, accuracy", NOT_ZEROED, adam, Expected((1.3, math.inf), nonfinite=None))


@FAMILIES.family("data")
def wrong_sign(self: Family) -> Iterator[Case]:
    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
        return -ce(net(x), y)

    def build() -> Training:
        net = Net("gru", 6, 24, 8, last=False)
        held = validation(data.phones(20, 100, 8, 2), ce, 20, right="val_acc")
        return fit(net, data.phones(20, 16, 8, 1), "adam:0.003", steps=300, forward=forward, metrics=held)

    label = Label(("diverged", "stuck"), (None, "exploding", "learning-rate-high"), (*FIND, "lower-learning-rate"))
    yield self.case("val_loss rises", label, build, Expected((4.0, math.inf), "val_loss"))


@FAMILIES.family("precision")
def lost_in_half(self: Family) -> Iterator[Case]:
    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
        return 1e-6 * mse(net(x).half().float(), y)

    def build() -> Training:
        net = Net("lstm", 3, 16, 3, last=False)
        return fit(net, data.plant(20, 32, 1), "adam:0.01", steps=300, forward=forward)

    label = Label(("stuck",), ("no-gradient", "vanishing"), ("scale-loss", "connect-loss"))
    yield self.case("a loss of 1e-6 by a head in float16", label, build, under(1.5e-6, 3e-7))


@FAMILIES.family("precision")
def rounded_away(self: Family) -> Iterator[Case]:
    def round_all(step: int, net: nn.Module, used: Optimizer) -> None:
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.copy_(parameter.bfloat16().float())

    def build() -> Training:
        net = Net("gru", 8, 24, 5, symbols=5, last=False)
        round_all(0, net, Adam(net.parameters()))
        return fit(net, data.programs(12, 32, 1), "sgd:0.0005", steps=300, after=round_all)

    label = LR_LOW.also(causes=("parameters-not-updated",), actions="update-parameters")
    yield self.case("parameters that are kept in bfloat16", label, build, under(1.7, 1.45))


@FAMILIES.family("regularization")
def decayed_away(self: Family) -> Iterator[Case]:
    def adamw() -> Training:
        net = Net("lstm", 8, 16, 5, symbols=5, last=False)
        opt = AdamW(net.parameters(), 0.003, weight_decay=60.0)
        return Training(net, data.programs(12, 32, 1), opt, ce, 400, watch={"chance_loss": "ln 5"})

    label = AT_CHANCE.also(causes=("vanishing", "learning-rate-low"))
    yield self.case("AdamW, a weight decay of 60", label, adamw, under(1.7, 1.45))

    def sgd() -> Training:
        net = Net("gru", 1, 16, 3)
        opt = SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=0.5)
        held = validation(data.heartbeats(24, 100, 2), ce, 25, right="val_acc")
        return Training(net, data.heartbeats(24, 32, 1), opt, ce, 400, metrics=held)

    yield self.case("momentum, a weight decay of 0.5", label, sgd, under(1.15, 1.08))
