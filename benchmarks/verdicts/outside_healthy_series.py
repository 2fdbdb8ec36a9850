"""The outside part: short trainings on series and records that learn."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from benchmarks.verdicts import projects_data as data
from benchmarks.verdicts import projects_losses as losses
from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.everyday_nets import r2, rmse, scored
from benchmarks.verdicts.field_nets import under, validation
from benchmarks.verdicts.labels import HEALTHY, NOTED, UNMEASURED
from benchmarks.verdicts.nets import Loop, Net, start
from benchmarks.verdicts.optimizers import cosine, warmup
from benchmarks.verdicts.projects_nets import Rebuild, auc, fit
from benchmarks.verdicts.tasks import bce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("outside")


@FAMILIES.family("healthy")
def plant_sensors(self: Family) -> Iterator[Case]:
    def adamw() -> Training:
        net = Net("gru", 3, 24, 3, last=False)
        return fit(
            net, data.plant(20, 32, 1), "adamw:0.01", mse, 400, metrics=scored(data.plant(20, 200, 2), 40, r2=r2)
        )

    yield self.case("AdamW, R2", HEALTHY, adamw, under(0.12))

    def nadam() -> Training:
        net = Net("lstm", 3, 16, 3, last=False, num_layers=2)
        return fit(net, data.plant(16, 32, 3), "nadam:0.005", losses.log_cosh, 400)

    yield self.case("NAdam, log-cosh, two layers", HEALTHY, nadam, under(0.08))


@FAMILIES.family("healthy")
def radar_tracks(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 2, 24, 2, last=False)
        measured = scored(data.radar(20, 100, 2), 25, rmse=rmse)
        return fit(net, data.radar(20, 16, 1), "adam:0.01", mse, 500, clip="norm:5", metrics=measured)

    yield self.case("Adam, clipped at 5, RMSE", NOTED, build, under(1.5))

    def cells() -> Training:
        net = Loop("gru", 2, 24, 2, last=False)
        return fit(net, data.radar(15, 16, 4), "rmsprop:0.003", mse, 400, clip="norm:5")

    yield self.case("cells in a loop, RMSprop", NOTED, cells, under(1.5))


@FAMILIES.family("healthy")
def orders_a_day(self: Family) -> Iterator[Case]:
    def poisson() -> Training:
        net = Net("gru", 2, 16, 1, last=False)
        return fit(net, data.counts(21, 32, 1), "adam:0.005", losses.poisson, 400)

    yield self.case("Poisson", UNMEASURED, poisson, under(-1.0))

    def gamma() -> Training:
        net = Net("lstm", 2, 16, 2, last=False)
        more = {"metrics": validation(data.counts(21, 100, 2, shape=3.0), losses.negative_binomial, 25)}
        return fit(net, data.counts(21, 32, 3, shape=3.0), "adam:0.005", losses.negative_binomial, 400, **more)

    yield self.case("negative binomial, val_loss", UNMEASURED, gamma, under(2.3))


@FAMILIES.family("healthy")
def three_quantiles(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 3, 16, 3, last=False)
        batch = data.altered(data.plant(16, 32, 1), lambda step, x, y: (x, y[..., :1]))
        schedule = {"before": cosine(0.02, 400, 20)}
        return fit(net, batch, "adam:0.02", losses.quantiles, 400, **schedule)

    yield self.case("cosine with warm-up", UNMEASURED, build, under(0.12))


@FAMILIES.family("healthy")
def thick_tails(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 3, 12, 3)
        return fit(net, data.thick(8, 64, 1), "adam:0.01", losses.student, 400)

    yield self.case("Student's t", UNMEASURED, build, under(1.7))


@FAMILIES.family("healthy")
def hardly_predictable(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 3, 8, 1)
        batch = data.altered(data.thick(6, 128, 1, share=0.08), lambda step, x, y: (x, y.clamp(-2, 2)))
        held = data.altered(data.thick(6, 3000, 2, share=0.08), lambda step, x, y: (x, y.clamp(-2, 2)))
        return fit(net, batch, "adam:0.005", mse, 600, metrics=scored(held, 20, val_r2=r2))

    expected = Expected(final=(0.04, 0.2), measure="val_r2")
    yield self.case("R2 of 0.1", UNMEASURED, build, expected)


@FAMILIES.family("healthy")
def ecg_rhythms(self: Family) -> Iterator[Case]:
    def two_ways() -> Training:
        net = Net("gru", 1, 16, 3, bidirectional=True)
        batch = data.heartbeats(32, 32, 1)
        held = scored(data.heartbeats(32, 200, 2), 25, val_acc=lambda z, y: (z.argmax(-1) == y).float().mean())
        return fit(net, batch, "adam:0.01", steps=400, metrics=held, watch={"chance_loss": "ln 3"})

    yield self.case("in two directions, val_acc", HEALTHY, two_ways, under(0.4))

    def smoothed() -> Training:
        net = Net("lstm", 1, 24, 3, num_layers=2, dropout=0.2)
        return fit(net, data.heartbeats(24, 32, 3), "adamw:0.01", losses.smooth, 500, clip="norm:1")

    yield self.case("label smoothing, dropout, clipped", NOTED, smoothed, under(0.75))


@FAMILIES.family("healthy")
def pen_moves(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 1, 24, 9, last=False)
        return fit(net, data.strokes(20, 32, 1), "adam:0.01", losses.mixture, 500, clip="norm:10")

    yield self.case("mixture density", UNMEASURED.also(causes=("clipping-always",)), build, under(1.2))


@FAMILIES.family("healthy")
def densities_below_zero(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 3, 24, 6, last=False)
        return fit(net, data.plant(16, 32, 5, noise=0.03), "adam:0.01", losses.normal, 500, clip="norm:5")

    yield self.case("Gaussian NLL", UNMEASURED.also(causes=("clipping-always",)), build, under(-0.2))


@FAMILIES.family("healthy")
def rare_failures(self: Family) -> Iterator[Case]:
    def changed(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x, (y == 2).float()[:, None]

    def build() -> Training:
        net = Net("gru", 1, 16, 1)
        batch, held = (data.altered(data.heartbeats(24, N, seed), changed) for N, seed in ((32, 1), (400, 2)))
        return fit(net, batch, "adam:0.01", losses.focal, 500, metrics=scored(held, 50, val_auc=auc))

    yield self.case("focal loss, AUC", UNMEASURED, build, Expected(final=(0.9, 1.0), measure="val_auc"))


@FAMILIES.family("healthy")
def drum_patterns(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 4, 32, 4, last=False)
        return fit(net, data.drums(24, 32, 1), "adam:0.01", bce, 700)

    yield self.case("binary cross-entropy of four drums", HEALTHY, build, under(0.56))


@FAMILIES.family("healthy")
def rebuilt_records(self: Family) -> Iterator[Case]:
    def build() -> Training:
        def own(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            return x + 0.1 * torch.randn_like(x), x

        batch = data.altered(data.plant(8, 32, 1), own)
        return fit(Rebuild(3, 24, 8), batch, "adam:0.01", losses.soft_dtw_like, 600, before=warmup(0.01, 50))

    yield self.case("denoising autoencoder, warm-up", HEALTHY, build, under(0.2))


@FAMILIES.family("healthy")
def reservoir(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Net("tanh", 3, 48, 3, last=False), "orth", 0.9)
        net.recurrent.requires_grad_(False)
        return fit(net, data.plant(20, 32, 1), "adam:0.02", mse, 300)

    label = HEALTHY.also(causes=("parameters-not-updated", "no-gradient"))
    yield self.case("only the readout is trained", label, build, under(0.15))


@FAMILIES.family("healthy")
def big_units(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 3, 16, 3, last=False)
        batch = data.altered(data.plant(16, 32, 1), lambda step, x, y: (x, 20 * y))
        return fit(net, batch, "adam:0.03", mse, 600)

    yield self.case("targets of variance 100s", HEALTHY, build, under(70.0))


@FAMILIES.family("healthy")
def accumulated(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 3, 16, 3, last=False)
        return fit(net, data.plant(12, 8, 1), "momentum:0.2", mse, 300, accumulate=4)

    yield self.case("four batches a step, momentum", HEALTHY, build, under(0.2))


@FAMILIES.family("healthy")
def held_by_clipping(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Net("tanh", 3, 32, 3, last=False), "gauss", 2.5)
        batch = data.plant(40, 16, 1)
        return fit(net, batch, "sgd:0.02", mse, 600, clip="norm:1")

    label = NOTED.also(causes=("exploding",), actions="*")
    yield self.case(
        "a gradient that grows, under clipping", label, build, Expected((-math.inf, 0.45), growth=(10, math.inf))
    )


@FAMILIES.family("healthy")
def near_its_floor(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net: nn.Module = Net("gru", 3, 16, 3, last=False)
        used = fit(net, data.plant(16, 32, 1), "adam:0.01", mse, 1)
        for step in range(500):
            x, y = data_batch(step)
            used.optimizer.zero_grad()
            mse(net(x), y).backward()
            used.optimizer.step()
        return fit(net, data.plant(16, 32, 9), "adam:0.0005", mse, 300)

    data_batch = data.plant(16, 32, 8)
    yield self.case("fine-tuning of what is trained", UNMEASURED, build, under(0.1))
