"""The later part: short trainings that fail by mistakes of the loop: rates, schedules, updates, clipping, precision."""

import copy
import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

from benchmarks.verdicts import common_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.everyday_nets import accuracy, scored
from benchmarks.verdicts.field_nets import counted, under, validation
from benchmarks.verdicts.labels import (
    AT_CHANCE,
    BAD_BATCH,
    BROKEN,
    CHANGED,
    CLIP_LOW,
    CRAWLS,
    LR_HIGH,
    LR_LOW,
    NO_GRADIENT,
    NOT_UPDATED,
    NOT_ZEROED,
    SWINGS,
    UNTOLD,
)
from benchmarks.verdicts.nets import Net
from benchmarks.verdicts.optimizers import changed, schedule
from benchmarks.verdicts.projects_nets import fit
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("later")

WILD = LR_HIGH.also(causes=("saturated-gates", "vanishing", "non-finite", None), actions="check-data overfit-one-batch")
JUMPED = CHANGED.also(
    outcomes="stuck", causes=("learning-rate-high", "exploding"), actions="lower-learning-rate clip overfit-one-batch"
)
NAN = Expected(nonfinite=True)


@FAMILIES.family("learning rate")
def rate_a_thousandth(self: Family) -> Iterator[Case]:
    def adam() -> Training:
        net = Net("gru", 8, 24, 7, symbols=7, last=False)
        return fit(net, data.weekdays(16, 16, 1), "adam:0.0000005", steps=300)

    yield self.case("GRU, Adam at 5e-7", LR_LOW, adam, under(2.3, 1.85))

    def sgd() -> Training:
        net = Net("lstm", 1, 20, 1, last=False)
        return fit(net, data.boiler(20, 16, 1), "sgd:0.00003", mse, 350)

    yield self.case("LSTM, SGD at 3e-5", LR_LOW, sgd, under(1.3, 0.5))

    def momentum() -> Training:
        net = Net("tanh", 3, 24, 5)
        held = validation(data.engines(10, 200, 5, 2), ce, 50, right="val_acc")
        return fit(net, data.engines(10, 32, 5, 1), "nesterov:0.00001", steps=350, metrics=held)

    yield self.case("tanh, Nesterov at 1e-5", LR_LOW, momentum, under(2.2, 1.45))


@FAMILIES.family("learning rate")
def schedule_over_at_once(self: Family) -> Iterator[Case]:
    label = LR_LOW.also(causes=("parameters-not-updated",), actions="update-parameters")

    def decayed() -> Training:
        net = Net("gru", 8, 24, 5, symbols=3, last=False)
        before = schedule(lambda step: 0.003 * 0.5**step)
        return fit(net, data.stock(16, 16, 1), "adam:0.003", steps=300, before=before)

    yield self.case("halved at every batch", label, decayed, under(1.8, 1.2))

    def warm() -> Training:
        net = Net("lstm", 3, 20, 4)
        before = schedule(lambda step: 0.05 * (step + 1) / 400_000)
        return fit(net, data.engines(12, 32, 4, 1), "momentum:0.05", steps=300, before=before)

    yield self.case("a warm-up over 400,000 batches", LR_LOW, warm, under(1.6, 1.2))


@FAMILIES.family("learning rate")
def rate_a_hundred_times(self: Family) -> Iterator[Case]:
    def adam() -> Training:
        net = Net("gru", 8, 24, 7, symbols=7, last=False)
        return fit(net, data.weekdays(16, 16, 1), "adam:2", steps=250)

    yield self.case("GRU, Adam at 2", WILD, adam, under(math.inf, 1.95))

    def sgd() -> Training:
        return fit(Net("lstm", 3, 24, 4), data.engines(12, 32, 4, 1), "sgd:60", steps=200)

    yield self.case("LSTM, SGD at 60", WILD, sgd, Expected((1.4, math.inf), nonfinite=None))

    def rmsprop() -> Training:
        net = Net("tanh", 1, 24, 1, last=False)
        return fit(net, data.swing(24, 16, 1), "rmsprop:0.8", mse, 250)

    yield self.case("tanh, RMSprop at 0.8", WILD, rmsprop, under(math.inf, 0.3))

    def regression() -> Training:
        net = Net("relu", 1, 20, 1, last=False)
        return fit(net, data.boiler(20, 16, 1), "momentum:0.6", mse, 150)

    label = WILD.also(causes=("dead-units",), actions="revive-units change-initialization")
    yield self.case("relu, momentum at 0.6", label, regression, Expected((0.6, math.inf), nonfinite=None))


