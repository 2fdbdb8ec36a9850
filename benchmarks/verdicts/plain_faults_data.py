"""The plain part: short trainings that fail by their data or loss: chance, overfitting, NaN, overwritten weights."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from benchmarks.verdicts import ordinary_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.everyday_nets import accuracy, scored
from benchmarks.verdicts.field_nets import counted, under, validation
from benchmarks.verdicts.labels import (
    AT_CHANCE,
    BAD_BATCH,
    BROKEN,
    CHANGED,
    FADES,
    OVERFITS,
    UNTOLD,
)
from benchmarks.verdicts.nets import Net, fill, times
from benchmarks.verdicts.projects_nets import fit
from benchmarks.verdicts.sequences import swapped
from benchmarks.verdicts.tasks import Batch, ce, entropy, generator, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("plain")

LN3, LN4 = math.log(3), math.log(4)
LETTERS, LETTERS_FLOOR = data.letter_entropies()


@FAMILIES.family("at chance")
def labels_without_relation(self: Family) -> Iterator[Case]:
    def random() -> Training:
        net = times(Net("lstm", 8, 20, 4, symbols=30), "head.weight", 4.0)
        return fit(net, swapped(data.reviews(14, 32, 4, 1), lambda step: 1.0, 4, 2), "adam:0.003", forward=counted(ce))

    yield self.case("all labels drawn at random", UNTOLD, random, under(LN4 + 0.06, LN4 - 0.04))

    def others() -> Training:
        net = Net("gru", 8, 24, 27, symbols=27, last=False)
        batch = data.mapped(data.letters(20, 24, 1), lambda x, y, step: (x, y.roll(7, 1).flip(0)))
        return fit(net, batch, "adam:0.005", steps=400)

    yield self.case("letters of other windows", UNTOLD, others, under(LETTERS + 0.1, LETTERS - 0.05))

    def one_class() -> Training:
        prior = (0.9, 0.1)
        net, draw = Net("gru", 3, 16, 2), generator(4)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            return torch.randn(14, 64, 3, generator=draw), (torch.rand(64, generator=draw) < prior[1]).long()

        return fit(net, batch, "rmsprop:0.001", steps=350, forward=counted(ce))

    floor = entropy(torch.tensor([0.9, 0.1]))
    yield self.case("90% are of one class, inputs are noise", UNTOLD, one_class, under(floor + 0.06, floor - 0.06))


@FAMILIES.family("at chance")
def inputs_without_information(self: Family) -> Iterator[Case]:
    def zeros() -> Training:
        net = Net("gru", 4, 20, 4)
        batch = data.mapped(data.mark(12, 32, 4, 1, at=9), lambda x, y, step: (0 * x, y))
        held = scored(data.mark(12, 200, 4, 2, at=9), 50, val_acc=accuracy)
        return fit(net, batch, "adam:0.003", metrics=held)

    yield self.case("all inputs are 0", AT_CHANCE, zeros, under(LN4 + 0.06, LN4 - 0.06))

    def constant() -> Training:
        net = Net("lstm", 8, 20, 3, symbols=30)
        batch = data.mapped(data.reviews(14, 32, 3, 1), lambda x, y, step: (torch.full_like(x, 29), y))
        return fit(net, batch, "momentum:0.05", steps=300, watch={"chance_loss": "ln 3"})

    yield self.case("all words are unknown ones", AT_CHANCE, constant, under(LN3 + 0.06, LN3 - 0.06))

    def late() -> Training:
        net, draw = Net("gru", 3, 16, 1), generator(6)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            return torch.randn(12, 48, 3, generator=draw), 5 + 2 * torch.randn(48, 1, generator=draw)

        return fit(net, batch, "adam:0.01", mse, 400)

    label = UNTOLD.also(causes=("vanishing",), actions="shorten-path change-cell")
    yield self.case("a target of mean 5 and variance 4 that is noise", label, late, under(4.7, 3.6))


@FAMILIES.family("at chance")
def predictor_of_the_mean(self: Family) -> Iterator[Case]:
    def small() -> Training:
        net = Net("gru", 1, 12, 1)
        return fit(net, data.gap(40, 32, 1), "sgd:0.05", mse, 300, watch={"chance_loss": data.gap_variance(40)})

    floor = data.gap_variance(40)
    label = FADES.also(causes=(None, "learning-rate-low"), actions="raise-learning-rate overfit-one-batch check-data")
    yield self.case("time between pulses, SGD", label, small, under(1.2 * floor, 0.85 * floor))

    def mean() -> Training:
        net, draw = Net("lstm", 3, 20, 1), generator(8)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x = torch.randn(10, 64, 3, generator=draw)
            return x, x[..., :1].roll(1, 1).sum(0) / 10**0.5 - 2

        return fit(net, batch, "adam:0.005", mse, 400)

    yield self.case("targets of other sequences, mean -2", UNTOLD, mean, under(1.15, 0.9))


@FAMILIES.family("at chance")
def regularized_to_nothing(self: Family) -> Iterator[Case]:
    label = AT_CHANCE.also(
        causes=("vanishing", "learning-rate-low"), actions="change-initialization raise-learning-rate"
    )

    def decay() -> Training:
        net = Net("gru", 4, 20, 4)
        opt = AdamW(net.parameters(), 0.003, weight_decay=30.0)
        return Training(net, data.mark(8, 32, 4, 1), opt, ce, 300, watch={"chance_loss": "ln 4"})

    yield self.case("AdamW with a weight decay of 30", label, decay, under(LN4 + 0.05, LN4 - 0.1))

    def sgd() -> Training:
        net = Net("tanh", 6, 20, 3, symbols=8)
        opt = SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=0.2)
        return Training(net, data.first_word(10, 32, 3, 1), opt, ce, 300)

    yield self.case("momentum with a weight decay of 0.2", label, sgd, under(LN3 + 0.05, LN3 - 0.05))


@FAMILIES.family("overfits")
def too_few_sequences(self: Family) -> Iterator[Case]:
    def marks() -> Training:
        net = Net("lstm", 4, 32, 4)
        batch = data.few(data.mark(10, 16, 4, 1, noise=1.5, at=4), 2)
        held = validation(data.mark(10, 300, 4, 2, noise=1.5, at=4), ce, 25, right="val_acc")
        return fit(net, batch, "adam:0.01", steps=400, metrics=held)

    yield self.case("32 noisy marks", OVERFITS, marks, Expected((1.4, 30.0), "val_loss"))

    def text() -> Training:
        net = Net("gru", 16, 48, 27, symbols=27, last=False)
        held = validation(data.letters(20, 100, 2), ce, 25)
        return fit(net, data.few(data.letters(20, 12, 1), 1), "adam:0.02", steps=400, metrics=held)

    yield self.case("12 windows of letters", OVERFITS, text, Expected((3.2, 30.0), "val_loss"))

    def returns() -> Training:
        net = Net("gru", 3, 32, 1)
        held = validation(data.explained(8, 400, 0.05, 2), mse, 25)
        return fit(net, data.few(data.explained(8, 32, 0.05, 1), 2), "adamw:0.01", mse, 500, metrics=held)

    yield self.case("64 returns", OVERFITS, returns, Expected((1.15, 30.0), "val_loss"))


@FAMILIES.family("non-finite")
def undefined_operation(self: Family) -> Iterator[Case]:
    def root() -> Training:
        net = Net("gru", 1, 16, 1, last=False)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            valid = 0.0 if step >= 120 else 1.0
            return (valid * (net(x) - y)).square().mean().sqrt()

        return fit(net, data.maximum(12, 24, 1), "sgd:0.05", steps=200, forward=forward)

    broken = Expected(nonfinite=True)
    yield self.case("root of an error of 0, no target is valid", BROKEN.also(actions="check-data"), root, broken)

    def standardized() -> Training:
        net = Net("lstm", 3, 16, 1)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            x = x.clone()
            x[..., 2] = 1.0 if step > 110 else x[..., 2]
            return mse(net((x - x.mean(0)) / x.std(0)), y)

        return fit(net, data.explained(10, 32, 0.6, 1), "adam:0.005", steps=200, forward=forward)

    yield self.case(
        "a constant input is divided by its deviation", BAD_BATCH.also(actions="guard-operation"), standardized, broken
    )

    def log() -> Training:
        net = times(Net("tanh", 4, 20, 4), "head", 400.0)

        def loss(output: Tensor, y: Tensor) -> Tensor:
            return -output.softmax(-1).gather(1, y[:, None]).log().mean()

        return fit(net, data.mark(10, 32, 4, 1), "momentum:0.05", loss, 150)

    yield self.case("log of a probability of 0", BROKEN, log, broken)


@FAMILIES.family("non-finite")
def bad_values_in_the_data(self: Family) -> Iterator[Case]:
    def spoiled(batch: Batch, at: int, value: float) -> Batch:
        def change(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            if step == at:
                x = x.clone()
                x[3, 5] = value
            return x, y

        return data.mapped(batch, change)

    label = BAD_BATCH.also(actions="guard-operation")

    def missing() -> Training:
        net = Net("gru", 1, 20, 1, last=False)
        return fit(net, spoiled(data.season(16, 24, 0.2, 1), 170, math.nan), "adam:0.01", mse, 250)

    yield self.case("a missing value at step 170", label, missing, Expected(nonfinite=True))

    def infinite() -> Training:
        net = Net("relu", 4, 20, 4)
        return fit(net, spoiled(data.mark(10, 32, 4, 1), 90, math.inf), "sgd:0.05", steps=200)

    yield self.case("an infinite input at step 90", label, infinite, Expected(nonfinite=True))


@FAMILIES.family("loss")
def loss_is_maximized(self: Family) -> Iterator[Case]:
    label = Label(
        ("diverged", "broken", "unknown", "stuck"),
        (None, "exploding", "learning-rate-high", "changed-during-training", "non-finite", "saturated-gates"),
        ("check-data", "lower-learning-rate", "clip", "overfit-one-batch", "revert-change", "log-metric"),
    )

    def build() -> Training:
        net = Net("gru", 4, 20, 4)
        opt = Adam(net.parameters(), 0.003, maximize=True)
        return Training(net, data.mark(10, 32, 4, 1), opt, ce, 250, forward=counted(ce))

    yield self.case("Adam with maximize=True", label, build, under(math.inf, 2.0))


def _overwritten(at: int) -> object:
    def before(step: int, net: nn.Module, optimizer: Optimizer) -> None:
        if step == at:
            for parameter in net.parameters():
                nn.init.normal_(parameter.data, std=20.0)

    return before


@FAMILIES.family("changed")
def weights_are_overwritten(self: Family) -> Iterator[Case]:
    label = CHANGED.also(
        outcomes="stuck",
        causes=("saturated-gates", "exploding", "vanishing"),
        actions="change-initialization scale-inputs clip",
    )

    def build() -> Training:
        net = fill(Net("gru", 4, 24, 4), "bias_hh", 0.0)
        return fit(net, data.mark(8, 32, 4, 1), "adam:0.01", steps=400, before=_overwritten(300))

    yield self.case("by N(0, 20^2) at step 300", label, build, under(math.inf, 1.5))


@FAMILIES.family("spikes")
def one_batch_destroys(self: Family) -> Iterator[Case]:
    label = Label(
        ("diverged", "stuck", "broken"),
        ("changed-during-training", "dead-units", "exploding", "non-finite", "learning-rate-high", "saturated-gates"),
        (
            "clip",
            "check-data",
            "check-batch",
            "revert-change",
            "revive-units",
            "lower-learning-rate",
            "guard-operation",
        ),
    ).also(causes=("vanishing",), actions="change-initialization")

    def relu() -> Training:
        net = Net("relu", 1, 24, 1, last=False)
        batch = data.mapped(data.maximum(14, 24, 1), lambda x, y, step: (x, y + 3000.0 * (step == 200)))
        return fit(net, batch, "momentum:0.02", mse, 400)

    yield self.case("targets of 3,000 at step 200", label, relu, Expected((0.03, math.inf), nonfinite=None))

    def units() -> Training:
        net = Net("gru", 4, 20, 4)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            return ce(net(x), y) * (1e5 if step == 250 else 1.0)

        return fit(net, data.mark(6, 32, 4, 1), "sgd:0.5", steps=400, forward=forward)

    yield self.case("a weight of 1e5 at step 250, SGD", label, units, under(math.inf, 1.0))


@FAMILIES.family("overfits")
def validation_data_differs(self: Family) -> Iterator[Case]:
    """Training data are learned, and what is learned does not hold on the validation data."""

    def vocabulary() -> Training:
        net = data.Pooled("gru", 8, 20, 4, symbols=30)
        other = data.mapped(data.reviews(20, 200, 4, 2), lambda x, y, step: ((x + 11) % 30, y))
        held = validation(other, ce, 25, right="val_acc")
        return fit(net, data.reviews(20, 32, 4, 1), "adam:0.005", steps=300, metrics=held)

    yield self.case("another vocabulary", OVERFITS, vocabulary, Expected((1.4, 30.0), "val_loss"))

    def season() -> Training:
        net = Net("lstm", 1, 20, 1, last=False)
        other = data.season(20, 100, 0.2, 2, law=29)
        held = validation(other, mse, 25)
        return fit(net, data.season(20, 16, 0.2, 1), "adam:0.01", mse, 400, metrics=held)

    yield self.case("another season", OVERFITS, season, Expected((1.1, 30.0), "val_loss"))


@FAMILIES.family("at chance")
def extreme_dropout(self: Family) -> Iterator[Case]:
    label = UNTOLD.also(
        outcomes="diverged",
        causes=("vanishing", "learning-rate-high", "learning-rate-low", "exploding"),
        actions="change-initialization lower-learning-rate raise-learning-rate clip",
    )

    def build() -> Training:
        net = Net("gru", 4, 16, 4, dropout=0.995, num_layers=2)
        return fit(net, data.mark(8, 32, 4, 1), "momentum:0.02", steps=300, watch={"chance_loss": "ln 4"})

    yield self.case("dropout of 0.995, chance given", label, build, under(math.inf, LN4 - 0.1))
