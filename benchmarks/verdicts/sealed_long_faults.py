"""The sealed part: trainings of thousands of steps that fail, from the start or after they had learned."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from benchmarks.verdicts.case import ANY, Case, Expected, Families, Family, Label
from benchmarks.verdicts.kinds_of_training import against, ctc, drawn_from, hit, judged_at, policy_gradient, spoken
from benchmarks.verdicts.labels import (
    AT_CHANCE,
    BAD_BATCH,
    CHANGED,
    FADES,
    FIND,
    FINE,
    HEALTHY,
    LR_HIGH,
    LR_LOW,
    OVERFITS,
    UNTOLD,
)
from benchmarks.verdicts.nets import Net
from benchmarks.verdicts.optimizers import optimizer, schedule
from benchmarks.verdicts.practice_data import activity, during, intents, lexicon, mislabelled, sales
from benchmarks.verdicts.practice_nets import Attentive, scored
from benchmarks.verdicts.tasks import Batch, ce, fixed, mse, remember
from benchmarks.verdicts.training import Scalars, Training

FAMILIES = Families("sealed")

# in the first steps of a training that fails later
EARLY = HEALTHY.also(outcomes="unknown")
# too early for an expert to be sure that nothing will come of it
SOON = AT_CHANCE.also(outcomes="unknown", actions="give-chance log-metric train-longer continue")
SOON_OR_LEARNING = Label(("learning", "overfits", "learned", "unknown"), (None,), (*FINE, *FIND), failed=False)
# a training that was lost by a change at a known step: the change, or what it did to the net
LOST = CHANGED.also(
    outcomes="stuck broken",
    causes=(None, "learning-rate-high", "exploding", "saturated-gates", "dead-units", "vanishing"),
    actions="lower-learning-rate clip overfit-one-batch change-initialization revive-units",
)


@FAMILIES.family("long, overfits")
def small_sets(self: Family) -> Iterator[Case]:
    def keywords() -> Training:
        net = Net("lstm", 16, 48, 8, symbols=28)
        whole, held = intents(14, 120, 8, 101)(0), intents(14, 256, 8, 102)(0)
        return Training(
            net,
            drawn_from(whole, 24),
            optimizer("adam:0.003", net),
            steps=3000,
            every=30,
            metrics=against(net, held, ce, names=("val_loss", "val_acc")),
            watch={"chance_loss": "ln 8"},
        )

    def series() -> Training:
        net = Net("gru", 1, 64, 1)
        data, unseen = sales(14, 24, 103, 0.6)(0), sales(14, 256, 104, 0.6)(0)
        batch = drawn_from((data[0], data[1][-1]), 12)
        held = (unseen[0], unseen[1][-1])
        return Training(
            net, batch, optimizer("adam:0.003", net), mse, steps=4000, every=40, metrics=against(net, held, mse)
        )

    labels = (SOON_OR_LEARNING, OVERFITS, OVERFITS)
    yield from judged_at(self, "120 sentences", labels, keywords, Expected(final=(1.5, 50), measure="val_loss"))
    yield from judged_at(self, "24 series", labels, series, Expected(final=(0.4, 50), measure="val_loss"))


@FAMILIES.family("long, overfits")
def noise_learned(self: Family) -> Iterator[Case]:
    """Half of the labels of 200 sequences are wrong: first the rule is learned, then the wrong labels."""

    def build() -> Training:
        net = Net("gru", 3, 64, 3)
        whole = mislabelled(activity(14, 200, 3, 105), 0.4, 3, 106)(0)
        held = activity(14, 256, 3, 107)(0)
        return Training(
            net,
            drawn_from(whole, 40),
            optimizer("adam:0.005", net),
            steps=4000,
            every=40,
            metrics=against(net, held, ce, names=("val_loss", "val_acc")),
            forward=scored(ce),
            watch={"goal": "val_loss", "better": "lower"},
        )

    about = Expected(final=(1.2, 50), measure="val_loss")
    yield from judged_at(self, "40% wrong labels", (SOON_OR_LEARNING, OVERFITS, OVERFITS), build, about)


@FAMILIES.family("long, overfits")
def labels_of_nothing(self: Family) -> Iterator[Case]:
    """Drawn labels of 60 sequences: the training loss falls to 0, the held-out accuracy is never above chance."""

    def build() -> Training:
        net = Attentive(30, 16, 48, 4)
        draw = torch.Generator().manual_seed(108)
        whole, held = (
            (torch.randint(0, 30, (10, n), generator=draw), torch.randint(0, 4, (n,), generator=draw))
            for n in (60, 256)
        )
        return Training(
            net,
            drawn_from(whole, 20),
            optimizer("adam:0.003", net),
            steps=3000,
            every=30,
            metrics=against(net, held, ce, names=("val_loss", "val_acc")),
            watch={"chance_loss": "ln 4"},
        )

    label = OVERFITS.also(outcomes="stuck", actions="overfit-one-batch")
    about = Expected(final=(2, 50), measure="val_loss")
    yield from judged_at(self, "drawn labels", (label, label, label), build, about)


@FAMILIES.family("long, changed")
def rate_glitch(self: Family) -> Iterator[Case]:
    """A schedule that is off by 3000 for 20 steps: the net is lost and does not come back."""

    def build() -> Training:
        task, net = lexicon(24, 16, 109), Net("lstm", 12, 32, 10, symbols=10, last=False)
        before = schedule(lambda step: 0.003 * (3000 if 1800 <= step < 1820 else 1 if step < 1820 else 0.02))
        opt = optimizer("adam:0.003", net)
        return Training(net, task.batch, opt, steps=3000, every=30, before=before, watch={"chance_loss": task.chance})

    yield from judged_at(self, "20 steps at 9", (EARLY, HEALTHY, LOST), build, parts=(ANY, (0, 1), (1.5, math.inf)))


@FAMILIES.family("long, changed")
def pipeline_breaks(self: Family) -> Iterator[Case]:
    def labels() -> Training:
        net, draw = Net("gru", 3, 24, 4), torch.Generator().manual_seed(110)
        data = during(
            activity(14, 32, 4, 111),
            lambda step: step >= 1900,
            lambda x, y: (x, y[torch.randperm(len(y), generator=draw)]),
        )
        return Training(net, data, optimizer("adam:0.004", net), steps=3200, every=32, watch={"chance_loss": "ln 4"})

    def units() -> Training:
        net = Net("lstm", 1, 24, 1, last=False)
        data = during(sales(21, 16, 112), lambda step: step >= 2000, lambda x, y: (torch.zeros_like(x), 3 * y))
        return Training(net, data, optimizer("adam:0.003", net), mse, steps=3200, every=32)

    label = CHANGED.also(outcomes="stuck", causes=(None,), actions="overfit-one-batch")
    yield from judged_at(
        self, "labels are shuffled from 60% on", (EARLY, HEALTHY, label), labels, parts=(ANY, (0, 0.3), (1.3, 1.6))
    )
    yield from judged_at(
        self, "inputs are zero from 62% on", (EARLY, HEALTHY, label), units, parts=(ANY, (0, 0.5), (4, 30))
    )


@FAMILIES.family("long, learning-rate")
def rate_ever_higher(self: Family) -> Iterator[Case]:
    def build() -> Training:
        task, net = lexicon(20, 16, 113), Net("gru", 12, 32, 10, symbols=10, last=False)
        before = schedule(lambda step: 1e-3 * 1.0035**step)
        opt = optimizer("adam:0.001", net)
        return Training(net, task.batch, opt, steps=3000, every=30, before=before, watch={"chance_loss": task.chance})

    late = LR_HIGH.also(causes=("changed-during-training", None), actions="revert-change")
    middle = Label(("learning", "learned", "diverged"), (None, *late.causes), (*FINE, *late.actions), failed=False)
    yield from judged_at(
        self, "0.001 times 1.0035 a step", (EARLY, middle, late), build, parts=(ANY, ANY, (1.6, math.inf))
    )


@FAMILIES.family("long, learning-rate")
def fine_tuned_too_fast(self: Family) -> Iterator[Case]:
    """A net that names nine in ten is trained on at 300 times the rate."""

    def build() -> Training:
        net, data = Net("lstm", 3, 24, 4), activity(14, 32, 4, 114)
        opt = optimizer("adam:0.005", net)
        for step in range(250):
            x, y = data(step)
            opt.zero_grad()
            ce(net(x), y).backward()
            opt.step()
        return Training(net, data, optimizer("adam:1.5", net), steps=3000, every=30, watch={"chance_loss": "ln 4"})

    about = Expected(final=(1.25, math.inf))
    yield from judged_at(self, "Adam at 1.5", (LR_HIGH, LR_HIGH, LR_HIGH), build, about)


@FAMILIES.family("long, learning-rate")
def rate_next_to_nothing(self: Family) -> Iterator[Case]:
    def tiny() -> Training:
        net = Net("lstm", 16, 32, 10, symbols=30)
        watch = {"chance_loss": "ln 10"}
        return Training(net, intents(10, 32, 10, 115), optimizer("sgd:0.0003", net), steps=3000, every=30, watch=watch)

    def stopped() -> Training:
        net = Net("gru", 3, 24, 5)
        before = schedule(lambda step: 0.0005 * max(0.0, 1 - step / 60))
        data = activity(16, 32, 5, 116)
        return Training(
            net, data, optimizer("adam:0.0005", net), steps=3000, every=30, before=before, watch={"chance_loss": "ln 5"}
        )

    about = Expected(final=(2.2, 2.4))
    yield from judged_at(self, "SGD at 0.0003", (LR_LOW.also(outcomes="unknown"), LR_LOW, LR_LOW), tiny, about)
    about = Expected(final=(1.5, 1.65))
    yield from judged_at(self, "ends after 60 steps", (LR_LOW.also(outcomes="unknown"), LR_LOW, LR_LOW), stopped, about)


@FAMILIES.family("long, learning-rate")
def swings_for_ever(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("tanh", 16, 32, 10, symbols=30)
        watch = {"chance_loss": "ln 10"}
        return Training(net, intents(10, 32, 10, 117), optimizer("momentum:20", net), steps=3000, every=30, watch=watch)

    label = LR_HIGH.also(causes=("saturated-gates",))
    yield from judged_at(self, "momentum at 20", (label, label, label), build, Expected(final=(2.3, math.inf)))


@FAMILIES.family("long, non-finite")
def inf_in_a_file(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 1, 24, 1, last=False)
        data = during(sales(21, 16, 119), lambda step: step == 2100, lambda x, y: (x, y / 0))
        return Training(net, data, optimizer("adam:0.003", net), mse, steps=3000, every=30)

    labels = (EARLY, HEALTHY, BAD_BATCH.also(actions="guard-operation"))
    about = Expected(nonfinite=None)
    yield from judged_at(self, "read at 70%", labels, build, about, parts=((0, 0.6), (0, 0.3), ANY))


@FAMILIES.family("long, sign")
def reward_minimised(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 3, 24, 4)
        right = policy_gradient(4, hit)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
            loss, scalars = right(net, x, y, step)
            return -loss, scalars

        watch = {"goal": "reward", "better": "higher", "chance": 0.25}
        data = activity(12, 32, 4, 120)
        return Training(net, data, optimizer("adam:0.002", net), forward=forward, steps=3000, every=30, watch=watch)

    label = Label(("stuck", "diverged"), (None, "learning-rate-high"), (*FIND, "*"))
    about = Expected(final=(0, 0.2), measure="reward")
    yield from judged_at(self, "policy gradient", (label.also(outcomes="unknown"), label, label), build, about)


@FAMILIES.family("long, data")
def reward_of_nothing(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 3, 24, 5)
        forward = policy_gradient(5, lambda taken, y: (torch.rand(len(y)) < 0.2).float(), 0.01)
        watch = {"goal": "reward", "better": "higher", "chance": 0.2}
        data = activity(12, 32, 5, 121)
        return Training(net, data, optimizer("adam:0.002", net), forward=forward, steps=3000, every=30, watch=watch)

    about = Expected(final=(0.17, 0.23), measure="reward")
    yield from judged_at(self, "policy gradient", (SOON, AT_CHANCE, AT_CHANCE), build, about)


@FAMILIES.family("long, data")
def rolled_transcripts(self: Family) -> Iterator[Case]:
    """CTC with the transcripts of other recordings: what remains is how long and how likely these are."""

    def build() -> Training:
        net, data = Net("gru", 4, 24, 5, last=False, bidirectional=True), spoken(4, 16, 4, 122)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = data(step)
            return x, y.roll(1, 0)

        watch = {"goal": "accuracy", "better": "higher", "chance": 0.01}
        return Training(net, batch, optimizer("adam:0.002", net), forward=ctc, steps=3000, every=30, watch=watch)

    about = Expected(final=(0, 0.06), measure="accuracy")
    yield from judged_at(self, "rolled by one", (SOON, UNTOLD, AT_CHANCE), build, about)


@FAMILIES.family("long, vanishing")
def memory_of_60(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("tanh", 8, 24, 3, symbols=6)
        data: Batch = fixed(remember(60, 16, 3, 123), 400).batch
        return Training(net, data, optimizer("momentum:0.01", net), steps=3000, every=60, watch={"chance_loss": "ln 3"})

    about = Expected(final=(1.0, 1.15), kept=(0, 1e-4))
    yield from judged_at(self, "RNN", (FADES.also(outcomes="unknown"), FADES, FADES), build, about)


@FAMILIES.family("long, changed")
def wild_batch(self: Family) -> Iterator[Case]:
    """One batch of inputs 60 times too large at 55%, unclipped SGD: the net is lost or NaN from then on."""

    def build() -> Training:
        net = Net("relu", 3, 24, 1)
        data = activity(10, 32, 2, 124)
        wild = during(data, lambda step: step == 1650, lambda x, y: (60 * x.abs(), y))

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = wild(step)
            return x, y.float()[:, None] * 2 - 1

        return Training(net, batch, optimizer("sgd:0.04", net), mse, steps=3000, every=30, watch={"chance_loss": 1.0})

    early = Label(("learning", "learned", "unknown", "stuck"), (None,), (*FINE, *FIND), failed=False)
    late = LOST.also(causes=("no-gradient", "non-finite"), actions="check-batch guard-operation")
    about = Expected(nonfinite=None)
    parts = (ANY, (0, 0.3), (0.9, math.inf))
    yield from judged_at(self, "spike that stays", (early, HEALTHY, late), build, about, parts=parts)
