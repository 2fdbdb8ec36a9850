"""Long trainings, judged at 10, 50 and 100%. Held out: whoever writes rules does not read this."""

from collections.abc import Iterator

import torch
from torch import Tensor
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
from benchmarks.verdicts.labels import AT_CHANCE, BAD_BATCH, CHANGED, HEALTHY, LR_HIGH, OVERFITS, UNMEASURED
from benchmarks.verdicts.nets import Net, keep
from benchmarks.verdicts.optimizers import changed, optimizer
from benchmarks.verdicts.tasks import autoregression, ce, echo, generator, majority, markov, remember
from benchmarks.verdicts.training import Training

FAMILIES = Families("held-out")
family = FAMILIES.family
SAME = (HEALTHY, HEALTHY, HEALTHY)
EARLY = Label((*HEALTHY.outcomes, "overfits", "unknown"), (None,), HEALTHY.actions, failed=False)


@family("long: overfitting")
def forecaster_of_few_series(self: Family) -> Iterator[Case]:
    """A forecaster of 24 noisy series: the training loss falls below the noise, the validation loss turns and rises."""

    def build() -> Training:
        net = Net("lstm", 1, 40, 1, last=False)
        metrics = against(net, autoregression(12, 200, noise=0.8, seed=60).batch(0), forecast)
        batch = drawn_from(autoregression(12, 16, noise=0.8).batch(0), 8)
        opt = optimizer("adam:0.005", net)
        return Training(net, batch, opt, mse_loss, steps=3500, every=50, metrics=metrics)

    expected = Expected(measure="val_loss", final=(1.2, 30))
    yield from judged_at(self, "lstm", (EARLY, OVERFITS, OVERFITS), build, expected)


@family("long: overfitting")
def classifier_of_noisy_labels(self: Family) -> Iterator[Case]:
    """A classifier that learns wrong labels by heart, with the accuracy of other sequences logged beside their loss."""

    def build() -> Training:
        net = Net("lstm", 4, 32, 4)
        whole = noisy_set(majority(10, 80, classes=4).batch(0), 4, 0.4)
        metrics = against(net, majority(10, 150, classes=4, seed=61).batch(0), classify, names=("val_loss", "val_acc"))
        opt = optimizer("adamw:0.004", net)
        return Training(net, drawn_from(whole, 16), opt, steps=3000, every=50, metrics=metrics)

    expected = Expected(measure="val_loss", final=(1.6, 30))
    yield from judged_at(self, "lstm", (EARLY, OVERFITS, OVERFITS), build, expected)


@family("long: annealing")
def bound_under_a_rising_weight(self: Family) -> Iterator[Case]:
    """The KL weight rises in the first third or from the middle on; the bound improves all along."""
    for cell, start, end in (("lstm", 0, 1000), ("tanh", 1500, 2800)):

        def build(cell=cell, start=start, end=end) -> Training:
            net = Autoencoder(cell, 1, 24, 3, 8)
            forward = annealed(ramp(start, end))
            opt = optimizer("adam:0.003", net)
            return Training(net, waves(8, 16, seed=5).batch, opt, steps=3000, every=50, forward=forward)

        expected = Expected(measure="elbo", final=(-25, -1))
        yield from judged_at(self, cell, (UNMEASURED,) * 3, build, expected)


@family("long: policy gradient")
def agent_remembers(self: Family) -> Iterator[Case]:
    """An agent rewarded for naming the first of four cues; its entropy is rewarded a little."""

    def build() -> Training:
        net = keep(Net("gru", 6, 24, 2, symbols=4), 1.0)
        forward = policy_gradient(2, hit, entropy=0.01)
        batch = remember(6, 32, 2).batch
        return Training(net, batch, optimizer("adam:0.004", net), steps=3000, every=50, forward=forward)

    yield from judged_at(self, "gru", SAME, build, Expected(measure="reward", final=(0.9, 1.0)))


@family("long: policy gradient")
def agent_without_a_cue(self: Family) -> Iterator[Case]:
    """The cue is not shown: the reward stays at what guessing brings, which is told."""

    def build() -> Training:
        net, task = Net("lstm", 6, 16, 3, symbols=6), remember(6, 32, 3)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = task.batch(step)
            return x.clamp_min(3), y

        config = {"goal": "reward", "better": "higher", "chance": 1 / 3}
        forward, opt = policy_gradient(3, hit), optimizer("adam:0.002", net)
        return Training(net, batch, opt, steps=3000, every=50, forward=forward, config=config)

    labels = (AT_CHANCE.also(outcomes="unknown"), AT_CHANCE, AT_CHANCE)
    yield from judged_at(self, "lstm", labels, build, Expected(measure="reward", final=(0.28, 0.39)))


@family("long: CTC")
def stuck_on_blanks(self: Family) -> Iterator[Case]:
    """CTC whose frames are noise: it gives blanks, or the likeliest of all readings; none is right."""

    def build() -> Training:
        net, draw, task = Net("gru", 3, 16, 4, last=False), generator(8), spoken(4, 16)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = task(step)
            return torch.randn(x.shape, generator=draw), y

        config = {"goal": "accuracy", "better": "higher", "chance": 0.05}
        opt = optimizer("adam:0.002", net)
        return Training(net, batch, opt, steps=3000, every=50, forward=ctc, config=config)

    yield from judged_at(self, "gru", (AT_CHANCE,) * 3, build, Expected(measure="accuracy", final=(0, 0.12)))


