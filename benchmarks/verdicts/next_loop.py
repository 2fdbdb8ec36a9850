"""The next part: short trainings that fail by mistakes of the loop: rates, schedules, clipping, updates, gradients."""

import copy
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from benchmarks.verdicts import coming_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.coming_nets import Codec, at_step, between, fit, learned, rate, scaled, wild
from benchmarks.verdicts.everyday_nets import accuracy, r2, scored
from benchmarks.verdicts.field_nets import Seq2Seq, counted, translating, validation
from benchmarks.verdicts.labels import (
    BEFORE_UNSCALE,
    CLIP_LOW,
    LR_HIGH,
    LR_LOW,
    MISPLACED,
    NO_GRADIENT,
    NOT_UPDATED,
    NOT_ZEROED,
)
from benchmarks.verdicts.nets import Net, Tapped, start
from benchmarks.verdicts.optimizers import schedule
from benchmarks.verdicts.sequences import reversal
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("next")

TOLD = {"forward": counted(ce)}
BURST = LR_HIGH.also(causes=("non-finite", "dead-units", "saturated-gates", "changed-during-training"))
DIVERGES = Label(("diverged", "stuck", "broken"), BURST.causes, BURST.actions)
BLOWN = Label(("broken", "diverged", "stuck"), BURST.causes, BURST.actions)


def tagger(cell: str = "gru") -> Net:
    return Net(cell, 8, 24, 5, symbols=3, last=False)


@FAMILIES.family("learning rate")
def a_rate_far_too_low(self: Family) -> Iterator[Case]:
    def adam() -> Training:
        held = scored(data.machine(12, 100, 2), 20, val_acc=accuracy)
        return fit(tagger(), data.machine(12, 32, 1), "adam:0.000001", metrics=held)

    yield self.case("Adam at 1e-6, val_acc", LR_LOW, adam, between(1.5, 1.75))

    def sgd() -> Training:
        held = validation(data.load(16, 100, 2), mse, 20)
        return fit(Net("lstm", 3, 16, 1, last=False), data.load(16, 32, 1), "sgd:0.00003", mse, 300, metrics=held)

    yield self.case("SGD at 3e-5, val_loss", LR_LOW, sgd, between(0.3, 1.2))

    def adagrad() -> Training:
        net = Net("gru", 12, 32, 8, symbols=8, last=False)
        return fit(net, data.verses(12, 32, 1), "adagrad:0.00002", watch={"chance_loss": "ln 8"})

    yield self.case("Adagrad at 2e-5, chance is known", LR_LOW, adagrad, between(2.0, 2.2))


@FAMILIES.family("learning rate")
def a_schedule_in_the_wrong_unit(self: Family) -> Iterator[Case]:
    def warm() -> Training:
        before = schedule(lambda step: 0.005 * (step + 1) / 2_000_000)
        held = scored(data.spotted(10, 200, 2), 20, val_acc=accuracy)
        net = Net("gru", 8, 24, 5, symbols=9)
        return fit(net, data.spotted(10, 32, 1), "adamw:0.005", before=before, metrics=held)

    yield self.case("a warm-up in tokens", LR_LOW, warm, between(1.55, 1.75))

    def short() -> Training:
        before = schedule(lambda step: 0.003 * max(0.0, 1 - step / 6))
        net = Net("lstm", 2, 24, 4)
        return fit(net, data.gestures(10, 32, 1), "adam:0.003", before=before, watch={"chance_loss": "ln 4"})

    label = LR_LOW.also(causes=("parameters-not-updated",), actions="update-parameters")
    yield self.case("a linear decay by epochs, done by steps", label, short, between(1.3, 1.45))

    def halved() -> Training:
        before = schedule(lambda step: 0.05 * 0.5 ** (step / 2))
        return fit(tagger("tanh"), data.machine(12, 32, 1), "sgd:0.05", before=before, forward=counted(ce))

    label = LR_LOW.also(causes=("parameters-not-updated",), actions="update-parameters")
    yield self.case("halved every second step", label, halved, between(1.4, 1.75))


@FAMILIES.family("learning rate")
def a_rate_far_too_high(self: Family) -> Iterator[Case]:
    def adam() -> Training:
        return fit(tagger(), data.machine(12, 32, 1), "adam:1", forward=counted(ce))

    yield self.case("Adam at 1", BURST, adam, wild(1.2))

    def momentum() -> Training:
        net = Net("lstm", 12, 32, 8, symbols=8, last=False)
        return fit(net, data.verses(12, 32, 1), "momentum:20", watch={"chance_loss": "ln 8"})

    yield self.case("momentum at 20", DIVERGES, momentum, wild(2.0))

    def rms() -> Training:
        held = scored(data.pendulum(16, 100, 2), 20, val_r2=r2)
        net = Net("tanh", 1, 24, 1, last=False)
        return fit(net, data.pendulum(16, 32, 1), "rmsprop:0.5", mse, 300, metrics=held)

    yield self.case("RMSprop at 0.5", DIVERGES, rms, wild(0.8))

    def plain() -> Training:
        net = Net("relu", 1, 24, 1)
        return fit(net, data.battery(16, 32, 1), "sgd:3", mse, 200)

    label = BLOWN.also(actions="change-initialization revive-units")
    yield self.case("relu, SGD at 3", label, plain, wild(0.5))

    def decoder() -> Training:
        return fit(Seq2Seq(7, 32), reversal(6, 32, 6, 1), "adam:2", forward=translating())

    yield self.case("sequence to sequence, Adam at 2", BURST, decoder, wild(1.5))


