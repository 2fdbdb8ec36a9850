"""The sealed part: trainings of thousands of steps that learn, with schedules, jumps, plateaus and late progress."""

from collections.abc import Iterator

import torch
from torch import nn

from benchmarks.verdicts.case import ANY, Case, Expected, Families, Family, Label
from benchmarks.verdicts.kinds_of_training import (
    Autoencoder,
    against,
    annealed,
    ctc,
    drawn_from,
    hit,
    judged_at,
    policy_gradient,
    ramp,
    spoken,
    waves,
)
from benchmarks.verdicts.labels import FIND, FINE, HEALTHY, UNMEASURED
from benchmarks.verdicts.nets import Net
from benchmarks.verdicts.optimizers import cosine, optimizer, restarts, schedule
from benchmarks.verdicts.practice_data import (
    activity,
    during,
    intents,
    lexicon,
    mislabelled,
    noisy_floor,
    sales,
    tank,
)
from benchmarks.verdicts.practice_nets import Residual, averaged, scored
from benchmarks.verdicts.tasks import ce, mse, remember
from benchmarks.verdicts.training import Training

FAMILIES = Families("sealed")

ALL = (HEALTHY, HEALTHY, HEALTHY)
# before late progress experts differ: stuck, learning or not to be known; they would wait or look
WAITING = Label(("learning", "stuck", "unknown"), (None,), (*FINE, *FIND), failed=False)
WAITS = WAITING.also(causes=("learning-rate-low", "vanishing"), actions="raise-learning-rate change-initialization")


@FAMILIES.family("long, healthy")
def beta_rises(self: Family) -> Iterator[Case]:
    """The loss rises while beta does; the bound itself gets better."""

    def build() -> Training:
        net = Autoencoder("lstm", 1, 24, 2, 16)
        return Training(
            net,
            waves(16, 32, 61).batch,
            optimizer("adam:0.003", net),
            forward=annealed(ramp(500, 2500)),
            steps=3000,
            every=30,
            watch={"goal": "elbo", "better": "higher"},
        )

    labels = (UNMEASURED, UNMEASURED, UNMEASURED)
    yield from judged_at(self, "autoencoder", labels, build, Expected(final=(-40, 0), measure="elbo"))


@FAMILIES.family("long, healthy")
def rates_restart(self: Family) -> Iterator[Case]:
    def build() -> Training:
        task = lexicon(24, 16, 62)
        net = Net("lstm", 12, 40, 10, symbols=10, last=False)
        opt = optimizer("sgd:2", net)
        watch = {"chance_loss": task.chance}
        return Training(
            net, task.batch, opt, steps=3200, every=32, before=restarts(4.0, 800), clip="norm:1", watch=watch
        )

    parts = (ANY, (0, 1.0), (0, 0.8))
    yield from judged_at(self, "cosines of 800 steps, SGD", ALL, build, parts=parts)


