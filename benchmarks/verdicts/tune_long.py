"""Long trainings, judged at 10, 50 and 100%; they may be looked at while rules are written."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.kinds_of_training import (
    Autoencoder,
    against,
    annealed,
    classify,
    ctc,
    drawn_from,
    forecast,
    hit,
    judged_at,
    noisy_set,
    policy_gradient,
    ramp,
    spoken,
    waves,
)
from benchmarks.verdicts.labels import AT_CHANCE, HEALTHY, OVERFITS, UNMEASURED
from benchmarks.verdicts.nets import Net
from benchmarks.verdicts.optimizers import optimizer, restarts
from benchmarks.verdicts.tasks import autoregression, echo, majority, markov, mse, random_labels
from benchmarks.verdicts.training import Training
from benchmarks.verdicts.tune_healthy import pretrained

FAMILIES = Families("tune")
family = FAMILIES.family
EARLY = Label((*HEALTHY.outcomes, "overfits", "unknown"), (None,), HEALTHY.actions, failed=False)
SAME = (HEALTHY, HEALTHY, HEALTHY)


@family("long: overfitting")
def overfits_a_small_set(self: Family) -> Iterator[Case]:
    """Few sequences, some with a wrong label; the validation loss falls, turns, and rises far above where it began."""
    for cell, steps in (("gru", 3000), ("tanh", 3000)):

        def build(cell=cell, steps=steps) -> Training:
            net = Net(cell, 3, 24, 3)
            whole = noisy_set(majority(12, 96).batch(0), 3, 0.3)
            metrics = against(net, majority(12, 128, seed=50).batch(0), classify)
            batch = drawn_from(whole, 16)
            return Training(net, batch, optimizer("adam:0.003", net), steps=steps, every=50, metrics=metrics)

        expected = Expected(measure="val_loss", final=(1.3, 20))
        yield from judged_at(self, cell, (EARLY, OVERFITS, OVERFITS), build, expected)


@family("long: annealing")
def autoencoder_under_annealing(self: Family) -> Iterator[Case]:
    """The weight of the KL rises from 0 to 1: the loss rises with it while the bound improves."""
    for cell, start, end in (("gru", 500, 2500),):

        def build(cell=cell, start=start, end=end) -> Training:
            net = Autoencoder(cell, 1, 24, 2, 10)
            forward = annealed(ramp(start, end))
            return Training(
                net, waves(10, 16).batch, optimizer("adam:0.002", net), steps=3000, every=50, forward=forward
            )

        expected = Expected(measure="elbo", final=(-20, -2))
        yield from judged_at(self, cell, (UNMEASURED, UNMEASURED, UNMEASURED), build, expected)


@family("long: policy gradient")
def rewarded_for_the_majority(self: Family) -> Iterator[Case]:
    """An agent that learns to name the majority: its loss is noise about 0, its reward goes to near 1."""
    for cell, spec in (("gru", "adam:0.003"), ("lstm", "adam:0.005")):

        def build(cell=cell, spec=spec) -> Training:
            net, forward = Net(cell, 3, 24, 3), policy_gradient(3, hit)
            return Training(net, majority(10, 32).batch, optimizer(spec, net), steps=3000, every=50, forward=forward)

        yield from judged_at(self, f"{cell} {spec}", SAME, build, Expected(measure="reward", final=(0.75, 1.0)))


@family("long: policy gradient")
def rewarded_at_random(self: Family) -> Iterator[Case]:
    """The reward has nothing to do with what the agent sees: it stays where an agent that guesses is."""

    def build() -> Training:
        net, forward = Net("gru", 4, 16, 4), policy_gradient(4, hit)
        config = {"goal": "reward", "better": "higher", "chance": 0.25}
        batch = random_labels(8, 32).batch
        return Training(net, batch, optimizer("adam:0.002", net), steps=3000, every=50, forward=forward, config=config)

    # the loss of an agent says nothing
    labels = (AT_CHANCE.also(outcomes="unknown"), AT_CHANCE, AT_CHANCE)
    yield from judged_at(self, "gru", labels, build, Expected(measure="reward", final=(0.2, 0.3)))


@family("long: CTC")
def reads_frames(self: Family) -> Iterator[Case]:
    """CTC first gives blanks everywhere, then reads."""

    def build() -> Training:
        net = Net("gru", 3, 24, 4, last=False)
        return Training(net, spoken(3, 16), optimizer("adam:0.005", net), steps=3000, every=50, forward=ctc)

    yield from judged_at(self, "gru", SAME, build, Expected(measure="accuracy", final=(0.9, 1.0)))


@family("long: resumed")
def goes_on_from_a_checkpoint(self: Family) -> Iterator[Case]:
    """Starts where an earlier run ended, at the floor of its loss, and stays there; the validation loss too."""
    for cell, spec in (("lstm", "adam:0.001"),):

        def build(cell=cell, spec=spec) -> Training:
            net, task = Net(cell, 1, 16, 1, last=False), autoregression(12, 8)
            pretrained(net, task.batch, mse, "adam:0.01", 600)
            metrics = against(net, autoregression(12, 256, seed=50).batch(0), forecast)
            return Training(net, task.batch, optimizer(spec, net), mse, steps=3000, every=50, metrics=metrics)

        label = (UNMEASURED, UNMEASURED, UNMEASURED)
        yield from judged_at(self, f"{cell} {spec}", label, build, Expected(measure="val_loss", final=(0.08, 0.14)))


@family("long: spike")
def spike_and_recovery(self: Family) -> Iterator[Case]:
    """At 48% of the run a few updates with a learning rate 100 times too high throw the loss up; it recovers."""

    def build() -> Training:
        net, task = Net("gru", 12, 24, 12, symbols=12, last=False), markov(12, 8)

        def before(step: int, net: nn.Module, opt: torch.optim.Optimizer) -> None:
            opt.param_groups[0]["lr"] = 0.3 if 1440 <= step < 1443 else 0.005

        metrics = against(net, markov(12, 128, seed=50).batch(0), classify)
        opt = optimizer("adam:0.005", net)
        return Training(net, task.batch, opt, steps=3000, every=20, before=before, metrics=metrics)

    mid = Label(
        (*HEALTHY.outcomes, "unknown"), (None, "learning-rate-high", "changed-during-training"), ("*",), failed=False
    )
    yield from judged_at(self, "gru", (HEALTHY, mid, HEALTHY), build, Expected(measure="val_loss", final=(1.3, 1.9)))


@family("long: shift")
def other_data_from_half_on(self: Family) -> Iterator[Case]:
    """At 60% the symbols are renamed: what was learned is wrong at once, and is learned anew."""

    def build() -> Training:
        net, task = Net("gru", 8, 24, 4, symbols=4, last=False), echo(12, 8, lag=1)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = task.batch(step)
            return (x, y) if step < 1800 else (x, (y + 1) % 4)

        return Training(net, batch, optimizer("adam:0.003", net), steps=3000, every=50)

    last = HEALTHY.also(causes=("changed-during-training",), actions="revert-change check-data")
    yield from judged_at(self, "gru", (HEALTHY, HEALTHY, last), build, Expected(final=(0, 0.1)))


@family("long: fine-tuning")
def tunes_to_a_neighbour(self: Family) -> Iterator[Case]:
    """A model of one series is tuned to another with other noise: a small fall at the start, then the floor."""

    def build() -> Training:
        net = Net("gru", 1, 16, 1, last=False)
        pretrained(net, autoregression(12, 8, noise=0.2).batch, mse, "adam:0.01", 500)
        opt = optimizer("adam:0.0003", net)
        return Training(net, autoregression(12, 8, noise=0.3).batch, opt, mse_loss, steps=4000, every=50)

    yield from judged_at(self, "gru", (UNMEASURED,) * 3, build, Expected(final=(0.07, 0.13)))


@family("long: restarts")
def warm_restarts(self: Family) -> Iterator[Case]:
    """The learning rate goes back to its top every 1000 steps, and the loss goes up a little each time."""

    def build() -> Training:
        net, task = Net("tanh", 12, 24, 12, symbols=12, last=False), markov(12, 8)
        metrics = against(net, markov(12, 128, seed=50).batch(0), classify)
        before = restarts(0.02, 1000)
        opt = optimizer("adam:0.02", net)
        return Training(net, task.batch, opt, steps=3000, every=50, before=before, metrics=metrics)

    yield from judged_at(self, "tanh", SAME, build, Expected(measure="val_loss", final=(1.3, 1.9)))


@family("long: at chance")
def never_learns(self: Family) -> Iterator[Case]:
    """New random labels all the time, with accuracy logged, whose chance is told."""

    def build() -> Training:
        net = Net("lstm", 4, 16, 4)
        metrics = against(net, random_labels(8, 400, seed=50).batch(0), classify, names=("val_acc", "val_loss"))
        config = {"goal": "val_acc", "better": "higher", "chance": 0.25, "chance_loss": "ln 4"}
        batch = random_labels(8, 16).batch
        return Training(net, batch, optimizer("adam:0.001", net), steps=3000, every=50, metrics=metrics, config=config)

    yield from judged_at(self, "lstm", (AT_CHANCE,) * 3, build, Expected(measure="val_acc", final=(0.18, 0.32)))