@FAMILIES.family("learning rate")
def a_rate_that_grows(self: Family) -> Iterator[Case]:
    def build() -> Training:
        before = schedule(lambda step: 0.1 * 1.03**step)
        net = Net("gru", 3, 24, 1, last=False)
        return fit(net, data.load(16, 32, 1), "sgd:0.1", mse, 350, before=before)

    label = BLOWN.also(actions="revert-change")
    yield self.case("a decay with the wrong sign", label, build, wild(0.3))

    def jump() -> Training:
        before = at_step(180, rate(30.0))
        return fit(
            tagger("lstm"), data.machine(12, 32, 1), "momentum:0.2", steps=350, before=before, forward=counted(ce)
        )

    label = DIVERGES.also(actions="revert-change")
    yield self.case("a hundred and fifty times as much since step 180", label, jump, wild(1.3))


@FAMILIES.family("clipping")
def thresholds_far_too_low(self: Family) -> Iterator[Case]:
    def norm() -> Training:
        held = validation(data.load(16, 100, 2), mse, 20)
        net = Net("gru", 3, 16, 1, last=False)
        return fit(net, data.load(16, 32, 1), "sgd:0.1", mse, 300, clip="norm:0.0002", metrics=held)

    yield self.case("SGD, norm of 2e-4", CLIP_LOW, norm, between(0.3, 1.0))

    def value() -> Training:
        return fit(tagger(), data.machine(12, 32, 1), "momentum:0.1", clip="value:0.000003", forward=counted(ce))

    yield self.case("momentum, values of 3e-6", CLIP_LOW, value, between(1.45, 1.75))

    def summed() -> Training:
        net = Net("lstm", 12, 32, 8, symbols=8, last=False)
        more = {"watch": {"loss_reduction": "sum"}, "forward": counted(scaled(ce, 32 * 12.0))}
        return fit(net, data.verses(12, 32, 1), "sgd:0.0005", clip="norm:1", **more)

    label = CLIP_LOW.also(causes=("learning-rate-low",), actions="raise-learning-rate")
    yield self.case("a threshold for the mean under a sum", label, summed, between(700, 830))


@FAMILIES.family("clipping")
def clipped_where_it_does_nothing(self: Family) -> Iterator[Case]:
    def build(where: str) -> Training:
        net = start(Net("tanh", 1, 32, 1, last=False), "gauss", 3.0)
        return fit(net, data.pendulum(40, 16, 1), "momentum:0.05", mse, 250, clip="norm:0.5", clip_at=where)

    label = MISPLACED.also(causes=("exploding", "learning-rate-high"), actions="lower-learning-rate")
    yield self.case("after the update", label, lambda: build("after-update"), wild(1.0))
    yield self.case("before the backward pass", label, lambda: build("before-backward"), wild(1.0))


@FAMILIES.family("clipping")
def scaled_gradients_are_clipped(self: Family) -> Iterator[Case]:
    def build() -> Training:
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**15, growth_interval=100_000)
        more = {"scaler": scaler, "unscale": False, "forward": counted(ce)}
        return fit(tagger(), data.machine(12, 32, 1), "momentum:0.1", clip="norm:1", **more)

    yield self.case("momentum, norm of 1", BEFORE_UNSCALE, build, between(1.45, 1.75))


@FAMILIES.family("not updated")
def parameters_that_stay(self: Family) -> Iterator[Case]:
    def copied() -> Training:
        net = Net("gru", 8, 24, 5, symbols=9)
        opt = SGD(net.parameters(), 0.1)
        net.recurrent = copy.deepcopy(net.recurrent)
        return Training(net, data.spotted(20, 32, 1, first=True), opt, ce, 250, forward=counted(ce))

    label = NOT_UPDATED.also(causes=("gradients-not-zeroed",), actions="zero-gradients")
    yield self.case("a layer is copied after the optimizer is made", label, copied, between(1.5, 1.75))

    def head() -> Training:
        net = Net("lstm", 8, 24, 5, symbols=9)
        held = scored(data.spotted(14, 200, 2), 20, val_acc=accuracy)
        return Training(
            net, data.spotted(14, 32, 1, first=True), SGD(net.head.parameters(), 0.1), ce, 300, metrics=held
        )

    yield self.case("the head alone", label, head, between(1.45, 1.7))

    def frozen() -> Training:
        net = tagger("lstm")
        for parameter in net.recurrent.parameters():
            parameter.requires_grad_(False)
        return fit(net, data.machine(14, 32, 1), "sgd:0.1", forward=counted(ce))

    label = NOT_UPDATED.also(causes=("no-gradient",), actions="connect-loss")
    yield self.case("a frozen layer that was never trained", label, frozen, between(1.2, 1.65))


