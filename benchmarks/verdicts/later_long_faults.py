"""The later part: long trainings that fail, each judged at 10, 50 and 100% of its steps."""

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.verdicts import common_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.everyday_nets import scored
from benchmarks.verdicts.field_nets import carried, ctc, reinforce, thirds, under, validation
from benchmarks.verdicts.labels import (
    AT_CHANCE,
    BAD_BATCH,
    CHANGED,
    CUT,
    FADES,
    FINE,
    HEALTHY,
    LR_HIGH,
    LR_LOW,
    OVERFITS,
    UNMEASURED,
    UNTOLD,
)
from benchmarks.verdicts.nets import Net, start
from benchmarks.verdicts.optimizers import changed, schedule
from benchmarks.verdicts.projects_nets import fit, schooled, word_errors
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("later")

LONG = {"steps": 3000, "every": 50}
LN4 = {"watch": {"chance_loss": "ln 4"}}
AT_LN4 = under(1.5, 1.3)
EARLY = Label(("learning", "learned", "overfits", "unknown"), (None,), (*FINE, *OVERFITS.actions), failed=False)
JUMPED = CHANGED.also(
    outcomes="stuck",
    causes=("learning-rate-high", "exploding", None),
    actions="lower-learning-rate overfit-one-batch",
)


@FAMILIES.family("overfits")
def few_engines(self: Family) -> Iterator[Case]:
    def build() -> Training:
        batch = data.finite(data.engines(8, 60, 4, 1, noise=1.5), 60, 16, 3, each=False)
        held = validation(data.engines(8, 200, 4, 2, noise=1.5), ce, 50, right="val_acc")
        return fit(Net("gru", 3, 20, 4), batch, "adam:0.004", **LONG, metrics=held)

    middle, late = Expected((1.0, 30), "val_loss"), Expected((1.2, 30), "val_loss")
    yield from thirds(self, "60 records", build, (OVERFITS, middle), (OVERFITS, middle), (OVERFITS, late))


@FAMILIES.family("overfits")
def few_boilers(self: Family) -> Iterator[Case]:
    def build() -> Training:
        batch = data.finite(data.boiler(10, 12, 1, noise=0.6), 12, 6, 3, each=True)
        held = validation(data.boiler(10, 200, 2, noise=0.6), mse, 50)
        return fit(Net("lstm", 1, 24, 1, last=False), batch, "adamw:0.001", mse, **LONG, metrics=held)

    late = Expected((0.6, 30), "val_loss")
    yield from thirds(self, "12 records, val_loss", build, (EARLY, Expected()), (OVERFITS, late), (OVERFITS, late))


@FAMILIES.family("overfits")
def wrong_labels_memorized(self: Family) -> Iterator[Case]:
    def build() -> Training:
        noisy = data.mislabelled(data.engines(8, 80, 4, 1, noise=0.8), 0.5, 4, 5)
        batch = data.finite(noisy, 80, 20, 3, each=False)
        held = validation(data.engines(8, 200, 4, 2, noise=0.8), ce, 50)
        return fit(Net("tanh", 3, 32, 4), batch, "rmsprop:0.003", **LONG, metrics=held)

    late = Expected((1.0, 30), "val_loss")
    yield from thirds(self, "half of 80 labels", build, (OVERFITS, late), (OVERFITS, late), (OVERFITS, late))


@FAMILIES.family("vanishing")
def never_remembered(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Net("tanh", 6, 16, 4, symbols=9), "orth", 0.4)
        return fit(net, data.badge(24, 8, 1), "momentum:0.01", **LONG, **LN4)

    label = (FADES, Expected((1.3, 1.5), kept=(0, 1e-4)))
    yield from thirds(self, "tanh, 24 timesteps", build, label, label, label)


@FAMILIES.family("learning rate")
def rate_too_small_for_long(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 6, 16, 7, symbols=7, last=False)
        return fit(net, data.weekdays(10, 8, 1), "sgd:0.0001", **LONG, watch={"chance_loss": "ln 7"})

    label = (LR_LOW, under(2.2, 1.9))
    yield from thirds(self, "GRU, SGD at 1e-4", build, label, label, label)


@FAMILIES.family("learning rate")
def annealed_before_it_learned(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 6, 16, 4, symbols=9)
        before = schedule(lambda step: 0.003 * 0.5 * (1 + math.cos(math.pi * min(step, 240) / 240)) + 1e-9)
        return fit(net, data.badge(14, 8, 1), "adam:0.003", **LONG, before=before, **LN4)

    over = LR_LOW.also(causes=("parameters-not-updated", "vanishing", None), actions="update-parameters check-data")
    early = over.also(actions="overfit-one-batch give-chance change-initialization raise-forget-bias change-cell")
    yield from thirds(self, "a cosine over 240 steps", build, (early, AT_LN4), (over, AT_LN4), (over, AT_LN4))


