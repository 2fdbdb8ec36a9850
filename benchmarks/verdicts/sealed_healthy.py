"""The sealed part: short trainings that learn: tagging, text, sensors, series, retrieval and rankings."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.kinds_of_training import Autoencoder, against, annealed, waves
from benchmarks.verdicts.labels import HEALTHY, NOTED, UNMEASURED
from benchmarks.verdicts.nets import Loop, Net, keep, start
from benchmarks.verdicts.optimizers import cosine, optimizer, schedule, warmup
from benchmarks.verdicts.practice_data import (
    activity,
    agree,
    intents,
    lexicon,
    mislabelled,
    noisy_floor,
    peaks,
    quality,
    rare,
    sales,
    tank,
    translated,
)
from benchmarks.verdicts.practice_nets import (
    Attentive,
    NormalisedLoop,
    PackedTagger,
    Residual,
    Sensor,
    Translator,
    averaged,
    matched,
    ranked,
    scored,
)
from benchmarks.verdicts.sequences import stream
from benchmarks.verdicts.tasks import bce, ce, mse, nll
from benchmarks.verdicts.training import Scalars, Training

FAMILIES = Families("sealed")


@FAMILIES.family("healthy")
def packed_tagging(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = PackedTagger(9, 12, 24, 2)
        return Training(net, peaks(24, 32, 5), optimizer("adam:0.01", net), forward=scored(ce, "acc"), steps=300)

    yield self.case("LSTM of two directions", HEALTHY, build, Expected(final=(0, 0.3)))


@FAMILIES.family("healthy")
def padding_in_the_loss(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net, data = PackedTagger(9, 12, 20, 3, nn.GRU), peaks(20, 16, 6)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = data(step)
            return x, torch.where(x == 0, 2, y)

        return Training(net, batch, optimizer("adamw:0.01", net), steps=350)

    yield self.case("a class of its own, GRU", HEALTHY, build, Expected(final=(0, 0.3)))


@FAMILIES.family("healthy")
def attention_over_intents(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Attentive(45, 24, 32, 25)
        watch = {"goal": "acc", "better": "higher", "chance": 0.04}
        return Training(
            net, intents(15, 64, 25, 7), optimizer("adam:0.01", net), forward=scored(ce, "acc"), steps=400, watch=watch
        )

    yield self.case("25 classes, accuracy is the goal", HEALTHY, build, Expected(final=(0.6, 1), measure="acc"))


@FAMILIES.family("healthy")
def words_of_a_lexicon(self: Family) -> Iterator[Case]:
    def one(cell: str, spec: str, hidden: int) -> Training:
        task = lexicon(40, 16, 8)
        net = Net(cell, 16, hidden, 10, symbols=10, last=False)
        return Training(net, task.batch, optimizer(spec, net), steps=350, watch={"chance_loss": task.chance})

    floor = lexicon(4, 1, 1).floor
    yield self.case("LSTM", HEALTHY, lambda: one("lstm", "adam:0.01", 48), Expected(final=(0, floor + 0.3)))
    yield self.case("RNN, RMSprop", HEALTHY, lambda: one("tanh", "rmsprop:0.002", 32), Expected(final=(0, floor + 0.4)))


@FAMILIES.family("healthy")
def translation(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Translator(9, 16, 48)
        return Training(
            net,
            translated(5, 64, 8, 9),
            optimizer("adam:0.008", net),
            forward=lambda net, x, y, step: ce(net(x, y), y),
            steps=500,
            clip="norm:1",
        )

    yield self.case("encoder and decoder", HEALTHY, build, Expected(final=(0, 1.0)))


@FAMILIES.family("healthy")
def forecast_with_outliers(self: Family) -> Iterator[Case]:
    def one(loss: object, wild: float) -> Training:
        net = Net("gru", 1, 24, 1, last=False)
        return Training(net, sales(28, 32, 10, wild=wild), optimizer("adam:0.005", net), loss, steps=350)

    yield self.case("Huber", HEALTHY, lambda: one(functional.smooth_l1_loss, 0.02), Expected(final=(0, 0.25)))
    # the outliers alone are 1.28 of it, batch by batch between 0.5 and 2.5
    yield self.case("squares", UNMEASURED, lambda: one(mse, 0.02), Expected(final=(0.8, 1.8)))


@FAMILIES.family("healthy")
def rare_events(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 1, 24, 1, bidirectional=True)
        net.read = lambda h: net.head(h.amax(0))
        return Training(net, rare(24, 128, 0.08, 11), optimizer("adam:0.01", net), bce, steps=400)

    yield self.case("8% of the sequences, maximum over time", HEALTHY, build, Expected(final=(0, 0.2)))


@FAMILIES.family("healthy")
def wrong_labels(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 3, 24, 4)
        data = mislabelled(activity(20, 64, 4, 12), 0.3, 4, 13)
        return Training(net, data, optimizer("adam:0.01", net), steps=350, watch={"chance_loss": "ln 4"})

    floor = noisy_floor(4, 0.3)
    yield self.case("30%", HEALTHY, build, Expected(final=(floor - 0.1, floor + 0.15)))


@FAMILIES.family("healthy")
def layer_norm_by_hand(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = NormalisedLoop(3, 24, 5)
        opt = torch.optim.AdamW(net.parameters(), 0.01, weight_decay=0.1)
        return Training(net, activity(16, 32, 5, 14), opt, steps=250)

    yield self.case("LSTM", HEALTHY, build, Expected(final=(0, 0.3)))


@FAMILIES.family("healthy")
def sizes_of_batches(self: Family) -> Iterator[Case]:
    def one(N: int, spec: str, steps: int, accumulate: int = 1) -> Training:
        net = Net("gru", 3, 16, 3)
        return Training(
            net, activity(16, N, 3, 15), optimizer(spec, net), steps=steps, accumulate=accumulate, every=steps // 30
        )

    fine = Expected(final=(0, 0.35))
    yield self.case("1", HEALTHY, lambda: one(1, "adam:0.002", 1500), fine)
    yield self.case("4, 8 accumulated", HEALTHY, lambda: one(4, "adam:0.01", 200, 8), fine)
    yield self.case("512", HEALTHY, lambda: one(512, "nesterov:0.1", 200), fine)


@FAMILIES.family("healthy")
def rates_of_text(self: Family) -> Iterator[Case]:
    def one(before: object) -> Training:
        task = lexicon(30, 16, 16)
        net = Net("lstm", 12, 32, 10, symbols=10, last=False, num_layers=2, dropout=0.1)
        return Training(net, task.batch, optimizer("adamw:0.01", net), steps=400, before=before)

    fine = Expected(final=(0, lexicon(4, 1, 1).floor + 0.4))
    triangle = schedule(lambda step: 0.001 + 0.012 * abs((step / 60) % 2 - 1))
    yield self.case("warmup, then a cosine", HEALTHY, lambda: one(cosine(0.015, 400, warm=60)), fine)
    yield self.case("triangles", HEALTHY, lambda: one(triangle), fine)


@FAMILIES.family("healthy")
def average_of_weights(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 3, 24, 4)
        mean, after = averaged(net)
        held = activity(20, 128, 4, 99)(0)
        return Training(
            net,
            activity(20, 32, 4, 17),
            optimizer("adam:0.01", net),
            steps=400,
            after=after,
            metrics=against(mean, held, ce, names=("ema_val_loss", "ema_val_acc")),
        )

    yield self.case("held-out loss of it", HEALTHY, build, Expected(final=(0, 0.3)))


@FAMILIES.family("healthy")
def heavy_dropout(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 24, 32, 12, symbols=32, num_layers=2, dropout=0.5)
        held = intents(10, 128, 12, 98)(0)
        return Training(
            net,
            intents(10, 64, 12, 18),
            optimizer("adam:0.01", net),
            steps=500,
            metrics=against(net, held, ce, names=("val_loss", "val_acc")),
        )

    yield self.case("0.5, two layers", HEALTHY, build, Expected(final=(0.7, 1), measure="val_acc"))


@FAMILIES.family("healthy")
def codes_of_halves(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net, draw = Net("gru", 4, 32, 12), torch.Generator().manual_seed(19)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            own = torch.randn(1, 48, 4, generator=draw)
            return own + 0.7 * torch.randn(24, 48, 4, generator=draw), own[0]

        return Training(net, batch, optimizer("adam:0.005", net), steps=350, forward=matched(0.1))

    yield self.case("contrast of 48", HEALTHY, build, Expected(final=(0, 1.5)))


@FAMILIES.family("healthy")
def ranking(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 3, 24, 1)
        return Training(net, quality(12, 48, 20), optimizer("adam:0.01", net), steps=300, forward=ranked)

    yield self.case("pairs of items", HEALTHY, build, Expected(final=(0, 0.4)))


@FAMILIES.family("healthy")
def small_beta(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Autoencoder("gru", 1, 24, 3, 16)
        return Training(net, waves(16, 32, 21).batch, optimizer("adam:0.005", net), forward=annealed(lambda _: 0.3))

    yield self.case("0.3, GRU", UNMEASURED, build, Expected(final=(0, 30)))


@FAMILIES.family("healthy")
def three_losses(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net, data = Net("lstm", 3, 32, 4 + 1 + 3, last=False), activity(20, 32, 4, 22)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
            found = net(x)
            label = ce(found[-1, :, :4], y)
            energy = mse(found[-1, :, 4], x.square().mean((0, 2)))
            ahead = mse(found[:-1, :, 5:], x[1:])
            parts = {"label_loss": float(label), "energy_loss": float(energy), "next_loss": float(ahead)}
            return label + 2 * energy + 0.5 * ahead, parts

        return Training(net, data, optimizer("adam:0.01", net), steps=350, forward=forward)

    yield self.case("summed", HEALTHY, build, Expected(final=(0, 0.4), measure="label_loss"))


@FAMILIES.family("healthy")
def level_of_a_tank(self: Family) -> Iterator[Case]:
    def one(out: int, loss: object) -> Training:
        net = Residual(1, 24, out, layers=2)
        return Training(net, tank(40, 24, 23), optimizer("adam:0.005", net), loss, steps=300)

    yield self.case("squares, residual layers", HEALTHY, lambda: one(1, mse), Expected(final=(0, 0.03)))
    # less than 0 is what a small deviation gives: its floor is ln 0.05 + 0.5 = -2.5
    yield self.case("likelihood below zero", UNMEASURED, lambda: one(2, nll), Expected(final=(-3, -0.7)))


@FAMILIES.family("healthy")
def sensor_with_batch_norm(self: Family) -> Iterator[Case]:
    def one(evaluating: bool) -> Training:
        net = Sensor(3, 24, 6)
        held = activity(32, 128, 6, 97)(0)

        def metrics(net: nn.Module, step: int) -> Scalars:
            found = against(net, held, ce, names=("val_loss",), every=25)(net, step)
            net.train(not (evaluating and step >= 25))
            return found

        return Training(net, activity(32, 32, 6, 24), optimizer("adam:0.005", net), steps=300, metrics=metrics)

    fine = Expected(final=(0, 0.4))
    yield self.case("convolution before", HEALTHY, lambda: one(False), fine)
    # statistics of the first 25 steps stay, dropout is off: it learns as well
    yield self.case("left in eval mode after the first validation", HEALTHY, lambda: one(True), fine)


@FAMILIES.family("healthy")
def softmax_twice(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 3, 24, 3)
        loss = scored(lambda output, y: ce(output.softmax(-1), y))
        watch = {"goal": "train_acc", "better": "higher", "chance": 1 / 3}
        return Training(net, activity(16, 32, 3, 25), optimizer("adam:0.01", net), steps=400, forward=loss, watch=watch)

    # no loss below -ln(e / (e + 2)) = 0.551 can be reached, yet nearly all are right
    yield self.case("accuracy is the goal", HEALTHY, build, Expected(final=(0.9, 1), measure="train_acc"))


@FAMILIES.family("healthy")
def state_carried_on_purpose(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 12, 32, 4, symbols=4, last=False)
        kept: list[Tensor] = []

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            h, state = net.run(x, kept[0] if kept else None)
            kept[:] = [state.detach()]
            return ce(net.read(h), y)

        return Training(net, stream(3, 12, 16, 4, 26), optimizer("adam:0.01", net), steps=400, forward=forward)

    yield self.case("windows of a stream", HEALTHY, build, Expected(final=(0, 0.3)))


@FAMILIES.family("healthy")
def identity_start(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Net("relu", 8, 32, 2, symbols=4), "eye", 1.0)
        return Training(
            net,
            agree(20, 64, 4, 27),
            optimizer("adam:0.003", net),
            steps=700,
            clip="norm:1",
            watch={"chance_loss": "ln 2"},
        )

    yield self.case("relu RNN, first and last symbol", HEALTHY, build, Expected(final=(0, 0.4)))


@FAMILIES.family("healthy")
def many_classes(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = keep(Net("lstm", 32, 48, 200, symbols=220), 1.0)
        return Training(
            net, intents(6, 128, 200, 28), optimizer("adam:0.02", net), steps=450, watch={"chance_loss": math.log(200)}
        )

    yield self.case("200", HEALTHY, build, Expected(final=(0, 1.5)))


@FAMILIES.family("healthy")
def scales_of_the_loss(self: Family) -> Iterator[Case]:
    def one(factor: float, spec: str) -> Training:
        net = Net("gru", 1, 24, 1, last=False)
        return Training(
            net, tank(24, 32, 29), optimizer(spec, net), lambda output, y: factor * mse(output, y), steps=300
        )

    yield self.case("summed, 768 terms", HEALTHY, lambda: one(768.0, "adam:0.005"), Expected(final=(0, 30)))
    yield self.case("over a million", HEALTHY, lambda: one(1e-6, "adam:0.005"), Expected(final=(0, 4e-8)))


@FAMILIES.family("clipping")
def clipped_far_below_under_adam(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Loop("lstm", 3, 24, 4)
        return Training(
            net,
            activity(16, 32, 4, 30),
            optimizer("adam:0.01", net),
            steps=300,
            clip="norm:0.01",
            before=warmup(0.01, 40),
        )

    yield self.case("cell in a loop", NOTED, build, Expected(final=(0, 0.4)))
