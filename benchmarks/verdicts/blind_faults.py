"""Trainings that fail, for one reason each, written without knowledge of the rules."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.everyday import (
    alarms,
    copying,
    demand,
    games,
    gestures,
    one_batch_late,
    reviews,
    tags,
)
from benchmarks.verdicts.everyday_nets import Agent, accuracy, played, rmse, scored
from benchmarks.verdicts.kinds_of_training import drawn_from, noisy_set
from benchmarks.verdicts.labels import (
    AT_CHANCE,
    BAD_BATCH,
    BEFORE_UNSCALE,
    BROKEN,
    CLIP_LOW,
    CUT,
    DEAD,
    EXPLODES,
    FADES,
    LR_HIGH,
    LR_LOW,
    MISPLACED,
    NO_GRADIENT,
    NOT_UPDATED,
    NOT_ZEROED,
    OVERFITS,
    SATURATES,
    UNTOLD,
)
from benchmarks.verdicts.long_tasks import from_step
from benchmarks.verdicts.nets import Loop, Net, fill, keep, start, times
from benchmarks.verdicts.optimizers import optimizer
from benchmarks.verdicts.tasks import ce, echo, first_sign, mse, remember
from benchmarks.verdicts.training import Training

FAMILIES = Families("blind")
family = FAMILIES.family


@family("vanishing")
def forgets_the_key(self: Family) -> Iterator[Case]:
    """The first symbol at the end, under an LSTM whose forget gates start shut, and a tanh of small matrices."""

    def gates() -> Training:
        net = keep(Net("lstm", 8, 24, 4, symbols=8), -5.0)
        return Training(net, remember(30, 32, 4, 1101).batch, optimizer("adam:0.002", net), steps=300)

    def small() -> Training:
        net = start(Net("tanh", 8, 32, 4, symbols=8), "orth", 0.3)
        opt = optimizer("rmsprop:0.0005", net)
        return Training(net, remember(25, 32, 4, 1102).batch, opt, steps=300, clip="norm:1.0")

    yield self.case("lstm shut gates", FADES, gates, Expected(final=(1.3, 1.6), kept=(0, 1e-4)))
    yield self.case("tanh small", FADES, small, Expected(final=(1.3, 1.6), kept=(0, 1e-4)))


@family("exploding")
def chaotic_states(self: Family) -> Iterator[Case]:
    """The first symbol at the end, under a tanh of matrices so large that states part, without clipping."""

    def build() -> Training:
        net = start(Net("tanh", 8, 32, 4, symbols=8), "gauss", 3.0)
        return Training(net, remember(30, 32, 4, 1103).batch, optimizer("adam:0.0005", net), steps=250)

    yield self.case("tanh adam", EXPLODES, build, Expected(growth=(20, 1e30), nonfinite=None, final=(1.3, 1e30)))


@family("learning rate")
def wrong_rates(self: Family) -> Iterator[Case]:
    """A factor of a thousand too high or too low."""

    def high() -> Training:
        net = Net("gru", 12, 24, 2, symbols=24)
        metrics = scored(reviews(12, 128, 1104), 20, val_acc=accuracy)
        return Training(net, reviews(12, 32, 1105), optimizer("adam:3.0", net), steps=300, metrics=metrics)

    def momentum() -> Training:
        net = Net("lstm", 1, 24, 1, last=False)
        return Training(net, demand(14, 32, 0.2, 1106), optimizer("heavy:1.0", net), mse, steps=300)

    def low() -> Training:
        net = Net("lstm", 12, 24, 2, symbols=24)
        metrics = scored(reviews(12, 128, 1107), 20, val_loss=functional.cross_entropy, val_acc=accuracy)
        return Training(net, reviews(12, 32, 1108), optimizer("adam:1e-7", net), steps=350, metrics=metrics)

    yield self.case("gru adam 3", LR_HIGH, high, Expected(final=(0.69, 1e9)))
    yield self.case("lstm heavy 1", LR_HIGH, momentum, Expected(final=(1.5, float("inf")), nonfinite=None))
    yield self.case("lstm adam 1e-7", LR_LOW, low, Expected(final=(0.68, 0.71)))


@family("optimizer")
def slips_of_the_loop(self: Family) -> Iterator[Case]:
    """zero_grad forgotten, an optimizer that has the head alone, an encoder whose output is detached."""

    def summed() -> Training:
        net = Net("gru", 8, 20, 5, symbols=20, last=False)
        return Training(net, tags(10, 32, 1109), optimizer("nesterov:0.3", net), steps=300, zero=False)

    def head_alone() -> Training:
        net = Net("tanh", 8, 16, 4, symbols=8)
        opt = optimizer("adam:0.005", net.head)
        return Training(net, remember(25, 32, 4, 1110).batch, opt, steps=300)

    def detached() -> Training:
        net = Net("gru", 8, 16, 4, symbols=8)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            return functional.cross_entropy(net.read(net.run(x)[0].detach()), y)

        opt = optimizer("adam:0.005", net)
        return Training(net, remember(25, 32, 4, 1111).batch, opt, steps=300, forward=forward)

    yield self.case("gru not zeroed", NOT_ZEROED, summed, Expected(final=(1.3, float("inf")), nonfinite=None))
    yield self.case("tanh head alone", NOT_UPDATED, head_alone, Expected(final=(1.3, 1.6)))
    yield self.case("gru detached", NO_GRADIENT, detached, Expected(final=(1.2, 1.6)))


@family("non-finite")
def breaks_in_the_loss(self: Family) -> Iterator[Case]:
    """A mean over the positives of a batch, of which one batch has none; a reading of inf from a sensor."""

    def empty() -> Training:
        net = Net("lstm", 1, 16, 1)

        def loss(output: Tensor, target: Tensor) -> Tensor:
            each = functional.binary_cross_entropy_with_logits(output, target, reduction="none")
            return (each * target).sum() / target.sum() + (each * (1 - target)).mean()

        batch = from_step(alarms(14, 32, 0.4, 1112), 180, lambda x, y: (x, torch.zeros_like(y)), 180)
        return Training(net, batch, optimizer("adam:0.01", net), loss, steps=300)

    def sensor() -> Training:
        net = Net("gru", 2, 20, 3)

        def off(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            x[3, 5, 0] = float("inf")
            return x, y

        batch = from_step(gestures(12, 32, 3, 0.4, 1113), 160, off, 160)
        return Training(net, batch, optimizer("adam:0.01", net), steps=280)

    yield self.case("lstm no positives", BROKEN.also(actions="check-data"), empty, Expected(nonfinite=True))
    yield self.case("gru inf reading", BAD_BATCH.also(actions="guard-operation"), sensor, Expected(nonfinite=True))


@family("truncation")
def echo_over_a_cut(self: Family) -> Iterator[Case]:
    """The symbol of ten timesteps ago, with the state detached after every fourth."""

    def build() -> Training:
        net = Loop("gru", 8, 32, 4, symbols=4, last=False, cut=lambda t, T: t % 4 == 3)

        def loss(output: Tensor, target: Tensor) -> Tensor:
            return ce(output[10:], target[10:])

        return Training(net, echo(20, 32, 10, 4, 1114).batch, optimizer("adam:0.003", net), loss, steps=300)

    yield self.case("gru loop", CUT, build, Expected(final=(1.34, 1.42)))


@family("saturation")
def raw_readings(self: Family) -> Iterator[Case]:
    """Inputs of hundreds, as a sensor gives them."""

    def build() -> Training:
        net = Net("lstm", 3, 24, 2)
        return Training(net, first_sign(24, 32, 600.0, 1115).batch, optimizer("adam:0.002", net), steps=300)

    yield self.case("lstm", SATURATES, build, Expected(final=(0.6, 5)))


@family("dead units")
def silent_relus(self: Family) -> Iterator[Case]:
    """Biases of -6 at which no relu is on."""

    def build() -> Training:
        net = times(fill(Net("relu", 8, 24, 5, symbols=20, last=False), "bias_ih", -6.0), "weight_ih", 0.5)
        return Training(net, tags(10, 32, 1116), optimizer("sgd:0.05", net), steps=280)

    yield self.case("relu", DEAD, build, Expected(final=(1.55, 1.7)))


@family("clipping")
def strangled(self: Family) -> Iterator[Case]:
    """A threshold of 1e-4 under SGD; clipping after the update, of gradients that explode."""

    def low() -> Training:
        net = Net("gru", 12, 24, 2, symbols=24)
        return Training(net, reviews(10, 32, 1117), optimizer("sgd:0.5", net), steps=300, clip="norm:1e-4")

    def misplaced() -> Training:
        net = start(Net("tanh", 8, 32, 4, symbols=8), "orth", 3.0)
        opt, batch = optimizer("sgd:0.1", net), remember(30, 16, 4, 1118).batch
        return Training(net, batch, opt, steps=250, clip="norm:1.0", clip_at="after-update")

    yield self.case("gru 1e-4", CLIP_LOW, low, Expected(final=(0.67, 0.71)))
    yield self.case(
        "tanh after the update", MISPLACED.also(causes=("exploding",)), misplaced, Expected(final=(1.3, 1e30))
    )


@family("mixed precision")
def clips_scaled(self: Family) -> Iterator[Case]:
    """Clipping at 1 of gradients that are still scaled by 65536, under SGD."""

    def build() -> Training:
        net = Net("lstm", 2, 20, 3)
        scaler = torch.amp.GradScaler("cpu", init_scale=65536.0)
        opt = optimizer("momentum:0.05", net)
        return Training(
            net, gestures(12, 32, 3, 0.4, 1119), opt, steps=300, clip="norm:1.0", scaler=scaler, unscale=False
        )

    yield self.case("lstm", BEFORE_UNSCALE, build, Expected(final=(1.05, 1.15)))


@family("data")
def wrong_data(self: Family) -> Iterator[Case]:
    """Targets of the batch before; rewards at random; alarms that are not in the inputs."""

    def late() -> Training:
        net = Net("gru", 8, 20, 5, symbols=20, last=False)
        batch = one_batch_late(tags(10, 32, 1120))
        return Training(net, batch, optimizer("adam:0.003", net), steps=350)

    def luck() -> Training:
        net = Agent(3, 20, 3)
        opt = optimizer("adam:0.003", net)
        return Training(net, games(10, 16, 3, 0.15, 1121), opt, steps=350, forward=played(0.01, luck=True))

    def absent() -> Training:
        net = Net("lstm", 1, 16, 1)
        metrics = scored(
            alarms(14, 256, 0.1, 1122, height=0.0), 20, val_accuracy=lambda z, y: ((z > 0) == y).float().mean()
        )
        opt = optimizer("adam:0.003", net)
        bce = functional.binary_cross_entropy_with_logits
        return Training(net, alarms(14, 32, 0.1, 1123, height=0.0), opt, bce, steps=350, metrics=metrics)

    yield self.case("gru one batch late", AT_CHANCE, late, Expected(final=(1.59, 1.63)))
    yield self.case("agent rewarded at random", UNTOLD, luck, Expected(final=(0.28, 0.38), measure="mean_reward"))
    yield self.case("lstm absent alarms", UNTOLD, absent, Expected(final=(0.3, 0.36)))


@family("outcome")
def learns_by_rote(self: Family) -> Iterator[Case]:
    """Few sequences, a third of them with wrong labels; few series under much noise."""

    def labels() -> Training:
        net = Net("lstm", 12, 40, 2, symbols=24)
        whole = noisy_set(reviews(12, 60, 1124)(0), 2, 0.4)
        metrics = scored(reviews(12, 256, 1125), 20, val_loss=functional.cross_entropy, val_acc=accuracy)
        return Training(net, drawn_from(whole, 30), optimizer("adam:0.01", net), steps=400, metrics=metrics)

    def series() -> Training:
        net = Net("gru", 1, 40, 1, last=False)
        metrics = scored(demand(12, 128, 0.8, 1126), 25, val_mse=mse, val_rmse=rmse)
        opt = optimizer("adam:0.02", net)
        return Training(net, drawn_from(demand(12, 12, 0.8, 1127)(0), 12), opt, mse, steps=500, metrics=metrics)

    yield self.case("lstm reviews", OVERFITS, labels, Expected(final=(0, 0.2)))
    yield self.case("gru demand", OVERFITS, series, Expected(final=(1.6, 100), measure="val_mse"))


@family("outcome")
def cannot_answer(self: Family) -> Iterator[Case]:
    """A copy task of which the net sees only the marker: it learns when to answer, whose loss is declared."""

    def build() -> Training:
        net = Net("lstm", 8, 24, 6, symbols=6, last=False)

        def blind(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            return x.masked_fill(x < 5, 0), y

        opt = optimizer("adam:0.01", net)
        known = {"chance_loss": 0.3 * math.log(4)}
        return Training(net, from_step(copying(3, 4, 32, 4, 1128), 0, blind), opt, steps=350, watch=known)

    yield self.case("lstm", AT_CHANCE, build, Expected(final=(0.4, 0.45)))
