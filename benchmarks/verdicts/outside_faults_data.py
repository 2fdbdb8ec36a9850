"""The outside part: short trainings that fail by their data, by NaN and inf, or by a collapse."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from benchmarks.verdicts import projects_data as data
from benchmarks.verdicts import projects_losses as losses
from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.everyday_nets import accuracy, scored
from benchmarks.verdicts.field_data import spoken
from benchmarks.verdicts.field_nets import counted, ctc, reinforce, under, validation
from benchmarks.verdicts.labels import (
    AT_CHANCE,
    BAD_BATCH,
    BROKEN,
    CHANGED,
    FIND,
    LR_HIGH,
    OVERFITS,
    UNTOLD,
)
from benchmarks.verdicts.nets import Net
from benchmarks.verdicts.projects_nets import Forger, adversarial, arms, fit, word_errors
from benchmarks.verdicts.projects_nets import Gambler as Player
from benchmarks.verdicts.projects_nets import gambled as played
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("outside")

NONFINITE = Expected(nonfinite=True)


@FAMILIES.family("data")
def labels_of_others(self: Family) -> Iterator[Case]:
    def mixed(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x, y[torch.randperm(len(y))]

    def ecg() -> Training:
        net = Net("lstm", 1, 16, 3)
        batch = data.altered(data.heartbeats(24, 32, 1), mixed)
        return fit(net, batch, "adam:0.005", steps=400, watch={"chance_loss": "ln 3"})

    yield self.case("ECG, shuffled", AT_CHANCE, ecg, under(1.15, 1.05))

    def tokens() -> Training:
        net = Net("gru", 16, 24, 10, symbols=100, last=False)
        batch = data.altered(data.decimals(8, 32, 1), lambda step, x, y: (x, torch.randint_like(y, 10)))
        held = scored(data.decimals(8, 200, 2), 40, val_acc=accuracy)
        return fit(net, batch, "adamw:0.003", steps=400, metrics=held)

    yield self.case("digits at random, val_acc", AT_CHANCE, tokens, under(2.35, 2.25))


@FAMILIES.family("data")
def inputs_that_say_nothing(self: Family) -> Iterator[Case]:
    def zeros() -> Training:
        net = Net("gru", 3, 16, 3, last=False)
        batch = data.altered(data.plant(16, 32, 1), lambda step, x, y: (0 * x, y))
        return fit(net, batch, "adam:0.005", mse, 400, metrics=validation(data.plant(16, 100, 2), mse, 40))

    yield self.case("zeros for inputs", UNTOLD, zeros, under(0.9, 0.3))

    def padding() -> Training:
        net = Net("lstm", 8, 16, 5, symbols=6, last=False)
        batch = data.altered(data.programs(12, 32, 1), lambda step, x, y: (torch.full_like(x, 5), y))
        return fit(net, batch, "adam:0.005", steps=400, forward=counted(ce))

    yield self.case("unknown words alone", UNTOLD, padding, under(1.65, 1.2))


@FAMILIES.family("data")
def rewards_by_luck(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 16, 4, symbols=8)
        batch = data.altered(data.gap_recall(6, 64, 1), lambda step, x, y: (x, torch.randint_like(y, 4)))
        return fit(net, batch, "adam:0.003", steps=400, forward=reinforce(entropy=0.02))

    yield self.case("REINFORCE", UNTOLD, build, Expected((0.2, 0.3), "reward"))

    def lottery() -> Training:
        batch = data.altered(arms(32, 1), lambda step, x, y: (torch.full_like(x, 0.5), y))
        return fit(Player(16, 8), batch, "adam:0.003", steps=300, forward=played(0.01))

    yield self.case("arms that are alike", UNTOLD, lottery, Expected((0.45, 0.55), "mean_reward"))


@FAMILIES.family("collapse")
def one_action(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 16, 4, symbols=8)
        return fit(net, data.gap_recall(6, 16, 1), "adam:0.3", steps=300, forward=reinforce(baseline=False))

    label = LR_HIGH.also(causes=(None, "saturated-gates", "vanishing", "no-gradient"), outcomes="unknown", actions="*")
    yield self.case("REINFORCE at 0.3 without a baseline", label, build, Expected((0.15, 0.35), "reward"))


@FAMILIES.family("collapse")
def codes_in_one_point(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 1, 16, 8)
        return fit(net, data.heartbeats(24, 24, 1), "adam:0.005", losses.hardest, 400)

    label = UNTOLD.also(causes=("vanishing", "learning-rate-high"), actions="*")
    yield self.case("hardest triplets, the loss is its margin", label, build, under(0.55, 0.45))


@FAMILIES.family("collapse")
def one_shape(self: Family) -> Iterator[Case]:
    def build() -> Training:
        real = data.altered(data.plant(8, 32, 1), lambda step, x, y: (3 * x[..., :1], y))
        forward = adversarial(Net("gru", 1, 16, 1), 0.03)
        return fit(Forger(8), real, "adam:0.0001", steps=400, forward=forward)

    label = Label(("stuck", "diverged", "unknown"), (None, "learning-rate-low"), (*FIND, "raise-learning-rate", None))
    yield self.case("a critic that is far ahead", label, build, Expected((1.0, 9.0), "std_gap"))


@FAMILIES.family("non-finite")
def record_with_nan(self: Family) -> Iterator[Case]:
    def spoil(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        if step == 170:
            x[4, 3, 1] = math.nan
        return x, y

    def build() -> Training:
        net = Net("gru", 3, 16, 3, last=False)
        return fit(net, data.altered(data.plant(16, 16, 1), spoil), "adam:0.005", mse, 300, clip="norm:1")

    yield self.case("one reading of step 170", BAD_BATCH, build, NONFINITE)


@FAMILIES.family("non-finite")
def flat_channel(self: Family) -> Iterator[Case]:
    def scale(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        if step == 90:
            x[..., 2] = 0.7
        return (x - x.mean(0)) / x.std(0), y

    def build() -> Training:
        net = Net("lstm", 3, 16, 3, last=False)
        return fit(net, data.altered(data.plant(16, 16, 1), scale), "adamw:0.005", mse, 250)

    yield self.case("division by a deviation of 0", BAD_BATCH.also(actions="guard-operation"), build, NONFINITE)


@FAMILIES.family("non-finite")
def empty_mask(self: Family) -> Iterator[Case]:
    def masked(output: Tensor, target: Tensor) -> Tensor:
        known = (target >= 0).float()
        each = nn.functional.cross_entropy(output.flatten(0, 1), target.flatten().clamp_min(0), reduction="none")
        return (each * known.flatten()).sum() / known.sum()

    def hide(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        hidden = torch.rand(y.shape) < (1.0 if step == 120 else 0.8)
        return x, y.masked_fill(hidden, -1)

    def build() -> Training:
        net = Net("gru", 8, 16, 3, symbols=14, last=False)
        return fit(net, data.altered(data.trips(12, 16, 1), hide), "adam:0.005", masked, 250)

    yield self.case("a batch without targets", BAD_BATCH.also(actions="guard-operation"), build, NONFINITE)


@FAMILIES.family("non-finite")
def ln_of_zero(self: Family) -> Iterator[Case]:
    def by_hand(output: Tensor, target: Tensor) -> Tensor:
        p, y = torch.sigmoid(20 * output[:, 0]), (target > 0).float()
        return -(y * p.log() + (1 - y) * (1 - p).log()).mean()

    def build() -> Training:
        net = Net("gru", 1, 16, 1)
        return fit(net, data.heartbeats(24, 32, 1, noise=0.05), "adam:0.02", by_hand, 600)

    yield self.case("cross-entropy of a sigmoid by hand", BROKEN, build, NONFINITE)

    def chances(output: Tensor, target: Tensor) -> Tensor:
        p = output.softmax(-1)
        return -(nn.functional.one_hot(target, 5) * p.log()).sum(-1).mean()

    def certain() -> Training:
        net = Net("lstm", 8, 16, 5, symbols=5, last=False)
        with torch.no_grad():
            net.head.weight.mul_(4000)
        return fit(net, data.programs(10, 16, 2), "adam:0.002", chances, 200)

    yield self.case("logarithm of a softmax", BROKEN.also(causes=("exploding",)), certain, NONFINITE)


@FAMILIES.family("non-finite")
def root_of_zero(self: Family) -> Iterator[Case]:
    def spread(code: Tensor, y: Tensor) -> Tensor:
        far = (code[:, None] - code[None]).square().sum(-1).sqrt()
        same = (y[:, None] == y).float()
        return (same * far + (1 - same) * (2 - far).relu()).mean()

    def build() -> Training:
        return fit(Net("gru", 1, 16, 8), data.heartbeats(24, 24, 1), "adam:0.005", spread, 200)

    yield self.case("distances of a code to itself", BROKEN, build, NONFINITE)


@FAMILIES.family("non-finite")
def exp_overflows(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 2, 16, 1, last=False)
        batch = data.altered(data.counts(14, 16, 1), lambda step, x, y: (x, 50 * y))
        return fit(net, batch, "momentum:0.05", losses.poisson, 200)

    label = Label(
        ("diverged", "broken", "stuck"),
        ("learning-rate-high", "non-finite", "exploding"),
        ("lower-learning-rate", "clip", "guard-operation", "check-data"),
    )
    yield self.case("Poisson of counts of hundreds", label, build, Expected((1e7, math.inf), nonfinite=None))


@FAMILIES.family("changed")
def sensors_unplugged(self: Family) -> Iterator[Case]:
    def unplug(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return (x, y) if step < 260 else (3 * torch.randn_like(x), y)

    def build() -> Training:
        net = Net("gru", 3, 16, 3, last=False)
        return fit(net, data.altered(data.plant(16, 16, 1), unplug), "adam:0.005", mse, 380)

    yield self.case("noise from step 260", CHANGED, build, under(9.0, 0.4))


@FAMILIES.family("changed")
def rate_raised(self: Family) -> Iterator[Case]:
    def raise_it(step: int, net: nn.Module, used: torch.optim.Optimizer) -> None:
        if step == 300:
            for group in used.param_groups:
                group["lr"] = 1.0

    def build() -> Training:
        net = Net("gru", 8, 24, 5, symbols=5, last=False)
        return fit(net, data.programs(12, 16, 1), "adam:0.01", steps=450, before=raise_it, forward=counted(ce))

    label = CHANGED.also(causes=("learning-rate-high",), actions="lower-learning-rate")
    yield self.case("Adam from 0.01 to 1", label, build, under(math.inf, 1.0))


@FAMILIES.family("overfits")
def few_patients(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 1, 32, 3)
        batch = data.shelf(1, data.heartbeats(24, 24, 1, noise=0.9), 24, 3)
        held = validation(data.heartbeats(24, 300, 2, noise=0.9), ce, 20, right="val_acc")
        return fit(net, batch, "adam:0.01", steps=500, metrics=held)

    yield self.case("24 records, val_loss and val_acc", OVERFITS, build, Expected((1.6, 20.0), "val_loss"))

    def features() -> Training:
        net = Net("gru", 3, 24, 1)
        batch = data.shelf(1, data.thick(8, 40, 1, share=0.3), 20, 3)
        opt = AdamW(net.parameters(), 0.01)
        held = validation(data.thick(8, 500, 2, share=0.3), mse, 20)
        return Training(net, batch, opt, mse, 500, metrics=held)

    yield self.case("40 examples, val_loss", OVERFITS, features, Expected((1.1, 20.0), "val_loss"))


@FAMILIES.family("non-finite")
def more_letters_than_frames(self: Family) -> Iterator[Case]:
    def cut(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return (x[:3], y) if step == 140 else (x, y)

    def build() -> Training:
        net = Net("gru", 4, 16, 7, last=False, bidirectional=True)
        batch = data.altered(spoken(4, 4, 16, 1, kinds=6), cut)
        return fit(net, batch, "adam:0.005", steps=260, forward=ctc)

    yield self.case("CTC, a batch of three frames", BAD_BATCH.also(actions="guard-operation"), build, NONFINITE)


@FAMILIES.family("data")
def blanks_alone(self: Family) -> Iterator[Case]:
    def mixed(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x, y[torch.randperm(len(y))]

    def build() -> Training:
        net = Net("lstm", 4, 16, 7, last=False)
        batch = data.altered(spoken(4, 4, 16, 1, kinds=6), mixed)
        held = scored(spoken(4, 4, 50, 2, kinds=6), 50, wer=word_errors)
        return fit(net, batch, "adam:0.003", steps=400, forward=ctc, metrics=held)

    yield self.case("CTC, the texts of others, wer", UNTOLD, build, Expected((0.7, 1.3), "wer"))
