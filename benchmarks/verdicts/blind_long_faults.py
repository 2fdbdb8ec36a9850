"""Trainings of 3,000 steps that fail, some of them late, judged at 10, 50 and 100%."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim import Optimizer

from benchmarks.verdicts.case import ANY, Case, Expected, Families, Family
from benchmarks.verdicts.everyday import alarms, demand, games, gestures, reviews, tags
from benchmarks.verdicts.everyday_nets import Agent, accuracy, played, rmse, scored
from benchmarks.verdicts.kinds_of_training import drawn_from, judged_at, noisy_set
from benchmarks.verdicts.labels import (
    AT_CHANCE,
    BROKEN,
    CHANGED,
    CLIP_LOW,
    CUT,
    FADES,
    HEALTHY,
    LR_HIGH,
    LR_LOW,
    OVERFITS,
    SWINGS,
)
from benchmarks.verdicts.long_tasks import from_step, pretrained
from benchmarks.verdicts.nets import Loop, Net, start
from benchmarks.verdicts.optimizers import changed, optimizer, schedule
from benchmarks.verdicts.tasks import ce, mse, remember
from benchmarks.verdicts.training import Training

FAMILIES = Families("blind")
family = FAMILIES.family

STEPS = 3000
HUGE = float("inf")
# a rate that was set too high in the course of the training: that is the change, and that is the rate
RATE_CHANGED = LR_HIGH.also(causes=("changed-during-training",), actions="revert-change")


@family("outcome")
def fits_a_small_set(self: Family) -> Iterator[Case]:
    """Few sentences with wrong tags among them, and few noisy series, with a held-out set."""

    def sentences() -> Training:
        net = Net("lstm", 8, 32, 5, symbols=20, last=False)
        whole = noisy_set(tags(10, 60, 1301)(0), 5, 0.3)
        metrics = scored(tags(10, 64, 1302), 50, val_loss=ce, val_acc=accuracy)
        opt = optimizer("adam:0.001", net)
        return Training(net, drawn_from(whole, 16), opt, steps=STEPS, every=50, metrics=metrics)

    def series() -> Training:
        net = Net("gru", 1, 32, 1, last=False)
        metrics = scored(demand(12, 64, 0.8, 1303), 50, val_mse=mse, val_rmse=rmse)
        opt = optimizer("adam:0.001", net)
        whole = demand(12, 20, 0.8, 1304)(0)
        return Training(net, drawn_from(whole, 10), opt, mse, steps=STEPS, every=50, metrics=metrics)

    labels = (HEALTHY, OVERFITS, OVERFITS)
    yield from judged_at(self, "lstm tags", labels, sentences, Expected(final=(1.0, 10), measure="val_loss"))
    yield from judged_at(self, "gru demand", labels, series, Expected(final=(1.3, 10), measure="val_mse"))


@family("data")
def data_change(self: Family) -> Iterator[Case]:
    """Inputs that are 0 after 60% of the steps, and targets of other sequences after 55%."""

    def zeroed() -> Training:
        net = Net("gru", 2, 16, 4)
        batch = from_step(gestures(10, 16, 4, 0.4, 1305), 1800, lambda x, y: (0 * x, y))
        metrics = scored(gestures(10, 128, 4, 0.4, 1306), 50, val_acc=accuracy)
        opt = optimizer("adam:0.003", net)
        return Training(net, batch, opt, steps=STEPS, every=50, metrics=metrics)

    def misaligned() -> Training:
        net = Net("lstm", 12, 20, 2, symbols=24)
        batch = from_step(reviews(10, 16, 1307), 1650, lambda x, y: (x, y.roll(1)))
        opt = optimizer("adam:0.003", net)
        return Training(net, batch, opt, steps=STEPS, every=50)

    labels = (HEALTHY, HEALTHY, CHANGED)
    yield from judged_at(self, "gru zeroed", labels, zeroed, Expected(final=(1.3, 10)))
    yield from judged_at(self, "lstm misaligned", labels, misaligned, Expected(final=(0.65, 10)))


@family("learning rate")
def rates_over_time(self: Family) -> Iterator[Case]:
    """A rate that grows without end, one that is raised midway, one for fine-tuning that is too high, one too low."""

    def growing() -> Training:
        net = Net("gru", 8, 20, 5, symbols=20, last=False)
        before = schedule(lambda step: 0.002 * 1.0035 ** max(0, step - 900))
        opt = optimizer("adam:0.002", net)
        return Training(net, tags(8, 16, 1308), opt, steps=STEPS, every=50, before=before)

    def raised() -> Training:
        net = Agent(4, 16, 4)
        opt = optimizer("adam:0.002", net)
        before = changed(0.002, 0.5, 1700)
        return Training(
            net,
            games(8, 8, 4, 0.1, 1309),
            opt,
            steps=STEPS,
            every=50,
            before=before,
            forward=played(0.01, name="reward"),
        )

    def tuned() -> Training:
        net = pretrained(Net("lstm", 2, 20, 4), gestures(10, 32, 4, 0.4, 1310), ce, 400)
        metrics = scored(gestures(10, 128, 4, 0.4, 1311), 50, val_loss=ce, val_acc=accuracy)
        opt = optimizer("adam:1.0", net)
        return Training(net, gestures(10, 16, 4, 0.4, 1312), opt, steps=STEPS, every=50, metrics=metrics)

    def low() -> Training:
        net = Net("gru", 1, 20, 1, last=False)
        metrics = scored(demand(12, 64, 0.3, 1313), 100, val_mse=mse)
        opt = optimizer("momentum:1e-7", net)
        return Training(net, demand(12, 16, 0.3, 1314), opt, mse, steps=STEPS, every=50, metrics=metrics)

    late = (HEALTHY, HEALTHY, RATE_CHANGED)
    yield from judged_at(self, "gru growing", late, growing, Expected(final=(1.5, HUGE), nonfinite=None))
    yield from judged_at(self, "agent raised", late, raised, Expected(final=(0, 0.4), measure="reward"))
    yield from judged_at(self, "lstm fine-tuned", (LR_HIGH, LR_HIGH, LR_HIGH), tuned, Expected(final=(1.2, HUGE)))
    yield from judged_at(self, "gru sgd 1e-7", (LR_LOW, LR_LOW, LR_LOW), low, Expected(final=(1.3, 3)))


@family("non-finite")
def divides_by_no_positives(self: Family) -> Iterator[Case]:
    """A mean over the positives of a batch, of which one at 70% has none."""

    def build() -> Training:
        net = Net("gru", 1, 16, 1)

        def loss(output: Tensor, target: Tensor) -> Tensor:
            each = functional.binary_cross_entropy_with_logits(output, target, reduction="none")
            return (each * target).sum() / target.sum() + (each * (1 - target)).mean()

        batch = from_step(alarms(12, 24, 0.4, 1315, height=3.0), 2100, lambda x, y: (x, torch.zeros_like(y)), 2100)
        return Training(net, batch, optimizer("adam:0.002", net), loss, steps=STEPS, every=50)

    labels = (HEALTHY, HEALTHY, BROKEN.also(actions="check-data"))
    yield from judged_at(self, "gru", labels, build, Expected(nonfinite=None))


@family("spike")
def one_outlier(self: Family) -> Iterator[Case]:
    """A batch of targets and inputs a thousand times too large at 55%, without clipping: it does not recover."""

    def build() -> Training:
        net = Net("lstm", 1, 16, 1, last=False)
        batch = from_step(demand(12, 16, 0.3, 1316), 1650, lambda x, y: (1000 * x, 1000 * y), 1650)
        opt = optimizer("momentum:0.03", net)
        return Training(net, batch, opt, mse, steps=STEPS, every=50)

    spiked = CHANGED.also(
        outcomes="stuck",
        causes=("exploding", "learning-rate-high", "saturated-gates", None),
        actions="clip check-batch lower-learning-rate",
    )
    yield from judged_at(self, "lstm", (HEALTHY, HEALTHY, spiked), build, Expected(final=(1.0, HUGE), nonfinite=None))


@family("vanishing")
def never_hears_the_start(self: Family) -> Iterator[Case]:
    """The first symbol at the end, under a tanh of small matrices."""

    def small() -> Training:
        net = start(Net("tanh", 8, 24, 4, symbols=8), "orth", 0.25)
        opt = optimizer("momentum:0.01", net)
        return Training(net, remember(20, 16, 4, 1317).batch, opt, steps=STEPS, every=50)

    yield from judged_at(self, "tanh", (FADES, FADES, FADES), small, Expected(final=(1.3, 1.5), kept=(0, 1e-4)))


@family("truncation")
def never_sees_the_start(self: Family) -> Iterator[Case]:
    """The first symbol at the end, with the state detached midway."""

    def build() -> Training:
        net = Loop("lstm", 8, 16, 4, symbols=8, cut=lambda t, T: t == 6)
        opt = optimizer("adam:0.002", net)
        return Training(net, remember(14, 16, 4, 1318).batch, opt, steps=STEPS, every=50)

    yield from judged_at(self, "lstm loop", (CUT, CUT, CUT), build, Expected(final=(1.25, 1.5)))


@family("clipping")
def barely_moves(self: Family) -> Iterator[Case]:
    """A threshold of 1e-5 under SGD."""

    def build() -> Training:
        net = Net("lstm", 12, 20, 2, symbols=24)
        metrics = scored(reviews(10, 128, 1319), 100, val_acc=accuracy)
        opt = optimizer("sgd:0.5", net)
        return Training(net, reviews(10, 16, 1320), opt, steps=STEPS, every=50, clip="norm:1e-5", metrics=metrics)

    yield from judged_at(self, "lstm", (CLIP_LOW, CLIP_LOW, CLIP_LOW), build, Expected(final=(0.66, 0.72)))


@family("optimizer")
def sums_of_gradients(self: Family) -> Iterator[Case]:
    """zero_grad forgotten under a small rate: the loss swings."""

    def build() -> Training:
        net = Net("gru", 2, 16, 3)
        opt: Optimizer = optimizer("sgd:0.0005", net)
        return Training(net, gestures(10, 16, 3, 0.4, 1321), opt, steps=STEPS, every=50, zero=False)

    yield from judged_at(self, "gru", (SWINGS, SWINGS, SWINGS), build, Expected(final=ANY, nonfinite=None))


@family("data")
def vocabulary_by_batch(self: Family) -> Iterator[Case]:
    """Each batch has a vocabulary of its own: a symbol means nothing."""

    def build() -> Training:
        net = Net("gru", 12, 20, 2, symbols=24)
        batch = from_step(reviews(10, 16, 1322), 0, lambda x, y: (torch.randperm(24)[x], y))
        metrics = scored(batch, 50, val_loss=ce, val_acc=accuracy)
        opt = optimizer("adam:0.002", net)
        return Training(net, batch, opt, steps=STEPS, every=50, metrics=metrics)

    yield from judged_at(self, "gru", (AT_CHANCE, AT_CHANCE, AT_CHANCE), build, Expected(final=(0.67, 0.72)))
