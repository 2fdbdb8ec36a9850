"""The next part: short trainings that learn, of many nets, losses and optimizers."""

from collections.abc import Iterator

import torch
from torch import nn

from benchmarks.verdicts import coming_data as data
from benchmarks.verdicts import likelihoods
from benchmarks.verdicts.case import Case, Families, Family
from benchmarks.verdicts.coming_nets import (
    Convolved,
    Normed,
    Pooled,
    Residual,
    TrueEnd,
    attending,
    between,
    carrying,
    fit,
    huber,
    lifetime,
    poisson,
    unfilled,
)
from benchmarks.verdicts.common_data import mapped
from benchmarks.verdicts.everyday_nets import PackedTagger, accuracy, perplexity, r2, scored
from benchmarks.verdicts.field_nets import counted, pinball, validation
from benchmarks.verdicts.labels import HEALTHY, UNMEASURED
from benchmarks.verdicts.nets import Loop, Net, Tapped, start
from benchmarks.verdicts.optimizers import cosine
from benchmarks.verdicts.tasks import bce, ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("next")


@FAMILIES.family("healthy")
def states_of_a_machine(self: Family) -> Iterator[Case]:
    def build(cell: str, spec: str, **more: object) -> Training:
        net = Net(cell, 8, 32, 5, symbols=3, last=False)
        return fit(net, data.machine(12, 32, 1), spec, steps=400, forward=counted(ce), **more)

    yield self.case("GRU, Adam", HEALTHY, lambda: build("gru", "adam:0.01"), between(0, 0.3))
    yield self.case("LSTM, RMSprop", HEALTHY, lambda: build("lstm", "rmsprop:0.005"), between(0, 0.5))
    yield self.case("tanh, momentum, norm of 1", HEALTHY, lambda: build("tanh", "momentum:0.1", clip="norm:1"))


