"""The next part: short trainings that fail by data, labels, units, masks, axes, penalties, or few examples."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from benchmarks.verdicts import coming_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.coming_nets import TrueEnd, between, fit, huber
from benchmarks.verdicts.common_data import engines, finite, mapped, mislabelled, mixed, unrelated
from benchmarks.verdicts.everyday_nets import accuracy, r2, scored
from benchmarks.verdicts.field_nets import counted, validation
from benchmarks.verdicts.labels import AT_CHANCE, FADES, FIND, OVERFITS, UNTOLD
from benchmarks.verdicts.nets import Net
from benchmarks.verdicts.sequences import by_step
from benchmarks.verdicts.tasks import Batch, bce, ce, entropy, generator, mse
from benchmarks.verdicts.training import Scalars, Training

FAMILIES = Families("next")

LEAKS = Label(("overfits", "stuck"), (None,), ("check-data", "stop-early", "overfit-one-batch"))


def masked_accuracy(output: Tensor, target: Tensor) -> Tensor:
    known = target != data.FILLER
    return (output.argmax(-1) == target)[known].float().mean()


@FAMILIES.family("data")
def targets_of_other_examples(self: Family) -> Iterator[Case]:
    def tags() -> Training:
        net = Net("lstm", 8, 24, 3, symbols=2, last=False)
        return fit(
            net, mixed(data.turns(12, 32, 1), 3), "adam:0.005", forward=counted(ce), watch={"chance_loss": "ln 3"}
        )

    yield self.case("tags, accuracy", AT_CHANCE, tags, between(1.05, 1.15))

    def charges() -> Training:
        held = scored(data.battery(12, 200, 2), 20, val_r2=r2)
        return fit(Net("gru", 1, 16, 1), mixed(data.battery(12, 32, 1), 3), "adam:0.005", mse, 300, metrics=held)

    yield self.case("numbers, R2", AT_CHANCE, charges, between(-0.3, 0.05, "val_r2"))

    def symbols() -> Training:
        net = Net("gru", 12, 24, 8, symbols=8, last=False)
        return fit(net, mixed(data.verses(12, 32, 1), 3), "rmsprop:0.003")

    yield self.case("next symbols, nothing but the loss", UNTOLD, symbols, between(2.0, 2.15))


@FAMILIES.family("data")
def nothing_to_predict(self: Family) -> Iterator[Case]:
    def white(step: int) -> tuple[Tensor, Tensor]:
        x = 30 + torch.randn(17, 32, 1, generator=generator(step))
        return x[:-1] - 30, x[1:]

    yield self.case(
        "white noise around 30, R2",
        AT_CHANCE,
        lambda: fit(
            Net("lstm", 1, 16, 1, last=False), white, "momentum:0.01", mse, 400, metrics=scored(white, 20, r2=r2)
        ),
        between(-0.3, 0.03, "r2"),
    )
    yield self.case(
        "white noise around 30, nothing but the loss",
        UNTOLD,
        lambda: fit(Net("gru", 1, 16, 1, last=False), white, "adam:0.05", huber, 400),
        between(0.3, 0.5),
    )


@FAMILIES.family("data")
def unequal_classes(self: Family) -> Iterator[Case]:
    blank = mapped(data.alarms(14, 64, 0.08, 1), lambda x, y, step: (0 * x, y))

    def f1() -> Training:
        held = validation(data.alarms(14, 400, 0.08, 2), bce, 20, f1="val_f1")
        return fit(Net("gru", 1, 16, 1), blank, "adam:0.01", bce, metrics=held)

    label = AT_CHANCE.also(causes=("no-gradient",), actions="connect-loss")
    yield self.case("no alarm, ever: F1 stays 0", label, f1, between(0, 0.05, "val_f1"))

    prior = (0.85, 0.05, 0.05, 0.05)

    def right() -> Training:
        net = Net("lstm", 3, 16, 4)
        more = {"forward": counted(ce), "watch": {"chance_loss": entropy(torch.tensor(prior))}}
        return fit(net, unrelated(10, 64, 1, prior=prior), "adam:0.003", **more)

    yield self.case("the accuracy rises to that of the majority", AT_CHANCE, right, between(0.5, 0.68))


@FAMILIES.family("padding")
def fillers_that_count(self: Family) -> Iterator[Case]:
    def shuffled(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
        words = torch.randint(0, 6, x.shape, generator=generator(step))
        return x, torch.where(x == data.FILLER, data.FILLER, words)

    def build() -> Training:
        net = Net("gru", 8, 24, 10, symbols=10, last=False)
        held = scored(mapped(data.parcels(24, 100, 2, most=8), shuffled), 20, val_word_acc=masked_accuracy)
        batch = mapped(data.parcels(24, 32, 1, most=8), shuffled)
        return fit(net, batch, "adam:0.005", metrics=held)

    label = AT_CHANCE.also(outcomes="unknown")
    yield self.case("the loss falls by the fillers alone", label, build, between(0.1, 0.25, "val_word_acc"))


@FAMILIES.family("padding")
def read_after_the_fillers(self: Family) -> Iterator[Case]:
    def build(cell: type[nn.RNNBase], spec: str) -> Training:
        held = scored(data.parcels(60, 100, 2, most=8), 25, val_acc=accuracy)
        return fit(TrueEnd(cell, 16, 4, true=False), data.parcels(60, 16, 1, most=8), spec, steps=250, metrics=held)

    label = FADES.also(causes=(None,), actions="check-data")
    yield self.case("tanh", label, lambda: build(nn.RNN, "sgd:0.05"), between(1.3, 1.45, kept=(0, 1e-3)))
    yield self.case("LSTM", label, lambda: build(nn.LSTM, "adam:0.0005"), between(1.3, 1.45, kept=(0, 1e-3)))


@FAMILIES.family("data")
def inputs_that_say_nothing(self: Family) -> Iterator[Case]:
    def zeros() -> Training:
        def none(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            return x / 1e9, y

        held = scored(mapped(data.gestures(10, 200, 2), none), 20, val_acc=accuracy)
        return fit(Net("gru", 2, 24, 4), mapped(data.gestures(10, 32, 1), none), "adam:0.005", metrics=held)

    label = AT_CHANCE.also(causes=("no-gradient", "vanishing"), actions="scale-inputs connect-loss")
    yield self.case("divided by the wrong number", label, zeros, between(1.36, 1.42))

    def unknown() -> Training:
        net = Net("lstm", 8, 24, 5, symbols=9)
        batch = mapped(data.spotted(12, 32, 1), lambda x, y, step: (x.clamp_min(8), y))
        return fit(net, batch, "momentum:0.1", watch={"chance_loss": "ln 5"})

    yield self.case("each word is the unknown word", AT_CHANCE, unknown, between(1.57, 1.65))

    def centred() -> Training:
        def less(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            return x - x.mean(0), y

        held = scored(mapped(engines(12, 200, 4, 2), less), 20, val_acc=accuracy)
        return fit(Net("gru", 3, 24, 4), mapped(engines(12, 32, 4, 1), less), "adamw:0.003", metrics=held)

    yield self.case("the mean of each record is taken away", AT_CHANCE, centred, between(1.35, 1.45))


@FAMILIES.family("data")
def the_wrong_axis(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 24, 5, symbols=9)
        batch = mapped(data.spotted(16, 16, 1, first=True), lambda x, y, step: (x.t(), y))
        return fit(net, batch, "adam:0.003", watch={"chance_loss": "ln 5"})

    yield self.case("batch and time change places", AT_CHANCE, build, between(1.5, 1.65))

    def reversed_time() -> Training:
        net = Net("lstm", 8, 24, 5, symbols=3, last=False)
        batch = mapped(data.machine(14, 32, 1), lambda x, y, step: (x.flip(0), y))
        return fit(net, batch, "adam:0.005", watch={"chance_loss": 1.4})

    label = UNTOLD
    yield self.case("time runs backwards for the inputs alone", label, reversed_time, between(1.2, 1.45))


@FAMILIES.family("units")
def targets_in_other_units(self: Family) -> Iterator[Case]:
    def far() -> Training:
        net = Net("lstm", 1, 16, 1)
        held = scored(data.battery(12, 200, 2, unit=50, level=3000), 20, val_r2=r2)
        return fit(net, data.battery(12, 32, 1, unit=50, level=3000), "adam:0.001", mse, metrics=held)

    label = Label(("stuck",), ("learning-rate-low", None), ("raise-learning-rate", *FIND))
    yield self.case("grams in place of kilograms, Adam at 0.001", label, far, between(8e6, 9.2e6))

    def bounded() -> Training:
        class Bounded(Net):
            def read(self, h: Tensor) -> Tensor:
                return super().read(h).sigmoid()

        net = Bounded("gru", 3, 16, 1, last=False)
        held = scored(data.load(12, 100, 2, level=20), 20, val_r2=r2)
        return fit(net, data.load(12, 32, 1, level=20), "adam:0.01", mse, metrics=held)

    label = AT_CHANCE.also(causes=("vanishing", "no-gradient"), actions="connect-loss")
    yield self.case("outputs between 0 and 1, targets around 20", label, bounded, between(350, 400))

    def small() -> Training:
        net = Net("tanh", 2, 24, 4)
        batch = data.gestures(10, 32, 1, size=1e-4)
        return fit(net, batch, "sgd:0.1", watch={"chance_loss": "ln 4"})

    causes = (None, "vanishing", "learning-rate-low")
    label = Label(("stuck",), causes, ("scale-inputs", *FIND, "raise-learning-rate", "change-initialization"))
    yield self.case("strokes in kilometres", label, small, between(1.36, 1.41))


@FAMILIES.family("data")
def sorted_by_class(self: Family) -> Iterator[Case]:
    def build() -> Training:
        batches = [mapped(data.gestures(10, 32, k), lambda x, y, step: (x, y)) for k in range(4)]

        def only(k: int) -> Batch:
            def batch(step: int) -> tuple[Tensor, Tensor]:
                while True:
                    x, y = batches[k](step)
                    rows = (y == k).nonzero()[:4, 0]
                    if len(rows) == 4:
                        return x[:, rows], y[rows]

            return batch

        held = scored(data.gestures(10, 200, 9), 25, val_acc=accuracy)
        parts = [only(k) for k in range(4)]
        batch = by_step(lambda step: parts[step // 40 % 4])
        return fit(Net("gru", 2, 24, 4), batch, "adam:0.01", steps=480, metrics=held)

    causes = (None, "learning-rate-high", "changed-during-training")
    label = Label(
        ("stuck", "overfits", "diverged"),
        causes,
        ("check-data", "overfit-one-batch", "lower-learning-rate", "stop-early"),
    )
    yield self.case("one class for 40 steps, then the next", label, build, between(0.1, 0.45, "val_acc"))


@FAMILIES.family("data")
def held_out_data_that_differ(self: Family) -> Iterator[Case]:
    def leak() -> Training:
        def shown(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            return torch.cat([x, (y.float() - 1.5).expand(len(x), -1)[..., None]], -1), y

        def hidden(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            return torch.cat([x, torch.zeros_like(x[..., :1])], -1), y

        held = validation(mapped(unrelated(10, 200, 2), hidden), ce, 20, right="val_acc")
        return fit(Net("lstm", 4, 16, 4), mapped(unrelated(10, 32, 1), shown), "adam:0.01", metrics=held)

    yield self.case("the label is among the inputs", LEAKS, leak, between(1.3, math.inf, "val_loss"))

    def other() -> Training:
        renamed = mapped(data.spotted(10, 200, 2), lambda x, y, step: (x, (y + 1) % 5))
        held = validation(renamed, ce, 20, right="val_acc")
        return fit(Net("gru", 8, 24, 5, symbols=9), data.spotted(10, 32, 1), "adam:0.005", metrics=held)

    label = LEAKS.also(outcomes="diverged")
    yield self.case("classes are numbered from 1 there", label, other, between(0, 0.1, "val_acc"))


@FAMILIES.family("overfitting")
def few_examples(self: Family) -> Iterator[Case]:
    def strokes() -> Training:
        held = validation(data.gestures(10, 200, 2, noise=1.2), ce, 10, right="val_acc")
        batch = finite(data.gestures(10, 24, 1, noise=1.2), 24, 8, 3, each=False)
        return fit(Net("gru", 2, 32, 4), batch, "adam:0.01", steps=350, metrics=held)

    yield self.case("24 strokes", OVERFITS, strokes, between(1.5, math.inf, "val_loss"))

    def wrong() -> Training:
        held = validation(data.spotted(12, 200, 2), ce, 10, right="val_acc")
        batch = finite(mislabelled(data.spotted(12, 60, 1), 0.5, 5, 4), 60, 20, 3, each=False)
        return fit(Net("lstm", 8, 48, 5, symbols=9), batch, "adam:0.01", steps=400, metrics=held)

    yield self.case("60 sentences, half of the labels wrong", OVERFITS, wrong, between(2.0, math.inf, "val_loss"))

    def load() -> Training:
        held = validation(data.load(12, 100, 2, noise=0.8), mse, 10)
        batch = finite(data.load(12, 6, 1, noise=0.8), 6, 6, 3, each=True)
        return fit(Net("lstm", 3, 48, 1, last=False), batch, "adam:0.01", mse, 450, metrics=held)

    yield self.case("six days of load", OVERFITS, load, between(0.9, math.inf, "val_loss"))


@FAMILIES.family("regularization")
def penalties_that_win(self: Family) -> Iterator[Case]:
    def decay() -> Training:
        net = Net("gru", 8, 24, 5, symbols=9)
        opt = AdamW(net.parameters(), 0.003, weight_decay=80.0)
        held = scored(data.spotted(12, 200, 2), 20, val_acc=accuracy)
        return Training(net, data.spotted(12, 32, 1), opt, ce, 350, metrics=held)

    label = AT_CHANCE.also(causes=("vanishing", "learning-rate-low"), actions="change-initialization")
    yield self.case("AdamW, a decay of 80", label, decay, between(1.57, 1.65))

    def squares() -> Training:
        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
            output = net(x)
            found = {"train_acc": float((output.argmax(-1) == y).float().mean())}
            return ce(output, y) + 0.3 * sum(p.square().sum() for p in net.parameters()), found

        return fit(Net("lstm", 2, 24, 4), data.gestures(10, 32, 1), "adam:0.005", steps=400, forward=forward)

    label = AT_CHANCE.also(causes=("vanishing",), outcomes="unknown", actions="change-initialization give-chance")
    yield self.case("the squares of the weights fall", label, squares, between(0.1, 0.42, "train_acc"))


@FAMILIES.family("data")
def the_wrong_sign(self: Family) -> Iterator[Case]:
    def build() -> Training:
        held = validation(data.load(12, 100, 2), mse, 20)
        net = Net("gru", 3, 16, 1, last=False)
        return fit(net, data.load(12, 32, 1), "adam:0.01", lambda o, y: -mse(o, y), 300, metrics=held)

    label = Label(("diverged", "stuck"), (None, "exploding", "learning-rate-high"), (*FIND, "lower-learning-rate"))
    yield self.case("the error is made as large as can be", label, build, Expected((20.0, math.inf), "val_loss"))
