"""Trainings of 3,000 steps that learn, as in common applications, judged at 10, 50 and 100%."""

import math
from collections.abc import Iterator

import torch
from torch import nn, optim
from torch.nn import functional

from benchmarks.verdicts.case import ANY, Case, Expected, Families, Family
from benchmarks.verdicts.everyday import (
    addends,
    alarms,
    characters,
    copying,
    demand,
    games,
    gestures,
    goals,
    masked,
    ordered,
    outliers,
    pages,
    returns,
    reviews,
    shifted,
    smooth,
    tags,
)
from benchmarks.verdicts.everyday import both as two_targets
from benchmarks.verdicts.everyday_nets import (
    Agent,
    Carried,
    Leaky,
    Sorter,
    Walker,
    accuracy,
    averaged,
    decoded,
    error_rate,
    f1,
    perplexity,
    played,
    r2,
    rmse,
    scored,
    two_losses,
    walked,
)
from benchmarks.verdicts.kinds_of_training import Autoencoder, annealed, ctc, judged_at, spoken, waves
from benchmarks.verdicts.labels import HEALTHY, UNMEASURED
from benchmarks.verdicts.long_tasks import pretrained
from benchmarks.verdicts.nets import Net
from benchmarks.verdicts.optimizers import cosine, optimizer, restarts, schedule
from benchmarks.verdicts.sequences import by_step
from benchmarks.verdicts.tasks import ce, markov, mse, nll
from benchmarks.verdicts.training import Training

FAMILIES = Families("blind")
family = FAMILIES.family

STEPS = 3000
FINE = (HEALTHY, HEALTHY, HEALTHY)
OPEN = (UNMEASURED, UNMEASURED, UNMEASURED)
bce = functional.binary_cross_entropy_with_logits