@FAMILIES.family("healthy")
def place_on_a_ring(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Normed(2, 48, 3, last=False)
        return fit(net, data.turns(10, 64, 1), "adamw:0.005", steps=400, watch={"chance_loss": "ln 3"})

    yield self.case("layer norm in a recurrence by hand, AdamW", HEALTHY, build, between(0, 0.3))


@FAMILIES.family("healthy")
def keyword_anywhere(self: Family) -> Iterator[Case]:
    held = scored(data.spotted(14, 200, 2), 25, val_acc=accuracy)

    def mean() -> Training:
        net = Pooled(nn.LSTM, 8, 24, 5, symbols=9)
        return fit(net, data.spotted(14, 32, 1), "nesterov:0.3", steps=350, metrics=held)

    yield self.case("mean of the outputs, Nesterov", HEALTHY, mean, between(0.8, 1, "val_acc"))

    def attention() -> Training:
        net = attending(Pooled(nn.GRU, 8, 24, 5, symbols=9))
        return fit(net, data.spotted(14, 16, 1), "adam:0.005", steps=300, metrics=held)

    yield self.case("attention, Adam", HEALTHY, attention, between(0.9, 1, "val_acc"))


@FAMILIES.family("healthy")
def strokes(self: Family) -> Iterator[Case]:
    def convolved() -> Training:
        net = Convolved(nn.GRU, 2, 16, 4)
        held = validation(data.gestures(10, 200, 2), ce, 20, right="val_accuracy")
        return fit(net, data.gestures(10, 32, 1), "adamw:0.01", metrics=held)

    yield self.case("convolution in front, AdamW", HEALTHY, convolved, between(0, 0.4))

    def both() -> Training:
        net = Net("gru", 2, 24, 4, bidirectional=True)
        return fit(net, data.gestures(12, 64, 1), "momentum:0.2", steps=350, watch={"chance_loss": "ln 4"})

    yield self.case("two directions, momentum", HEALTHY, both, between(0, 0.5))


@FAMILIES.family("healthy")
def load_of_the_next_hour(self: Family) -> Iterator[Case]:
    def build(cell: str, spec: str, loss: object = mse) -> Training:
        net = Net(cell, 3, 24, 1, last=False)
        held = validation(data.load(24, 100, 2), loss, 20)
        return fit(net, data.load(24, 16, 1), spec, loss, 350, metrics=held)

    yield self.case("GRU, Adam", HEALTHY, lambda: build("gru", "adam:0.005"), between(0.03, 0.06))
    yield self.case("LSTM, RAdam", HEALTHY, lambda: build("lstm", "radam:0.01"), between(0.03, 0.06))
    yield self.case("tanh, Adagrad, Huber", HEALTHY, lambda: build("tanh", "adagrad:0.03", huber), between(0.01, 0.035))


@FAMILIES.family("healthy")
def angle_of_a_pendulum(self: Family) -> Iterator[Case]:
    def residual() -> Training:
        return fit(Residual(1, 16, 1, 2), data.pendulum(16, 32, 1), "adam:0.003", mse, 350)

    yield self.case("two residual GRUs with layer norms", UNMEASURED, residual, between(0, 0.5))

    def orthogonal() -> Training:
        net = start(Net("tanh", 1, 32, 1, last=False), "orth", 0.95)
        held = scored(data.pendulum(16, 100, 2), 20, val_r2=r2)
        return fit(net, data.pendulum(16, 16, 1), "sgd:0.05", mse, 400, metrics=held)

    yield self.case("orthogonal tanh, SGD, R2", HEALTHY, orthogonal, between(0.7, 1, "val_r2"))


@FAMILIES.family("healthy")
def verses(self: Family) -> Iterator[Case]:
    def annealed() -> Training:
        net, held = Net("gru", 12, 40, 8, symbols=8, last=False), scored(data.verses(16, 64, 2), 25, val_ppl=perplexity)
        return fit(net, data.verses(16, 32, 1), "adamw:0.01", steps=400, before=cosine(0.01, 400, 20), metrics=held)

    yield self.case("a cosine with warm-up", HEALTHY, annealed, between(0.6, 1.1))

    def dropped() -> Training:
        net = Net("lstm", 12, 40, 8, symbols=8, last=False, num_layers=2, dropout=0.2)
        return fit(net, data.verses(16, 32, 1), "adam:0.01", steps=400, watch={"chance_loss": "ln 8"})

    yield self.case("two layers, dropout", HEALTHY, dropped, between(0.6, 1.3))


@FAMILIES.family("healthy")
def charge_of_a_battery(self: Family) -> Iterator[Case]:
    def identity() -> Training:
        net = start(Net("relu", 1, 24, 1), "eye", 1.0)
        return fit(net, data.battery(20, 32, 1), "adam:0.001", mse, 400, clip="norm:1")

    yield self.case("relu from the identity, norm of 1", UNMEASURED, identity, between(0, 0.1))

    def loop() -> Training:
        net = Loop("gru", 1, 24, 1)
        return fit(
            net, data.battery(14, 32, 1), "adamax:0.01", mse, 300, metrics=scored(data.battery(14, 200, 2), 20, r2=r2)
        )

    yield self.case("a GRU cell in a loop, Adamax, R2", HEALTHY, loop, between(0.9, 1, "r2"))


@FAMILIES.family("healthy")
def weakly_predictable(self: Family) -> Iterator[Case]:
    def build(**more: object) -> Training:
        return fit(Net("gru", 2, 12, 1), data.quotes(8, 256, 1), "adam:0.005", mse, 300, **more)

    yield self.case(
        "R2 of held-out quotes",
        HEALTHY,
        lambda: build(metrics=scored(data.quotes(8, 2000, 2), 20, val_r2=r2)),
        between(0.02, 0.07, "val_r2"),
    )
    label = UNMEASURED.also(outcomes="stuck", actions="check-data overfit-one-batch")
    yield self.case("nothing but the loss", label, build, between(0.9, 1.0))


@FAMILIES.family("healthy")
def goods_in_a_basket(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 8, 32, 4, symbols=12)
        held = validation(data.basket(8, 200, 2), bce, 20, f1="val_f1")
        return fit(net, data.basket(8, 64, 1), "adam:0.01", bce, 350, metrics=held)

    yield self.case("several labels, F1", HEALTHY, build, between(0.9, 1, "val_f1"))


@FAMILIES.family("healthy")
def seldom_alarms(self: Family) -> Iterator[Case]:
    def build() -> Training:
        weight = torch.tensor([9.0])
        held = validation(data.alarms(16, 400, 0.1, 2), bce, 20, f1="val_f1")
        return fit(
            Net("gru", 1, 16, 1),
            data.alarms(16, 64, 0.1, 1),
            "adam:0.01",
            nn.BCEWithLogitsLoss(pos_weight=weight),
            350,
            metrics=held,
        )

    yield self.case("one in ten, under a weight", HEALTHY, build, between(0.7, 1, "val_f1"))


@FAMILIES.family("healthy")
def order_of_two_marks(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 6, 24, 2, symbols=6)
        return fit(net, data.which_first(16, 32, 1), "adam:0.005", steps=350, forward=counted(ce, "train_acc"))

    yield self.case("GRU, batch of 32", HEALTHY, build, between(0, 0.15))


@FAMILIES.family("healthy")
def likelihoods_without_a_known_floor(self: Family) -> Iterator[Case]:
    def times() -> Training:
        return fit(Net("lstm", 2, 16, 1), data.lifetimes(10, 64, 1), "adam:0.005", lifetime, 300)

    yield self.case("lifetimes, some cut", UNMEASURED, times, between(0, 1.0))

    def counts() -> Training:
        net = Net("gru", 1, 16, 1, last=False)
        return fit(net, data.calls(16, 32, 1), "rmsprop:0.005", poisson, 300)

    yield self.case("counts of calls", UNMEASURED, counts, between(-2, 0.9))

    def mixture() -> Training:
        net = Net("gru", 3, 24, 6, last=False)
        return fit(net, data.load(16, 32, 1), "adam:0.005", likelihoods.mixture, 350, clip="norm:5")

    yield self.case("two Gaussians", UNMEASURED, mixture, between(-1, 0.15))

    def tails() -> Training:
        net = Net("lstm", 3, 24, 2, last=False)
        return fit(net, data.load(16, 32, 1), "amsgrad:0.01", likelihoods.student, 350)

    yield self.case("Student's t", UNMEASURED, tails, between(-3, -0.4))

    def quantile() -> Training:
        net = Net("gru", 3, 16, 1, last=False)
        return fit(net, data.load(16, 32, 1), "adam:0.01", pinball(0.9), 300)

    yield self.case("the quantile of 90%", UNMEASURED, quantile, between(0, 0.06))


@FAMILIES.family("healthy")
def of_unequal_lengths(self: Family) -> Iterator[Case]:
    def read() -> Training:
        held = scored(data.parcels(12, 200, 2), 25, val_acc=accuracy)
        return fit(TrueEnd(nn.LSTM, 24, 4), data.parcels(12, 32, 1), "adam:0.01", metrics=held)

    yield self.case("read at the true end", HEALTHY, read, between(0.9, 1, "val_acc"))

    def tagged() -> Training:
        def next_to_last(x: torch.Tensor, y: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
            before = torch.cat([x[:1], x[:-1]])
            return x, torch.where(x == data.FILLER, data.FILLER, before)

        net = PackedTagger(nn.GRU, data.FILLER + 1, 16, data.FILLER, data.FILLER)
        batch = mapped(data.parcels(10, 32, 1), next_to_last)
        return fit(net, batch, "momentum:0.3", unfilled, 350)

    yield self.case("tags, fillers left out of the loss", UNMEASURED, tagged, between(0, 0.4))


@FAMILIES.family("healthy")
def carried_from_window_to_window(self: Family) -> Iterator[Case]:
    def build(cell: str, lag: int) -> Training:
        net = Net(cell, 8, 32, 4, symbols=4, last=False)
        return fit(net, data.stream(lag, 12, 16, 1), "adam:0.01", steps=400, forward=carrying())

    yield self.case("GRU, two timesteps back", HEALTHY, lambda: build("gru", 2), between(0, 0.3))


@FAMILIES.family("healthy")
def by_hand(self: Family) -> Iterator[Case]:
    def tapped() -> Training:
        net = start(Tapped(torch.tanh, 2, 32, 4), "orth", 0.9)
        return fit(net, data.gestures(8, 32, 1), "adam:0.01", steps=300, watch={"chance_loss": "ln 4"})

    yield self.case("a tapped tanh", HEALTHY, tapped, between(0, 0.4))
