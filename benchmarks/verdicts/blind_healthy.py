"""Trainings that learn, as in common applications, written without knowledge of the rules."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.everyday import (
    addends,
    alarms,
    characters,
    copying,
    demand,
    games,
    gestures,
    ordered,
    quantile,
    returns,
    reviews,
    sentences,
    smooth,
    tags,
)
from benchmarks.verdicts.everyday_nets import (
    Agent,
    Leaky,
    PackedTagger,
    Sorter,
    accuracy,
    decoded,
    error_rate,
    f1,
    perplexity,
    played,
    r2,
    rmse,
    scored,
)
from benchmarks.verdicts.kinds_of_training import Autoencoder, annealed, ctc, ramp, spoken, waves
from benchmarks.verdicts.labels import HEALTHY, NOTED, UNMEASURED
from benchmarks.verdicts.long_tasks import lines, pretrained
from benchmarks.verdicts.nets import Net, start
from benchmarks.verdicts.optimizers import optimizer, schedule, warmup
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("blind")
family = FAMILIES.family


@family("healthy")
def forecasts_demand(self: Family) -> Iterator[Case]:
    """The next value of a series with a weekly season, with a held-out error; a quantile of it."""

    def mean() -> Training:
        net = Net("lstm", 1, 24, 1, last=False)
        metrics = scored(demand(21, 128, 0.2, 1001), 20, val_loss=mse, val_rmse=rmse)
        return Training(
            net,
            demand(21, 32, 0.2, 1002),
            optimizer("adam:0.01", net),
            mse,
            steps=400,
            clip="norm:5.0",
            metrics=metrics,
        )

    def upper() -> Training:
        net = Net("gru", 1, 20, 1, last=False)
        return Training(net, demand(16, 24, 0.3, 1003), optimizer("nadam:0.005", net), quantile, steps=450)

    yield self.case("lstm with val_rmse", HEALTHY, mean, Expected(final=(0, 0.3)))
    yield self.case("gru quantile 0.9", UNMEASURED, upper, Expected(final=(0, 0.14)))


@family("healthy")
def reads_reviews(self: Family) -> Iterator[Case]:
    """Polarity of a text: dropout and smoothed labels, gradients of four batches; a top rate in the middle."""

    def accumulated() -> Training:
        net = Net("gru", 12, 24, 2, symbols=24, dropout=0.2, num_layers=2)
        metrics = scored(reviews(12, 256, 1004), 10, val_acc=accuracy)
        return Training(
            net, reviews(12, 16, 1005), optimizer("adamw:0.01", net), smooth, steps=300, accumulate=4, metrics=metrics
        )

    def one_cycle() -> Training:
        net = Net("lstm", 12, 24, 2, symbols=24)
        rate = schedule(lambda step: 0.03 * math.sin(math.pi * (step + 1) / 402) ** 2 + 1e-4)
        return Training(net, reviews(14, 32, 1006), optimizer("adam:0.03", net), steps=400, before=rate)

    yield self.case("gru smoothed accumulated", HEALTHY, accumulated, Expected(final=(0.19, 0.45)))
    yield self.case("lstm one cycle", HEALTHY, one_cycle, Expected(final=(0, 0.35)))


@family("healthy")
def tags_sentences(self: Family) -> Iterator[Case]:
    """Tags of packed sentences in both directions, with warmup; of words one way, under a low precision of products."""

    def packed() -> Training:
        net = PackedTagger(nn.LSTM, 21, 16, 5, 20)
        metrics = scored(sentences(14, 64, 1007), 20, val_loss=ce, val_accuracy=accuracy)
        return Training(
            net,
            sentences(14, 16, 1008),
            optimizer("adam:0.02", net),
            steps=350,
            before=warmup(0.02, 50),
            metrics=metrics,
        )

    def autocast() -> Training:
        net = Net("gru", 8, 24, 5, symbols=20, last=False)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                output = net(x)
            return ce(output.float(), y)

        return Training(net, tags(10, 32, 1009), optimizer("adam:0.01", net), steps=350, forward=forward)

    yield self.case("packed lstm", HEALTHY, packed, Expected(final=(0, 0.3)))
    yield self.case("gru bfloat16", HEALTHY, autocast, Expected(final=(0, 0.4)))


@family("healthy")
def models_letters(self: Family) -> Iterator[Case]:
    """The next letter, with perplexity and bits logged; two layers clipped at 5, one of SGD that is always clipped."""

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, dict[str, float]]:
        loss = ce(net(x), y)
        return loss, {"perplexity": float(loss.exp()), "bpc": float(loss) / math.log(2)}

    def stacked() -> Training:
        net = Net("lstm", 12, 32, 13, symbols=13, last=False, num_layers=2)
        opt = optimizer("rmsprop:0.005", net)
        return Training(net, characters(16, 24, 1010), opt, steps=450, clip="norm:5.0", forward=forward)

    def clipped() -> Training:
        net = Net("gru", 12, 32, 13, symbols=13, last=False)
        opt, metrics = optimizer("sgd:4.0", net), scored(characters(16, 128, 1011), 25, val_ppl=perplexity)
        return Training(net, characters(16, 24, 1012), opt, steps=500, clip="norm:0.25", metrics=metrics)

    yield self.case("lstm perplexity", HEALTHY, stacked, Expected(final=(0, 1.5)))
    yield self.case("gru sgd clipped", NOTED, clipped, Expected(final=(0, 1.6)))


@family("healthy")
def copies_and_adds(self: Family) -> Iterator[Case]:
    """Symbols after a gap, and the sum of two marked numbers with the identity as first recurrent matrix."""

    def copy() -> Training:
        net = Net("gru", 8, 40, 6, symbols=6, last=False)
        return Training(net, copying(2, 4, 32, 4, 1013), optimizer("adam:0.01", net), steps=500)

    def add() -> Training:
        net = start(Net("relu", 2, 32, 1), "eye", 1.0)
        return Training(
            net, addends(12, 32, 1014), optimizer("adam:0.003", net), mse, steps=600, clip="norm:1.0", every=5
        )

    yield self.case("copy gru", HEALTHY, copy, Expected(final=(0, 0.12)))
    yield self.case("add relu identity", NOTED, add, Expected(final=(0, 0.05)))


@family("healthy")
def transcribes(self: Family) -> Iterator[Case]:
    """CTC with a GRU in both directions."""

    def build() -> Training:
        net = Net("gru", 4, 24, 5, last=False, bidirectional=True)
        return Training(net, spoken(5, 16, 4, 1015), optimizer("adam:0.01", net), steps=400, forward=ctc)

    yield self.case("gru", HEALTHY, build, Expected(final=(0.8, 1), measure="accuracy"))


@family("healthy")
def compresses(self: Family) -> Iterator[Case]:
    """Lines from their noisy part; a variational code whose weight of the divergence rises, so that the loss rises."""

    def denoised() -> Training:
        net = Net("gru", 1, 24, 1, bidirectional=True, last=False)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            return mse(net(x * (torch.rand_like(x) > 0.3)), y)

        return Training(net, lines(12, 32, 1016), optimizer("adam:0.01", net), steps=400, forward=forward)

    def variational() -> Training:
        net = Autoencoder("lstm", 1, 24, 3, 12)
        opt = optimizer("adam:0.005", net)
        return Training(net, waves(12, 32, 1017).batch, opt, steps=600, forward=annealed(ramp(150, 450)))

    yield self.case("gru denoising", HEALTHY, denoised, Expected(final=(0, 0.15)))
    yield self.case("lstm variational", HEALTHY, variational, Expected(final=(-35, 0), measure="elbo"))


@family("healthy")
def sorts(self: Family) -> Iterator[Case]:
    """An encoder and a decoder, which sees more and more of its own answers."""

    def build() -> Training:
        net = Sorter(6, 40)

        def before(step: int, net: nn.Module, opt: object) -> None:
            net.sampled = min(0.5, step / 800)

        opt = optimizer("adam:0.01", net)
        return Training(net, ordered(4, 32, 6, 1018), opt, steps=500, before=before, forward=decoded, clip="norm:2.0")

    yield self.case("gru", HEALTHY, build, Expected(final=(0, 0.6)))


@family("healthy")
def trains_a_head(self: Family) -> Iterator[Case]:
    """A trained encoder that is frozen on purpose, under a new head; and a trained net that is trained further."""

    def head() -> Training:
        net = pretrained(Net("gru", 2, 24, 3), gestures(14, 32, 3, 0.5, 1019), ce, 200)
        net.recurrent.requires_grad_(False)
        net.head = nn.Linear(24, 3)
        metrics = scored(gestures(14, 128, 3, 0.5, 1020), 20, val_loss=ce, val_acc=accuracy)
        opt = optimizer("adam:0.01", net.head)
        return Training(net, gestures(14, 32, 3, 0.5, 1021), opt, steps=300, metrics=metrics)

    def further() -> Training:
        net = pretrained(Net("lstm", 8, 24, 5, symbols=20, last=False), tags(10, 32, 1022), ce, 400)
        metrics = scored(tags(10, 64, 1023), 20, val_loss=ce, val_error=error_rate)
        opt = optimizer("adam:0.001", net)
        return Training(net, tags(10, 32, 1024), opt, steps=250, metrics=metrics)

    yield self.case("gru frozen", HEALTHY, head, Expected(final=(0, 0.4)))
    yield self.case("lstm resumed", UNMEASURED, further, Expected(final=(0, 0.1)))


@family("healthy")
def finds_alarms(self: Family) -> Iterator[Case]:
    """Rare positives under a weight, with F1."""

    def build() -> Training:
        net = Net("lstm", 1, 16, 1)

        def weighed(output: Tensor, target: Tensor) -> Tensor:
            return functional.binary_cross_entropy_with_logits(output, target, pos_weight=torch.tensor(6.0))

        metrics = scored(alarms(16, 512, 0.1, 1025, height=4.0), 25, val_f1=f1)
        batch = alarms(16, 64, 0.1, 1026, height=4.0)
        return Training(net, batch, optimizer("adam:0.01", net), weighed, steps=400, metrics=metrics)

    yield self.case("lstm f1", HEALTHY, build, Expected(final=(0, 0.45)))


@family("healthy")
def plays_episodes(self: Family) -> Iterator[Case]:
    """Actor and critic whose state is set to 0 where an episode begins."""

    def build() -> Training:
        net = Agent(3, 20, 3)
        opt = optimizer("adam:0.01", net)
        return Training(net, games(12, 16, 3, 0.15, 1027), opt, steps=400, forward=played(0.01), clip="norm:0.5")

    yield self.case("gru reward", HEALTHY, build, Expected(final=(0.7, 1), measure="mean_reward"))


@family("healthy")
def small_signals(self: Family) -> Iterator[Case]:
    """A target of which the inputs explain 8%; batches of two sequences under momentum; a sum for a loss."""

    def market() -> Training:
        net = Net("gru", 3, 8, 1)
        metrics = scored(returns(8, 1024, 0.08, 1028), 20, val_r2=r2)
        return Training(net, returns(8, 128, 0.08, 1029), optimizer("adam:0.003", net), mse, steps=500, metrics=metrics)

    def small() -> Training:
        net = Net("gru", 8, 24, 5, symbols=20, last=False)
        return Training(net, tags(10, 2, 1030), optimizer("momentum:0.1", net), steps=700)

    def summed() -> Training:
        net = Net("gru", 8, 24, 5, symbols=20, last=False)

        def loss(output: Tensor, target: Tensor) -> Tensor:
            return functional.cross_entropy(output.flatten(0, 1), target.flatten(), reduction="sum")

        return Training(net, tags(12, 32, 1031), optimizer("amsgrad:0.01", net), loss, steps=350)

    yield self.case("gru market", UNMEASURED, market, Expected(final=(0.02, 0.12), measure="val_r2"))
    yield self.case("gru batches of two", HEALTHY, small, Expected(final=(0, 0.4)))
    yield self.case("gru summed", HEALTHY, summed, Expected(final=(0, 150)))


@family("healthy")
def leaky_units(self: Family) -> Iterator[Case]:
    """A leaky recurrence by hand, tapped."""

    def build() -> Training:
        net = Leaky(torch.tanh, 2, 32, 3)
        return Training(net, gestures(16, 32, 3, 0.4, 1032), optimizer("adam:0.005", net), steps=350)

    yield self.case("tanh", HEALTHY, build, Expected(final=(0, 0.4)))
