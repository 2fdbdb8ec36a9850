"""The later part: short trainings that are healthy, by kind: tagging, CTC, agents, autoencoders, fine-tuning."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam

from benchmarks.verdicts import common_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.everyday_nets import accuracy, perplexity, scored
from benchmarks.verdicts.field_nets import VAE, Seq2Seq, counted, ctc, elbo, reinforce, translating, under, validation
from benchmarks.verdicts.labels import HEALTHY, UNMEASURED
from benchmarks.verdicts.nets import Loop, Net, Tapped, keep
from benchmarks.verdicts.projects_nets import Attending, Rebuild, attended, fit, schooled, word_errors
from benchmarks.verdicts.tasks import bce, ce, mse, nll
from benchmarks.verdicts.training import Training

FAMILIES = Families("later")

LN7 = {"watch": {"chance_loss": "ln 7"}}


@FAMILIES.family("tagging")
def both_directions(self: Family) -> Iterator[Case]:
    def lstm() -> Training:
        net = Net("lstm", 8, 16, 4, symbols=4, last=False, bidirectional=True)
        held = validation(data.neighbours(16, 100, 2), ce, 50, right="val_acc")
        return fit(net, data.neighbours(16, 16, 1), "adam:0.01", steps=250, metrics=held)

    yield self.case("LSTM", UNMEASURED, lstm, under(0.2))

    def gru() -> Training:
        net = Net("gru", 8, 16, 4, symbols=4, last=False, bidirectional=True, num_layers=2, dropout=0.1)
        return fit(net, data.neighbours(16, 16, 1), "nesterov:0.2", steps=300, watch={"chance_loss": "ln 4"})

    yield self.case("two layers of GRU, Nesterov", HEALTHY, gru, under(0.3))


@FAMILIES.family("padding")
def masked_padding(self: Family) -> Iterator[Case]:
    draw = torch.Generator().manual_seed(11)

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
        lengths = torch.randint(4, len(x) + 1, (x.shape[1],), generator=draw)
        kept = torch.arange(len(x))[:, None] < lengths
        return functional.cross_entropy(net(torch.where(kept, x, 0))[kept], y[kept])

    def build() -> Training:
        net = Net("gru", 8, 24, 7, symbols=7, last=False)
        return fit(net, data.weekdays(20, 16, 1), "adam:0.01", steps=300, forward=forward, **LN7)

    yield self.case("lengths of 4 to 20, the loss of the words alone", HEALTHY, build, under(1.15))


@FAMILIES.family("unequal classes")
def rare_orders(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 8, 24, 1, symbols=5)
        held = scored(data.orders(10, 400, 0.15, 2), 50, val_acc=lambda o, y: ((o > 0) == (y > 0.5)).float().mean())
        return fit(net, data.orders(10, 64, 0.15, 1), "adam:0.01", bce, 400, metrics=held)

    yield self.case("15% are positive", UNMEASURED, build, under(0.2))

    def weighted() -> Training:
        def loss(output: Tensor, target: Tensor) -> Tensor:
            return functional.binary_cross_entropy_with_logits(output, target, pos_weight=torch.tensor(9.0))

        net = Net("gru", 8, 20, 1, symbols=5)
        return fit(net, data.orders(10, 64, 0.1, 1), "rmsprop:0.003", loss, 350)

    yield self.case("10% are positive, weighted by 9", UNMEASURED, weighted, under(0.6))


@FAMILIES.family("CTC")
def letters_from_frames(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 4, 24, 5, last=False, bidirectional=True)
        held = scored(data.morse(5, 60, 4, 2), 50, cer=word_errors)
        return fit(net, data.morse(5, 16, 4, 1), "adam:0.01", steps=300, forward=ctc, metrics=held)

    yield self.case("LSTM in both directions, error rate", UNMEASURED, build, Expected((0, 0.2), "cer"))


@FAMILIES.family("policy gradient")
def corridor(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 20, 4, symbols=9)
        return fit(net, data.badge(5, 64, 1), "adam:0.005", steps=500, forward=reinforce(entropy=0.01))

    yield self.case("REINFORCE, 4 choices after 5 timesteps", UNMEASURED, build, Expected((0.6, 1), "reward"))


@FAMILIES.family("autoencoders")
def sequences_to_themselves(self: Family) -> Iterator[Case]:
    def rebuild() -> Training:
        batch = data.mapped(data.swing(16, 32, 1), lambda x, y, step: (x, x))
        return fit(Rebuild(1, 24, 4), batch, "adam:0.01", mse, 350)

    yield self.case("through a code of 4", UNMEASURED, rebuild, under(0.1))

    def variational() -> Training:
        batch = data.mapped(data.swing(12, 32, 1, noise=0.2), lambda x, y, step: (x, x))
        weight = elbo(lambda step: min(1.0, step / 150))
        return fit(VAE(1, 20, 3), batch, "adam:0.005", steps=350, forward=weight)

    yield self.case("variational, the KL annealed", UNMEASURED, variational, under(12.0))


@FAMILIES.family("sequence to sequence")
def cipher_decoded(self: Family) -> Iterator[Case]:
    def attention() -> Training:
        return fit(Attending(6, 20), data.cipher(6, 32, 5, 1), "adam:0.01", steps=250, forward=attended("seq_acc"))

    yield self.case("attention", UNMEASURED, attention, under(1.0))

    def plain() -> Training:
        net = Seq2Seq(5, 28)
        return fit(net, data.cipher(4, 32, 4, 1), "adamw:0.01", steps=350, forward=translating(lambda step: 0.8))

    yield self.case("two LSTM, 80% teacher forcing", UNMEASURED, plain, under(0.9))


@FAMILIES.family("label noise")
def wrong_labels(self: Family) -> Iterator[Case]:
    def symbols() -> Training:
        net = Net("gru", 3, 20, 4)
        batch = data.mislabelled(data.engines(12, 32, 4, 1), 0.3, 4, 3)
        held = scored(data.engines(12, 300, 4, 2), 50, val_acc=accuracy)
        return fit(net, batch, "adam:0.005", steps=350, metrics=held)

    yield self.case("30% of the labels at random, val_acc", UNMEASURED, symbols, Expected((0.85, 1), "val_acc"))

    def smoothed() -> Training:
        def loss(output: Tensor, target: Tensor) -> Tensor:
            return functional.cross_entropy(output.flatten(0, 1), target.flatten(), label_smoothing=0.2)

        return fit(Net("lstm", 8, 24, 5, symbols=3, last=False), data.stock(14, 16, 1), "adam:0.01", loss, 300)

    yield self.case("label smoothing of 0.2", UNMEASURED, smoothed, under(1.0, 0.6))


@FAMILIES.family("fine-tuning")
def from_a_trained_net(self: Family) -> Iterator[Case]:
    def same() -> Training:
        net = schooled(Net("gru", 8, 24, 7, symbols=7, last=False), data.weekdays(14, 16, 3), "adam:0.01", 250)
        return fit(net, data.weekdays(14, 16, 1), "adam:0.0003", steps=250, **LN7)

    label = HEALTHY.also(causes=("learning-rate-low",), actions="raise-learning-rate")
    yield self.case("on the same task, at its floor from the first step", label, same, under(1.05, 0.6))

    def head() -> Training:
        net = schooled(Net("lstm", 3, 20, 4), data.engines(10, 32, 4, 1), "adam:0.01", 150)
        net.head = nn.Linear(20, 4)
        opt = Adam([{"params": net.recurrent.parameters(), "lr": 1e-4}, {"params": net.head.parameters(), "lr": 0.01}])
        return Training(net, data.engines(10, 32, 4, 2), opt, ce, 250, forward=counted(ce))

    yield self.case("with a new head at a larger rate", UNMEASURED, head, under(0.5))


@FAMILIES.family("plateau")
def plateau_then_fall(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = keep(Net("lstm", 8, 24, 4, symbols=9), 1.5)
        return fit(net, data.badge(38, 32, 1), "adam:0.001", steps=700, watch={"chance_loss": "ln 4"})

    yield self.case("LSTM, the first of 38 symbols", HEALTHY, build, under(1.0))


@FAMILIES.family("density")
def negative_losses(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 1, 24, 2, last=False)
        return fit(net, data.swing(20, 16, 1, noise=0.05), "adam:0.005", nll, 400, clip="norm:5")

    yield self.case("Gaussian likelihood of an oscillation", UNMEASURED, build, under(-1.0))


@FAMILIES.family("one batch")
def one_batch_on_purpose(self: Family) -> Iterator[Case]:
    def build() -> Training:
        batch = data.finite(data.unrelated(10, 16, 1), 16, 16, 1, each=False)
        return fit(Net("gru", 3, 32, 4), batch, "adam:0.01", steps=300)

    yield self.case("16 random labels are memorized", UNMEASURED, build, under(0.3))


@FAMILIES.family("noisy loss")
def one_sequence_a_batch(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 20, 7, symbols=7, last=False)
        return fit(net, data.weekdays(14, 1, 1), "adam:0.004", steps=800, **LN7)

    yield self.case("GRU, the next symbol", HEALTHY, build, under(1.2))

    def accumulated() -> Training:
        net = Net("tanh", 1, 20, 1, last=False)
        return fit(net, data.boiler(14, 2, 1), "rmsprop:0.002", mse, 600)

    yield self.case("tanh, two sequences of a boiler", UNMEASURED, accumulated, under(0.15))


@FAMILIES.family("cells in a loop")
def cells_by_hand(self: Family) -> Iterator[Case]:
    def lstm() -> Training:
        return fit(Loop("lstm", 3, 20, 5), data.engines(10, 32, 5, 1), "momentum:0.3", steps=350, forward=counted(ce))

    yield self.case("LSTM cell, momentum", UNMEASURED, lstm, under(0.7))

    def tapped() -> Training:
        net = Tapped(torch.tanh, 1, 24, 1, last=False)
        return fit(net, data.boiler(16, 16, 1), "adam:0.005", mse, 350)

    yield self.case("a tanh recurrence that is tapped", UNMEASURED, tapped, under(0.06))


@FAMILIES.family("size of the loss")
def softmax_twice_few_classes(self: Family) -> Iterator[Case]:
    def build() -> Training:
        held = scored(data.engines(12, 300, 3, 2), 50, val_acc=accuracy)
        net = Net("gru", 3, 20, 3)
        return fit(net, data.engines(12, 32, 3, 1), "adam:0.01", lambda o, y: ce(o.softmax(-1), y), 300, metrics=held)

    yield self.case("3 classes, a floor of 0.55", UNMEASURED, build, under(0.75, 0.55))


@FAMILIES.family("deep nets")
def layers_on_layers(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 20, 7, symbols=7, last=False, num_layers=3)
        held = scored(data.weekdays(12, 100, 2), 50, val_ppl=perplexity)
        return fit(net, data.weekdays(12, 16, 1), "adam:0.01", steps=300, metrics=held, **LN7)

    yield self.case("three layers of GRU, perplexity", HEALTHY, build, Expected((1, math.exp(1.1)), "val_ppl"))