@FAMILIES.family("changed midway")
def rate_raised_midway(self: Family) -> Iterator[Case]:
    def adam() -> Training:
        net = Net("lstm", 8, 20, 5, symbols=3, last=False)
        return fit(net, data.stock(14, 16, 1), "adam:0.005", steps=400, before=changed(0.005, 3.0, 220))

    yield self.case("Adam from 0.005 to 3", JUMPED, adam, under(math.inf, 1.4))

    def sgd() -> Training:
        net = Net("gru", 8, 24, 7, symbols=7, last=False)
        return fit(net, data.weekdays(16, 16, 1), "sgd:0.5", steps=400, before=changed(0.5, 150.0, 200))

    yield self.case("SGD from 0.5 to 150", JUMPED, sgd, under(math.inf, 1.9))


@FAMILIES.family("changed midway")
def loader_changed_midway(self: Family) -> Iterator[Case]:
    def mixed() -> Training:
        batch = data.mixed(data.engines(10, 32, 5, 1), 4, since=250)
        return fit(Net("gru", 3, 20, 5), batch, "adam:0.005", steps=450)

    label = CHANGED.also(outcomes="stuck", actions="overfit-one-batch lower-learning-rate", causes=(None,))
    yield self.case("labels mixed from step 250", label, mixed, under(math.inf, 1.45))

    def unscaled() -> Training:
        batch = data.mapped(data.boiler(16, 16, 1), lambda x, y, step: (x * (1 if step < 250 else 300), y))
        return fit(Net("lstm", 1, 20, 1, last=False), batch, "adam:0.005", mse, 400)

    told = label.also(outcomes="learning", causes=("saturated-gates",), actions="scale-inputs change-initialization")
    wide = replace(told, failed=False)
    yield self.case("inputs no longer normalized from step 250", wide, unscaled, under(math.inf, 0.1))

    def blank() -> Training:
        batch = data.mapped(data.weekdays(16, 16, 1), lambda x, y, step: (x if step < 200 else x * 0, y))
        net = Net("gru", 8, 24, 7, symbols=7, last=False)
        return fit(net, batch, "adam:0.01", steps=400, watch={"chance_loss": "ln 7"})

    yield self.case("inputs of padding alone from step 200", label, blank, under(2.1, 1.85))


@FAMILIES.family("not updated")
def optimizer_of_other_parameters(self: Family) -> Iterator[Case]:
    def copied() -> Training:
        net = Net("gru", 8, 24, 7, symbols=7, last=False)
        opt = Adam([*copy.deepcopy(net).parameters(), net.head.bias], 0.01)
        return Training(net, data.weekdays(16, 16, 1), opt, ce, 250)

    yield self.case("of a copy of the net, and the bias of the head", NOT_UPDATED, copied, under(2.3, 1.85))

    def head() -> Training:
        net = Net("lstm", 8, 24, 4, symbols=9)
        opt = SGD([*net.head.parameters(), *net.embedding.parameters()], 0.1, momentum=0.9)
        return Training(net, data.badge(24, 32, 1), opt, ce, 300, watch={"chance_loss": "ln 4"})

    label = NOT_UPDATED.also(causes=("vanishing",), actions="change-initialization change-cell raise-forget-bias")
    yield self.case("without the LSTM", label, head, under(1.6, 1.3))