@family("healthy")
def language_models(self: Family) -> Iterator[Case]:
    """Letters with a carried state, clipped at 0.25 under SGD and a rate that falls in steps; hidden symbols."""

    def carried() -> Training:
        net = Carried(Net("lstm", 12, 32, 13, symbols=13, last=False))
        rate = schedule(lambda step: 4.0 * 0.3 ** (step // 1000))
        opt = optimizer("sgd:4.0", net)
        return Training(
            net,
            pages(12, 16),
            opt,
            steps=STEPS,
            every=50,
            clip="norm:0.25",
            before=rate,
            forward=lambda net, x, y, step: (loss := ce(net(x), y), {"ppl": float(loss.detach().exp())}),
        )

    def hidden() -> Training:
        net = Net("gru", 8, 16, 9, symbols=9, last=False, bidirectional=True)
        chain = markov(12, 16, 8, 1202, sharp=3.0).batch
        metrics = scored(masked(markov(12, 128, 8, 1203, sharp=3.0).batch, 8, 0.2, 5), 50, eval_loss=ce)
        opt = optimizer("adamw:0.003", net)
        return Training(net, masked(chain, 8, 0.2, 6), opt, steps=STEPS, every=50, metrics=metrics)

    yield from judged_at(self, "lstm carried", FINE, carried, Expected(final=(0, 0.75)))
    yield from judged_at(self, "gru masked symbols", FINE, hidden, Expected(final=(0, 1.0)))


@family("healthy")
def trains_a_tagger(self: Family) -> Iterator[Case]:
    """Warmup, cosine and weight decay with a held-out set; smoothed labels under a rate that falls in steps."""

    def cosined() -> Training:
        net = Net("lstm", 8, 24, 5, symbols=20, last=False)
        metrics = scored(tags(10, 64, 1204), 50, val_loss=ce, val_acc=accuracy)
        opt = optim.AdamW(net.parameters(), 0.003, weight_decay=0.1)
        before = cosine(0.003, STEPS, 200)
        return Training(net, tags(10, 16, 1205), opt, steps=STEPS, every=50, before=before, metrics=metrics)

    def smoothed() -> Training:
        net = Net("gru", 2, 16, 4)
        metrics = scored(gestures(12, 128, 4, 0.5, 1206), 100, valid_error=error_rate)
        before = schedule(lambda step: 0.1 * 0.2 ** (step // 1200))
        opt = optimizer("nesterov:0.1", net)
        return Training(
            net, gestures(12, 16, 4, 0.5, 1207), opt, smooth, steps=STEPS, every=25, before=before, metrics=metrics
        )

    yield from judged_at(self, "lstm cosine", FINE, cosined, Expected(final=(0, 0.1)))
    yield from judged_at(self, "gru smoothed", FINE, smoothed, Expected(final=(0.3, 0.6)))


@family("healthy")
def noisy_targets(self: Family) -> Iterator[Case]:
    """A quarter of the labels drawn at random in batches that are new; a target of which a tenth is explained."""

    def labels() -> Training:
        net = Net("gru", 12, 24, 2, symbols=24)
        metrics = scored(reviews(10, 256, 1208, wrong=0.25), 50, val_loss=functional.cross_entropy, val_acc=accuracy)
        opt = optimizer("adam:0.003", net)
        return Training(net, reviews(10, 32, 1209, wrong=0.25), opt, steps=STEPS, every=50, metrics=metrics)

    def market() -> Training:
        net = Net("lstm", 3, 8, 1)
        metrics = scored(returns(8, 512, 0.1, 1210), 50, val_loss=mse, val_r2=r2)
        opt = optimizer("adam:0.001", net)
        return Training(net, returns(8, 64, 0.1, 1211), opt, mse, steps=STEPS, every=50, metrics=metrics)

    yield from judged_at(self, "gru wrong labels", FINE, labels, Expected(final=(0.3, 0.5)))
    yield from judged_at(self, "lstm market", OPEN, market, Expected(final=(0.05, 0.16), measure="val_r2"))


@family("healthy")
def forecasts(self: Family) -> Iterator[Case]:
    """A running mean for the loss and one cycle of the rate; a likelihood below 0; a level that drifts; outliers."""

    def cycle() -> Training:
        net = Net("gru", 1, 20, 1, last=False)
        metrics = scored(demand(14, 128, 0.3, 1212), 50, val_mse=mse, val_rmse=rmse)
        before = schedule(lambda step: 0.02 * math.sin(math.pi * (step + 1) / (STEPS + 2)) ** 2 + 1e-4)
        opt = optimizer("adam:0.02", net)
        return Training(
            net,
            demand(14, 16, 0.3, 1213),
            opt,
            mse,
            steps=STEPS,
            every=50,
            before=before,
            metrics=metrics,
            logged=averaged(0.98),
        )

    def likelihood() -> Training:
        net = Net("lstm", 1, 20, 2, last=False)
        metrics = scored(demand(14, 64, 0.1, 1214), 100, val_nll=nll)
        opt = optimizer("adam:0.003", net)
        return Training(
            net, demand(14, 16, 0.1, 1215), opt, nll, steps=STEPS, every=50, clip="norm:10.0", metrics=metrics
        )

    def drift() -> Training:
        net = Net("gru", 1, 20, 1, last=False)
        opt = optimizer("adam:0.003", net)
        batch = shifted(demand(14, 16, 0.3, 1216), lambda step: 3.0 * step / STEPS)
        return Training(net, batch, opt, mse, steps=STEPS, every=50)

    def spikes() -> Training:
        net = Net("lstm", 1, 20, 1, last=False)
        metrics = scored(demand(14, 128, 0.3, 1217), 50, val_mse=mse)
        opt = optimizer("adam:0.003", net)
        batch = outliers(demand(14, 16, 0.3, 1218), 290, 12.0)
        return Training(net, batch, opt, mse, steps=STEPS, every=50, clip="norm:1.0", metrics=metrics)

    yield from judged_at(self, "gru one cycle", FINE, cycle, Expected(final=(0, 0.25)))
    yield from judged_at(self, "lstm likelihood", FINE, likelihood, Expected(final=(-3, -1)))
    yield from judged_at(self, "gru drift", FINE, drift, Expected(final=(0, 0.3)))
    seen = HEALTHY.also(actions="check-batch check-data")  # that some batches are odd is true
    yield from judged_at(self, "lstm outliers", (seen, seen, seen), spikes, Expected(final=(0, 0.3), measure="val_mse"))


@family("healthy")
def long_memory(self: Family) -> Iterator[Case]:
    """Copies whose gap grows twice; additions, which come after a plateau."""

    def copy() -> Training:
        net = Net("gru", 8, 32, 6, symbols=6, last=False)
        stages = [copying(2, gap, 16, 4, 1219 + gap) for gap in (1, 4, 8)]
        opt = optimizer("adam:0.005", net)
        return Training(net, by_step(lambda step: stages[step // 1000]), opt, steps=STEPS, every=50)

    def add() -> Training:
        net = Net("lstm", 2, 32, 1)
        opt = optimizer("adam:0.003", net)
        return Training(net, addends(16, 16, 1229), opt, mse, steps=STEPS, every=50, clip="norm:1.0")

    yield from judged_at(self, "copy curriculum", FINE, copy, Expected(final=(0, 0.1)))
    # after a tenth nothing but the mean is learned: that it is stuck so far is right too
    early = UNMEASURED.also(outcomes="stuck", actions="overfit-one-batch check-data")
    yield from judged_at(self, "add lstm", (early, HEALTHY, HEALTHY), add, Expected(final=(0, 0.04)))


@family("healthy")
def agents_learn(self: Family) -> Iterator[Case]:
    """Actor and critic with episodes that end; a walk to a goal that is seen once, by REINFORCE."""

    def episodes() -> Training:
        net = Agent(4, 16, 4)
        opt = optimizer("adam:0.0007", net)
        return Training(
            net,
            games(8, 8, 4, 0.1, 1230),
            opt,
            steps=STEPS,
            every=50,
            forward=played(0.02, name="reward"),
            clip="norm:0.5",
        )

    def walks() -> Training:
        net = Walker(16)
        opt = optimizer("adam:0.003", net)
        watch = {"goal": "episode_return", "better": "higher"}
        return Training(
            net, goals(16, 3, 1231), opt, steps=STEPS, every=50, forward=walked(6, 0.01), watch=watch, clip="norm:5.0"
        )

    yield from judged_at(self, "actor critic", FINE, episodes, Expected(final=(0.6, 1), measure="reward"))
    yield from judged_at(self, "walker", FINE, walks, Expected(final=(-1.4, 0), measure="episode_return"))


@family("healthy")
def transcribes_and_detects(self: Family) -> Iterator[Case]:
    """CTC whose rate falls in steps; rare alarms with F1."""

    def frames() -> Training:
        net = Net("lstm", 3, 16, 4, last=False)
        before = schedule(lambda step: 0.005 * 0.5 ** (step // 750))
        opt = optimizer("adam:0.005", net)
        return Training(net, spoken(4, 8, 3, 1232, noise=0.5), opt, steps=STEPS, every=50, forward=ctc, before=before)

    def rare() -> Training:
        net = Net("gru", 1, 16, 1)
        metrics = scored(alarms(12, 512, 0.06, 1233, height=3.0), 50, val_loss=bce, f1=f1)
        opt = optimizer("rmsprop:0.002", net)
        return Training(net, alarms(12, 32, 0.06, 1234, height=3.0), opt, bce, steps=STEPS, every=50, metrics=metrics)

    yield from judged_at(self, "ctc lstm", FINE, frames, Expected(final=(0.6, 1), measure="accuracy"))
    yield from judged_at(self, "alarms gru", FINE, rare, Expected(final=(0.8, 1), measure="f1"))


@family("healthy")
def codes_and_sorting(self: Family) -> Iterator[Case]:
    """A variational code under cycles of its weight; sorting with more and more of its own answers."""

    def cycles() -> Training:
        net = Autoencoder("gru", 1, 20, 3, 10)
        opt = optimizer("adam:0.002", net)
        forward = annealed(lambda step: min(1.0, 2 * (step % 750) / 750))
        return Training(net, waves(10, 16, 1235).batch, opt, steps=STEPS, every=50, forward=forward)

    def sort() -> Training:
        net = Sorter(6, 32)

        def before(step: int, net: nn.Module, opt: object) -> None:
            net.sampled = 0.8 * step / STEPS

        opt = optimizer("adam:0.002", net)
        batch = ordered(4, 16, 6, 1236)
        return Training(net, batch, opt, steps=STEPS, every=50, before=before, forward=decoded, clip="norm:5.0")

    yield from judged_at(self, "variational cycles", FINE, cycles, Expected(final=(-12, 0), measure="elbo"))
    yield from judged_at(self, "sorter", FINE, sort, Expected(final=(0.8, 1), measure="exact_match"))


@family("healthy")
def starts_from_a_checkpoint(self: Family) -> Iterator[Case]:
    """A new head, and the encoder freed after 900 steps; a run that is resumed near its floor."""

    def thawed() -> Training:
        net = pretrained(Net("lstm", 2, 20, 3), gestures(12, 32, 3, 0.5, 1237), ce, 300)
        net.recurrent.requires_grad_(False)
        net.head = nn.Linear(20, 5)

        def before(step: int, net: nn.Module, opt: object) -> None:
            if step == 900:
                net.recurrent.requires_grad_(True)

        metrics = scored(gestures(12, 128, 5, 0.5, 1238), 50, val_loss=ce, val_acc=accuracy)
        opt = optimizer("adam:0.003", net)
        batch = gestures(12, 16, 5, 0.5, 1239)
        return Training(net, batch, opt, steps=STEPS, every=50, before=before, metrics=metrics)

    def resumed() -> Training:
        net = pretrained(Net("gru", 12, 24, 13, symbols=13, last=False), characters(12, 32, 1240), ce, 600)
        metrics = scored(characters(12, 128, 1241), 100, val_ppl=perplexity)
        opt = optimizer("adam:0.0005", net)
        return Training(net, characters(12, 16, 1242), opt, steps=STEPS, every=50, metrics=metrics)

    yield from judged_at(self, "lstm thawed", FINE, thawed, Expected(final=(0, 0.3)))
    yield from judged_at(self, "gru resumed", OPEN, resumed, Expected(final=(0, 0.75)))


@family("healthy")
def more_than_one_target(self: Family) -> Iterator[Case]:
    """A class, and a number whose weight in the loss falls to a tenth; a class that comes after 1,200 steps."""

    def weighed() -> Training:
        net = Net("gru", 2, 24, 4)
        forward = two_losses(lambda step: max(0.2, 2.0 - 1.8 * step / 2000))
        opt = optimizer("adam:0.005", net)
        return Training(net, two_targets(9, 32, 1243), opt, steps=STEPS, every=50, forward=forward)

    def later() -> Training:
        net = Net("gru", 2, 24, 4)
        first, then = gestures(10, 16, 3, 0.3, 1244), gestures(10, 16, 4, 0.3, 1245)
        opt = optimizer("adam:0.005", net)
        return Training(net, by_step(lambda step: first if step < 1200 else then), opt, steps=STEPS, every=50)

    yield from judged_at(self, "gru weights", FINE, weighed, Expected(final=(0, 0.6)))
    yield from judged_at(self, "gru new class", FINE, later, Expected(final=(0, 0.3)))


@family("healthy")
def staircase(self: Family) -> Iterator[Case]:
    """A chain of symbols under momentum, two batches an update, with a rate that falls to a tenth twice."""

    def build() -> Training:
        net = Net("tanh", 12, 24, 12, symbols=12, last=False)
        before = schedule(lambda step: 0.05 * 0.1 ** (step // 1000))
        opt = optimizer("momentum:0.05", net)
        batch = markov(10, 8, 12, 1246).batch
        return Training(net, batch, opt, steps=STEPS, every=50, before=before, accumulate=2)

    yield from judged_at(self, "tanh", FINE, build, Expected(final=(1.2, 1.8)), parts=(ANY, ANY, (1.2, 1.8)))


@family("healthy")
def rates_that_return(self: Family) -> Iterator[Case]:
    """Warm restarts, after which the loss rises for a while; dropout, under which it stays above the held-out loss."""

    def restarted() -> Training:
        net = Net("lstm", 12, 24, 2, symbols=24)
        metrics = scored(reviews(10, 128, 1247), 50, val_loss=ce, val_acc=accuracy)
        opt = optimizer("adam:0.01", net)
        before = restarts(0.01, 600)
        return Training(net, reviews(10, 16, 1248), opt, steps=STEPS, every=50, before=before, metrics=metrics)

    def dropped() -> Training:
        net = Net("gru", 8, 24, 5, symbols=20, last=False, num_layers=2, dropout=0.4)
        metrics = scored(tags(8, 64, 1249), 50, val_loss=ce, val_acc=accuracy)
        opt = optimizer("nadam:0.002", net)
        return Training(net, tags(8, 16, 1250), opt, steps=STEPS, every=50, metrics=metrics)

    yield from judged_at(self, "lstm warm restarts", FINE, restarted, Expected(final=(0, 0.25)))
    yield from judged_at(self, "gru dropout", FINE, dropped, Expected(final=(0, 0.3), measure="val_loss"))


@family("healthy")
def small_batches(self: Family) -> Iterator[Case]:
    """Four sequences a batch and a rate that does not fall: the loss stays noisy; a leaky recurrence by hand."""

    def noisy() -> Training:
        net = Net("tanh", 1, 20, 1, last=False)
        return Training(net, demand(10, 4, 0.4, 1251), optimizer("sgd:0.05", net), mse, steps=STEPS, every=20)

    def leaky() -> Training:
        net = Leaky(torch.tanh, 2, 20, 3)
        opt = optimizer("adamax:0.003", net)
        metrics = scored(gestures(10, 128, 3, 0.5, 1252), 100, test_error=error_rate)
        return Training(net, gestures(10, 8, 3, 0.5, 1253), opt, steps=STEPS, every=50, metrics=metrics)

    yield from judged_at(self, "tanh four sequences", FINE, noisy, Expected(final=(0, 0.45)))
    yield from judged_at(self, "leaky by hand", FINE, leaky, Expected(final=(0, 0.3)))
