"""The plain part: short trainings that learn under noise, large first losses, uneven lengths and several losses."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts import ordinary_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.everyday_nets import accuracy, f1, perplexity, scored
from benchmarks.verdicts.field_nets import counted, under, validation
from benchmarks.verdicts.labels import HEALTHY, NOTED
from benchmarks.verdicts.nets import Net, keep, start, times
from benchmarks.verdicts.optimizers import schedule
from benchmarks.verdicts.projects_nets import fit
from benchmarks.verdicts.tasks import Batch, bce, ce, generator, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("plain")

LETTERS, LETTERS_FLOOR = data.letter_entropies()


@FAMILIES.family("memory")
def memory_with_good_initialization(self: Family) -> Iterator[Case]:
    def lstm() -> Training:
        net = keep(Net("lstm", 6, 20, 4, symbols=9), 2.0)
        return fit(net, data.first_word(10, 48, 4, 1), "adam:0.005", steps=500, clip="norm:5")

    yield self.case("LSTM, forget bias of 2", HEALTHY, lstm, under(0.2))

    def tanh() -> Training:
        net = start(Net("tanh", 4, 24, 4), "orth", 0.97)
        return fit(net, data.mark(12, 32, 4, 1), "rmsprop:0.002", steps=400)

    yield self.case("tanh, orthogonal", HEALTHY, tanh, under(0.3))

    def relu() -> Training:
        net = start(Net("relu", 6, 24, 3, symbols=8), "eye", 1.0)
        return fit(net, data.first_word(12, 32, 3, 1), "adam:0.003", steps=400, clip="norm:1")

    yield self.case("relu, identity", NOTED, relu, under(0.3))

    def gaps() -> Training:
        net = keep(Net("gru", 1, 20, 1), 1.0)
        return fit(net, data.gap(30, 48, 1), "adam:0.01", mse, 350, clip="norm:1")

    yield self.case("GRU, times between pulses", HEALTHY, gaps, under(0.2 * data.gap_variance(30)))


@FAMILIES.family("large first loss")
def head_too_large(self: Family) -> Iterator[Case]:
    def classes() -> Training:
        net = times(Net("gru", 1, 20, 2, last=False), "head", 40.0)
        return fit(net, data.switch(16, 32, 1), "adam:0.01", steps=400)

    yield self.case("logits of 10 at first", HEALTHY, classes, under(0.4))

    def mean() -> Training:
        net = Net("lstm", 3, 16, 1)
        return fit(net, data.explained(8, 48, 0.8, 1, mean=12.0), "momentum:0.02", mse, 400, clip="norm:2")

    yield self.case("targets of mean 12, momentum", HEALTHY, mean, under(0.5, 0.15))


@FAMILIES.family("noise")
def noisy_losses(self: Family) -> Iterator[Case]:
    def pairs() -> Training:
        net = Net("gru", 1, 16, 2, last=False)
        return fit(net, data.switch(12, 2, 1), "adam:0.005", steps=900)

    yield self.case("switch, batches of 2", HEALTHY, pairs, under(0.25))

    def outliers() -> Training:
        net = Net("tanh", 3, 20, 1)
        return fit(net, _with_outliers(data.explained(6, 48, 0.9, 1)), "adam:0.005", functional.l1_loss, 400)

    yield self.case("4% of the targets are outliers, absolute error", HEALTHY, outliers, under(1.2, 0.6))

    def gradient(net: nn.Module, step: int) -> None:
        for parameter in net.parameters():
            parameter.grad += 0.02 * torch.randn_like(parameter)

    def private() -> Training:
        net = data.Pooled("lstm", 8, 16, 4, symbols=30)
        return fit(net, data.reviews(20, 48, 4, 1), "momentum:0.1", steps=400, gradient=gradient)

    yield self.case("noise is added to the gradient", HEALTHY, private, under(0.4))


def _with_outliers(batch: Batch) -> Batch:
    draw = generator(12)

    def change(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
        return x, torch.where(torch.rand(y.shape, generator=draw) < 0.04, 15.0 * y.sign(), y)

    return data.mapped(batch, change)


@FAMILIES.family("schedules")
def cyclic_rates(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 24, 27, symbols=27, last=False)
        before = schedule(lambda step: 0.001 + 0.019 * abs((step % 100) / 50 - 1))
        held = scored(data.letters(20, 60, 2), 50, val_ppl=perplexity)
        return fit(net, data.letters(20, 12, 1), "adam:0.02", steps=400, before=before, metrics=held)

    yield self.case("triangles of 100 steps, val_ppl", HEALTHY, build, Expected((2.0, 5.0), "val_ppl"))


@FAMILIES.family("several losses")
def two_losses(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 1, 20, 3, last=False)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, dict[str, float]]:
            output = net(x)
            switch, largest = ce(output[..., :2], y), mse(output[..., 2:], x.cummax(0).values)
            return switch + 0.5 * largest, {"switch_loss": float(switch), "max_loss": float(largest)}

        return fit(net, data.switch(14, 32, 1), "adam:0.01", steps=400, forward=forward)

    yield self.case("a switch and a running maximum", HEALTHY, build, under(0.3))


@FAMILIES.family("padding")
def uneven_lengths(self: Family) -> Iterator[Case]:
    def read() -> Training:
        net = Net("gru", 4, 20, 4, last=False)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, dict[str, float]]:
            ends = torch.randint(4, len(x), y.shape, generator=generator(step))
            output = net(x)[ends, torch.arange(len(y))]
            return ce(output, y), {"acc": float((output.argmax(-1) == y).float().mean())}

        return fit(net, data.mark(12, 48, 4, 1, at=1), "adam:0.01", steps=400, forward=forward)

    yield self.case("outputs are read at timestep 4 to 11", HEALTHY, read, under(0.2))

    def sparse() -> Training:
        net = Net("lstm", 6, 20, 3, symbols=2, last=False)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            return ce(net(x)[4::5], y[4::5])

        return fit(net, data.residues(15, 48, 3, 1), "adam:0.01", steps=900, forward=forward)

    yield self.case("counts modulo 3, a target every five timesteps", HEALTHY, sparse, under(0.2))


@FAMILIES.family("frozen parts")
def frozen_as_intended(self: Family) -> Iterator[Case]:
    label = HEALTHY.also(causes=("parameters-not-updated", "no-gradient"), actions="update-parameters connect-loss")

    def embedding() -> Training:
        net = data.Pooled("gru", 12, 20, 4, symbols=30)
        net.embedding.requires_grad_(False)
        return fit(net, data.reviews(20, 32, 4, 1), "adamw:0.005", steps=250, forward=counted(ce))

    yield self.case("embeddings", label, embedding, under(0.3))

    def reservoir() -> Training:
        net = start(Net("tanh", 1, 60, 1, last=False), "gauss", 0.9)
        net.recurrent.requires_grad_(False)
        return fit(net, data.season(24, 24, 0.1, 1), "adam:0.02", mse, 400)

    yield self.case("a fixed random recurrent layer", label, reservoir, under(0.35))


@FAMILIES.family("plain tasks")
def classes_and_series(self: Family) -> Iterator[Case]:
    def reviews() -> Training:
        net = data.Pooled("gru", 8, 24, 8, symbols=30)
        held = scored(data.reviews(20, 300, 8, 2), 50, val_acc=accuracy)
        return fit(net, data.reviews(20, 96, 8, 1), "adam:0.01", steps=250, metrics=held)

    yield self.case("reviews of eight classes, val_acc", HEALTHY, reviews, Expected((0.85, 1.0), "val_acc"))

    def tones() -> Training:
        net = data.Pooled("tanh", 1, 24, 5)
        return fit(net, data.tone(20, 48, 5, 0.3, 1), "adamw:0.01", steps=350)

    yield self.case("five tones, tanh", HEALTHY, tones, under(0.5))

    def season() -> Training:
        net = Net("lstm", 1, 20, 1, last=False)
        held = validation(data.season(16, 100, 0.3, 2, period=4), mse, 50)
        return fit(net, data.season(16, 24, 0.3, 1, period=4), "momentum:0.2", mse, 500, metrics=held)

    yield self.case("season of four, LSTM, momentum", HEALTHY, season, Expected((0.09, 0.4), "val_loss"))

    def rare() -> Training:
        net = Net("gru", 8, 20, 1, symbols=30)
        batch = data.mapped(data.reviews(16, 96, 2, 1, prior=(0.9, 0.1)), lambda x, y, step: (x, y[:, None].float()))
        held = scored(batch, 30, val_f1=f1)
        return fit(net, batch, "adam:0.01", bce, 300, metrics=held)

    yield self.case("one in ten, val_f1", HEALTHY, rare, Expected((0.8, 1.0), "val_f1"))


@FAMILIES.family("several layers")
def layers_with_clipping(self: Family) -> Iterator[Case]:
    def letters() -> Training:
        net = Net("gru", 12, 24, 27, symbols=27, last=False, num_layers=2, dropout=0.1)
        held = validation(data.letters(20, 60, 2), ce, 50)
        return fit(net, data.letters(20, 16, 1), "adamw:0.005", steps=350, clip="norm:1", metrics=held)

    yield self.case("two GRU layers, letters, AdamW", HEALTHY, letters, Expected((0.9, 2.0), "val_loss"))

    def both() -> Training:
        net = data.Pooled("tanh", 8, 16, 4, symbols=30, num_layers=2, bidirectional=True)
        return fit(net, data.reviews(16, 32, 4, 1), "sgd:0.2", steps=300, clip="norm:1")

    yield self.case("two tanh layers in two directions, SGD", HEALTHY, both, under(0.4))
