"""The later part: short trainings that are healthy although the gradient, the loss or the loop looks unusual."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

from benchmarks.verdicts import common_data as data
from benchmarks.verdicts.case import ANY, Case, Expected, Families, Family
from benchmarks.verdicts.everyday_nets import accuracy, rmse, scored
from benchmarks.verdicts.field_nets import carried, counted, under, validation
from benchmarks.verdicts.labels import HEALTHY, NOTED, UNMEASURED
from benchmarks.verdicts.nets import Loop, Net, fill, keep, start, times
from benchmarks.verdicts.optimizers import cosine, restarts, warmup
from benchmarks.verdicts.projects_nets import fit
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("later")

WEEKDAYS = data.weekday_entropy()  # of the next of seven symbols; chance is ln 7
LN7 = {"watch": {"chance_loss": "ln 7"}}


@FAMILIES.family("vanishing without harm")
def near_inputs_decide(self: Family) -> Iterator[Case]:
    def tanh() -> Training:
        net = start(Net("tanh", 8, 28, 7, symbols=7, last=False), "orth", 0.3)
        return fit(net, data.weekdays(24, 16, 1), "momentum:0.1", steps=350, **LN7)

    expected = Expected((WEEKDAYS - 0.05, 1.1), kept=(0, 1e-4))
    yield self.case("tanh, 0.3 orthogonal, the next symbol", HEALTHY, tanh, expected)

    def lstm() -> Training:
        net = keep(Net("lstm", 2, 24, 1), -1.5)
        batch = data.mapped(data.ends(40, 32, 1), lambda x, y, step: (x, x[-1, :, :1] - x[-2, :, 1:]))
        return fit(net, batch, "adam:0.01", mse, 300)

    yield self.case(
        "LSTM, forget bias -1.5, the last two timesteps", UNMEASURED, lstm, Expected((0, 0.1), kept=(0, 1e-4))
    )


@FAMILIES.family("exploding without harm")
def clipped_where_it_explodes(self: Family) -> Iterator[Case]:
    def tanh() -> Training:
        net = start(Net("tanh", 8, 32, 7, symbols=7, last=False), "gauss", 2.5)
        return fit(net, data.weekdays(24, 32, 1), "sgd:0.1", steps=450, clip="norm:1", **LN7)

    noted = NOTED.also(causes=("exploding",), actions="clip lower-clip-threshold change-initialization")
    yield self.case("tanh, Gaussian of 2.5, norm of 1", noted, tanh, Expected((0.6, 1.5), growth=(3, math.inf)))

    def relu() -> Training:
        net = start(Net("relu", 1, 20, 1, last=False), "eye", 1.08)
        return fit(net, data.boiler(40, 16, 1), "adam:0.0005", mse, 400, clip="norm:1")

    expected = Expected((0.01, 0.15), growth=(1.5, math.inf))
    yield self.case("relu, 1.08 of the identity, norm of 1", noted.also(outcomes="unknown"), relu, expected)


@FAMILIES.family("spikes")
def single_spikes(self: Family) -> Iterator[Case]:
    def gradient(net: nn.Module, step: int) -> None:
        if step in (140, 260):
            for parameter in net.parameters():
                parameter.grad.mul_(2000.0)

    def clipped() -> Training:
        net = Net("gru", 8, 24, 5, symbols=3, last=False)
        return fit(net, data.stock(14, 16, 1), "momentum:0.1", steps=450, clip="norm:2", gradient=gradient)

    yield self.case("of the gradient, clipped", UNMEASURED, clipped, under(0.75))

    def batch(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
        return x, 20 * y if step == 200 else y

    def bad() -> Training:
        net = Net("lstm", 1, 20, 1, last=False)
        return fit(net, data.mapped(data.boiler(16, 16, 1), batch), "adam:0.005", mse, 450)

    yield self.case("of the loss, one batch in other units", UNMEASURED, bad, under(0.06))


@FAMILIES.family("floor of noise")
def regression_at_its_floor(self: Family) -> Iterator[Case]:
    def half() -> Training:
        net = Net("gru", 1, 20, 1, last=False)
        return fit(net, data.boiler(20, 16, 1, noise=1.0), "adam:0.01", mse, 400)

    yield self.case("noise of about the size of the signal", UNMEASURED, half, under(1.2, 0.95))

    def swings() -> Training:
        net = Net("lstm", 1, 20, 1, last=False)
        held = scored(data.swing(24, 200, 2, noise=0.3), 50, val_rmse=rmse)
        return fit(net, data.swing(24, 16, 1, noise=0.3), "rmsprop:0.003", mse, 400, metrics=held)

    yield self.case("an oscillation under noise, val_rmse", UNMEASURED, swings, under(0.2, 0.09))


@FAMILIES.family("floor of noise")
def little_can_be_explained(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = times(Net("gru", 2, 16, 1), "head", 0.1)
        return fit(net, data.odds(8, 256, 1, share=0.04), "adam:0.004", mse, 300, watch={"chance_loss": 1.0})

    yield self.case("4% of the variance, chance_loss", UNMEASURED, build, under(0.985, 0.9))

    def more() -> Training:
        held = validation(data.odds(8, 1000, 2, share=0.12), mse, 30)
        batch = data.odds(8, 128, 1, share=0.12)
        return fit(times(Net("lstm", 2, 16, 1), "head", 0.1), batch, "adamw:0.005", mse, 300, metrics=held)

    yield self.case("12% of the variance, val_loss", UNMEASURED, more, Expected((0.85, 0.96), "val_loss"))


@FAMILIES.family("clipping without harm")
def always_clipped_with_adam(self: Family) -> Iterator[Case]:
    def norm() -> Training:
        net = Net("lstm", 8, 24, 7, symbols=7, last=False)
        return fit(net, data.weekdays(16, 16, 1), "adam:0.01", steps=350, clip="norm:0.01", **LN7)

    yield self.case("Adam, norm of 0.01", NOTED, norm, under(1.1))

    def value() -> Training:
        net = Net("gru", 3, 20, 4)
        return fit(
            net, data.engines(12, 32, 4, 1), "rmsprop:0.002", steps=350, clip="value:0.0001", forward=counted(ce)
        )

    yield self.case("RMSprop, values of 1e-4", NOTED, value, under(0.6))


@FAMILIES.family("size of the loss")
def summed_over_all(self: Family) -> Iterator[Case]:
    def adam() -> Training:
        net = Net("gru", 8, 24, 7, symbols=7, last=False)
        return fit(net, data.weekdays(16, 16, 1), "adam:0.01", lambda o, y: ce(o, y) * 256, 300)

    yield self.case("over time and batch, Adam", UNMEASURED, adam, under(1.1 * 256))

    def sgd() -> Training:
        net = Net("gru", 8, 24, 7, symbols=7, last=False)
        return fit(net, data.weekdays(16, 16, 1), "sgd:0.005", lambda o, y: ce(o, y) * 256, 350, clip="norm:40")

    yield self.case("over time and batch, SGD at 0.005", NOTED.also(outcomes="unknown"), sgd, under(1.15 * 256))


@FAMILIES.family("size of the loss")
def units_of_targets(self: Family) -> Iterator[Case]:
    def small() -> Training:
        net = times(Net("gru", 1, 20, 1, last=False), "head", 0.001)
        return fit(net, data.boiler(16, 16, 1, unit=0.001), "adam:0.001", mse, 400)

    yield self.case("in a thousandth, Adam", UNMEASURED, small, under(2.5e-7))

    def large() -> Training:
        net = Net("lstm", 1, 24, 1, last=False)
        batch = data.boiler(16, 16, 1, unit=20.0, level=50.0)
        return fit(net, batch, "adam:0.05", mse, 500)

    yield self.case("around 50 with a deviation of 20", UNMEASURED, large, under(120.0))


@FAMILIES.family("inputs")
def large_inputs(self: Family) -> Iterator[Case]:
    def build() -> Training:
        batch = data.mapped(data.engines(12, 32, 4, 1), lambda x, y, step: (25 * x, y))
        held = scored(data.mapped(data.engines(12, 300, 4, 2), lambda x, y, step: (25 * x, y)), 50, val_acc=accuracy)
        return fit(Net("gru", 3, 24, 4), batch, "adam:0.003", steps=350, metrics=held)

    label = UNMEASURED.also(causes=("saturated-gates",), actions="scale-inputs")
    yield self.case("25 times too large, most of it is learned", label, build, Expected((0.8, 1.0), "val_acc"))


@FAMILIES.family("dead units without harm")
def half_of_the_units_dead(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Net("relu", 8, 32, 7, symbols=7, last=False), "orth", 0.5)
        with torch.no_grad():
            net.recurrent.bias_ih_l0[:16] = -15.0
        return fit(net, data.weekdays(16, 16, 1), "adam:0.01", steps=350, **LN7)

    label = HEALTHY.also(causes=("dead-units",), actions="revive-units change-initialization lower-learning-rate")
    yield self.case("16 of 32 relu", label, build, under(1.1))


@FAMILIES.family("frozen parts")
def frozen_on_purpose(self: Family) -> Iterator[Case]:
    noted = UNMEASURED.also(causes=("parameters-not-updated",), actions="update-parameters")

    def embedding() -> Training:
        net = Net("lstm", 8, 24, 5, symbols=3, last=False)
        net.embedding.weight.requires_grad_(False)
        opt = Adam([each for each in net.parameters() if each.requires_grad], 0.01)
        return Training(net, data.stock(14, 16, 1), opt, ce, 350)

    yield self.case("the embedding", noted, embedding, under(0.5))

    def reservoir() -> Training:
        net = start(Net("tanh", 1, 64, 1, last=False), "orth", 0.9)
        for each in net.recurrent.parameters():
            each.requires_grad_(False)
        opt = Adam(net.head.parameters(), 0.01)
        return Training(net, data.boiler(20, 16, 1), opt, mse, 400)

    yield self.case("a reservoir of 64", noted, reservoir, under(0.12))


@FAMILIES.family("detached without harm")
def windows_long_enough(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 28, 4, symbols=4, last=False)
        batch, forward = carried(2, 16, 16, 4, 1)
        more = {"forward": forward, "config": {"distance": 2}, "watch": {"chance_loss": "ln 4"}}
        return fit(net, batch, "adam:0.01", steps=350, **more)

    yield self.case("windows of 16 with a carried state, a lag of 2", HEALTHY, build, under(0.3))

    def loop() -> Training:
        net = Loop("tanh", 8, 28, 7, symbols=7, last=False, cut=lambda t, T: t % 5 == 4)
        return fit(net, data.weekdays(20, 16, 1), "adam:0.01", steps=300, **LN7)

    label = HEALTHY.also(causes=("truncated-reach",), actions="remove-detach lengthen-window")
    yield self.case("a detach at each fifth timestep, the next symbol", label, loop, under(1.1))


@FAMILIES.family("schedules")
def usual_schedules(self: Family) -> Iterator[Case]:
    def one_cycle() -> Training:
        net = Net("gru", 8, 24, 5, symbols=3, last=False)
        return fit(net, data.stock(14, 16, 1), "adamw:0.02", steps=400, before=cosine(0.02, 400, 60))

    yield self.case("warm-up and cosine", UNMEASURED, one_cycle, under(0.3))

    def again() -> Training:
        net = Net("lstm", 8, 24, 7, symbols=7, last=False)
        return fit(net, data.weekdays(14, 16, 1), "momentum:0.5", steps=450, before=restarts(0.5, 150), **LN7)

    yield self.case("three warm restarts", HEALTHY, again, under(1.15))

    def warm() -> Training:
        net = Net("lstm", 3, 20, 4, num_layers=2)
        return fit(
            net, data.engines(10, 32, 4, 1), "adam:0.005", steps=300, before=warmup(0.005, 150), forward=counted(ce)
        )

    yield self.case("half of the run is warm-up", UNMEASURED, warm, under(0.5))


@FAMILIES.family("accumulation")
def accumulated(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 20, 7, symbols=7, last=False)
        return fit(net, data.weekdays(12, 4, 1), "adam:0.01", steps=250, accumulate=4, **LN7)

    yield self.case("four batches of four", HEALTHY, build, under(1.2))


@FAMILIES.family("regularization")
def strong_but_right(self: Family) -> Iterator[Case]:
    def dropout() -> Training:
        net = Net("lstm", 12, 48, 7, symbols=7, last=False, num_layers=2, dropout=0.5)
        held = validation(data.weekdays(14, 100, 2), ce, 40)
        return fit(net, data.weekdays(14, 16, 1), "adam:0.005", steps=400, metrics=held, **LN7)

    yield self.case("dropout of 0.5 twice", HEALTHY, dropout, Expected((WEEKDAYS - 0.05, 1.05), "val_loss"))

    def decay() -> Training:
        net = Net("gru", 3, 20, 4)
        opt = AdamW(net.parameters(), 0.005, weight_decay=0.5)
        return Training(net, data.engines(12, 32, 4, 1), opt, ce, 350, forward=counted(ce))

    yield self.case("AdamW with a decay of 0.5", UNMEASURED, decay, under(0.5))


@FAMILIES.family("NaN without harm")
def skipped_nan(self: Family) -> Iterator[Case]:
    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
        return ce(net(x), y) * (math.nan if step == 123 else 1.0)

    def gradient(net: nn.Module, step: int) -> None:
        if step == 123:
            for parameter in net.parameters():
                parameter.grad = torch.zeros_like(parameter)

    def build() -> Training:
        net = Net("gru", 8, 24, 5, symbols=3, last=False)
        opt = SGD(net.parameters(), 0.3, momentum=0.9)
        return Training(net, data.stock(14, 16, 1), opt, ce, 350, forward=forward, gradient=gradient)

    label = UNMEASURED.also(causes=("non-finite",), actions="guard-operation check-batch check-data")
    yield self.case("one step, its update is of zeros", label, build, Expected(ANY, nonfinite=True))


@FAMILIES.family("still learning")
def stopped_too_early(self: Family) -> Iterator[Case]:
    def lstm() -> Training:
        net = Net("lstm", 8, 28, 5, symbols=3, last=False)
        return fit(net, data.stock(20, 16, 1), "adam:0.0008", steps=300)

    yield self.case("LSTM, Adam at 8e-4", UNMEASURED, lstm, under(1.35, 0.4))

    def sgd() -> Training:
        net = fill(Net("gru", 1, 20, 1, last=False), "head.bias", 0.0)
        return fit(net, data.boiler(20, 16, 1), "sgd:0.008", mse, 300)

    label = UNMEASURED.also(causes=("learning-rate-low",), actions="raise-learning-rate")
    yield self.case("GRU, SGD at 0.008", label, sgd, under(0.65, 0.05))
