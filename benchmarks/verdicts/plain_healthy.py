"""The plain part: short trainings that learn, among them those whose gradient or loss looks bad meanwhile."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts import ordinary_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.everyday_nets import accuracy, r2, rmse, scored
from benchmarks.verdicts.field_nets import counted, under
from benchmarks.verdicts.labels import HEALTHY, NOTED, UNMEASURED
from benchmarks.verdicts.nets import Net, keep, start, times
from benchmarks.verdicts.projects_nets import fit, schooled
from benchmarks.verdicts.sequences import swapped
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("plain")

LETTERS, LETTERS_FLOOR = data.letter_entropies()


@FAMILIES.family("vanishing that does not matter")
def memory_is_not_needed(self: Family) -> Iterator[Case]:
    def last() -> Training:
        net = start(Net("tanh", 4, 20, 4), "orth", 0.3)
        return fit(net, data.mark(40, 32, 4, 1, at=39), "momentum:0.05", steps=250)

    faded = Expected((-math.inf, 0.2), kept=(0.0, 1e-5))
    yield self.case("the mark is at the last timestep", HEALTHY, last, faded)

    def recent() -> Training:
        net = Net("gru", 4, 16, 4)
        return fit(net, data.mark(120, 16, 4, 1, at=117), "adam:0.01", steps=150, forward=counted(ce))

    yield self.case("the mark is three timesteps before the end of 120", HEALTHY, recent, faded)

    def pooled() -> Training:
        net = keep(data.Pooled("lstm", 8, 20, 4, symbols=30), -1.0)
        return fit(net, data.reviews(50, 24, 4, 1), "adam:0.005", steps=200)

    yield self.case("mean over the outputs of an LSTM", HEALTHY, pooled, under(0.3))


@FAMILIES.family("exploding that is clipped")
def clipping_helps(self: Family) -> Iterator[Case]:
    def tanh() -> Training:
        net = start(Net("tanh", 4, 32, 4), "gauss", 1.6)
        return fit(net, data.mark(16, 32, 4, 1), "adam:0.003", steps=500, clip="norm:1")

    yield self.case("tanh, gain of 1.6, Adam", NOTED.also(causes=("exploding",), actions="clip"), tanh, under(0.7))

    def relu() -> Training:
        net = start(Net("relu", 1, 24, 1), "eye", 1.0)
        return fit(net, data.gap(30, 32, 1), "adam:0.001", mse, 400, clip="norm:0.5")

    yield self.case("relu, identity", NOTED, relu, under(0.7 * data.gap_variance(30)))


@FAMILIES.family("clipping without harm")
def clipped_at_each_step(self: Family) -> Iterator[Case]:
    def adam() -> Training:
        net = Net("gru", 8, 24, 27, symbols=27, last=False)
        return fit(net, data.letters(20, 12, 1), "adam:0.01", steps=350, clip="norm:0.05")

    yield self.case("letters, Adam, norm of 0.05", NOTED, adam, under(LETTERS - 0.3))

    def value() -> Training:
        net = Net("lstm", 1, 16, 2, last=False)
        return fit(net, data.switch(16, 32, 1), "adamw:0.01", steps=300, clip="value:0.001")

    yield self.case("switch, AdamW, values of 0.001", NOTED, value, under(0.2))

    def normalized() -> Training:
        net = Net("tanh", 1, 24, 1, last=False)
        return fit(net, data.season(20, 16, 0.3, 1), "sgd:0.05", mse, 600, clip="norm:0.3")

    yield self.case("season, SGD, norm of 0.3", NOTED, normalized, under(0.45))


@FAMILIES.family("spikes")
def one_batch_is_different(self: Family) -> Iterator[Case]:
    def target() -> Training:
        net = Net("gru", 1, 20, 1, last=False)
        batch = data.mapped(data.maximum(14, 24, 1), lambda x, y, step: (x, y + 30.0 * (step == 170)))
        return fit(net, batch, "adam:0.005", mse, 350, clip="norm:1")

    yield self.case("targets of 30 at step 170", HEALTHY, target, under(0.01))

    def inputs() -> Training:
        net = Net("lstm", 4, 20, 4)
        batch = data.mapped(
            data.mark(8, 48, 4, 1, at=5), lambda x, y, step: (x * (1000.0 if step in (170, 290) else 1), y)
        )
        return fit(net, batch, "adam:0.005", steps=400, clip="norm:1")

    yield self.case("inputs of 2,000 at two steps", HEALTHY, inputs, under(0.3))


@FAMILIES.family("little to learn")
def small_share_explained(self: Family) -> Iterator[Case]:
    def returns() -> Training:
        net = times(Net("gru", 3, 16, 1), "head", 0.1)
        held = scored(data.explained(6, 4000, 0.04, 2), 50, val_r2=r2)
        return fit(net, data.explained(6, 400, 0.04, 1), "adam:0.003", mse, 350, metrics=held)

    yield self.case("R2 of 0.04, val_r2", UNMEASURED, returns, Expected((0.02, 0.06), "val_r2"))

    def tanh() -> Training:
        net = times(Net("tanh", 3, 12, 1), "head", 0.1)
        return fit(net, data.explained(6, 600, 0.08, 1), "momentum:0.02", mse, 400, watch={"chance_loss": 1.0})

    yield self.case("R2 of 0.08, chance given", UNMEASURED, tanh, under(0.95, 0.89))


@FAMILIES.family("little to learn")
def near_the_noise(self: Family) -> Iterator[Case]:
    def season() -> Training:
        net = Net("gru", 1, 24, 1, last=False)
        return fit(net, data.season(28, 24, 1.0, 1), "adam:0.005", mse, 500)

    yield self.case("season of the size of its noise", HEALTHY, season, under(1.6, 1.0))

    def spread() -> Training:
        net = Net("lstm", 1, 16, 1, last=False)
        return fit(net, data.volatile(20, 32, 1), "adam:0.005", data.normal, 400)

    yield self.case("only the deviation can be predicted", HEALTHY, spread, under(1.3, 0.8))


@FAMILIES.family("units of the loss")
def large_and_small_losses(self: Family) -> Iterator[Case]:
    def large() -> Training:
        net = Net("gru", 1, 20, 1, last=False)
        batch = data.maximum(14, 24, 1, size=1000.0)
        forward = _scaled(1000.0, 1.0)
        held = scored(batch, 50, val_rmse=lambda output, y: rmse(1000 * output, y))
        return fit(net, batch, "adam:0.01", mse, 350, forward=forward, metrics=held)

    yield self.case("targets of 1,000", HEALTHY, large, under(10_000))

    def small() -> Training:
        net = Net("tanh", 1, 20, 1, last=False)
        return fit(net, data.season(20, 16, 0.1, 1), "adam:0.005", mse, 400, forward=_scaled(1.0, 1e-7))

    yield self.case("a loss of 1e-7", HEALTHY, small, under(2e-8))

    def summed() -> Training:
        net = Net("lstm", 8, 20, 4, symbols=30)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            return functional.cross_entropy(net(x), y, reduction="sum")

        return fit(
            net, data.reviews(16, 32, 4, 1), "sgd:0.01", steps=350, forward=forward, watch={"loss_reduction": "sum"}
        )

    yield self.case("a sum over the batch", HEALTHY, summed, under(25.0))


def _scaled(output: float, loss: float) -> object:
    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
        return loss * mse(output * net(x), y)

    return forward


@FAMILIES.family("unequal classes")
def rare_classes(self: Family) -> Iterator[Case]:
    prior = (0.85, 0.1, 0.05)

    def plain() -> Training:
        net = Net("gru", 8, 20, 3, symbols=30)
        return fit(net, data.reviews(20, 64, 3, 1, prior=prior), "adam:0.005", forward=counted(ce))

    yield self.case("85, 10 and 5%", HEALTHY, plain, under(0.25))

    def weighted() -> Training:
        net = data.Pooled("tanh", 8, 20, 3, symbols=30)
        weight = 1 / torch.tensor(prior)

        def loss(output: Tensor, y: Tensor) -> Tensor:
            return functional.cross_entropy(output, y, weight=weight)

        return fit(net, data.reviews(20, 64, 3, 1, prior=prior), "rmsprop:0.003", loss)

    yield self.case("weights of the classes in the loss", HEALTHY, weighted, under(0.5))


@FAMILIES.family("label noise")
def some_labels_are_wrong(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = data.Pooled("gru", 8, 20, 4, symbols=30)
        batch = swapped(data.reviews(20, 48, 4, 1), lambda step: 0.4, 4, 2)
        held = scored(data.reviews(20, 300, 4, 2), 50, val_acc=accuracy)
        return fit(net, batch, "momentum:0.05", steps=400, metrics=held)

    yield self.case("40% are drawn at random", HEALTHY, build, under(1.15, 0.75))


@FAMILIES.family("fine-tuning")
def starts_from_a_trained_net(self: Family) -> Iterator[Case]:
    def converged() -> Training:
        net = schooled(Net("gru", 1, 20, 2, last=False), data.switch(16, 32, 3), "adam:0.01", 400)
        return fit(net, data.switch(16, 32, 1), "adam:0.0003", steps=250, watch={"chance_loss": "ln 2"})

    yield self.case("on the same data, chance given", HEALTHY, converged, under(0.1))

    def shifted() -> Training:
        net = schooled(Net("lstm", 4, 20, 4), data.mark(10, 32, 4, 3, at=8), "adam:0.01", 200)
        return fit(net, data.mark(10, 32, 4, 1, at=6), "adam:0.003", steps=250, forward=counted(ce))

    yield self.case("the mark is two timesteps earlier", HEALTHY, shifted, under(0.15))

    def new_head() -> Training:
        net = schooled(data.Pooled("gru", 8, 24, 4, symbols=30), data.reviews(20, 32, 4, 3), "adam:0.01", 150)
        net.recurrent.requires_grad_(False)
        net.embedding.requires_grad_(False)
        net.head = nn.Linear(24, 4)
        return fit(net, data.reviews(20, 32, 4, 1), "adam:0.02", steps=250)

    label = HEALTHY.also(causes=("parameters-not-updated", "no-gradient"), actions="update-parameters connect-loss")
    yield self.case("a new head on frozen layers", label, new_head, under(0.3))


@FAMILIES.family("still learning")
def stopped_early(self: Family) -> Iterator[Case]:
    label = HEALTHY.also(causes=("learning-rate-low",), actions="raise-learning-rate")

    def letters() -> Training:
        net = Net("lstm", 8, 24, 27, symbols=27, last=False)
        return fit(net, data.letters(20, 12, 1), "momentum:0.02", steps=250)

    yield self.case("letters, momentum at 0.02", label, letters, under(2.95, LETTERS_FLOOR + 0.4))

    def depth() -> Training:
        net = Net("tanh", 4, 24, 5, symbols=2, last=False)
        return fit(net, data.depth(20, 16, 4, 1), "adam:0.001", steps=150)

    yield self.case("brackets, Adam at 0.001", HEALTHY, depth, under(1.1, 0.3))


@FAMILIES.family("delayed learning")
def plateau_and_drop(self: Family) -> Iterator[Case]:
    def parity() -> Training:
        net = Net("gru", 4, 24, 2, symbols=2, last=False)
        return fit(net, data.residues(10, 64, 2, 1), "adam:0.01", steps=900)

    yield self.case("parity of 10 bits", HEALTHY, parity, under(0.1))

    def recall() -> Training:
        net = keep(Net("lstm", 6, 24, 3, symbols=8), 2.0)
        return fit(net, data.first_word(24, 32, 3, 1), "adam:0.005", steps=700)

    yield self.case("the first of 24 words", HEALTHY, recall, under(0.1))