@FAMILIES.family("changed midway")
def labels_mixed_for_good(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 6, 16, 5, symbols=3, last=False)
        batch = data.mixed(data.stock(10, 8, 1), 4, since=1900)
        return fit(net, batch, "adam:0.003", **LONG)

    late = JUMPED.also(actions="*")
    told = ((UNMEASURED, under(1.3)), (UNMEASURED, under(0.3)), (late, under(1.8, 1.2)))
    yield from thirds(self, "from step 1,900", build, *told)


@FAMILIES.family("changed midway")
def rate_raised_for_good(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 6, 16, 7, symbols=7, last=False)
        more = {"before": changed(0.005, 3.0, 2000), "watch": {"chance_loss": "ln 7"}}
        return fit(net, data.weekdays(10, 8, 1), "adam:0.005", **LONG, **more)

    told = ((HEALTHY, under(1.5)), (HEALTHY, under(1.1)), (JUMPED, under(math.inf, 1.2)))
    yield from thirds(self, "Adam from 0.005 to 3 at step 2,000", build, *told)


@FAMILIES.family("NaN")
def missing_value_late(self: Family) -> Iterator[Case]:
    def build() -> Training:
        def change(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            return torch.where(torch.arange(len(x))[:, None, None] == 3, math.nan, x) if step == 2300 else x, y

        net = Net("gru", 1, 12, 1, last=False)
        return fit(net, data.mapped(data.boiler(10, 8, 1), change), "adam:0.003", mse, **LONG)

    broken = BAD_BATCH.also(actions="guard-operation")
    told = ((UNMEASURED, under(0.2)), (UNMEASURED, under(0.03)), (broken, Expected(nonfinite=True)))
    yield from thirds(self, "at step 2,300", build, *told)


@FAMILIES.family("labels")
def drawn_labels_for_long(self: Family) -> Iterator[Case]:
    def build() -> Training:
        return fit(Net("gru", 3, 12, 4), data.unrelated(8, 12, 1), "adam:0.001", **LONG, **LN4)

    label = (AT_CHANCE, AT_LN4)
    yield from thirds(self, "four classes, chance_loss", build, label, label, label)


@FAMILIES.family("CTC")
def transcripts_of_other_records(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 3, 14, 4, last=False)
        held = scored(data.morse(3, 40, 3, 2), 100, cer=word_errors)
        return fit(net, data.mixed(data.morse(3, 8, 3, 1), 3), "adam:0.003", **LONG, forward=ctc, metrics=held)

    label = (UNTOLD, Expected((0.5, 1.1), "cer"))
    early = (replace(UNTOLD.also(outcomes="learning", actions="continue train-longer"), failed=False), label[1])
    yield from thirds(self, "three letters", build, early, label, label)


@FAMILIES.family("policy gradient")
def reward_of_other_episodes(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 6, 14, 4, symbols=9)
        return fit(net, data.mixed(data.badge(4, 16, 1), 3), "adam:0.002", **LONG, forward=reinforce(entropy=0.01))

    label = (UNTOLD, Expected((0.2, 0.3), "reward"))
    yield from thirds(self, "REINFORCE, 4 choices", build, label, label, label)


@FAMILIES.family("fine-tuning")
def trained_net_destroyed(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = schooled(Net("gru", 6, 16, 7, symbols=7, last=False), data.weekdays(10, 16, 3), "adam:0.01", 400)
        return fit(net, data.weekdays(10, 8, 1), "adam:1.5", **LONG, watch={"chance_loss": "ln 7"})

    label = LR_HIGH.also(
        causes=("saturated-gates", "vanishing", "changed-during-training", None),
        actions="revert-change check-data overfit-one-batch",
    )
    told = (label, under(math.inf, 1.6))
    yield from thirds(self, "Adam at 1.5", build, told, told, told)


@FAMILIES.family("cut")
def windows_too_short_for_long(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 6, 16, 4, symbols=4, last=False)
        batch, forward = carried(15, 6, 8, 4, 1)
        return fit(net, batch, "adam:0.002", **LONG, forward=forward, config={"distance": 15}, **LN4)

    label = (CUT, AT_LN4)
    yield from thirds(self, "windows of 6, a lag of 15 that is declared", build, label, label, label)
