"""The outside part: long trainings that fail, each judged at 10, 50 and 100% of its steps."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks.verdicts import projects_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.everyday_nets import accuracy, error_rate, scored
from benchmarks.verdicts.field_nets import VAE, carried, counted, elbo, reinforce, thirds, under, validation
from benchmarks.verdicts.labels import (
    AT_CHANCE,
    BAD_BATCH,
    CHANGED,
    CLIP_LOW,
    CRAWLS,
    CUT,
    EXPLODES,
    FADES,
    FIND,
    FINE,
    HEALTHY,
    LR_HIGH,
    LR_LOW,
    NOTED,
    OVERFITS,
    UNMEASURED,
    UNTOLD,
)
from benchmarks.verdicts.nets import Loop, Net, keep, start
from benchmarks.verdicts.optimizers import schedule
from benchmarks.verdicts.projects_nets import fit
from benchmarks.verdicts.sequences import by_step
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("outside")

LONG = {"steps": 3000, "every": 50}
QUARTER = {"watch": {"chance_loss": "ln 4"}}
AT_LN4 = under(1.5, 1.25)


@FAMILIES.family("overfits")
def one_hospital(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 1, 24, 3)
        batch = data.shelf(2, data.heartbeats(20, 32, 1, noise=0.8), 16, 3)
        held = validation(data.heartbeats(20, 300, 2, noise=0.8), ce, 50, right="val_acc")
        return fit(net, batch, "adam:0.002", **LONG, metrics=held)

    early = Label(("overfits", "learning", "learned"), (None,), (*OVERFITS.actions, *FINE), failed=False)
    late = Expected((1.4, 30.0), "val_loss")
    yield from thirds(self, "64 records", build, (early, Expected()), (OVERFITS, late), (OVERFITS, late))


@FAMILIES.family("overfits")
def few_addresses(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 16, 32, 10, symbols=100, last=False)
        batch = data.shelf(1, data.decimals(6, 48, 1), 16, 3)
        held = validation(data.decimals(6, 200, 2), ce, 100)
        return fit(net, batch, "adamw:0.003", **LONG, metrics=held)

    late = Expected((2.8, 30.0), "val_loss")
    early = Label(("overfits", "learning", "learned"), (None,), (*OVERFITS.actions, *FINE), failed=False)
    yield from thirds(self, "48 sums, val_loss", build, (early, Expected()), (OVERFITS, late), (OVERFITS, late))


@FAMILIES.family("vanishing")
def never_remembers(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Net("tanh", 8, 24, 4, symbols=8), "orth", 0.3)
        held = scored(data.gap_recall(40, 200, 2), 100, val_acc=accuracy)
        return fit(net, data.gap_recall(40, 16, 1), "sgd:0.05", **LONG, metrics=held)

    told = (FADES, Expected((1.25, 1.5), kept=(0, 1e-4)))
    yield from thirds(self, "tanh over 40 timesteps", build, told, told, told)


@FAMILIES.family("vanishing")
def forgets_all(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = keep(Net("lstm", 8, 16, 4, symbols=8), -6.0)
        return fit(net, data.gap_recall(30, 16, 1), "momentum:0.02", **LONG, **QUARTER)

    told = (FADES, Expected((1.25, 1.5), kept=(0, 1e-4)))
    yield from thirds(self, "LSTM", build, told, told, told)


@FAMILIES.family("exploding")
def never_calm(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Net("tanh", 8, 24, 4, symbols=8), "orth", 2.4)
        return fit(net, data.gap_recall(30, 16, 1), "adam:0.00005", **LONG, **QUARTER)

    told = (EXPLODES.also(causes=("learning-rate-high",)), Expected((1.3, math.inf), growth=(30, math.inf)))
    yield from thirds(self, "tanh", build, told, told, told)


@FAMILIES.family("truncated")
def windows_too_short(self: Family) -> Iterator[Case]:
    def build() -> Training:
        batch, forward = carried(17, 5, 16, 4, 1)
        net = Net("gru", 8, 24, 4, symbols=4, last=False)
        return fit(net, batch, "adam:0.002", **LONG, forward=forward, **QUARTER)

    told = (CUT, AT_LN4)
    yield from thirds(self, "windows of 5 for a lag of 17", build, told, told, told)


@FAMILIES.family("truncated")
def cut_for_long(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Loop("gru", 8, 16, 4, symbols=8, cut=lambda t, T: t % 5 == 4)
        return fit(net, data.gap_recall(27, 16, 1), "adam:0.002", **LONG, forward=counted(ce))

    told = (CUT, AT_LN4)
    yield from thirds(self, "cells cut every fifth timestep", build, told, told, told)


@FAMILIES.family("learning rate")
def rate_gone(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 8, 24, 5, symbols=5, last=False)
        held = scored(data.programs(12, 100, 2), 100, val_err=error_rate)
        before = schedule(lambda step: 0.001 * 0.95 ** (step // 2))
        return fit(net, data.programs(12, 16, 1), "adam:0.001", **LONG, before=before, metrics=held)

    early = LR_LOW.also(outcomes="learning", causes=(None,), actions="*")
    first = Label(early.outcomes, early.causes, early.actions, failed=False)
    told = (LR_LOW.also(actions="train-longer"), under(1.7, 1.2))
    yield from thirds(self, "a decay of 5% every second step", build, (first, Expected()), told, told)


@FAMILIES.family("learning rate")
def rate_too_low_for_long(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 6, 16, 8, last=False)
        return fit(net, data.phones(12, 16, 8, 1), "adam:0.0000003", **LONG, watch={"chance_loss": "ln 8"})

    told = (LR_LOW, under(2.4, 1.95))
    yield from thirds(self, "Adam at 3e-7", build, told, told, told)


@FAMILIES.family("learning rate")
def rate_climbs(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 3, 16, 3, last=False)
        before = schedule(lambda step: 0.003 * (1 + max(0, step - 1600) / 2))
        return fit(net, data.plant(12, 16, 1), "adam:0.003", mse, **LONG, before=before)

    late = LR_HIGH.also(causes=("changed-during-training",), actions="revert-change")
    told = ((HEALTHY, under(0.2)), (HEALTHY, under(0.06)), (late, under(math.inf, 0.3)))
    yield from thirds(self, "a warm-up that does not end", build, *told)


@FAMILIES.family("clipping")
def clipped_to_a_crawl(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 3, 16, 3, last=False)
        return fit(net, data.plant(12, 16, 1), "sgd:0.05", mse, **LONG, clip="norm:0.0002")

    told = (CLIP_LOW, under(1.0, 0.3))
    yield from thirds(self, "SGD, norm of 2e-4", build, told, told, told)


@FAMILIES.family("clipping")
def clipped_but_slow(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 2, 16, 2, last=False)
        return fit(net, data.radar(12, 16, 1), "sgd:0.05", mse, **LONG, clip="norm:0.02")

    told = (CRAWLS.also(outcomes="learned"), Expected())
    yield from thirds(self, "SGD, norm of 0.02", build, told, told, told)


@FAMILIES.family("non-finite")
def nan_after_hours(self: Family) -> Iterator[Case]:
    def spoil(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        if step == 2100:
            x[0, 0, 0] = math.inf
        return x, y

    def build() -> Training:
        net = Net("lstm", 3, 16, 3, last=False)
        return fit(net, data.altered(data.plant(12, 8, 1), spoil), "adam:0.003", mse, **LONG, clip="norm:1")

    told = ((NOTED, under(0.3)), (NOTED, under(0.1)), (BAD_BATCH, Expected(nonfinite=True)))
    yield from thirds(self, "inf in a batch of step 2,100", build, *told)


@FAMILIES.family("changed")
def second_task(self: Family) -> Iterator[Case]:
    def other(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x, (y + 2) % 5

    def build() -> Training:
        net = Net("gru", 8, 24, 5, symbols=5, last=False)
        first, second = data.programs(10, 16, 1), data.altered(data.programs(10, 16, 2), other)
        held = scored(data.programs(10, 100, 3), 50, val_acc=accuracy)
        batch = by_step(lambda step: first if step < 1800 else second)
        return fit(net, batch, "adam:0.003", **LONG, metrics=held)

    told = (
        (HEALTHY, under(0.9)),
        (HEALTHY, Expected((0.9, 1.0), "val_acc")),
        (CHANGED.also(causes=(None,)), Expected((0.0, 0.4), "val_acc")),
    )
    yield from thirds(self, "forgets the first, val_acc", build, *told)


@FAMILIES.family("changed")
def decay_turned_on(self: Family) -> Iterator[Case]:
    def regulate(step: int, net: nn.Module, used: Optimizer) -> None:
        if step == 1700:
            for group in used.param_groups:
                group["weight_decay"] = 50.0

    def build() -> Training:
        net = Net("gru", 8, 24, 5, symbols=5, last=False)
        return fit(net, data.programs(10, 16, 1), "adamw:0.003", **LONG, before=regulate, forward=counted(ce))

    label = CHANGED.also(causes=("vanishing", None), outcomes="stuck", actions="*")
    told = ((HEALTHY, under(0.9)), (HEALTHY, under(0.1)), (label, under(2.0, 1.4)))
    yield from thirds(self, "a weight decay of 50 from step 1,700", build, *told)


@FAMILIES.family("data")
def labels_by_chance(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 1, 16, 3)
        draw = torch.Generator().manual_seed(9)
        batch = data.altered(
            data.heartbeats(16, 16, 1), lambda step, x, y: (x, torch.randint(0, 3, y.shape, generator=draw))
        )
        held = validation(data.heartbeats(16, 200, 2), ce, 100, right="val_acc")
        return fit(net, batch, "adam:0.002", **LONG, metrics=held)

    told = (AT_CHANCE, under(1.15, 1.05))
    yield from thirds(self, "ECG", build, told, told, told)


@FAMILIES.family("data")
def luck_for_long(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 16, 4, symbols=8)
        batch = data.altered(data.gap_recall(6, 32, 1), lambda step, x, y: (x, torch.randint_like(y, 4)))
        return fit(net, batch, "adam:0.001", **LONG, forward=reinforce(entropy=0.02))

    told = (UNTOLD, Expected((0.2, 0.3), "reward"))
    yield from thirds(self, "REINFORCE", build, told, told, told)


@FAMILIES.family("collapse")
def empty_code(self: Family) -> Iterator[Case]:
    def build() -> Training:
        batch = data.altered(data.plant(8, 16, 1, noise=0.3), lambda step, x, y: (x, x))
        return fit(VAE(3, 16, 2, fed=True), batch, "adam:0.003", **LONG, forward=elbo(lambda step: 8.0))

    label = UNMEASURED.also(outcomes="stuck", actions=" ".join(FIND))
    told = (Label(label.outcomes, label.causes, label.actions, failed=False), Expected((0, 0.05), "kl"))
    yield from thirds(self, "the KL divergence is 0", build, told, told, told)
