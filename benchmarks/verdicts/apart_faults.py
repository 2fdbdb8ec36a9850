"""The apart part: short trainings that fail by mistakes of optimizers, learning rates, clipping and precision."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, AdamW

from benchmarks.verdicts import field_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.field_nets import Seq2Seq, translating, under, validation
from benchmarks.verdicts.labels import (
    AT_CHANCE,
    BEFORE_UNSCALE,
    CLIP_LOW,
    LR_HIGH,
    LR_LOW,
    NOT_UPDATED,
    NOT_ZEROED,
)
from benchmarks.verdicts.nets import Net
from benchmarks.verdicts.optimizers import optimizer, schedule
from benchmarks.verdicts.tasks import mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("apart")

LN2 = math.log(2)
BY_CHANCE = {"chance_loss": LN2}


@FAMILIES.family("learning rate")
def too_low(self: Family) -> Iterator[Case]:
    def adam() -> Training:
        net = Net("lstm", 1, 24, 4)
        watch = {"chance_loss": "ln 4"}
        return Training(net, data.bearing(16, 32, 4, 1), optimizer("adam:1e-6", net), steps=300, watch=watch)

    yield self.case("Adam at 1e-6", LR_LOW, adam, under(1.45, 1.36))

    def sgd() -> Training:
        net = Net("gru", 2, 16, 1, last=False)
        metrics = validation(data.load(12, 100, 2), mse, 25)
        return Training(net, data.load(12, 32, 1), optimizer("sgd:0.00001", net), mse, 300, metrics=metrics)

    yield self.case("SGD at 1e-5, val_loss", LR_LOW, sgd, under(1.2, 0.5))

    def megawatts() -> Training:
        net, batch = Net("lstm", 2, 24, 1, last=False), data.load(12, 32, 3)

        def scaled(step: int) -> tuple[Tensor, Tensor]:
            x, y = batch(step)
            return x, 5000 + 800 * y

        return Training(net, scaled, optimizer("adam:0.001", net), mse, 400)

    label = LR_LOW.also(causes=(None,), actions="*")
    yield self.case("targets in megawatts", label, megawatts, under(2.7e7, 2.3e7))


@FAMILIES.family("learning rate")
def too_high(self: Family) -> Iterator[Case]:
    def adam() -> Training:
        net = Net("gru", 16, 32, 28, symbols=28, last=False)
        more = {"watch": {"chance_loss": "ln 28"}}
        return Training(net, data.sentences(15, 16, 1), optimizer("adam:2", net), steps=250, **more)

    yield self.case("Adam at 2", LR_HIGH, adam, under(math.inf, 3.0))

    def sgd() -> Training:
        net = Net("tanh", 2, 16, 1, last=False)
        batch = data.load(12, 32, 1)
        return Training(net, batch, optimizer("momentum:1.5", net), mse, 250)

    yield self.case("momentum at 1.5", LR_HIGH, sgd, Expected(final=(2.0, math.inf), nonfinite=None))

    def late() -> Training:
        net = Net("tanh", 3, 24, 3, last=False)
        rate = schedule(lambda step: 0.02 if step < 200 else 3.0)
        return Training(net, data.lorenz(12, 16, 1), optimizer("sgd:0.02", net), mse, 400, before=rate)

    label = LR_HIGH.also(causes=("changed-during-training",), actions="revert-change")
    yield self.case("raised 150 times at half", label, late, Expected(final=(2.0, math.inf), nonfinite=None))


@FAMILIES.family("clipping")
def clipped_low(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 12, 24, 5, symbols=4, last=False)
        more = {"clip": "value:0.000001", "watch": {"chance_loss": 1.3}}
        return Training(net, data.brackets(12, 16, 1), optimizer("sgd:0.5", net), steps=300, **more)

    yield self.case("value 1e-6, SGD", CLIP_LOW, build, under(1.75, 1.3))


@FAMILIES.family("clipping")
def scaled_by_hand(self: Family) -> Iterator[Case]:
    """The loss is scaled by 65,536 for half precision, and clipped before it is unscaled."""

    def build() -> Training:
        net = Net("gru", 1, 16, 4)
        more = {"clip": "norm:1", "unscale": False, "watch": {"chance_loss": "ln 4"}}
        more["scaler"] = torch.amp.GradScaler("cpu", init_scale=2.0**16)
        return Training(net, data.bearing(16, 32, 4, 1), optimizer("sgd:0.5", net), steps=250, **more)

    yield self.case("GradScaler, SGD", BEFORE_UNSCALE, build, under(1.5, 1.3))


@FAMILIES.family("not zeroed")
def kept_gradients(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("tanh", 2, 16, 1, last=False)
        return Training(net, data.load(12, 16, 1), optimizer("momentum:0.05", net), mse, 300, zero=False)

    yield self.case("momentum", NOT_ZEROED, build, Expected(final=(0.6, math.inf), nonfinite=None))


@FAMILIES.family("not updated")
def forgotten_parameters(self: Family) -> Iterator[Case]:
    def head() -> Training:
        net = Net("gru", 3, 12, 2)
        return Training(net, data.maze(40, 32, 1), optimizer("adam:0.003", net.head), steps=300, watch=BY_CHANCE)

    label = NOT_UPDATED.also(causes=("vanishing",), actions="*")
    yield self.case("head alone", label, head, under(0.71, 0.66))

    def replaced() -> Training:
        """The head is replaced after the optimizer was made, by one that starts at 0: nothing is sent back."""
        net = Net("lstm", 1, 16, 4)
        optim = optimizer("adam:0.003", net)
        net.head = nn.Linear(16, 4)
        nn.init.zeros_(net.head.weight)
        return Training(net, data.bearing(16, 32, 4, 1), optim, steps=250, watch={"chance_loss": "ln 4"})

    label = NOT_UPDATED.also(causes=("no-gradient",), actions="connect-loss")
    yield self.case("a head made later", label, replaced, under(1.45, 1.36))


@FAMILIES.family("no gradient")
def unreachable_part(self: Family) -> Iterator[Case]:
    def state() -> Training:
        net = Seq2Seq(9, 24, cut=True)
        batch = data.reversed_digits(10, 16, 1)
        watch = {"chance_loss": "ln 8"}
        return Training(net, batch, optimizer("adam:0.003", net), forward=translating(), steps=250, watch=watch)

    # the decoder reads a little from the random states: it learns slowly, and the encoder never
    label = Label(("learning", "stuck"), ("no-gradient",), ("connect-loss", "remove-detach"), failed=False)
    yield self.case("state to the decoder detached", label, state, under(2.0, 1.6))

    def symbols() -> Training:
        """A first net names symbols by argmax, and a second one reads them."""
        first, second = Net("gru", 3, 16, 6, last=False), Net("gru", 6, 16, 2, symbols=6)
        net = nn.ModuleList([first, second])

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            return functional.cross_entropy(net[1](net[0](x).argmax(-1)), y)

        optim = optimizer("adam:0.003", net)
        return Training(net, data.maze(30, 32, 1), optim, forward=forward, steps=250, watch=BY_CHANCE)

    # the second net learns to read what the first happens to say
    label = Label(("learned", "learning"), ("no-gradient",), ("connect-loss", "remove-detach"), failed=False)
    yield self.case("argmax between nets", label, symbols, under(0.2))


@FAMILIES.family("learning rate")
def decayed_weights(self: Family) -> Iterator[Case]:
    """Weight decay of 1 at a rate of 0.1: the weights go to 0, and the outputs."""

    def build() -> Training:
        net = Net("gru", 1, 16, 4)
        optim = SGD(net.parameters(), 0.1, weight_decay=1.0)
        return Training(net, data.bearing(16, 32, 4, 1), optim, steps=250, watch={"chance_loss": "ln 4"})

    label = AT_CHANCE.also(causes=("vanishing", "learning-rate-low", "no-gradient"), actions="*")
    yield self.case("SGD", label, build, under(1.42, 1.36))

    def decoupled() -> Training:
        net = Net("lstm", 12, 24, 5, symbols=4, last=False)
        optim = AdamW(net.parameters(), 0.002, weight_decay=200.0)
        return Training(net, data.brackets(12, 16, 1), optim, steps=250, watch={"chance_loss": 1.3})

    yield self.case("AdamW", label, decoupled, under(1.65, 1.25))
