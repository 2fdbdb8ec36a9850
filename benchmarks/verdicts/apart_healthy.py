"""The apart part: short trainings on signals and series that learn, some of which look as if they did not."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts import field_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.field_nets import (
    VAE,
    Controller,
    Leaky,
    cost,
    counted,
    density,
    elbo,
    gaussian,
    hazard,
    pinball,
    starts,
    under,
    validation,
)
from benchmarks.verdicts.labels import HEALTHY, NOTED, UNMEASURED
from benchmarks.verdicts.nets import Net, start
from benchmarks.verdicts.optimizers import optimizer, warmup
from benchmarks.verdicts.tasks import bce, ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("apart")


@FAMILIES.family("healthy")
def energy_forecast(self: Family) -> Iterator[Case]:
    """The next hour's load: early learning is most of it, then a slow approach to the noise."""

    def build() -> Training:
        net = Net("lstm", 2, 24, 1, last=False)
        metrics = validation(data.load(24, 64, 2), mse, 40)
        return Training(net, data.load(24, 32, 1), optimizer("adam:0.005", net), mse, 400, metrics=metrics)

    yield self.case("Adam, val_loss", HEALTHY, build, under(0.25))

    def large() -> Training:
        net = Net("gru", 2, 16, 1, last=False)
        before = warmup(0.02, 100)
        return Training(net, data.load(12, 256, 3), optimizer("nadam:0.02", net), mse, 300, before=before)

    yield self.case("NAdam, batch 256, warm-up", HEALTHY, large, under(0.3))


@FAMILIES.family("healthy")
def chaotic_system(self: Family) -> Iterator[Case]:
    """Lorenz's system, one step ahead: the error falls by orders of magnitude and has no floor that anyone knows."""

    def build() -> Training:
        net = Net("gru", 3, 32, 3, last=False)
        return Training(net, data.lorenz(20, 32, 1), optimizer("adamw:0.005", net), mse, 500)

    yield self.case("AdamW", HEALTHY, build, under(0.03))


@FAMILIES.family("healthy")
def market_risk(self: Family) -> Iterator[Case]:
    """The variance of the next return: a likelihood with heavy noise of which little can be foretold."""

    def build() -> Training:
        net = Net("lstm", 1, 16, 1, last=False)
        metrics = validation(data.volatility(40, 400, 2), gaussian, 50)
        return Training(net, data.volatility(40, 32, 1), optimizer("adam:0.01", net), gaussian, 400, metrics=metrics)

    yield self.case("Gaussian likelihood, val_loss", UNMEASURED, build)


@FAMILIES.family("healthy")
def annealed_vae(self: Family) -> Iterator[Case]:
    """The weight of the divergence rises from 0 to 1 in 300 steps, and the loss with it."""

    def build() -> Training:
        net = VAE(1, 24, 4)
        forward = elbo(lambda step: min(1.0, step / 300))
        return Training(net, data.beats(16, 32, 1), optimizer("adam:0.005", net), forward=forward, steps=500)

    yield self.case("of heart beats", UNMEASURED, build, Expected(measure="recon", final=(0.0, 14.0)))


@FAMILIES.family("healthy")
def identified_system(self: Family) -> Iterator[Case]:
    """A pendulum by a plain RNN, with an orthogonal start."""

    def build() -> Training:
        net = start(Net("tanh", 1, 24, 1, last=False), "orth", 0.95)
        more = {"clip": "norm:5"}
        return Training(net, data.pendulum(40, 16, 1), optimizer("rmsprop:0.0005", net), mse, 500, **more)

    yield self.case("RMSprop, tanh", HEALTHY, build, under(0.6))

    def tapped() -> Training:
        net = Leaky(1, 24, 1, 0.3)
        return Training(net, data.pendulum(30, 16, 2), optimizer("adam:0.01", net), mse, 300)

    yield self.case("leaky integrator by hand", HEALTHY, tapped, under(0.4))


@FAMILIES.family("healthy")
def survival(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 2, 16, 1, last=False)
        return Training(net, data.wear(20, 64, 1), optimizer("adam:0.005", net), hazard, 300)

    yield self.case("hazard by timestep", HEALTHY, build, under(0.3))


@FAMILIES.family("healthy")
def handwriting(self: Family) -> Iterator[Case]:
    """A density: the loss falls below 0 and goes on falling."""

    def build() -> Training:
        net = Net("lstm", 2, 32, 4, last=False)
        more = {"clip": "value:10"}
        return Training(net, data.strokes(15, 32, 1), optimizer("adam:0.01", net), density, 400, **more)

    yield self.case("negative loss", HEALTHY, build, under(-1.0))


@FAMILIES.family("healthy")
def spare_parts(self: Family) -> Iterator[Case]:
    """Demand that is mostly 0: the rate of a part is all that can be known."""

    def build() -> Training:
        net = Net("lstm", 1, 16, 1, last=False)
        metrics = validation(data.orders(30, 300, 2), pinball(0.9), 50)
        more = {"metrics": metrics}
        return Training(net, data.orders(30, 64, 1), optimizer("adamw:0.005", net), pinball(0.9), 300, **more)

    yield self.case("90% quantile", UNMEASURED, build, under(0.5))

    def poisson() -> Training:
        net = Net("gru", 1, 16, 1, last=False)
        return Training(net, data.calls(24, 32, 1), optimizer("adam:0.01", net), functional.poisson_nll_loss, 300)

    yield self.case("Poisson counts of calls", HEALTHY, poisson, under(-4.0))


