"""The plain part: short trainings that fail by their loop: rates, schedules, parameters left out, gradients kept."""

import math
from collections.abc import Iterator

from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

from benchmarks.verdicts import ordinary_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.field_nets import counted, under
from benchmarks.verdicts.labels import (
    CHANGED,
    LR_HIGH,
    LR_LOW,
    NOT_UPDATED,
    NOT_ZEROED,
    SWINGS,
)
from benchmarks.verdicts.nets import Net, start
from benchmarks.verdicts.optimizers import changed, schedule
from benchmarks.verdicts.projects_nets import fit, schooled
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("plain")

LN3, LN4 = math.log(3), math.log(4)
LETTERS, LETTERS_FLOOR = data.letter_entropies()


@FAMILIES.family("learning rate")
def rate_far_too_low(self: Family) -> Iterator[Case]:
    def sgd() -> Training:
        net = Net("gru", 1, 20, 2, last=False)
        return fit(net, data.switch(16, 32, 1), "sgd:0.0003", steps=300)

    yield self.case("switch, SGD at 3e-4", LR_LOW, sgd, under(0.8, 0.62))

    def adam() -> Training:
        net = Net("lstm", 8, 24, 27, symbols=27, last=False)
        return fit(net, data.letters(20, 12, 1), "adam:0.000001", steps=300)

    yield self.case("letters, Adam at 1e-6", LR_LOW, adam, under(3.4, 3.2))

    def momentum() -> Training:
        net = Net("tanh", 1, 16, 1, last=False)
        return fit(net, data.maximum(14, 24, 1, size=2.0), "momentum:0.000001", mse, 300)

    yield self.case("running maximum, momentum at 1e-6", LR_LOW, momentum, under(6.0, 0.8))


@FAMILIES.family("learning rate")
def rate_far_too_high(self: Family) -> Iterator[Case]:
    wide = LR_HIGH.also(causes=("saturated-gates", "vanishing", "non-finite"), actions="scale-inputs")

    def adam() -> Training:
        net = Net("gru", 8, 24, 27, symbols=27, last=False)
        return fit(net, data.letters(20, 12, 1), "adam:1", steps=250)

    yield self.case("letters, Adam at 1", wide, adam, under(math.inf, LETTERS + 0.2))

    def sgd() -> Training:
        net = Net("tanh", 4, 32, 4)
        return fit(net, data.mark(14, 32, 4, 1), "sgd:30", steps=250)

    yield self.case("tanh, SGD at 30", wide, sgd, under(math.inf, 1.6))

    def momentum() -> Training:
        net = Net("lstm", 1, 20, 1, last=False)
        return fit(net, data.season(20, 16, 0.3, 1), "momentum:10", mse, 250)

    yield self.case("season, momentum at 10", wide, momentum, Expected((1.2, math.inf), nonfinite=None))

    def rmsprop() -> Training:
        net = Net("relu", 1, 20, 1, last=False)
        return fit(net, data.maximum(16, 24, 1), "rmsprop:0.5", mse, 250)

    label = wide.also(causes=("dead-units",), actions="revive-units")
    yield self.case("relu, RMSprop at 0.5", label, rmsprop, Expected((0.06, math.inf), nonfinite=None))


@FAMILIES.family("learning rate")
def schedule_ends_too_early(self: Family) -> Iterator[Case]:
    def decay() -> Training:
        net = Net("gru", 1, 16, 2, last=False)
        before = schedule(lambda step: 0.05 * 0.7**step)
        return fit(net, data.switch(16, 32, 1), "sgd:0.05", steps=300, before=before)

    label = LR_LOW.also(causes=("parameters-not-updated",), actions="update-parameters")
    yield self.case("times 0.7 at each step", label, decay, under(0.8, 0.62))

    def total() -> Training:
        net = Net("lstm", 8, 20, 4, symbols=30)
        before = schedule(lambda step: 1e-3 * max(0.0, 1 - step / 5))
        return fit(net, data.reviews(16, 32, 4, 1), "adamw:0.001", steps=250, before=before)

    yield self.case("linear to 0 within five steps", label, total, under(1.45, 1.3))


@FAMILIES.family("learning rate")
def schedule_raises_the_rate(self: Family) -> Iterator[Case]:
    label = CHANGED.also(
        outcomes="stuck broken",
        causes=("learning-rate-high", "exploding", "saturated-gates", "non-finite"),
        actions="lower-learning-rate clip",
    )

    def letters() -> Training:
        net = Net("lstm", 8, 24, 27, symbols=27, last=False)
        return fit(net, data.letters(20, 12, 1), "adam:0.01", steps=400, before=changed(0.01, 3.0, 250))

    yield self.case("letters, Adam from 0.01 to 3", label, letters, under(math.inf, LETTERS + 0.2))

    def season() -> Training:
        net = Net("tanh", 1, 24, 1, last=False)
        return fit(net, data.season(20, 16, 0.2, 1), "sgd:0.1", mse, 400, before=changed(0.1, 50.0, 200))

    yield self.case("season, SGD from 0.1 to 50", label, season, Expected((1.5, math.inf), nonfinite=None))