@FAMILIES.family("not zeroed")
def gradients_add_up(self: Family) -> Iterator[Case]:
    def momentum() -> Training:
        net = Net("gru", 8, 24, 5, symbols=3, last=False)
        return fit(net, data.stock(16, 16, 1), "momentum:0.3", steps=300, zero=False)

    yield self.case("momentum", NOT_ZEROED, momentum, Expected((1.0, math.inf), nonfinite=None))

    def adam() -> Training:
        net = Net("lstm", 3, 20, 4)
        return fit(net, data.engines(10, 32, 4, 1), "adamw:0.003", steps=300, zero=False)

    yield self.case("AdamW", SWINGS, adam, Expected((0.0, math.inf), nonfinite=None))

    def sgd() -> Training:
        net = Net("tanh", 1, 16, 1, last=False)
        return fit(net, data.swing(20, 16, 1), "sgd:0.2", mse, 300, zero=False)

    yield self.case("SGD, regression", NOT_ZEROED, sgd, Expected((0.2, math.inf), nonfinite=None))


@FAMILIES.family("no gradient")
def graph_left(self: Family) -> Iterator[Case]:
    def no_grad(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
        with torch.no_grad():
            h = net.run(x)[0]
        return ce(net.read(h), y)

    def build() -> Training:
        net = Net("gru", 8, 24, 4, symbols=9)
        return fit(net, data.badge(30, 32, 1), "adam:0.005", steps=300, forward=no_grad)

    label = NO_GRADIENT.also(causes=("parameters-not-updated",), actions="update-parameters")
    yield self.case("the recurrent layer under no_grad", label, build, under(1.5, 1.3))

    def numpy(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
        h = torch.from_numpy(net.run(x)[0].detach().numpy().copy())
        return ce(net.read(h), y)

    def built() -> Training:
        net = Net("lstm", 8, 24, 4, symbols=9)
        return fit(net, data.badge(24, 32, 1), "rmsprop:0.002", steps=300, forward=numpy)

    yield self.case("states through numpy", label, built, under(1.5, 1.3))


@FAMILIES.family("clipping")
def threshold_far_too_low(self: Family) -> Iterator[Case]:
    def norm() -> Training:
        net = Net("gru", 8, 24, 7, symbols=7, last=False)
        return fit(net, data.weekdays(16, 16, 1), "sgd:0.3", steps=400, clip="norm:0.0002")

    yield self.case("SGD, norm of 2e-4", CLIP_LOW, norm, under(2.2, 1.85))

    def value() -> Training:
        return fit(Net("lstm", 3, 20, 4), data.engines(12, 32, 4, 1), "momentum:0.02", steps=350, clip="value:0.00001")

    yield self.case("momentum, values of 1e-5", CLIP_LOW, value, under(1.6, 1.3))

    def crawls() -> Training:
        net = Net("gru", 1, 20, 1, last=False)
        return fit(net, data.boiler(20, 16, 1), "nesterov:0.01", mse, 350, clip="norm:0.01")

    yield self.case("Nesterov, norm of 0.01", CRAWLS, crawls, under(1.0, 0.1))


@FAMILIES.family("clipping")
def small_loss_and_plain_descent(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 1, 20, 1, last=False)
        batch = data.boiler(20, 16, 1, unit=0.001, noise=0.05)
        return fit(net, batch, "sgd:0.00001", mse, 300)

    label = LR_LOW.also(outcomes="unknown")
    yield self.case("targets in a thousandth, SGD at 1e-5", label, build, under(0.1, 1e-5))

    def divided() -> Training:
        net = Net("gru", 8, 24, 7, symbols=7, last=False)
        return fit(net, data.weekdays(16, 16, 1), "momentum:0.1", lambda o, y: ce(o, y) / 5000, 300)

    yield self.case("a mean divided by the size of the data", LR_LOW, divided, under(2.3 / 5000, 1.85 / 5000))


@FAMILIES.family("NaN")
def nan_from_an_operation(self: Family) -> Iterator[Case]:
    def root() -> Training:
        net = Net("gru", 3, 20, 1)
        batch = data.mapped(data.odds(10, 16, 1), lambda x, y, step: (x[..., [0, 1, 0]], y * (step != 90)))

        def loss(output: Tensor, target: Tensor) -> Tensor:
            return (output - torch.where(target == 0, output.detach(), target)).square().sum().sqrt()

        return fit(net, batch, "adam:0.003", loss, 160)

    yield self.case("the gradient of a square root at 0", BROKEN, root, NAN)

    def ratio() -> Training:
        def normalized(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            x = x * (step != 140)
            return (x - x.mean(0)) / x.std(0), y

        batch = data.mapped(data.engines(12, 16, 4, 1), normalized)
        return fit(Net("lstm", 3, 20, 4), batch, "adam:0.005", steps=220)

    yield self.case("a record of zeros over its deviation", BAD_BATCH.also(actions="guard-operation"), ratio, NAN)

    def mask() -> Training:
        batch = data.weekdays(12, 16, 1)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            kept = torch.zeros(y.shape) if step == 110 else (torch.rand(y.shape) < 0.3).float()
            each = nn.functional.cross_entropy(net(x).flatten(0, 1), y.flatten(), reduction="none").view(y.shape)
            return (each * kept).sum() / kept.sum()

        net = Net("gru", 8, 20, 7, symbols=7, last=False)
        return fit(net, batch, "adamw:0.005", steps=200, forward=forward)

    yield self.case("a mean over an empty mask", BROKEN.also(actions="check-data"), mask, NAN)


@FAMILIES.family("NaN")
def missing_values(self: Family) -> Iterator[Case]:
    def build(value: float, at: int, cell: str) -> Training:
        def change(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            if step == at:
                x[5, 3] = value
            return x, y

        batch = data.mapped(data.boiler(16, 16, 1), change)
        return fit(Net(cell, 1, 16, 1, last=False), batch, "adam:0.005", mse, at + 90)

    label = BAD_BATCH.also(actions="guard-operation")
    yield self.case("a NaN in the inputs at step 130", label, lambda: build(math.nan, 130, "gru"), NAN)
    yield self.case("an inf in the inputs at step 80", label, lambda: build(math.inf, 80, "relu"), NAN)


@FAMILIES.family("NaN")
def rate_of_events_overflows(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("relu", 1, 24, 1, last=False)
        batch = data.mapped(data.boiler(20, 16, 1), lambda x, y, step: (30 * x, y.abs().mul(3).round()))
        return fit(net, batch, "momentum:0.05", lambda o, y: (o.exp() - y * o).mean(), 150)

    label = LR_HIGH.also(causes=("non-finite",), actions="guard-operation check-batch scale-inputs")
    yield self.case("exp of an output", label, build, NAN)


@FAMILIES.family("regularization")
def weights_decay_to_zero(self: Family) -> Iterator[Case]:
    gone = UNTOLD.also(causes=("vanishing", "dead-units"), actions="change-initialization change-cell shorten-path *")

    def adamw() -> Training:
        net = Net("lstm", 3, 24, 5)
        opt = AdamW(net.parameters(), 0.003, weight_decay=60.0)
        held = scored(data.engines(12, 200, 5, 2), 50, val_acc=accuracy)
        return Training(net, data.engines(12, 32, 5, 1), opt, ce, 350, metrics=held)

    yield self.case("AdamW with a decay of 60", gone, adamw, under(1.75, 1.5))

    def sgd() -> Training:
        net = Net("gru", 8, 24, 5, symbols=3, last=False)
        opt = SGD(net.parameters(), 0.3, weight_decay=0.3)
        return Training(net, data.stock(16, 16, 1), opt, ce, 350, forward=counted(ce))

    yield self.case("SGD with an L2 penalty of 0.3", gone, sgd, under(1.7, 1.3))


@FAMILIES.family("regularization")
def dropout_of_nearly_all(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 24, 7, symbols=7, last=False, num_layers=2, dropout=0.98)
        more = {"watch": {"chance_loss": "ln 7"}}
        return fit(net, data.weekdays(14, 16, 1), "adam:0.003", steps=300, **more)

    label = AT_CHANCE.also(causes=("vanishing", "dead-units"), actions="*")
    yield self.case("0.98 between layers and before the head", label, build, under(2.1, 1.8))


@FAMILIES.family("sign")
def maximized(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 3, 20, 4)
        more = {"logged": lambda loss: -loss}
        return fit(net, data.engines(10, 32, 4, 1), "adam:0.003", lambda o, y: -ce(o, y), 300, **more)

    label = Label(("diverged", "broken"), (None, "exploding", "learning-rate-high"), ("check-data", "*"))
    yield self.case("the sign of the loss, which is logged without it", label, build, under(-10.0))