@FAMILIES.family("not updated")
def updates_that_are_undone(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 12, 32, 8, symbols=8, last=False)
        kept = copy.deepcopy(net.state_dict())

        def reload(step: int, net: nn.Module, used: Optimizer) -> None:
            net.load_state_dict(kept)

        return fit(net, data.verses(12, 32, 1), "adam:0.005", after=reload, watch={"chance_loss": "ln 8"})

    label = NOT_UPDATED.also(causes=(None,), actions="check-data overfit-one-batch")
    yield self.case("a checkpoint is loaded after each step", label, build, between(2.0, 2.2))


@FAMILIES.family("not updated")
def updates_that_are_skipped(self: Family) -> Iterator[Case]:
    def build() -> Training:
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, backoff_factor=0.999, growth_interval=100_000)
        more = {"scaler": scaler, "watch": {"chance_loss": "ln 5"}}
        return fit(tagger(), data.machine(12, 32, 1), "adam:0.01", scaled(ce, 30.0), 250, **more)

    label = Label(
        ("stuck", "broken"),
        ("non-finite", "parameters-not-updated"),
        ("update-parameters", "scale-loss", "guard-operation", "check-batch", "check-data"),
    )
    yield self.case("a scale at which each gradient is inf", label, build, Expected((40, 60), nonfinite=None))


@FAMILIES.family("not zeroed")
def gradients_that_pile_up(self: Family) -> Iterator[Case]:
    def momentum() -> Training:
        return fit(tagger("lstm"), data.machine(12, 32, 1), "momentum:0.3", zero=False, forward=counted(ce))

    yield self.case("momentum", NOT_ZEROED, momentum, wild(1.0))

    def adam() -> Training:
        net = Net("gru", 3, 16, 1, last=False)
        held = validation(data.load(16, 100, 2), mse, 20)
        return fit(net, data.load(16, 32, 1), "adam:0.1", mse, 300, zero=False, metrics=held)

    yield self.case("Adam at 0.1", NOT_ZEROED, adam, wild(0.2))

    def clipped() -> Training:
        net = Net("gru", 12, 32, 8, symbols=8, last=False)
        more = {"zero": False, "clip": "norm:1", "watch": {"chance_loss": "ln 8"}}
        return fit(net, data.verses(12, 32, 1), "sgd:3", **more)

    label = NOT_ZEROED.also(causes=("clipping-always", "learning-rate-high"), actions="lower-learning-rate")
    yield self.case("SGD at 3, norm of 1", label, clipped, wild(1.5))


@FAMILIES.family("no gradient")
def a_path_that_is_cut(self: Family) -> Iterator[Case]:
    def forward(net: Net, x: Tensor, y: Tensor, step: int) -> Tensor:
        return ce(net.read(net.run(x)[0].detach()), y)

    def detached() -> Training:
        net = Net("gru", 8, 16, 5, symbols=9)
        return fit(net, data.spotted(20, 32, 1, first=True), "sgd:0.1", forward=forward, watch={"chance_loss": "ln 5"})

    label = NO_GRADIENT.also(causes=("parameters-not-updated",), actions="update-parameters")
    yield self.case("the outputs are detached", label, detached, between(1.5, 1.7))

    def rounded() -> Training:
        return fit(Net("lstm", 3, 16, 1, last=False), data.load(16, 32, 1), "adam:0.01", lambda o, y: mse(o.round(), y))

    yield self.case("a loss of rounded outputs", NO_GRADIENT, rounded, between(0.3, 1.5))

    def hard() -> Training:
        net = start(Tapped(lambda z: (z > 0).float(), 2, 24, 4), "gauss", 1.0)
        return fit(net, data.gestures(14, 32, 1), "sgd:0.1", watch={"chance_loss": "ln 4"})

    label = NO_GRADIENT.also(
        causes=("vanishing", "parameters-not-updated", "dead-units"), actions="change-cell change-initialization"
    )
    yield self.case("a step in place of a sigmoid", label, hard, between(1.1, 1.5))

    def codec() -> Training:
        net = Codec(nn.GRU, 1, 24, 4, cut=True)
        net.to_code.weight.data *= 0.05
        return fit(net, data.tides(16, 32, 1), "sgd:0.05", mse, 300, metrics=scored(data.tides(16, 100, 2), 20, r2=r2))

    label = NO_GRADIENT.also(causes=("truncated-reach", "parameters-not-updated"), actions="update-parameters")
    yield self.case("a code that is detached", label, codec, between(-0.2, 0.15, "r2"))


@FAMILIES.family("learning rate")
def fine_tuning_at_a_high_rate(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = learned(Net("lstm", 8, 24, 5, symbols=9), data.spotted(8, 32, 3), 200)
        held = scored(data.spotted(12, 200, 2), 20, val_acc=accuracy)
        return fit(net, data.spotted(12, 32, 1), "momentum:20", metrics=held)

    yield self.case("what was learned is lost at once", DIVERGES, build, wild(math.log(5) - 0.2))
