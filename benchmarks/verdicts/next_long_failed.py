"""The next part: long trainings that fail, some after they had learned; judged at 10, 50 and 100% of the steps."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts import coming_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.coming_nets import at_step, between, learned, long, policy, thirds, wild
from benchmarks.verdicts.common_data import finite, mapped, mislabelled, mixed, unrelated
from benchmarks.verdicts.everyday_nets import accuracy, scored
from benchmarks.verdicts.field_nets import counted, ctc, validation
from benchmarks.verdicts.labels import (
    AT_CHANCE,
    BAD_BATCH,
    CHANGED,
    DEAD,
    FADES,
    FIND,
    FINE,
    HEALTHY,
    LR_HIGH,
    LR_LOW,
    OVERFITS,
)
from benchmarks.verdicts.nets import Net, fill, start
from benchmarks.verdicts.optimizers import changed, schedule
from benchmarks.verdicts.tasks import ce, entropy, mse
from benchmarks.verdicts.training import Scalars, Training

FAMILIES = Families("next")

EARLY = Label(("learning", "stuck", "unknown"), (None,), (*FINE, *FIND), failed=False)
SHIFTED = CHANGED.also(outcomes="stuck", causes=(None,), actions="overfit-one-batch")


@FAMILIES.family("long")
def strokes_learned_by_heart(self: Family) -> Iterator[Case]:
    def build() -> Training:
        held = validation(data.gestures(10, 200, 2, noise=0.8), ce, 30, right="val_acc")
        batch = finite(data.gestures(10, 64, 1, noise=0.8), 64, 16, 3, each=False)
        return long(Net("gru", 2, 24, 4), batch, "adamw:0.002", metrics=held)

    early = (HEALTHY, between(0.9, 1.39, "val_loss"))
    late = (OVERFITS, between(1.4, math.inf, "val_loss"))
    yield from thirds(self, "64 of them", build, early, late, late)


@FAMILIES.family("long")
def verses_learned_by_heart(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 12, 40, 8, symbols=8, last=False)
        held = validation(data.verses(12, 64, 2), ce, 30)
        batch = finite(data.verses(12, 100, 1), 100, 10, 3, each=True)
        return long(net, batch, "adam:0.002", metrics=held)

    early = (HEALTHY, between(0.9, 1.6, "val_loss"))
    late = (OVERFITS, between(1.3, math.inf, "val_loss"))
    yield from thirds(self, "100 of them", build, early, late, late)


@FAMILIES.family("long")
def labels_that_shift(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 24, 5, symbols=3, last=False)
        return long(net, mixed(data.machine(10, 16, 1), 3, since=1900), "adam:0.003", forward=counted(ce))

    good = (HEALTHY, between(0, 0.5))
    yield from thirds(self, "targets of other records since step 1900", build, good, good, (SHIFTED, between(1.2, 2.0)))


@FAMILIES.family("long")
def restarts_that_grow(self: Family) -> Iterator[Case]:
    def build() -> Training:
        def rate(step: int) -> float:
            return 0.02 * 3.0 ** (step // 500) * 0.5 * (1.02 + math.cos(math.pi * (step % 500) / 500))

        net = Net("lstm", 3, 16, 1, last=False)
        held = validation(data.load(12, 100, 2), mse, 50)
        return long(net, data.load(12, 16, 1), "sgd:0.02", mse, 3500, before=schedule(rate), metrics=held)

    good = (HEALTHY, between(0.03, 0.3))
    causes = (*LR_HIGH.causes, "non-finite", "saturated-gates")
    late = Label(("broken", "diverged", "stuck"), causes, (*LR_HIGH.actions, "revert-change"))
    yield from thirds(self, "three times as high each time", build, good, good, (late, wild(0.3)))


@FAMILIES.family("long")
def a_reward_turned_round(self: Family) -> Iterator[Case]:
    def build() -> Training:
        right, wrong = policy(entropy=0.005), policy(sign=-1.0, entropy=0.005)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
            return (right if step < 1800 else wrong)(net, x, y, step)

        net = Net("gru", 8, 24, 5, symbols=3, last=False)
        return long(net, data.machine(6, 32, 1), "adam:0.002", forward=forward)

    told = (
        (HEALTHY, between(0.3, 1.0, "reward")),
        (HEALTHY, between(0.8, 1.0, "reward")),
        (SHIFTED.also(actions="lower-learning-rate"), between(0.0, 0.4, "reward")),
    )
    yield from thirds(self, "policy gradient, the wrong sign since step 1800", build, *told)


@FAMILIES.family("long")
def transcripts_of_others(self: Family) -> Iterator[Case]:
    def build() -> Training:
        x, letters = data.speech(3, 100, 9)(0)

        def exact(net: nn.Module, step: int) -> Scalars:
            if step % 50:
                return {}
            with torch.no_grad():
                best = net(x).argmax(-1).t().tolist()
            read = [[a for a, b in zip(row, [0, *row], strict=False) if a not in (0, b)] for row in best]
            return {"val_exact": sum(a == b for a, b in zip(read, letters.tolist(), strict=True)) / len(read)}

        net = Net("gru", 4, 16, 5, last=False)
        return long(net, mixed(data.speech(3, 16, 1), 3), "adam:0.003", forward=ctc, metrics=exact)

    late = (AT_CHANCE, between(-0.01, 0.1, "val_exact"))
    yield from thirds(self, "CTC", build, (EARLY, between(-0.01, 0.1, "val_exact")), late, late)


@FAMILIES.family("long")
def fine_tuned_on_few(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = learned(Net("lstm", 8, 24, 5, symbols=9), data.spotted(8, 32, 3), 250)
        held = validation(data.spotted(8, 200, 2), ce, 30, right="val_acc")
        batch = finite(mislabelled(data.spotted(8, 40, 1), 0.5, 5, 4), 40, 10, 3, each=False)
        return long(net, batch, "adam:0.001", metrics=held)

    first = Label(("overfits", "learning", "learned"), (None,), ("stop-early", "check-data", *FINE), failed=False)
    told = [(label, between(low, 1.0, "val_loss")) for label, low in ((first, 0.12), (OVERFITS, 0.2), (OVERFITS, 0.3))]
    yield from thirds(self, "40 sentences, half of the labels wrong", build, *told)


@FAMILIES.family("long")
def a_bad_batch_at_last(self: Family) -> Iterator[Case]:
    def build() -> Training:
        def lost(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            return (x * math.inf if step == 2700 else x), y

        net = Net("gru", 1, 16, 1)
        return long(net, mapped(data.battery(10, 16, 1), lost), "adamw:0.002", mse)

    good = HEALTHY.also(outcomes="unknown")
    late = (BAD_BATCH.also(actions="guard-operation"), Expected(nonfinite=True))
    yield from thirds(self, "inf at step 2700", build, (good, between(0, 0.3)), (good, between(0, 0.1)), late)


@FAMILIES.family("long")
def relus_that_die(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Net("relu", 8, 24, 5, symbols=3, last=False), "orth", 0.9)
        before = at_step(1100, lambda net, used: fill(net, "bias_ih", -30.0))
        return long(net, data.machine(8, 16, 1), "adam:0.002", before=before, forward=counted(ce))

    label = DEAD.also(outcomes="diverged", causes=("changed-during-training",), actions="revert-change check-data")
    late = (label, between(1.3, 1.7))
    yield from thirds(self, "at step 1100", build, (HEALTHY, between(0, 1.0)), late, late)


@FAMILIES.family("long")
def a_rate_too_low_all_along(self: Family) -> Iterator[Case]:
    def build() -> Training:
        held = validation(data.load(12, 100, 2), mse, 50)
        return long(Net("gru", 3, 16, 1, last=False), data.load(12, 16, 1), "adam:0.0000003", mse, metrics=held)

    told = (LR_LOW, between(0.3, 1.5))
    yield from thirds(self, "Adam at 3e-7", build, told, told, told)


@FAMILIES.family("long")
def a_gradient_that_fades(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Net("tanh", 8, 16, 5, symbols=9), "orth", 0.5)
        held = scored(data.spotted(35, 200, 2, first=True), 50, val_acc=accuracy)
        return long(net, data.spotted(35, 8, 1, first=True), "momentum:0.02", metrics=held)

    told = (FADES, between(1.5, 1.75, kept=(0, 1e-4)))
    yield from thirds(self, "the first of 35 words", build, told, told, told)


@FAMILIES.family("long")
def units_that_change(self: Family) -> Iterator[Case]:
    def build() -> Training:
        def moved(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            return (x * 1000 if step >= 1300 else x), y

        net = Net("tanh", 2, 24, 4)
        batch = mapped(data.gestures(8, 16, 1), moved)
        return long(net, batch, "adam:0.01", forward=counted(ce), watch={"chance_loss": "ln 4"})

    label = CHANGED.also(outcomes="stuck", causes=("saturated-gates", "vanishing"), actions="scale-inputs")
    late = (label, wild(1.2))
    yield from thirds(self, "metres become millimetres at step 1300", build, (HEALTHY, between(0, 1.2)), late, late)


@FAMILIES.family("long")
def a_warm_up_without_end(self: Family) -> Iterator[Case]:
    def build() -> Training:
        before = schedule(lambda step: 0.002 * 1.003**step)
        net = Net("gru", 8, 24, 8, symbols=8, last=False)
        return long(net, data.verses(10, 16, 1), "momentum:0.002", steps=4000, before=before, forward=counted(ce))

    causes = (*LR_HIGH.causes, "non-finite", "saturated-gates")
    late = Label(("diverged", "stuck", "broken"), causes, LR_HIGH.actions)
    told = (EARLY.also(causes=("learning-rate-low",), actions="raise-learning-rate"), between(1.9, 2.15))
    yield from thirds(self, "0.3% more at each step", build, told, (HEALTHY, between(0.7, 1.9)), (late, wild(1.7)))


@FAMILIES.family("long")
def annealed_too_soon(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 8, 24, 8, symbols=8, last=False)
        more = {"before": changed(0.05, 0.000005, 120), "watch": {"chance_loss": "ln 8"}}
        return long(net, data.verses(10, 16, 1), "sgd:0.05", **more)

    label = LR_LOW.also(causes=("parameters-not-updated", "changed-during-training"), actions="revert-change")
    told = (label, between(1.95, 2.1))
    yield from thirds(self, "a ten-thousandth since step 120", build, told, told, told)


@FAMILIES.family("long")
def a_majority_that_is_guessed(self: Family) -> Iterator[Case]:
    def build() -> Training:
        prior = (0.7, 0.1, 0.1, 0.1)
        net = Net("gru", 3, 16, 4)
        more = {"forward": counted(ce), "watch": {"chance_loss": entropy(torch.tensor(prior))}}
        return long(net, unrelated(8, 16, 1, prior=prior), "adam:0.0005", **more)

    told = (AT_CHANCE, between(0.8, 1.15))
    yield from thirds(self, "seven in ten", build, told, told, told)


@FAMILIES.family("long")
def a_penalty_since_the_middle(self: Family) -> Iterator[Case]:
    def build() -> Training:
        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
            output = net(x)
            squares = sum(parameter.square().sum() for parameter in net.parameters())
            right = float((output.argmax(-1) == y).float().mean())
            return functional.cross_entropy(output, y) + (2.0 if step >= 1700 else 0.0) * squares, {"acc": right}

        return long(Net("lstm", 8, 16, 5, symbols=9), data.spotted(8, 16, 1), "adam:0.003", forward=forward)

    label = SHIFTED.also(causes=("vanishing",))
    told = (
        (HEALTHY, between(0.5, 1.0, "acc")),
        (HEALTHY, between(0.9, 1.0, "acc")),
        (label, between(0.1, 0.35, "acc")),
    )
    yield from thirds(self, "the squares of the weights since step 1700", build, *told)