@FAMILIES.family("healthy")
def wake_word(self: Family) -> Iterator[Case]:
    """One in 12 is positive: most of the first fall is how often it comes."""

    def build() -> Training:
        net = Net("lstm", 2, 24, 1)
        metrics = validation(data.wake(12, 600, 0.08, 2), bce, 50, f1="val_f1")
        more = {"metrics": metrics}
        return Training(net, data.wake(12, 128, 0.08, 1), optimizer("adam:0.01", net), bce, 500, **more)

    yield self.case("rare, F1", HEALTHY, build, under(0.2))


@FAMILIES.family("healthy")
def bearings_smoothed(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 1, 32, 6)
        loss = nn.CrossEntropyLoss(label_smoothing=0.1)
        return Training(net, data.bearing(24, 64, 6, 1), optimizer("adam:0.01", net), forward=counted(loss), steps=400)

    yield self.case("bearings, accuracy", HEALTHY, build, under(1.1))


@FAMILIES.family("healthy")
def one_at_a_time(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("tanh", 2, 16, 1, last=False)
        return Training(net, data.load(20, 1, 1), optimizer("sgd:0.02", net), mse, 800)

    yield self.case("batch 1, SGD", HEALTHY, build, under(0.6))


@FAMILIES.family("healthy")
def recovered(self: Family) -> Iterator[Case]:
    """One batch of spoiled inputs at three tenths: the loss jumps and is back a few steps later."""

    def build() -> Training:
        net, batch = Net("lstm", 1, 24, 1, last=False), data.pendulum(25, 32, 3)

        def spoiled(step: int) -> tuple[Tensor, Tensor]:
            x, y = batch(step)
            return (x, y * 25) if step == 150 else (x, y)

        more = {"clip": "norm:1"}
        return Training(net, spoiled, optimizer("adam:0.005", net), mse, 500, **more)

    yield self.case("a bad batch", NOTED, build, under(0.4))


@FAMILIES.family("healthy")
def distilled(self: Family) -> Iterator[Case]:
    """A small net after the outputs of a fixed large one."""

    def build() -> Training:
        teacher, net = Net("gru", 2, 48, 5), Net("gru", 2, 16, 5)
        with torch.no_grad():
            teacher.head.weight.mul_(8)
        draw = torch.Generator().manual_seed(1)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x = torch.randn(10, 64, 2, generator=draw)
            with torch.no_grad():
                return x, functional.log_softmax(teacher(x), -1)

        def loss(output: Tensor, target: Tensor) -> Tensor:
            return functional.kl_div(functional.log_softmax(output, -1), target, log_target=True, reduction="batchmean")

        return Training(net, batch, optimizer("adamax:0.01", net), loss, 400)

    yield self.case("KL divergence", HEALTHY, build, under(0.1))


@FAMILIES.family("healthy")
def gross_errors(self: Family) -> Iterator[Case]:
    """Gross errors in one measurement of 30, under Huber's loss."""

    def build() -> Training:
        net, batch = Net("gru", 1, 20, 1, last=False), data.pendulum(25, 32, 4)

        def wild(step: int) -> tuple[Tensor, Tensor]:
            x, y = batch(step)
            return x, y + (torch.rand(y.shape) < 0.03) * 6 * torch.randn(y.shape)

        return Training(net, wild, optimizer("adam:0.005", net), functional.smooth_l1_loss, 400)

    yield self.case("Huber", HEALTHY, build, under(0.35))


@FAMILIES.family("healthy")
def controller(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Controller(16, 20)
        more = {"forward": cost, "clip": "norm:5"}
        return Training(net, starts(32, 1), optimizer("adam:0.005", net), steps=300, **more)

    yield self.case("through a model of the beam", HEALTHY, build)


@FAMILIES.family("healthy")
def needless_memory(self: Family) -> Iterator[Case]:
    """Windows of 100 timesteps of which the last few matter: the gradient vanishes, and nothing is lost."""

    def build() -> Training:
        net = start(Net("tanh", 2, 16, 1), "orth", 0.6)
        long = data.load(100, 32, 5)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = long(step)
            return x, y[-1]

        metrics = validation(batch, mse, 50)
        return Training(net, batch, optimizer("adam:0.005", net), mse, 300, metrics=metrics)

    yield self.case("vanishes without harm", HEALTHY, build, Expected(final=(0.0, 0.4), kept=(0.0, 1e-3)))


@FAMILIES.family("healthy")
def many_sequences(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("relu", 4, 32, 6, last=False)
        draw = torch.Generator().manual_seed(1)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x = torch.randn(5, 512, 4, generator=draw)
            return x, (x[..., 0] > 0).long() * 3 + (x[..., 1:3] > 0).sum(-1)

        return Training(net, batch, optimizer("momentum:0.1", net), forward=counted(ce), steps=200)

    yield self.case("batch 512, T 5", HEALTHY, build, under(0.8))
