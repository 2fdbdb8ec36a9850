"""The apart part: short trainings that fail by mistakes of data and of losses."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts import field_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.field_nets import counted, reinforce, under, validation
from benchmarks.verdicts.labels import (
    AT_CHANCE,
    BAD_BATCH,
    BROKEN,
    CHANGED,
    OVERFITS,
    SATURATES,
    UNTOLD,
)
from benchmarks.verdicts.nets import Net
from benchmarks.verdicts.optimizers import optimizer
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("apart")

LN2 = math.log(2)
BY_CHANCE = {"chance_loss": LN2}


@FAMILIES.family("data")
def sorted_inputs(self: Family) -> Iterator[Case]:
    """Sequences are sorted and their labels are not."""

    def one(watch: dict[str, object]) -> Training:
        net, batch = Net("gru", 8, 24, 2, symbols=4), data.genes(14, 64, 1)

        def apart(step: int) -> tuple[Tensor, Tensor]:
            x, y = batch(step)
            return x[:, x[0].argsort()], y

        return Training(net, apart, optimizer("adamw:0.003", net), forward=counted(ce), steps=250, watch=watch)

    yield self.case("chance known", AT_CHANCE, lambda: one(BY_CHANCE), under(0.71, 0.67))
    yield self.case("accuracy alone", UNTOLD, lambda: one({}), under(0.71, 0.67))


@FAMILIES.family("data")
def wrong_shape(self: Family) -> Iterator[Case]:
    """The mean of [N, 1] - [N]: forums know it well."""

    def build() -> Training:
        net, series = Net("lstm", 1, 24, 1), data.pendulum(20, 32, 1)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = series(step)
            return x, y[-1, :, 0] / 1.41

        def loss(output: Tensor, target: Tensor) -> Tensor:
            return (output - target).square().mean()

        return Training(net, batch, optimizer("adam:0.005", net), loss, 300, watch={"chance_loss": 1.0})

    yield self.case("broadcast", AT_CHANCE, build, under(1.3, 0.7))


@FAMILIES.family("data")
def wrong_axis(self: Family) -> Iterator[Case]:
    """[N, T] is given as [T, N]: the last timestep is that of another sequence."""

    def build() -> Training:
        net, batch = Net("gru", 1, 24, 4), data.bearing(32, 32, 4, 1)

        def turned(step: int) -> tuple[Tensor, Tensor]:
            x, y = batch(step)
            return x.transpose(0, 1), y

        return Training(net, turned, optimizer("adam:0.005", net), steps=250, watch={"chance_loss": "ln 4"})

    yield self.case("batch first", AT_CHANCE, build, under(1.5, 1.3))


@FAMILIES.family("data")
def probabilities_as_logits(self: Family) -> Iterator[Case]:
    """Probabilities of 40 classes as logits: the loss can fall by 0.04 a class at most while all are unsure."""

    def build() -> Training:
        net = nn.Sequential(Net("lstm", 16, 24, 40, symbols=40, last=False), nn.Softmax(-1))
        draw = torch.Generator().manual_seed(1)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x = torch.randint(0, 40, (8, 16), generator=draw)
            return x, (x + x.roll(1, 0)) % 40

        return Training(net, batch, optimizer("sgd:0.1", net), steps=300, watch={"chance_loss": "ln 40"})

    label = AT_CHANCE.also(causes=("learning-rate-low", "vanishing"), actions="*")
    yield self.case("40 classes", label, build, under(3.72, 3.6))


@FAMILIES.family("data")
def broken_microphone(self: Family) -> Iterator[Case]:
    """4% positive, and inputs of which a broken sensor made noise: the accuracy is 96%."""

    def build() -> Training:
        net, batch = Net("lstm", 2, 16, 2), data.wake(12, 64, 0.04, 1)

        def noise(step: int) -> tuple[Tensor, Tensor]:
            x, y = batch(step)
            return torch.randn_like(x), y[:, 0].long()

        watch = {"chance_loss": -0.04 * math.log(0.04) - 0.96 * math.log(0.96)}
        return Training(net, noise, optimizer("adam:0.003", net), forward=counted(ce), steps=400, watch=watch)

    yield self.case("96% accuracy", AT_CHANCE, build, under(0.22, 0.12))


@FAMILIES.family("data")
def wrong_sign(self: Family) -> Iterator[Case]:
    """The log-likelihood is minimised: accuracy falls to 0 while the loss falls without end."""

    def build() -> Training:
        net = Net("gru", 16, 24, 3, symbols=20, last=False)
        forward = counted(lambda output, target: -ce(output, target))
        watch = {"goal": "acc", "better": "higher", "chance": 0.84}
        batch = data.slots(10, 16, 1)
        return Training(net, batch, optimizer("adam:0.005", net), forward=forward, steps=300, watch=watch)

    label = Label(("diverged", "stuck", "broken"), (None, "exploding"), ("*",))
    yield self.case("negative cross-entropy", label, build, Expected(measure="acc", final=(0.0, 0.3)))


@FAMILIES.family("data")
def punished_agent(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 3, 16, 2)
        watch = {"goal": "reward", "better": "higher", "chance": 0.5}
        more = {"forward": reinforce(sign=-1.0), "watch": watch}
        return Training(net, data.maze(5, 32, 1), optimizer("adam:0.01", net), steps=300, **more)

    label = Label(("diverged", "stuck"), (None,), ("*",))
    yield self.case("sign of the reward", label, build, Expected(measure="reward", final=(0.0, 0.2)))


@FAMILIES.family("data")
def relu_at_the_end(self: Family) -> Iterator[Case]:
    """Standardised targets, half of them below 0, and a ReLU after the head that starts shut."""

    def build() -> Training:
        net = nn.Sequential(Net("gru", 2, 16, 1, last=False), nn.ReLU())
        with torch.no_grad():
            net[0].head.bias.fill_(-3.0)
        return Training(net, data.load(12, 16, 1), optimizer("sgd:0.01", net), mse, 250)

    label = Label(("stuck",), ("no-gradient", None, "dead-units", "vanishing"), ("*",))
    yield self.case("outputs are 0", label, build)


@FAMILIES.family("non-finite")
def not_a_number(self: Family) -> Iterator[Case]:
    def constant() -> Training:
        """Each window is standardised, and one is constant: 0 / 0."""
        net, batch = Net("lstm", 1, 16, 1, last=False), data.pendulum(15, 16, 1)

        def standard(step: int) -> tuple[Tensor, Tensor]:
            x, y = batch(step)
            if step == 170:
                x[:, 5] = 1.0
            return (x - x.mean(0)) / x.std(0), y

        return Training(net, standard, optimizer("adam:0.003", net), mse, 300)

    yield self.case("a constant window", BAD_BATCH, constant, Expected(nonfinite=True))

    def rate() -> Training:
        """Roots of counts and of a rate that is an output as it is: the root of a number below 0."""
        net = Net("gru", 1, 16, 1, last=False)
        with torch.no_grad():
            net.head.bias.fill_(2.0)

        def loss(output: Tensor, target: Tensor) -> Tensor:
            return (output.sqrt() - target.sqrt()).square().mean()

        return Training(net, data.calls(24, 16, 1), optimizer("adam:0.02", net), loss, 300)

    yield self.case("root of an output", BROKEN, rate, Expected(nonfinite=True))

    def root() -> Training:
        """The distance of two sequences that are the same one: the root at 0 is finite, its slope is not."""
        net, draw = Net("tanh", 2, 16, 2, last=False), torch.Generator().manual_seed(1)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x = torch.randn(10, 16, 2, generator=draw)
            return x, x.cumsum(0) / 3

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            output = net(x)
            same = output[:, 0] - output[:, 0] if step == 120 else output[:, 0] - output[:, 1]
            return mse(output, y) + 1e-3 * same.square().sum().sqrt()

        return Training(net, batch, optimizer("adam:0.005", net), forward=forward, steps=250)

    yield self.case("root at 0", BROKEN.also(actions="check-data"), root, Expected(nonfinite=True))


@FAMILIES.family("saturated")
def raw_prices(self: Family) -> Iterator[Case]:
    """Inputs as they are in the file, hundreds of dollars: gates and states are at their ends."""

    def build() -> Training:
        net, draw = Net("lstm", 1, 24, 2), torch.Generator().manual_seed(1)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            walk = 500 + 3 * torch.randn(20, 32, 1, generator=draw).cumsum(0)
            return walk, (walk[-1, :, 0] > walk[0, :, 0]).long()

        return Training(net, batch, optimizer("adam:0.001", net), steps=250, watch=BY_CHANCE)

    yield self.case("prices of 500", SATURATES.also(causes=(None,), actions="check-data"), build, under(0.75, 0.6))


@FAMILIES.family("overfitting")
def few_examples(self: Family) -> Iterator[Case]:
    def words() -> Training:
        net = Net("lstm", 12, 32, 2, symbols=4)
        batch = data.dataset(data.genes(12, 40, 1, 0.25), 40, 10, 3)
        metrics = validation(data.genes(12, 300, 2, 0.25), ce, 20)
        return Training(net, batch, optimizer("adam:0.005", net), steps=500, metrics=metrics)

    yield self.case("40 sequences", OVERFITS, words, Expected(measure="val_loss", final=(0.9, 20.0)))

    def notes() -> Training:
        net = Net("gru", 24, 48, 12, symbols=12, last=False)
        batch = data.dataset(data.melody(12, 16, 1, 0.3), 16, 8, 3, tokens=True)
        metrics = validation(data.melody(12, 200, 2, 0.3), ce, 20, right="val_acc")
        return Training(net, batch, optimizer("adam:0.005", net), steps=500, metrics=metrics)

    yield self.case("16 melodies", OVERFITS, notes, Expected(measure="val_loss", final=(2.8, 20.0)))


@FAMILIES.family("changed")
def other_units(self: Family) -> Iterator[Case]:
    """After two thirds of the steps targets arrive in another unit."""

    def build() -> Training:
        net, batch = Net("gru", 2, 16, 1, last=False), data.load(12, 32, 1)

        def units(step: int) -> tuple[Tensor, Tensor]:
            x, y = batch(step)
            return (x, 32 + 9 * y) if step >= 270 else (x, y)

        return Training(net, units, optimizer("adam:0.003", net), mse, 400)

    yield self.case("Fahrenheit", CHANGED, build, under(2000, 100))


@FAMILIES.family("data")
def no_market(self: Family) -> Iterator[Case]:
    """The sign of tomorrow's return from those before, which do not tell it; nothing but the loss is logged."""

    def build() -> Training:
        net, series = Net("lstm", 1, 16, 1), data.volatility(20, 64, 1)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = series(step)
            return x, (y[-1] > 0).float()

        loss = functional.binary_cross_entropy_with_logits
        return Training(net, batch, optimizer("rmsprop:0.001", net), loss, 300, watch=BY_CHANCE)

    yield self.case("direction of returns", AT_CHANCE, build, Expected(final=(0.68, 0.71)))
