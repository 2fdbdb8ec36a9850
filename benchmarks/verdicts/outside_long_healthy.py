"""The outside part: long trainings on series and records that learn, each judged at 10, 50 and 100% of its steps."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks.verdicts import projects_data as data
from benchmarks.verdicts import projects_losses as losses
from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.everyday import outliers
from benchmarks.verdicts.everyday_nets import r2, rmse, scored
from benchmarks.verdicts.field_nets import VAE, elbo, thirds, under, validation
from benchmarks.verdicts.labels import HEALTHY, NOTED, UNMEASURED
from benchmarks.verdicts.nets import Net, start
from benchmarks.verdicts.optimizers import cosine, optimizer, restarts, schedule
from benchmarks.verdicts.projects_nets import Forger, adversarial, bootstrap, fit, schooled
from benchmarks.verdicts.tasks import bce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("outside")

LONG = {"steps": 3000, "every": 50}


def falls(*highs: float, label: Label = HEALTHY) -> tuple[tuple[Label, Expected], ...]:
    """The same label thrice, the loss below each of ``highs``."""
    return tuple((label, under(high)) for high in highs)


@FAMILIES.family("healthy")
def plant_for_long(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 3, 16, 3, last=False)
        batch, held = data.shelf(60, data.plant(16, 32, 1), 16, 3), data.plant(16, 200, 2)
        return fit(net, batch, "adamw:0.003", mse, **LONG, metrics=scored(held, 150, val_r2=r2))

    yield from thirds(self, "val_r2 twenty times", build, *falls(0.3, 0.08, 0.06))


@FAMILIES.family("healthy")
def two_a_batch(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 2, 16, 2, last=False)
        held = scored(data.radar(16, 100, 2), 100, val_rmse=rmse)
        return fit(net, data.radar(16, 2, 1), "sgd:0.01", mse, 4000, every=50, clip="norm:5", metrics=held)

    yield from thirds(self, "noisy loss", build, *falls(4.0, 1.5, 1.2, label=NOTED))


@FAMILIES.family("healthy")
def annealed_code(self: Family) -> Iterator[Case]:
    def build() -> Training:
        batch = data.altered(data.plant(8, 32, 1), lambda step, x, y: (x, x))
        return fit(VAE(3, 24, 4), batch, "adam:0.003", **LONG, forward=elbo(lambda step: min(1.0, step / 2000)))

    yield from thirds(self, "KL annealing over 2,000 steps", build, *falls(40, 40, 45, label=UNMEASURED))


@FAMILIES.family("healthy")
def against_a_critic(self: Family) -> Iterator[Case]:
    def build() -> Training:
        real = data.altered(data.plant(8, 32, 1), lambda step, x, y: (x[..., :1], y))
        opt = torch.optim.Adam((net := Forger(16)).parameters(), 0.001, betas=(0.5, 0.9))
        forward = adversarial(Net("gru", 1, 16, 1), 0.001)
        return Training(net, real, opt, forward=forward, **LONG)

    gap = [(UNMEASURED, Expected(final=(0, high), measure="std_gap")) for high in (0.5, 0.35, 0.3)]
    yield from thirds(self, "GAN", build, *gap)


@FAMILIES.family("healthy")
def bad_records(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 3, 16, 3, last=False)
        batch = outliers(data.plant(12, 16, 1), 400, 30.0)
        return fit(net, batch, "adam:0.003", mse, **LONG, clip="norm:1")

    label = NOTED.also(causes=("changed-during-training",), actions="check-data")
    yield from thirds(self, "a batch of 400 is 30 times as large", build, *falls(5.0, 5.0, 5.0, label=label))


@FAMILIES.family("healthy")
def sharp_but_clipped(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Net("tanh", 3, 24, 3, last=False), "gauss", 1.7)
        return fit(net, data.plant(30, 8, 1), "sgd:0.05", mse, **LONG, clip="norm:0.5")

    label = NOTED.also(causes=("exploding",), actions="*")
    early = Expected((-math.inf, 0.8), growth=(5, math.inf))
    spans = [(label, early), *((label, under(high)) for high in (0.35, 0.25))]
    yield from thirds(self, "tanh, clipped at 0.5", build, *spans)


@FAMILIES.family("healthy")
def a_little_better(self: Family) -> Iterator[Case]:
    def build() -> Training:
        batch = data.plant(12, 32, 8)
        net = schooled(Net("lstm", 3, 16, 3, last=False), batch, "adam:0.01", 900, mse)
        held = validation(data.plant(12, 300, 2), mse, 100)
        return fit(net, batch, "adamw:0.0003", mse, **LONG, metrics=held)

    yield from thirds(self, "fine-tuning", build, *falls(0.06, 0.06, 0.06, label=UNMEASURED))


@FAMILIES.family("healthy")
def returns_of_a_market(self: Family) -> Iterator[Case]:
    def thin(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x, y.clamp(-2, 2)

    def build() -> Training:
        batch, held = (data.altered(data.thick(5, N, seed, 0.08), thin) for N, seed in ((64, 1), (3000, 2)))
        net = Net("gru", 3, 8, 1)
        return fit(net, batch, "adam:0.001", mse, **LONG, metrics=scored(held, 50, val_r2=r2))

    told = [(UNMEASURED, Expected(final=span, measure="val_r2")) for span in ((0, 0.15), (0.03, 0.15), (0.03, 0.15))]
    yield from thirds(self, "val_r2 of 0.06", build, *told)


@FAMILIES.family("healthy")
def slow_but_steady(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 4, 24, 4, last=False)
        return fit(net, data.drums(16, 16, 1), "adam:0.0015", bce, **LONG)

    yield from thirds(self, "drums, stopped while the loss falls", build, *falls(0.64, 0.61, 0.58))


@FAMILIES.family("healthy")
def drops(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 2, 16, 2, last=False)
        before = schedule(lambda step: 0.1 * 0.1 ** (step // 1200))
        batch = data.shelf(40, data.radar(12, 32, 1), 16, 2)
        return fit(net, batch, "momentum:0.1", mse, 3600, every=50, before=before, clip="norm:1")

    yield from thirds(self, "a tenth of the rate every 1,200 steps", build, *falls(1.5, 0.8, 0.8, label=NOTED))


@FAMILIES.family("healthy")
def warm_restarts(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 2, 16, 2, last=False)
        held = validation(data.counts(14, 200, 2, shape=2.0), losses.negative_binomial, 100)
        more = {"before": restarts(0.01, 1000), "metrics": held}
        return fit(net, data.counts(14, 16, 1, shape=2.0), "adam:0.01", losses.negative_binomial, **LONG, **more)

    yield from thirds(self, "negative binomial", build, *falls(2.5, 2.4, 2.35, label=UNMEASURED))


@FAMILIES.family("healthy")
def one_cycle(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 3, 20, 9, last=False)
        batch = data.altered(data.strokes(16, 16, 1), lambda step, x, y: (x.expand(-1, -1, 3), y))
        before = cosine(0.01, 3100, 900)
        return fit(net, batch, "adam:0.01", losses.mixture, **LONG, before=before, clip="norm:5")

    yield from thirds(self, "mixture density", build, *falls(1.7, 0.5, 0.2, label=NOTED.also(outcomes="unknown")))


@FAMILIES.family("healthy")
def values_of_states(self: Family) -> Iterator[Case]:
    def rewards(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x, (x[..., 0] + x[..., 1]) / 2

    def build() -> Training:
        net, target = Net("gru", 3, 16, 1, last=False), Net("gru", 3, 16, 1, last=False)
        batch = data.altered(data.plant(12, 16, 1), rewards)
        forward = bootstrap(0.8, target, 100)
        return fit(net, batch, "adam:0.002", **LONG, forward=forward)

    told = [(UNMEASURED, Expected(final=(0, high), measure="value_rmse")) for high in (2.0, 1.0, 0.9)]
    yield from thirds(self, "TD with a target net", build, *told)


@FAMILIES.family("healthy")
def new_customers(self: Family) -> Iterator[Case]:
    def grown(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return (x, y) if step < 1000 else (0.8 - x, 0.8 - y)

    def build() -> Training:
        net = Net("gru", 3, 16, 3, last=False)
        return fit(net, data.altered(data.plant(12, 16, 1), grown), "adam:0.005", mse, **LONG)

    changed = HEALTHY.also(causes=("changed-during-training",), actions="check-data")
    told = ((HEALTHY, under(0.12)), (changed, under(0.15)), (changed, under(0.12)))
    yield from thirds(self, "the data change at a third, and are learned", build, *told)


@FAMILIES.family("healthy")
def thrown_off_once(self: Family) -> Iterator[Case]:
    def kick(step: int, net: nn.Module, used: Optimizer) -> None:
        if step == 1100:
            with torch.no_grad():
                for parameter in net.parameters():
                    parameter.add_(0.7 * torch.randn_like(parameter))

    def build() -> Training:
        net = Net("lstm", 3, 16, 3, last=False)
        return fit(net, data.plant(12, 16, 1), "adam:0.005", mse, **LONG, before=kick)

    kicked = HEALTHY.also(causes=("changed-during-training",), actions="check-data revert-change")
    told = ((HEALTHY, under(0.25)), (kicked, under(0.12)), (kicked, under(0.1)))
    yield from thirds(self, "recovers from a jump at step 1,100", build, *told)


def one_group(net: nn.Module, rate: float, slow: float) -> Optimizer:
    """Adam with a rate for the head and a lower one for all else."""
    head = [p for name, p in net.named_parameters() if "head" in name]
    rest = [p for name, p in net.named_parameters() if "head" not in name]
    return torch.optim.Adam([{"params": head, "lr": rate}, {"params": rest, "lr": slow}])


@FAMILIES.family("healthy")
def two_rates(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 3, 16, 3, last=False, num_layers=2)
        held = data.plant(12, 200, 2)
        chosen = one_group(net, 0.01, 0.001)
        measured: Callable[..., dict[str, float]] = scored(held, 100, val_rmse=rmse)
        return Training(net, data.plant(12, 16, 1), chosen, mse, **LONG, metrics=measured)

    yield from thirds(self, "slower below the head", build, *falls(0.4, 0.12, 0.1))


@FAMILIES.family("healthy")
def averaged_steps(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 3, 12, 3, last=False)
        return Training(net, data.plant(10, 4, 1), optimizer("momentum:0.1", net), mse, **LONG, accumulate=4)

    yield from thirds(self, "four small batches a step", build, *falls(0.3, 0.1, 0.1))
