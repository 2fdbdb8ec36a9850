"""The plain part: short trainings that learn, of many kinds of layers, losses, schedules and batches."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW

from benchmarks.verdicts import ordinary_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.everyday_nets import averaged
from benchmarks.verdicts.field_nets import carried, counted, under, validation
from benchmarks.verdicts.labels import FINE, HEALTHY
from benchmarks.verdicts.nets import Loop, Net, Tapped
from benchmarks.verdicts.optimizers import cosine, schedule, warmup
from benchmarks.verdicts.projects_nets import fit
from benchmarks.verdicts.tasks import bce, ce, generator, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("plain")

LETTERS, LETTERS_FLOOR = data.letter_entropies()


@FAMILIES.family("schedules")
def scheduled_rates(self: Family) -> Iterator[Case]:
    def warm() -> Training:
        net = Net("gru", 1, 20, 1, last=False)
        return fit(net, data.season(20, 16, 0.2, 1), "adamw:0.02", mse, 400, before=cosine(0.02, 400, 60))

    yield self.case("season, warm-up and cosine", HEALTHY, warm, under(0.15, 0.03))

    def steps() -> Training:
        net = Net("tanh", 6, 20, 4, symbols=2, last=False)
        before = schedule(lambda step: 0.2 * 0.3 ** (step // 150))
        return fit(net, data.residues(14, 32, 4, 1), "momentum:0.2", steps=500, before=before)

    yield self.case("counts, times 0.3 every 150 steps", HEALTHY, steps, under(0.9))

    def slow() -> Training:
        net = Net("lstm", 1, 16, 3)
        return fit(net, data.tone(20, 32, 3, 0.3, 1), "rmsprop:0.005", steps=300, before=warmup(0.005, 150))

    yield self.case("tones, warm-up over half of the steps", HEALTHY, slow, under(0.3))


@FAMILIES.family("two directions")
def bidirectional_layers(self: Family) -> Iterator[Case]:
    def tags() -> Training:
        net = Net("gru", 6, 16, 4, symbols=4, last=False, bidirectional=True)

        def neighbors(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            x = torch.randint(0, 4, x.shape, generator=generator(step))
            return x, torch.where(x % 2 == 0, x.roll(1, 0), x.roll(-1, 0))

        batch = data.mapped(data.residues(16, 24, 2, 1), neighbors)
        return fit(net, batch, "adam:0.01", steps=500, forward=counted(ce))

    yield self.case("the symbol before even ones, after odd ones", HEALTHY, tags, under(0.7))

    def pooled() -> Training:
        net = data.Pooled("lstm", 1, 12, 4, bidirectional=True)
        return fit(net, data.tone(24, 32, 4, 0.5, 1), "adam:0.01", steps=250)

    yield self.case("tones, mean over both", HEALTHY, pooled, under(0.4))


@FAMILIES.family("several layers")
def deep_layers(self: Family) -> Iterator[Case]:
    def dropout() -> Training:
        net = Net("lstm", 8, 24, 5, symbols=2, last=False, num_layers=3, dropout=0.2)
        return fit(net, data.depth(14, 24, 4, 1), "adam:0.01", steps=300)

    yield self.case("three LSTM layers with dropout", HEALTHY, dropout, under(0.5))

    def skips() -> Training:
        net = data.Skipping("gru", 8, 2, 3, last=False)
        batch = data.mapped(data.switch(16, 24, 1), lambda x, y, step: (x.expand(-1, -1, 8), y))
        return fit(net, batch, "sgd:0.3", steps=350)

    yield self.case("three GRU layers with skips", HEALTHY, skips, under(0.25))


@FAMILIES.family("regularization")
def regularized_and_learns(self: Family) -> Iterator[Case]:
    def dropout() -> Training:
        net = data.Pooled("gru", 8, 32, 4, symbols=30, dropout=0.6)
        return fit(net, data.reviews(20, 32, 4, 1), "adam:0.005", steps=250)

    yield self.case("dropout of 0.6", HEALTHY, dropout, under(0.5))

    def decay() -> Training:
        net = Net("gru", 1, 20, 2, last=False)
        opt = AdamW(net.parameters(), 0.01, weight_decay=0.1)
        return Training(net, data.switch(16, 32, 1), opt, ce, 300)

    yield self.case("weight decay of 0.1", HEALTHY, decay, under(0.25))

    def normed() -> Training:
        net = data.Normed("lstm", 1, 16, 2, last=False)
        batch = data.mapped(data.switch(16, 32, 1), lambda x, y, step: (101_325 + 500 * x, y))
        return fit(net, batch, "adam:0.01", steps=300)

    yield self.case("batch normalization of pascals", HEALTHY, normed, under(0.2))

    def smooth() -> Training:
        net = Net("tanh", 4, 20, 4)

        def loss(output: Tensor, y: Tensor) -> Tensor:
            return functional.cross_entropy(output, y, label_smoothing=0.2)

        return fit(net, data.mark(6, 32, 4, 1), "momentum:0.1", loss, 300)

    yield self.case("label smoothing of 0.2", HEALTHY, smooth, under(0.85, 0.55))


@FAMILIES.family("padding")
def padded_targets(self: Family) -> Iterator[Case]:
    def lengths(step: int, N: int) -> Tensor:
        return torch.randint(4, 21, (N,), generator=generator(step))

    def build() -> Training:
        net = Net("gru", 6, 20, 5, symbols=2, last=False)
        return fit(net, data.depth(20, 24, 4, 1), "adam:0.01", steps=250, forward=data.masked(lengths))

    yield self.case("brackets of 4 to 20 timesteps", HEALTHY, build, under(0.3))


@FAMILIES.family("batches")
def small_batches(self: Family) -> Iterator[Case]:
    def one() -> Training:
        net = Net("lstm", 8, 24, 27, symbols=27, last=False)
        return fit(net, data.letters(25, 1, 1), "adam:0.005", steps=900, clip="norm:2")

    yield self.case("one window of letters", HEALTHY, one, under(LETTERS - 0.3))

    def accumulated() -> Training:
        net = Net("gru", 4, 20, 4)
        return fit(net, data.mark(8, 8, 4, 1), "momentum:0.1", steps=300, accumulate=4)

    yield self.case("four batches of 8 an update", HEALTHY, accumulated, under(0.3))


@FAMILIES.family("truncation as intended")
def state_is_carried(self: Family) -> Iterator[Case]:
    def stream() -> Training:
        batch, forward = carried(3, 14, 16, 4, 1)
        net = Net("gru", 6, 32, 4, symbols=4, last=False)
        return fit(net, batch, "adam:0.005", steps=400, forward=forward, config={"distance": 3})

    yield self.case("windows of 14, distance of 3", HEALTHY, stream, under(0.3))

    def cut() -> Training:
        net = Loop("lstm", 1, 16, 2, last=False, cut=lambda t, T: t % 8 == 7)
        label = data.switch(24, 24, 1)
        return fit(net, label, "adam:0.01", steps=250)

    label = HEALTHY.also(causes=("truncated-reach",), actions="remove-detach lengthen-window")
    yield self.case("a cut every eight timesteps, a short memory", label, cut, under(0.3))


@FAMILIES.family("losses")
def other_losses(self: Family) -> Iterator[Case]:
    def absolute() -> Training:
        net = Net("tanh", 1, 20, 1, last=False)
        return fit(net, data.season(20, 16, 0.2, 1), "adam:0.005", functional.l1_loss, 400)

    yield self.case("absolute error", HEALTHY, absolute, under(0.35))

    def several() -> Training:
        net = Net("gru", 4, 20, 3)
        batch = data.mapped(
            data.mark(8, 32, 4, 1), lambda x, y, step: (x, torch.stack([y > 1, y % 2 == 0, y == 3], 1).float())
        )
        return fit(net, batch, "rmsprop:0.003", bce, 350)

    yield self.case("three labels at once", HEALTHY, several, under(0.3))

    def robust() -> Training:
        net = Net("lstm", 1, 20, 1)
        return fit(net, data.gap(16, 48, 1), "adam:0.01", functional.smooth_l1_loss, 350)

    yield self.case("smooth absolute error of times", HEALTHY, robust, under(0.2 * data.gap_variance(16)))


@FAMILIES.family("activations")
def units_at_their_limits(self: Family) -> Iterator[Case]:
    def relu() -> Training:
        net = Net("relu", 4, 40, 4)
        with torch.no_grad():
            net.recurrent.bias_ih_l0[:16] = -20.0
        return fit(net, data.mark(6, 32, 4, 1), "adam:0.005", steps=450)

    yield self.case(
        "40% of the relus are off", HEALTHY.also(causes=("dead-units",), actions="revive-units"), relu, under(0.2)
    )

    def saturated() -> Training:
        net = Net("tanh", 4, 24, 4)
        return fit(net, data.mark(10, 32, 4, 1, at=9, size=10.0), "adam:0.005", steps=300)

    label = HEALTHY.also(causes=("saturated-gates",), actions="scale-inputs")
    yield self.case("inputs of 20 saturate tanh", label, saturated, under(0.2))


@FAMILIES.family("non-finite")
def skipped_step(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 1, 20, 1, last=False)

        def gradient(net: nn.Module, step: int) -> None:
            if step == 140:
                for parameter in net.parameters():
                    parameter.grad = torch.zeros_like(parameter)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            return mse(net(x), y) * (math.nan if step == 140 else 1.0)

        return fit(net, data.maximum(14, 24, 1), "adam:0.005", steps=300, forward=forward, gradient=gradient)

    label = Label(
        ("learned", "learning"), (None, "non-finite"), (*FINE, "guard-operation", "check-batch"), failed=False
    )
    yield self.case("one loss of NaN, its gradient is zeroed", label, build, Expected(nonfinite=True))


@FAMILIES.family("curricula")
def task_gets_harder(self: Family) -> Iterator[Case]:
    """The loss rises when the sequences get longer, and the net learns all the same."""

    def lengths() -> Training:
        net = Net("gru", 4, 20, 4)
        parts = [data.mark(T, 32, 4, T) for T in (2, 5, 9, 14)]
        return fit(net, lambda step: parts[min(3, step // 110)](step), "adam:0.01", steps=500)

    yield self.case("marks 2, 5, 9 and 14 timesteps ago", HEALTHY, lengths, under(0.3))

    def weight() -> Training:
        net = Net("lstm", 1, 16, 2, last=False)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, dict[str, float]]:
            output = net(x)
            factor = min(1.0, (step + 1) / 250)
            return factor * ce(output, y), {"acc": float((output.argmax(-1) == y).float().mean())}

        return fit(net, data.switch(16, 32, 1), "adam:0.005", steps=350, forward=forward)

    yield self.case("the weight of the loss rises", HEALTHY, weight, Expected((0.93, 1.0), "acc"))


@FAMILIES.family("converged")
def gradient_is_small_in_the_end(self: Family) -> Iterator[Case]:
    def marks() -> Training:
        net = Net("gru", 4, 24, 4)
        return fit(net, data.mark(8, 32, 4, 1, noise=0.1), "adam:0.02", steps=500)

    yield self.case("marks, a loss of 1e-3", HEALTHY, marks, under(0.01))

    def small_set() -> Training:
        net = Net("lstm", 8, 24, 4, symbols=30)
        held = validation(data.reviews(24, 200, 4, 2), ce, 25, right="val_acc")
        return fit(net, data.few(data.reviews(24, 200, 4, 1), 3), "adam:0.003", steps=200, metrics=held)

    yield self.case("reviews, val_loss falls with it", HEALTHY, small_set, Expected((-math.inf, 0.3), "val_loss"))


@FAMILIES.family("plain tasks")
def plain_tasks(self: Family) -> Iterator[Case]:
    def maximum() -> Training:
        net = Net("relu", 1, 24, 1, last=False)
        return fit(net, data.maximum(16, 32, 1), "momentum:0.05", mse, 500)

    yield self.case("running maximum, relu, momentum", HEALTHY, maximum, under(0.012))

    def counts() -> Training:
        net = Net("lstm", 6, 24, 3, symbols=2, last=False)
        return fit(net, data.residues(10, 48, 3, 1), "adam:0.01", steps=500)

    yield self.case("counts modulo 3, LSTM, Adam", HEALTHY, counts, under(0.15))

    def switches() -> Training:
        net = Net("gru", 1, 20, 2, last=False)
        return fit(net, data.switch(20, 32, 1), "sgd:0.5", steps=400)

    yield self.case("switch, GRU, SGD", HEALTHY, switches, under(0.25))

    def hand() -> Training:
        net = Tapped(torch.tanh, 1, 24, 4)
        return fit(net, data.tone(16, 48, 4, 0.2, 1), "adam:0.005", steps=350)

    yield self.case("tones, tanh by hand, Adam", HEALTHY, hand, under(0.4))


@FAMILIES.family("logging")
def loss_as_running_mean(self: Family) -> Iterator[Case]:
    def mean() -> Training:
        net = data.Pooled("gru", 8, 20, 4, symbols=30)
        return fit(net, data.reviews(20, 8, 4, 1), "rmsprop:0.003", steps=300, logged=averaged(0.97))

    yield self.case("reviews, batches of 8", HEALTHY, mean, under(0.35))

    def rare() -> Training:
        net = Net("tanh", 1, 24, 1, last=False)
        held = validation(data.season(20, 100, 0.5, 2), mse, 40)
        return fit(net, data.season(20, 16, 0.5, 1), "adam:0.005", mse, 400, every=40, metrics=held)

    yield self.case("season, a tenth of the usual records", HEALTHY, rare, under(0.7, 0.25))