@family("long: resumed")
def resumed_language_model(self: Family) -> Iterator[Case]:
    """A next-symbol model taken up at its floor, with the optimizer begun anew; both losses are flat."""

    def build() -> Training:
        net, task = Net("gru", 12, 24, 12, symbols=12, last=False), markov(10, 8)
        opt = optimizer("adam:0.005", net)
        for step in range(800):
            x, y = task.batch(step)
            opt.zero_grad()
            ce(net(x), y).backward()
            opt.step()
        metrics = against(net, markov(10, 128, seed=62).batch(0), classify)
        return Training(net, task.batch, optimizer("adam:0.0005", net), steps=3000, every=50, metrics=metrics)

    yield from judged_at(self, "gru", (UNMEASURED,) * 3, build, Expected(measure="val_loss", final=(1.3, 1.8)))


@family("long: spike")
def a_spike_that_lasts(self: Family) -> Iterator[Case]:
    """At 40% the learning rate is set 300 times higher and stays there: what was learned is lost."""

    def build() -> Training:
        net, task = Net("gru", 6, 24, 4, symbols=4, last=False), echo(10, 8, lag=1)
        before = changed(0.01, 3.0, 1200)
        config = {"chance_loss": "ln 4"}
        opt = optimizer("adam:0.01", net)
        return Training(net, task.batch, opt, steps=3000, every=20, before=before, config=config)

    lost = LR_HIGH.also(causes=("changed-during-training", "saturated-gates"), actions="revert-change")
    expected = Expected(final=(1.2, 1e39), nonfinite=None)
    yield from judged_at(self, "gru", (HEALTHY, lost, lost), build, expected)


@family("long: spike")
def one_outlier_and_back(self: Family) -> Iterator[Case]:
    """At 45% two batches of outliers throw the loss up for some hundred steps; at half it is nearly back."""

    def build() -> Training:
        net, task = Net("lstm", 1, 16, 1, last=False), autoregression(10, 8)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = task.batch(step)
            return (50 * x, 50 * y) if step in (1350, 1351) else (x, y)

        metrics = against(net, autoregression(10, 200, seed=63).batch(0), forecast)
        opt = optimizer("momentum:0.02", net)
        return Training(net, batch, opt, mse_loss, steps=3000, every=25, metrics=metrics, clip="norm:5.0")

    mid = Label((*HEALTHY.outcomes, "unknown"), (None,), ("*",), failed=False)
    yield from judged_at(self, "lstm", (HEALTHY, mid, HEALTHY), build, Expected(measure="val_loss", final=(0.08, 0.2)))


@family("long: shift")
def targets_become_noise(self: Family) -> Iterator[Case]:
    """At 45% the targets become those of other series: the loss jumps to chance and stays."""

    def build() -> Training:
        net, task = Net("gru", 6, 24, 4, symbols=4, last=False), echo(10, 8, lag=1)
        draw = generator(12)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = task.batch(step)
            return (x, y) if step < 1350 else (x, torch.randint(0, 4, y.shape, generator=draw))

        config = {"chance_loss": "ln 4"}
        return Training(net, batch, optimizer("adam:0.003", net), steps=3000, every=50, config=config)

    lost = CHANGED.also(outcomes="stuck", causes=(None,), actions="check-batch")
    yield from judged_at(self, "gru", (HEALTHY, lost, lost), build, Expected(final=(1.35, 1.6)))


@family("long: fine-tuning")
def tuned_to_other_noise(self: Family) -> Iterator[Case]:
    """A trained model of a chain is tuned to batches of fewer, longer sequences; the loss hardly moves."""

    def build() -> Training:
        net, first = Net("tanh", 12, 24, 12, symbols=12, last=False), markov(10, 16)
        opt = optimizer("adam:0.005", net)
        for step in range(600):
            x, y = first.batch(step)
            opt.zero_grad()
            ce(net(x), y).backward()
            opt.step()
        metrics = against(net, markov(16, 128, seed=64).batch(0), classify)
        return Training(
            net, markov(16, 4, seed=9).batch, optimizer("sgd:0.02", net), steps=3000, every=50, metrics=metrics
        )

    yield from judged_at(self, "tanh", (UNMEASURED,) * 3, build, Expected(measure="val_loss", final=(1.3, 1.9)))


@family("long: non-finite")
def breaks_late(self: Family) -> Iterator[Case]:
    """Learned long ago, when at 80% a batch holds an inf."""

    def build() -> Training:
        net, task = Net("gru", 3, 16, 3), majority(10, 16)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = task.batch(step)
            if step == 2400:
                x[0, 0, 0] = float("inf")
            return x, y

        return Training(net, batch, optimizer("adam:0.003", net), steps=3000, every=50)

    fine = Expected(nonfinite=None)
    labels = (HEALTHY, HEALTHY, BAD_BATCH.also(actions="guard-operation"))
    yield from judged_at(self, "gru", labels, build, fine)


@family("long: noisy")
def slow_and_noisy(self: Family) -> Iterator[Case]:
    """Batches of one short sequence over 6,000 steps: the loss is mostly noise and falls all the same."""

    def build() -> Training:
        net = Net("gru", 12, 16, 12, symbols=12, last=False)
        return Training(net, markov(6, 1).batch, optimizer("sgd:0.1", net), steps=6000, every=100)

    yield from judged_at(self, "gru", (UNMEASURED, HEALTHY, HEALTHY), build, Expected(final=(1.3, 2.1)))