@FAMILIES.family("long, healthy")
def annealed_to_zero(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Residual(1, 20, 1, layers=2, dropout=0.05)
        data = sales(21, 16, 63)
        return Training(
            net, data, optimizer("adamw:0.005", net), mse, steps=3000, every=30, before=cosine(0.005, 3000, 150)
        )

    yield from judged_at(self, "cosine", ALL, build, parts=((0, 0.6), (0, 0.3), (0, 0.25)))


@FAMILIES.family("long, healthy")
def spikes_that_recover(self: Family) -> Iterator[Case]:
    """A broken file, every 600 steps a batch of wild targets: the loss jumps and is back within some steps."""

    def build() -> Training:
        net = Net("gru", 1, 24, 1, last=False)
        data = during(tank(24, 24, 64), lambda step: step % 600 == 420, lambda x, y: (x, y + 6))
        return Training(net, data, optimizer("adam:0.003", net), mse, steps=3000, every=30, clip="norm:1")

    yield from judged_at(self, "bad batches", ALL, build, parts=((0, 0.3), (0, 0.1), (0, 0.2)))


@FAMILIES.family("long, healthy")
def domain_changes(self: Family) -> Iterator[Case]:
    """From 40% on the sensor turns another way round and is louder; it is learned anew."""

    def build() -> Training:
        net, data = Net("lstm", 3, 24, 4), activity(16, 32, 4, 65)
        moved = during(data, lambda step: step >= 1200, lambda x, y: (2 * x.flip(-1).cumsum(0) / 3, y))
        return Training(
            net,
            moved,
            optimizer("adam:0.003", net),
            steps=3000,
            every=30,
            watch={"chance_loss": "ln 4"},
            forward=scored(ce),
        )

    middle = HEALTHY.also(causes=("changed-during-training",), actions="check-data")
    yield from judged_at(self, "and is learned again", (HEALTHY, middle, HEALTHY), build, Expected(final=(0, 0.3)))


@FAMILIES.family("long, healthy")
def rewards(self: Family) -> Iterator[Case]:
    def bandit() -> Training:
        net = Net("gru", 3, 24, 4)
        watch = {"goal": "reward", "better": "higher", "chance": 0.25}
        return Training(
            net,
            activity(12, 32, 4, 66),
            optimizer("adam:0.004", net),
            forward=policy_gradient(4, hit, 0.01),
            steps=3000,
            every=30,
            watch=watch,
        )

    def graded() -> Training:
        net = Net("lstm", 16, 32, 6, symbols=26)
        forward = policy_gradient(6, lambda taken, y: 1 - (taken - y).abs() / 5.0, 0.02)
        data = intents(8, 48, 6, 67)
        return Training(net, data, optimizer("adam:0.005", net), forward=forward, steps=3000, every=30)

    yield from judged_at(self, "right or wrong", ALL, bandit, Expected(final=(0.7, 1), measure="reward"))
    labels = (UNMEASURED, UNMEASURED, UNMEASURED)
    yield from judged_at(self, "by nearness, no goal", labels, graded, Expected(final=(0.8, 1), measure="reward"))


@FAMILIES.family("long, healthy")
def transcripts(self: Family) -> Iterator[Case]:
    """CTC: blanks first, then the symbols."""

    def build() -> Training:
        net = Net("lstm", 4, 32, 5, last=False, bidirectional=True)
        data = spoken(5, 16, 4, 68, 0.4)
        return Training(net, data, optimizer("adam:0.002", net), forward=ctc, steps=3000, every=30, clip="norm:5")

    yield from judged_at(self, "two directions", ALL, build, Expected(final=(0.8, 1), measure="accuracy"))


@FAMILIES.family("long, healthy")
def fine_tuned_slowly(self: Family) -> Iterator[Case]:
    """A net that was trained on other frequencies: it starts far below chance and falls a little further."""

    def build() -> Training:
        net = Net("lstm", 3, 24, 4)
        opt, data = optimizer("adam:0.005", net), activity(16, 32, 4, 69, 0.5)
        for step in range(150):
            x, y = data(step)
            opt.zero_grad()
            ce(net(x), y).backward()
            opt.step()
        held = activity(16, 128, 4, 96, 0.9)(0)
        return Training(
            net,
            activity(16, 32, 4, 70, 0.9),
            optimizer("adamw:0.0003", net),
            steps=3000,
            every=30,
            metrics=against(net, held, ce),
            watch={"chance_loss": "ln 4"},
        )

    yield from judged_at(self, "at a tenth of the rate", ALL, build, Expected(final=(0, 0.9)))


@FAMILIES.family("long, healthy")
def late_learning(self: Family) -> Iterator[Case]:
    """The loss is at chance for a quarter of the training, at a saddle, then frequencies are told apart."""

    def build() -> Training:
        net = Net("gru", 3, 16, 3)
        data = activity(16, 64, 3, 71)
        return Training(
            net, data, optimizer("nesterov:0.008", net), steps=3200, every=32, watch={"chance_loss": "ln 3"}
        )

    parts = ((1.0, 1.2), (0, 0.6), (0, 0.1))
    yield from judged_at(self, "a plateau at chance, then all of it", (WAITS, HEALTHY, HEALTHY), build, parts=parts)


@FAMILIES.family("long, healthy")
def averaged_language(self: Family) -> Iterator[Case]:
    def build() -> Training:
        task, net = lexicon(24, 16, 72), Net("gru", 16, 40, 10, symbols=10, last=False, num_layers=2, dropout=0.3)
        mean, after = averaged(net, 0.99)
        held = lexicon(24, 64, 95).batch(0)
        return Training(
            net,
            task.batch,
            torch.optim.AdamW(net.parameters(), 0.003, weight_decay=0.05),
            steps=3000,
            every=30,
            after=after,
            metrics=against(mean, held, ce, every=50),
            watch={"goal": "val_loss", "better": "lower", "chance_loss": task.chance},
        )

    about = Expected(final=(0, 0.75), measure="val_loss")
    yield from judged_at(self, "dropout, held-out loss of the average", ALL, build, about)


@FAMILIES.family("long, healthy")
def longer_and_longer(self: Family) -> Iterator[Case]:
    """A curriculum: sequences of 4 to 16 timesteps, the loss rises a little with each length."""

    def build() -> Training:
        net = Net("lstm", 8, 32, 4, symbols=8)
        tasks = [remember(length, 32, 4, 73 + length).batch for length in (4, 8, 12, 16)]
        return Training(
            net,
            lambda step: tasks[min(3, step // 750)](step),
            optimizer("adam:0.004", net),
            steps=3000,
            every=30,
            watch={"chance_loss": "ln 4"},
        )

    yield from judged_at(self, "from 4 to 16", ALL, build, Expected(final=(0, 0.3)))


@FAMILIES.family("long, healthy")
def floor_reached_early(self: Family) -> Iterator[Case]:
    def one(share: float, N: int) -> Training:
        net = Net("gru", 3, 20, 3)
        data = mislabelled(activity(14, N, 3, 74), share, 3, 75)
        return Training(net, data, optimizer("adam:0.003", net), steps=3000, every=30, watch={"chance_loss": "ln 3"})

    floor = noisy_floor(3, 0.4)
    yield from judged_at(
        self, "40% wrong labels", ALL, lambda: one(0.4, 48), Expected(final=(floor - 0.08, floor + 0.1))
    )


@FAMILIES.family("long, healthy")
def slow_to_the_end(self: Family) -> Iterator[Case]:
    def build() -> Training:
        task = lexicon(20, 8, 76)
        net = Net("lstm", 12, 32, 10, symbols=10, last=False)
        return Training(
            net, task.batch, optimizer("momentum:0.005", net), steps=3200, every=32, watch={"chance_loss": task.chance}
        )

    labels = (WAITS, HEALTHY, HEALTHY)  # a fall of 5% in the first tenth: the rate is indeed low
    yield from judged_at(self, "momentum at 0.005", labels, build, parts=((1.2, 2.24), (0.6, 1.7), (0.4, 1.3)))


@FAMILIES.family("long, healthy")
def rate_by_stairs(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 1, 20, 1, last=False)
        before = schedule(lambda step: 0.1 * 0.3 ** (step // 800))
        held = tank(30, 64, 94)(0)
        return Training(
            net,
            tank(30, 2, 77),
            optimizer("sgd:0.1", net),
            mse,
            steps=3200,
            every=32,
            before=before,
            metrics=against(net, held, mse, every=100),
        )

    yield from judged_at(self, "batches of 2", ALL, build, Expected(final=(0, 0.06)))


@FAMILIES.family("long, healthy")
def no_gap(self: Family) -> Iterator[Case]:
    """A set of 3000 sequences again and again: the held-out loss follows and stays."""

    def build() -> Training:
        net = Net("gru", 3, 16, 4)
        whole, held = activity(16, 3000, 4, 78, 0.6)(0), activity(16, 256, 4, 93, 0.6)(0)
        return Training(
            net,
            drawn_from(whole, 32),
            optimizer("adam:0.002", net),
            steps=3000,
            every=30,
            before=cosine(0.002, 3000),
            metrics=against(net, held, ce, names=("val_loss", "val_acc")),
        )

    about = Expected(final=(0, 0.5), measure="val_loss")
    yield from judged_at(self, "train and held out", ALL, build, about)


@FAMILIES.family("long, healthy")
def thawed(self: Family) -> Iterator[Case]:
    """The head alone for 400 steps, on purpose, then all of it."""

    def build() -> Training:
        net = Net("lstm", 3, 24, 5)
        net.recurrent.requires_grad_(False)

        def before(step: int, net: nn.Module, opt: torch.optim.Optimizer) -> None:
            if step == 400:
                net.requires_grad_(True)

        data = activity(16, 32, 5, 79)
        return Training(net, data, optimizer("adam:0.003", net), steps=3000, every=30, before=before)

    early = Label(
        ("learning", "unknown", "stuck", "learned"),
        (None, "parameters-not-updated"),
        (*FINE, *FIND, "update-parameters"),
        failed=False,
    )
    yield from judged_at(self, "layers after 400 steps", (early, HEALTHY, HEALTHY), build, Expected(final=(0, 0.3)))
