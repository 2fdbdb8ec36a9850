"""Long trainings that learn, judged at 10, 50 and 100%, written when the rules were fixed: other tasks and nets."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.fresh_healthy import marked
from benchmarks.verdicts.kinds_of_training import (
    Autoencoder,
    against,
    annealed,
    classify,
    ctc,
    drawn_from,
    hit,
    judged_at,
    policy_gradient,
    spoken,
)
from benchmarks.verdicts.labels import FIND, FINE, HEALTHY, UNMEASURED
from benchmarks.verdicts.long_tasks import (
    FIFTH,
    distilled,
    either,
    from_step,
    largest_step,
    lines,
    nearness,
    pretrained,
    seasonal,
    wrong_fifth,
)
from benchmarks.verdicts.nets import Loop, Net, start
from benchmarks.verdicts.optimizers import cosine, optimizer
from benchmarks.verdicts.tasks import ce, generator, markov, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("fresh")
family = FAMILIES.family
LN2 = 0.6931
SAME = (HEALTHY, HEALTHY, HEALTHY)
NOT_KNOWN = (UNMEASURED, UNMEASURED, UNMEASURED)
# nothing is learned yet, and nobody can know that it will be
ON_PLATEAU = Label(("stuck", "learning", "unknown"), (None,), (*FIND, *FINE), failed=False)
SPIKES = Label((*HEALTHY.outcomes, "unknown"), (None, "changed-during-training"), ("*",), failed=False)


@family("long: overfitting")
def forecasts_of_many_series(self: Family) -> Iterator[Case]:
    """2,000 waves under little noise, again and again: the held-out error falls and stays."""

    def build() -> Training:
        net = start(Net("relu", 1, 20, 1), "eye", 0.8)
        metrics = against(net, seasonal(12, 256, 0.2, 50)(0), mse, names=("val_mse",))
        batch = drawn_from(seasonal(12, 2000, 0.2, 49)(0), 16)
        return Training(net, batch, optimizer("adam:0.001", net), mse, steps=3000, every=50, metrics=metrics)

    spans = ((0.03, 0.4), (0.03, 0.25), (0.03, 0.2))
    yield from judged_at(self, "relu", SAME, build, Expected(measure="val_mse", final=(0.03, 0.2)), spans)


@family("long: annealing")
def weight_of_the_bound_in_cycles(self: Family) -> Iterator[Case]:
    """The weight of the KL term rises from 0 to 1 three times, and falls back at once in between."""

    def build() -> Training:
        net = Autoencoder("lstm", 1, 20, 2, 8)
        forward = annealed(lambda step: min(1.0, step % 1000 / 700))
        opt = optimizer("adamw:0.003", net)
        return Training(net, lines(8, 16, 55), opt, steps=3000, every=50, forward=forward)

    yield from judged_at(self, "lstm", NOT_KNOWN, build, Expected(measure="elbo", final=(-12, -1)))


@family("long: annealing")
def temperature_of_a_teacher(self: Family) -> Iterator[Case]:
    """Soft targets whose temperature falls from 4 to 0.5: the loss falls with it. The accuracy of a batch is logged."""

    def build() -> Training:
        net, forward = Net("gru", 6, 20, 5, symbols=5), distilled(lambda step: max(0.5, 4 * 0.999**step), 5)
        batch = marked(7, 24, seed=56).batch
        return Training(net, batch, optimizer("rmsprop:0.002", net), steps=3000, every=50, forward=forward)

    spans = ((0.5, 1.0), (0.9, 1.0), (0.9, 1.0))
    yield from judged_at(self, "gru", SAME, build, Expected(measure="train_acc", final=(0.9, 1.0)), spans)


@family("long: annealing")
def rate_annealed_by_a_cosine(self: Family) -> Iterator[Case]:
    """A linear warmup and one half of a cosine, on a Markov chain, with the held-out loss."""

    def build() -> Training:
        net, task = Loop("tanh", 8, 24, 10, symbols=10, last=False), markov(8, 16, symbols=10, seed=45)
        metrics = against(net, markov(8, 128, symbols=10, seed=46).batch(0), classify)
        opt, before = optimizer("momentum:0.1", net), cosine(0.1, 3000, 200)
        return Training(net, task.batch, opt, steps=3000, every=50, before=before, metrics=metrics)

    low = markov(8, symbols=10).floor - 0.1
    spans = ((low, low + 0.5), (low, low + 0.3), (low, low + 0.2))
    yield from judged_at(self, "tanh", SAME, build, Expected(measure="val_loss", final=spans[-1]), spans)


@family("long: restarts")
def restarts_of_growing_length(self: Family) -> Iterator[Case]:
    """Momentum with half a cosine over 500, 1,000 and 2,000 steps; a fifth of the labels is wrong."""

    def build() -> Training:
        net = Net("lstm", 6, 20, 5, symbols=5)
        starts = {0: 500, 500: 1000, 1500: 2000}

        def before(step: int, net: nn.Module, opt: Optimizer) -> None:
            begun = max(each for each in starts if each <= step)
            cosine(0.05, starts[begun])(step - begun, net, opt)

        metrics = against(net, wrong_fifth(8, 256, 57)(0), classify, names=("val_acc",))
        opt = optimizer("nesterov:0.05", net)
        return Training(net, wrong_fifth(8, 16, 58), opt, steps=3500, every=50, before=before, metrics=metrics)

    spans = ((0.25, 0.92), (0.7, 0.92), (0.7, 0.92))
    yield from judged_at(self, "lstm", SAME, build, Expected(measure="val_acc", final=(0.7, 0.92)), spans)


@family("long: resumed")
def resumes_a_classifier(self: Family) -> Iterator[Case]:
    """Goes on where 1,200 unrecorded steps ended, at the entropy of the wrong labels."""

    def build() -> Training:
        net = pretrained(Net("gru", 6, 20, 5, symbols=5), wrong_fifth(6, 16, 60), ce, 1200)
        return Training(net, wrong_fifth(6, 24, 62), optimizer("rmsprop:0.0005", net), steps=3000, every=50)

    span = (FIFTH - 0.1, FIFTH + 0.15)
    yield from judged_at(self, "gru", NOT_KNOWN, build, Expected(final=span), (span, span, span))


@family("long: fine-tuning")
def tunes_a_chain_to_noisy_inputs(self: Family) -> Iterator[Case]:
    """A converged model of a Markov chain meets sequences in which a tenth of the inputs is wrong."""

    def build() -> Training:
        net, clean = Net("lstm", 8, 24, 12, symbols=12, last=False), markov(9, 16, seed=63)
        pretrained(net, clean.batch, ce, 800)
        draw = generator(64)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = clean.batch(step)
            drawn = torch.randint(0, 12, x.shape, generator=draw)
            return torch.where(torch.rand(x.shape, generator=draw) < 0.1, drawn, x), y

        return Training(net, batch, optimizer("adamw:0.0003", net), steps=3000, every=50)

    span = (1.5, 1.75)
    yield from judged_at(self, "lstm", NOT_KNOWN, build, Expected(final=span), (span, span, span))


@family("long: spike")
def two_wrong_batches(self: Family) -> Iterator[Case]:
    """At 43% of the run the targets of two batches are 10 times too large; what that did is learned away."""

    def build() -> Training:
        net = Net("lstm", 2, 20, 1)
        batch = from_step(largest_step(6, 32, 65), 1300, lambda x, y: (x, 10 * y), 1301)
        return Training(net, batch, optimizer("nesterov:0.02", net), mse, steps=3000, every=20)

    spans = ((0, 0.4), (0, 0.4), (0, 0.2))
    yield from judged_at(self, "lstm", (HEALTHY, SPIKES, HEALTHY), build, Expected(final=(0, 0.2)), spans)


@family("long: shift")
def channels_change_places(self: Family) -> Iterator[Case]:
    """At 60% the two inputs change places and the targets their sign, and the task is learned anew."""

    def build() -> Training:
        net = Loop("gru", 2, 20, 1)
        batch = from_step(largest_step(5, 32, 67), 1800, lambda x, y: (x.flip(-1), -y))
        return Training(net, batch, optimizer("adamw:0.005", net), mse, steps=3000, every=50)

    last = HEALTHY.also(causes=("changed-during-training",), actions="revert-change check-data")
    spans = ((0, 0.3), (0, 0.1), (0, 0.1))
    yield from judged_at(self, "gru", (HEALTHY, HEALTHY, last), build, Expected(final=(0, 0.1)), spans)


@family("long: policy gradient")
def rewarded_for_a_symbol(self: Family) -> Iterator[Case]:
    """An agent with a bonus for entropy that learns to name the last symbol but two of four."""

    def build() -> Training:
        net, forward = Net("lstm", 6, 20, 4, symbols=4), policy_gradient(4, hit, entropy=0.01)
        batch = marked(6, 32, kinds=4, seed=69).batch
        return Training(net, batch, optimizer("rmsprop:0.003", net), steps=3500, every=50, forward=forward)

    spans = ((0.4, 1.0), (0.7, 1.0), (0.8, 1.0))
    yield from judged_at(self, "lstm", SAME, build, Expected(measure="reward", final=(0.8, 1.0)), spans)


@family("long: policy gradient")
def punished_by_distance(self: Family) -> Iterator[Case]:
    """An agent whose reward is never positive: half the distance of its action from the right one, negative."""

    def build() -> Training:
        net, forward = Net("tanh", 6, 24, 5, symbols=5), policy_gradient(5, nearness)
        batch = marked(5, 32, kinds=5, seed=48).batch
        return Training(net, batch, optimizer("adam:0.003", net), steps=3000, every=50, forward=forward)

    spans = ((-0.6, 0.0), (-0.3, 0.0), (-0.25, 0.0))
    yield from judged_at(self, "tanh", SAME, build, Expected(measure="reward", final=(-0.25, 0.0)), spans)


@family("long: CTC")
def reads_in_both_directions(self: Family) -> Iterator[Case]:
    """Four symbols of four kinds, read by an LSTM in both directions."""

    def build() -> Training:
        net = Net("lstm", 4, 16, 5, last=False, bidirectional=True)
        batch = spoken(4, 16, kinds=4, seed=70)
        return Training(net, batch, optimizer("adamw:0.01", net), steps=3000, every=50, forward=ctc)

    spans = ((0.2, 1.0), (0.8, 1.0), (0.9, 1.0))
    yield from judged_at(self, "lstm", SAME, build, Expected(measure="accuracy", final=(0.9, 1.0)), spans)


@family("long: plateau")
def differs_after_a_plateau(self: Family) -> Iterator[Case]:
    """Whether two bits differ, which no single one tells: at chance for a third of the run, then learned."""

    def build() -> Training:
        net = Net("tanh", 2, 16, 2)
        opt = optimizer("sgd:0.01", net)
        return Training(net, either(5, 32, 74), opt, steps=4500, every=50, config={"chance_loss": "ln 2"})

    spans = ((0.95 * LN2, 1.05 * LN2), (0.2, 0.6), (0.0, 0.35))
    labels = (ON_PLATEAU, HEALTHY, HEALTHY)
    yield from judged_at(self, "tanh", labels, build, Expected(final=(0, 0.35)), spans)


@family("long: noisy")
def returns_with_little_to_know(self: Family) -> Iterator[Case]:
    """A target of which the inputs explain 2%, as with returns on a market."""

    def build() -> Training:
        net, draw = Net("lstm", 3, 12, 1), generator(76)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x = torch.randn(6, 64, 3, generator=draw)
            return x, 0.02**0.5 * x[-1, :, :1] + 0.98**0.5 * torch.randn(64, 1, generator=draw)

        return Training(net, batch, optimizer("adamw:0.001", net), mse, steps=4000, every=50)

    span = (0.94, 1.03)
    yield from judged_at(self, "lstm", NOT_KNOWN, build, Expected(final=span), (span, span, span))


@family("long: at its floor")
def long_at_its_floor(self: Family) -> Iterator[Case]:
    """Learned within a tenth of the run, and at the entropy of the wrong labels since; accuracy is held out."""

    def build() -> Training:
        net = Loop("gru", 6, 20, 5, symbols=5)
        metrics = against(net, wrong_fifth(8, 256, 77)(0), classify, names=("val_acc",))
        opt = optimizer("adamw:0.005", net)
        return Training(net, wrong_fifth(8, 16, 78), opt, steps=3000, every=50, metrics=metrics)

    spans = ((0.5, 0.92), (0.74, 0.92), (0.74, 0.92))
    yield from judged_at(self, "gru", SAME, build, Expected(measure="val_acc", final=(0.74, 0.92)), spans)
