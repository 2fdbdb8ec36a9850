"""Long trainings that fail, judged at 10, 50 and 100%, written when the rules were fixed: other tasks and nets."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.optim import Optimizer

from benchmarks.verdicts.case import ANY, Case, Expected, Families, Family, Label
from benchmarks.verdicts.fresh_healthy import marked
from benchmarks.verdicts.kinds_of_training import (
    against,
    classify,
    ctc,
    drawn_from,
    hit,
    judged_at,
    policy_gradient,
    ramp,
    spoken,
)
from benchmarks.verdicts.labels import (
    AT_CHANCE,
    BROKEN,
    CHANGED,
    FINE,
    HEALTHY,
    LR_HIGH,
    LR_LOW,
    OVERFITS,
    UNMEASURED,
)
from benchmarks.verdicts.long_tasks import (
    FIFTH,
    either,
    from_step,
    largest_step,
    most_frequent,
    penalised,
    pretrained,
    seasonal,
    unseen,
    wrong_fifth,
)
from benchmarks.verdicts.nets import Loop, Net
from benchmarks.verdicts.optimizers import cosine, optimizer, schedule
from benchmarks.verdicts.tasks import ce, generator, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("fresh")
family = FAMILIES.family
LN2, LN5 = 0.6931, 1.6094
BEFORE_TURN = Label((*HEALTHY.outcomes, "overfits", "unknown"), (None,), FINE, failed=False)
THROWN = Label(
    ("diverged", "stuck"),
    ("changed-during-training", "learning-rate-high", "exploding"),
    ("lower-learning-rate", "revert-change", "clip"),
)
# outliers make the norm spike, and the updates after that end in inf: no operation is at fault
OUTLIERS = Label(
    ("broken",),
    ("non-finite", "exploding", "changed-during-training", "learning-rate-high"),
    ("clip", "check-batch", "check-data", "lower-learning-rate"),
)
# the weight of a penalty that rises until nothing else counts: no fault of the gradient
OUTWEIGHED = Label(
    ("diverged", "stuck"),
    (None, "changed-during-training", "vanishing"),
    ("revert-change", "check-data", "stop-early", "overfit-one-batch"),
)


@family("long: overfitting")
def forecasts_of_few_series(self: Family) -> Iterator[Case]:
    """24 noisy waves, again and again: the held-out error falls, then rises far above its best."""

    def build() -> Training:
        net = Net("lstm", 1, 32, 1)
        metrics = against(net, seasonal(12, 128, 0.55, 51)(0), mse, names=("val_mse",))
        batch = drawn_from(seasonal(12, 24, 0.55, 52)(0), 8)
        return Training(net, batch, optimizer("adamw:0.002", net), mse, steps=3000, every=50, metrics=metrics)

    expected = Expected(measure="val_mse", final=(0.75, 5))
    yield from judged_at(self, "lstm", (OVERFITS,) * 3, build, expected, ((0.75, 5), (0.75, 5), (0.75, 5)))


@family("long: overfitting")
def classifies_few_sequences(self: Family) -> Iterator[Case]:
    """80 sequences by their most frequent symbol, a fifth of the labels wrong, by two layers under RMSprop."""

    def build() -> Training:
        net = Net("gru", 6, 16, 4, symbols=4, num_layers=2)
        metrics = against(net, most_frequent(8, 128, 4, 53)(0), classify)
        batch = drawn_from(most_frequent(8, 80, 4, 54, 0.2)(0), 16)
        return Training(net, batch, optimizer("rmsprop:0.002", net), steps=3000, every=50, metrics=metrics)

    expected = Expected(measure="val_loss", final=(1.5, 30))
    yield from judged_at(self, "gru", (BEFORE_TURN, OVERFITS, OVERFITS), build, expected, (ANY, (1.4, 30), (1.5, 30)))


@family("long: annealing")
def rate_annealed_to_nothing(self: Family) -> Iterator[Case]:
    """The learning rate falls by 2% a step, and is next to nothing long before the plateau is left."""

    def build() -> Training:
        net, before = Loop("tanh", 2, 16, 2), schedule(lambda step: 0.2 * 0.98**step)
        return Training(net, either(5, 32, 79), optimizer("sgd:0.2", net), steps=3000, every=50, before=before)

    span = (0.97 * LN2, 1.03 * LN2)
    yield from judged_at(self, "tanh", (LR_LOW,) * 3, build, Expected(final=span), (span, span, span))


@family("long: annealing")
def penalty_annealed_to_excess(self: Family) -> Iterator[Case]:
    """From half of the run on the weight of the squares of all parameters rises until only they count."""

    def build() -> Training:
        net, forward = Net("gru", 6, 20, 5, symbols=5), penalised(ramp(1600, 2400, 0.5))
        metrics = against(net, marked(7, 256, seed=80).batch(0), classify, names=("val_acc",))
        opt, batch = optimizer("adam:0.003", net), marked(7, 24, seed=81).batch
        return Training(net, batch, opt, steps=3000, every=50, forward=forward, metrics=metrics)

    spans = ((0.4, 1.0), (0.9, 1.0), (0.1, 0.3))
    labels = (HEALTHY, HEALTHY, OUTWEIGHED)
    yield from judged_at(self, "gru", labels, build, Expected(measure="val_acc", final=(0.1, 0.3)), spans)


@family("long: restarts")
def restarts_that_grow(self: Family) -> Iterator[Case]:
    """Each restart begins at a rate 15 times that of the one before it, by mistake; the third does harm."""

    def build() -> Training:
        net = Net("tanh", 6, 20, 5, symbols=5)

        def before(step: int, net: nn.Module, opt: Optimizer) -> None:
            cosine(0.004 * 15 ** (step // 1300), 1300)(step % 1300, net, opt)

        return Training(
            net, marked(6, 24, seed=82).batch, optimizer("momentum:0.004", net), steps=3000, every=20, before=before
        )

    spans = ((0, 1.5), (0, 0.2), (1.62, 1e6))
    label = THROWN.also(causes=("saturated-gates", "vanishing"))
    yield from judged_at(self, "tanh", (HEALTHY, HEALTHY, label), build, Expected(final=(1.62, 1e6)), spans)


@family("long: resumed")
def goes_on_with_few_sequences(self: Family) -> Iterator[Case]:
    """Starts at the floor, and goes on with 48 sequences alone: the held-out loss is best at the start and rises."""

    def build() -> Training:
        net = pretrained(Loop("gru", 6, 20, 5, symbols=5), wrong_fifth(6, 16, 83), ce, 1200)
        metrics = against(net, wrong_fifth(6, 256, 84)(0), classify)
        batch = drawn_from(wrong_fifth(6, 48, 85)(0), 16)
        return Training(net, batch, optimizer("adam:0.002", net), steps=3000, every=50, metrics=metrics)

    spans = ((FIFTH + 0.15, 5), (FIFTH + 0.3, 20), (FIFTH + 0.5, 20))
    yield from judged_at(self, "gru", (OVERFITS,) * 3, build, Expected(measure="val_loss", final=spans[-1]), spans)


@family("long: fine-tuning")
def tuned_at_a_rate_far_too_high(self: Family) -> Iterator[Case]:
    """A converged classifier is tuned at a rate that throws it out in the first steps, and it never comes back."""

    def build() -> Training:
        net = pretrained(Net("lstm", 6, 20, 5, symbols=5), wrong_fifth(8, 16, 86), ce, 1000)
        return Training(net, wrong_fifth(8, 16, 87), optimizer("nesterov:20", net), steps=3000, every=50)

    span = (1.65, 1e9)
    label = LR_HIGH.also(causes=("saturated-gates",))
    yield from judged_at(self, "lstm", (label,) * 3, build, Expected(final=span), (span, span, span))


@family("long: spike")
def thrown_out_for_good(self: Family) -> Iterator[Case]:
    """At 70% of the run a few updates under a rate 3,000 times too high drive every unit to its end.

    A tenth of the old rate after them does not bring it back.
    """

    def build() -> Training:
        net = Net("tanh", 6, 20, 5, symbols=5)
        before = schedule(lambda step: 10.0 if 2100 <= step < 2104 else 0.003 if step < 2104 else 0.0003)
        opt = optimizer("adamw:0.003", net)
        return Training(net, wrong_fifth(8, 16, 66), opt, steps=3000, every=20, before=before)

    label = THROWN.also(causes=("saturated-gates", "vanishing"))
    spans = ((0, 1.2), (0, 1.0), (1.62, 1e4))
    yield from judged_at(self, "tanh", (HEALTHY, HEALTHY, label), build, Expected(final=(1.62, 1e4)), spans)


@family("long: spike")
def one_batch_in_other_units(self: Family) -> Iterator[Case]:
    """At 60% of the run the numbers of one batch are 30 times too large; its update ends in inf."""

    def build() -> Training:
        net = Net("relu", 2, 20, 1)
        batch = from_step(largest_step(6, 32, 88), 1800, lambda x, y: (30 * x, 30 * y), 1800)
        return Training(net, batch, optimizer("sgd:0.05", net), mse, steps=3000, every=20)

    spans, expected = ((0, 0.4), (0, 0.3), ANY), Expected(nonfinite=None, final=ANY)
    yield from judged_at(self, "relu", (HEALTHY, HEALTHY, OUTLIERS), build, expected, spans)


@family("long: shift")
def labels_of_others_from_then_on(self: Family) -> Iterator[Case]:
    """From 65% on each sequence has the label of another one."""

    def build() -> Training:
        net = Net("lstm", 6, 20, 5, symbols=5)
        batch = from_step(marked(8, 24, seed=68).batch, 1950, lambda x, y: (x, y.roll(1)))
        return Training(net, batch, optimizer("rmsprop:0.003", net), steps=3000, every=50)

    spans = ((0, 1.2), (0, 0.1), (1.55, 1.8))
    label = CHANGED.also(outcomes="stuck")
    yield from judged_at(self, "lstm", (HEALTHY, HEALTHY, label), build, Expected(final=(1.55, 1.8)), spans)


@family("long: shift")
def inputs_that_go_missing(self: Family) -> Iterator[Case]:
    """From 63% on the loader gives zeros for the inputs, and the right targets."""

    def build() -> Training:
        net = Loop("lstm", 5, 20, 5)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = shown(step)
            return one_hot(x, 5).float() * (step < 1900), y

        shown = marked(6, 24, seed=89).batch
        return Training(net, batch, optimizer("adam:0.005", net), steps=3000, every=50)

    spans = ((0, 1.2), (0, 0.1), (1.55, 1.8))
    label = CHANGED.also(outcomes="stuck")
    yield from judged_at(self, "lstm", (HEALTHY, HEALTHY, label), build, Expected(final=(1.55, 1.8)), spans)


@family("long: policy gradient")
def rewarded_for_what_it_does_not_see(self: Family) -> Iterator[Case]:
    """The right one of three actions has nothing to do with the inputs; chance is not told."""

    def build() -> Training:
        net, forward = Net("tanh", 4, 20, 3, symbols=3), policy_gradient(3, hit)
        return Training(
            net, unseen(7, 48, 3, 90), optimizer("rmsprop:0.001", net), steps=3000, every=50, forward=forward
        )

    span = (0.3, 0.37)
    found = AT_CHANCE.also(actions="give-chance")
    labels = (found.also(outcomes="unknown", actions="log-metric"), found, found)
    yield from judged_at(self, "tanh", labels, build, Expected(measure="reward", final=span), (span, span, span))


@family("long: policy gradient")
def always_the_same_action(self: Family) -> Iterator[Case]:
    """A rate 100 times too high: within a few steps the agent takes one action whatever it sees, and stays at that."""

    def build() -> Training:
        net, forward = Net("gru", 6, 20, 4, symbols=4), policy_gradient(4, hit)
        config = {"goal": "reward", "better": "higher", "chance": 0.25}
        batch, opt = marked(5, 24, kinds=4, seed=91).batch, optimizer("adamw:0.5", net)
        return Training(net, batch, opt, steps=3000, every=50, forward=forward, config=config)

    span = (0.21, 0.29)
    label = LR_HIGH.also(causes=("saturated-gates", "vanishing"))
    yield from judged_at(self, "gru", (label,) * 3, build, Expected(measure="reward", final=span), (span, span, span))


@family("long: CTC")
def blanks_for_noise(self: Family) -> Iterator[Case]:
    """The frames hold noise and no symbol: the loss falls to what the symbols have in common, and none is ever read."""

    def build() -> Training:
        net, draw = Net("gru", 3, 20, 4, last=False), generator(72)
        batch = from_step(spoken(4, 16, seed=71), 0, lambda x, y: (0.3 * torch.randn(x.shape, generator=draw), y))
        return Training(net, batch, optimizer("adamw:0.003", net), steps=3000, every=50, forward=ctc)

    span = (0.0, 0.06)
    labels = (AT_CHANCE.also(outcomes="unknown", actions="log-metric give-chance"), AT_CHANCE, AT_CHANCE)
    yield from judged_at(self, "gru", labels, build, Expected(measure="accuracy", final=span), (span, span, span))


@family("long: at chance")
def forecasts_white_noise(self: Family) -> Iterator[Case]:
    """The next value of white noise, whose variance is told as the loss of chance."""

    def build() -> Training:
        net, draw = Net("gru", 1, 16, 1), generator(73)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            return torch.randn(8, 48, 1, generator=draw), torch.randn(48, 1, generator=draw)

        opt = optimizer("nesterov:0.01", net)
        return Training(net, batch, opt, mse, steps=3000, every=50, config={"chance_loss": 1.0})

    span = (0.9, 1.15)
    yield from judged_at(self, "gru", (AT_CHANCE,) * 3, build, Expected(final=span), (span, span, span))


@family("long: non-finite")
def an_empty_mask_late_on(self: Family) -> Iterator[Case]:
    """From 85% on one sequence has no target: the root of 0, whose derivative is inf, times 0."""

    def build() -> Training:
        net = Net("gru", 2, 20, 1)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            mask = torch.ones_like(y)
            mask[0] = float(step < 2550)
            return (mask * (net(x) - y)).square().sum(-1).sqrt().mean()

        opt = optimizer("adamw:0.003", net)
        return Training(net, largest_step(5, 24, 75), opt, steps=3000, every=50, forward=forward)

    spans, expected = ((0, 0.6), (0, 0.5), ANY), Expected(nonfinite=None, final=ANY)
    label = BROKEN.also(actions="check-data")
    yield from judged_at(self, "gru", (UNMEASURED, UNMEASURED, label), build, expected, spans)