@FAMILIES.family("not updated")
def parameters_left_out(self: Family) -> Iterator[Case]:
    def head() -> Training:
        net = start(Net("tanh", 6, 24, 3, symbols=8), "orth", 0.9)
        opt = SGD(net.head.parameters(), 0.05, momentum=0.9)
        return Training(net, data.first_word(24, 32, 3, 1), opt, ce, 300)

    yield self.case("SGD holds the head alone", NOT_UPDATED, head, under(LN3 + 0.15, LN3 - 0.12))

    def frozen() -> Training:
        net = Net("gru", 4, 20, 4, num_layers=2)
        net.recurrent.requires_grad_(False)
        opt = Adam((each for each in net.parameters() if each.requires_grad), 0.003)
        return Training(net, data.mark(25, 32, 4, 1), opt, ce, 250)

    label = NOT_UPDATED.also(causes=("no-gradient",), actions="connect-loss")
    yield self.case("the recurrent layers are frozen", label, frozen, under(LN4 + 0.1, LN4 - 0.12))

    def biases() -> Training:
        net = Net("lstm", 4, 16, 4)
        chosen = [each for name, each in net.named_parameters() if "bias" in name]
        return Training(net, data.mark(10, 32, 4, 1), AdamW(chosen, 0.003), ce, 250, forward=counted(ce))

    yield self.case("AdamW holds the biases alone", NOT_UPDATED, biases, under(LN4 + 0.1, LN4 - 0.2))


@FAMILIES.family("not zeroed")
def gradients_add_up(self: Family) -> Iterator[Case]:
    wide = NOT_ZEROED.also(causes=("learning-rate-high", "saturated-gates", "exploding"), actions="lower-learning-rate")

    def slow() -> Training:
        net = Net("gru", 1, 20, 1, last=False)
        return fit(net, data.season(20, 16, 0.2, 1), "sgd:0.1", mse, 400, zero=False)

    yield self.case("season, SGD at 0.1, it learns", SWINGS, slow, under(0.8, 0.04))

    def sgd() -> Training:
        net = Net("tanh", 1, 20, 1, last=False)
        return fit(net, data.season(20, 16, 0.2, 1), "sgd:1", mse, 400, zero=False)

    yield self.case("season, SGD at 1", wide, sgd, Expected((0.8, math.inf), nonfinite=None))

    def momentum() -> Training:
        net = Net("lstm", 8, 24, 27, symbols=27, last=False)
        return fit(net, data.letters(20, 12, 1), "momentum:0.2", steps=300, zero=False)

    yield self.case("letters, momentum", wide, momentum, Expected((LETTERS + 0.05, math.inf), nonfinite=None))

    def adam() -> Training:
        net = Net("tanh", 4, 20, 4)
        return fit(net, data.mark(12, 32, 4, 1), "adam:0.05", steps=400, zero=False)

    yield self.case("marks, Adam at 0.05", wide, adam, Expected((0.9, math.inf), nonfinite=None))


@FAMILIES.family("learning rate")
def units_of_the_target(self: Family) -> Iterator[Case]:
    def offset() -> Training:
        net = Net("lstm", 3, 16, 1)
        return fit(net, data.explained(8, 32, 0.8, 1, mean=5000.0), "adam:0.001", mse, 300)

    label = LR_LOW.also(actions="check-data")
    yield self.case("targets of 5,000, Adam at 0.001", label, offset, under(5000.0**2, 0.95 * 5000.0**2))

    def thousands() -> Training:
        net = Net("gru", 1, 20, 1, last=False)
        return fit(net, data.maximum(14, 24, 1, size=1000.0), "sgd:0.05", mse, 250)

    label = LR_HIGH.also(causes=("saturated-gates", "non-finite", "vanishing", None), actions="scale-inputs check-data")
    yield self.case("targets of 1,000, SGD at 0.05", label, thousands, Expected((10_000, math.inf), nonfinite=None))

    def divided() -> Training:
        net = Net("gru", 8, 24, 27, symbols=27, last=False)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            return ce(net(x), y) / y.numel()

        return fit(net, data.letters(20, 24, 1), "momentum:0.003", steps=300, forward=forward)

    yield self.case("the mean is divided by batch and time again", LR_LOW, divided, under(3.4 / 480, 3.15 / 480))


@FAMILIES.family("learning rate")
def trained_net_is_destroyed(self: Family) -> Iterator[Case]:
    wide = LR_HIGH.also(
        causes=("saturated-gates", "changed-during-training", "vanishing"), actions="scale-inputs revert-change"
    )

    def adam() -> Training:
        net = schooled(Net("gru", 1, 20, 2, last=False), data.switch(16, 32, 3), "adam:0.01", 400)
        return fit(net, data.switch(16, 32, 1), "adam:2", steps=250)

    yield self.case("switch, fine-tuned with Adam at 2", wide, adam, under(math.inf, 0.7))

    def sgd() -> Training:
        net = schooled(Net("lstm", 8, 24, 27, symbols=27, last=False), data.letters(20, 12, 3), "adam:0.01", 300)
        return fit(net, data.letters(20, 12, 1), "momentum:20", steps=250)

    yield self.case("letters, fine-tuned with momentum at 20", wide, sgd, under(math.inf, LETTERS))
