"""Long trainings that learn, judged at 10, 50 and 100%, written last and without a look at the rules."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from benchmarks.verdicts.agents import actor_critic, q_learning, surrogate
from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.kinds_of_training import against, classify, ctc, judged_at, ramp, spoken
from benchmarks.verdicts.labels import FIND, FINE, HEALTHY, UNMEASURED
from benchmarks.verdicts.likelihoods import mixture, two_views
from benchmarks.verdicts.long_tasks import pretrained
from benchmarks.verdicts.nets import Loop, Net
from benchmarks.verdicts.optimizers import optimizer, schedule
from benchmarks.verdicts.sequences import (
    by_step,
    chaotic,
    hidden_state,
    leaky,
    position,
    rare_key,
    repeated,
    sums,
    swapped,
    templates,
)
from benchmarks.verdicts.tasks import bce, ce, generator, markov, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("unseen")
family = FAMILIES.family
LN2 = 0.6931
SAME = (HEALTHY, HEALTHY, HEALTHY)
NOT_KNOWN = (UNMEASURED, UNMEASURED, UNMEASURED)
# at chance, and nobody can know yet that it will be left
ON_PLATEAU = Label(("stuck", "learning", "unknown"), (None,), (*FIND, *FINE), failed=False)
# nothing is wrong; that the data changed is true, and no reason to go back
NEW_DATA = HEALTHY.also(causes=("changed-during-training",), actions="check-data")
# a larger rate is good advice, and no fault is found
SLOW = HEALTHY.also(actions="raise-learning-rate")
AFTER_SPIKE = HEALTHY.also(causes=("changed-during-training",), actions="lower-learning-rate clip")


@family("long: curriculum")
def sums_that_grow_longer(self: Family) -> Iterator[Case]:
    """Sums of 3, then 6, then 12 digits: each time the sequences double, and the loss does not stay away for long."""

    def build() -> Training:
        net = Net("lstm", 2, 20, 1, last=False)
        lengths = [sums(T, 24, 200 + T) for T in (3, 6, 12)]
        batch = by_step(lambda step: lengths[min(2, step // 1000)])
        return Training(net, batch, optimizer("nadam:0.005", net), bce, steps=3200, every=50)

    spans = ((0, 0.5), (0, 0.25), (0, 0.15))
    labels = (HEALTHY, NEW_DATA, NEW_DATA)
    yield from judged_at(self, "lstm", labels, build, Expected(final=(0, 0.15)), spans)


@family("long: curriculum")
def noise_that_grows(self: Family) -> Iterator[Case]:
    """The share of wrong labels in the training set rises from 0 to 40%: so does the loss, not the held-out error."""

    def build() -> Training:
        net = Net("gru", 2, 20, 6)
        metrics = against(net, templates(8, 256, 6, 0.8, 201)(0), classify, names=("val_acc",))
        batch = swapped(templates(8, 32, 6, 0.8, 202), ramp(600, 2800, 0.4), 6, 203)
        return Training(net, batch, optimizer("amsgrad:0.003", net), steps=3000, every=50, metrics=metrics)

    spans = ((0.7, 1.0), (0.9, 1.0), (0.9, 1.0))
    yield from judged_at(self, "gru", SAME, build, Expected(measure="val_acc", final=(0.9, 1.0)), spans)


@family("long: policy gradient")
def values_that_grow(self: Family) -> Iterator[Case]:
    """Q-learning with a target net: the values grow with what the agent earns, and the targets with them."""

    def build() -> Training:
        net = Net("gru", 6, 24, 4, symbols=4, last=False)
        target = copy.deepcopy(net)
        draw = generator(204)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            return torch.randint(0, 4, (8, 24), generator=draw), torch.zeros(24)

        opt = optimizer("adam:0.001", net)
        return Training(net, batch, opt, steps=3000, every=50, forward=q_learning(target, 4))

    spans = ((0.26, 1.0), (0.6, 1.0), (0.85, 1.0))
    yield from judged_at(self, "gru", SAME, build, Expected(measure="reward", final=(0.85, 1.0)), spans)


@family("long: policy gradient")
def clipped_surrogate(self: Family) -> Iterator[Case]:
    """Four updates of PPO for each draw of actions: the loss is noise about 0, the reward rises."""

    def build() -> Training:
        net, batch = Net("lstm", 2, 24, 5), repeated(templates(7, 64, 5, 0.6, 205), 4)
        opt = optimizer("radam:0.002", net)
        return Training(net, batch, opt, steps=4000, every=50, forward=surrogate(4))

    spans = ((0.25, 1.0), (0.6, 1.0), (0.8, 1.0))
    yield from judged_at(self, "lstm", SAME, build, Expected(measure="reward", final=(0.8, 1.0)), spans)


@family("long: policy gradient")
def actor_with_a_critic(self: Family) -> Iterator[Case]:
    """An actor and a critic on one recurrent layer, with a small bonus for entropy; clipped at 0.5."""

    def build() -> Training:
        net, forward = Net("tanh", 2, 24, 4), actor_critic(0.01)
        opt, batch = optimizer("rmsprop:0.001", net), templates(7, 32, 3, 0.5, 206)
        return Training(net, batch, opt, steps=3000, every=50, clip="norm:0.5", forward=forward)

    spans = ((0.4, 1.0), (0.8, 1.0), (0.85, 1.0))
    noted = HEALTHY.also(causes=("clipping-always",), actions="raise-clip-threshold")
    yield from judged_at(self, "tanh", (noted,) * 3, build, Expected(measure="reward", final=(0.85, 1.0)), spans)


@family("long: CTC")
def reads_longer_lines(self: Family) -> Iterator[Case]:
    """Seven symbols of five kinds in 21 frames, by two layers under RAdam; blanks alone for the first steps."""

    def build() -> Training:
        net = Net("gru", 5, 20, 6, last=False, num_layers=2)
        batch = spoken(7, 16, kinds=5, seed=207, noise=0.4)
        return Training(net, batch, optimizer("radam:0.006", net), steps=3000, every=50, forward=ctc)

    spans = ((0.0, 1.0), (0.6, 1.0), (0.7, 1.0))
    yield from judged_at(self, "gru", SAME, build, Expected(measure="accuracy", final=(0.7, 1.0)), spans)


@family("long: fine-tuning")
def new_head_on_a_fixed_encoder(self: Family) -> Iterator[Case]:
    """The recurrent layer of a classifier is kept as it is, on purpose; a new head learns to tell other templates."""

    def build() -> Training:
        net = pretrained(Net("lstm", 2, 24, 8), templates(8, 32, 8, 0.5, 208), ce, 800)
        net.head = nn.Linear(24, 4)
        net.recurrent.requires_grad_(False)
        metrics = against(net, templates(8, 256, 4, 0.5, 209, law=18)(0), classify, names=("val_acc",))
        batch, opt = templates(8, 32, 4, 0.5, 210, law=18), optimizer("adamax:0.01", net.head)
        return Training(net, batch, opt, steps=3000, every=50, metrics=metrics)

    spans = ((0.7, 1.0), (0.8, 1.0), (0.8, 1.0))
    yield from judged_at(self, "lstm", SAME, build, Expected(measure="val_acc", final=(0.8, 1.0)), spans)


@family("long: resumed")
def resumes_without_its_moments(self: Family) -> Iterator[Case]:
    """Goes on at the floor of a noisy series with a new optimizer, under a short warmup."""

    def build() -> Training:
        net = pretrained(Net("gru", 1, 20, 1, last=False), leaky(10, 16, 211, noise=0.5), mse, 1200, 0.005)
        before = schedule(lambda step: 0.002 * min(1.0, (step + 1) / 200))
        batch = leaky(10, 24, 212, noise=0.5)
        return Training(net, batch, optimizer("nadam:0.002", net), mse, steps=3000, every=50, before=before)

    span = (0.23, 0.32)
    yield from judged_at(self, "gru", NOT_KNOWN, build, Expected(final=span), (span, span, span))


@family("long: annealing")
def one_cycle(self: Family) -> Iterator[Case]:
    """The rate rises to its top at 45% and falls to nothing: the loss is higher on the way than at the end."""

    def build() -> Training:
        net, steps = Net("gru", 8, 24, 10, symbols=10, last=False), 3000

        def rate(step: int) -> float:
            part = step / steps
            return 2.0 * (0.05 + 0.95 * part / 0.45 if part < 0.45 else max(0.0, (1 - part) / 0.55))

        metrics = against(net, markov(10, 128, symbols=10, seed=213).batch(0), classify)
        batch = markov(10, 16, symbols=10, seed=214).batch
        opt = optimizer("nesterov:0.1", net)
        return Training(net, batch, opt, steps=steps, every=50, before=schedule(rate), metrics=metrics)

    low = markov(10, symbols=10).floor - 0.1
    spans = ((low, low + 0.6), (low, low + 0.4), (low, low + 0.25))
    yield from judged_at(self, "gru", SAME, build, Expected(measure="val_loss", final=spans[-1]), spans)


@family("long: spike")
def momentum_after_a_jump_of_the_rate(self: Family) -> Iterator[Case]:
    """At 30% and at 70% the rate is 60 times too high for 12 steps; each time what was lost comes back."""

    def build() -> Training:
        net = Net("lstm", 2, 20, 6)
        wrong = [*range(900, 912), *range(2100, 2112)]
        before = schedule(lambda step: 0.12 if step in wrong else 0.002)
        metrics = against(net, templates(8, 256, 6, 0.7, 215)(0), classify, names=("val_acc",))
        batch, opt = templates(8, 32, 6, 0.7, 216), optimizer("adamw:0.002", net)
        return Training(net, batch, opt, steps=3000, every=20, before=before, metrics=metrics)

    spans = ((0.5, 1.0), (0.9, 1.0), (0.9, 1.0))
    labels = (HEALTHY, AFTER_SPIKE, AFTER_SPIKE)
    yield from judged_at(self, "lstm", labels, build, Expected(measure="val_acc", final=(0.9, 1.0)), spans)


@family("long: spike")
def rare_outliers(self: Family) -> Iterator[Case]:
    """One batch in 150 has targets 8 times too large: loss and norm jump and are back at the next step."""

    def build() -> Training:
        net, task = Net("gru", 1, 20, 1, last=False), leaky(9, 24, 217, noise=0.2)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = task(step)
            return x, 8 * y if step % 150 == 77 else y

        return Training(net, batch, optimizer("adam:0.003", net), smooth_l1_loss, steps=3000, every=20)

    spans = ((0, 0.3), (0, 0.2), (0, 0.2))
    outliers = HEALTHY.also(outcomes="unknown", actions="check-data check-batch clip")
    yield from judged_at(self, "gru", (outliers,) * 3, build, Expected(final=(0, 0.2)), spans)


@family("long: shift")
def larger_batches(self: Family) -> Iterator[Case]:
    """From half on batches of 64 for 8, under four times the rate: less noise, and no fault."""

    def build() -> Training:
        net = Loop("gru", 1, 20, 2, last=False)
        sizes = (hidden_state(8, 8, 218), hidden_state(8, 64, 219))
        batch = by_step(lambda step: sizes[step >= 1500])
        before = schedule(lambda step: 0.02 if step < 1500 else 0.08)
        return Training(net, batch, optimizer("momentum:0.02", net), steps=3000, every=50, before=before)

    spans = ((0.18, 0.6), (0.18, 0.5), (0.18, 0.45))
    yield from judged_at(self, "gru", (HEALTHY, HEALTHY, NEW_DATA), build, Expected(final=(0.18, 0.45)), spans)


@family("long: mixed precision")
def scaler_that_probes(self: Family) -> Iterator[Case]:
    """The scale doubles every 60 good steps until a gradient overflows, for the whole run: skips now and then."""

    def build() -> Training:
        net = Net("gru", 1, 24, 9)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**14, growth_interval=60)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            with torch.autocast("cpu", dtype=torch.float16):
                output = net(x)
            return ce(output.float(), y)

        batch, opt = position(9, 32, 220), optimizer("adamw:0.005", net)
        return Training(net, batch, opt, steps=3000, every=50, forward=forward, scaler=scaler)

    spans = ((0.0, 2.0), (0.0, 0.9), (0.0, 0.7))
    yield from judged_at(self, "gru", SAME, build, Expected(final=(0.0, 0.7)), spans)


@family("long: plateau")
def carries_after_a_plateau(self: Family) -> Iterator[Case]:
    """Sums without a hint: near ln 2 for a good part of the run, then the net learns to carry."""

    def build() -> Training:
        net = Net("tanh", 2, 20, 1, last=False)
        opt = optimizer("sgd:0.05", net)
        return Training(net, sums(8, 24, 221), opt, bce, steps=5000, every=50, config={"chance_loss": "ln 2"})

    spans = ((0.6, 0.72), (0.0, 0.5), (0.0, 0.2))
    yield from judged_at(self, "tanh", (ON_PLATEAU, HEALTHY, HEALTHY), build, Expected(final=(0, 0.2)), spans)


@family("long: noisy")
def most_labels_drawn_at_random(self: Family) -> Iterator[Case]:
    """70% of the labels are drawn at random: the loss falls by a sixth at the most, and the accuracy says enough."""

    def build() -> Training:
        net = Net("gru", 2, 20, 4)
        metrics = against(net, templates(8, 256, 4, 0.7, 222)(0), classify, names=("val_acc",))
        batch = swapped(templates(8, 48, 4, 0.7, 223), lambda step: 0.7, 4, 224)
        return Training(net, batch, optimizer("adam:0.002", net), steps=3000, every=50, metrics=metrics)

    spans = ((0.4, 1.0), (0.8, 1.0), (0.85, 1.0))
    yield from judged_at(self, "gru", SAME, build, Expected(measure="val_acc", final=(0.85, 1.0)), spans)


@family("long: noisy")
def density_of_a_mixture(self: Family) -> Iterator[Case]:
    """The density of the next value of a chaotic series, a mixture of two: the loss falls through 0."""

    def build() -> Training:
        net, batch = Net("lstm", 1, 24, 6, last=False), chaotic(10, 24, 225)
        return Training(net, batch, optimizer("adam:0.003", net), mixture, steps=3000, every=50)

    spans = ((-2.0, 1.2), (-2.5, 0.5), (-3.0, 0.0))
    yield from judged_at(self, "lstm", NOT_KNOWN, build, Expected(final=(-3.0, 0.0)), spans)


@family("long: noisy")
def codes_of_two_views(self: Family) -> Iterator[Case]:
    """A contrastive loss of 24 sequences under noise; nothing but the loss is logged."""

    def build() -> Training:
        net, draw = Net("gru", 2, 24, 12), generator(226)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            return torch.randn(8, 24, 2, generator=draw), torch.zeros(24)

        opt = optimizer("adamw:0.003", net)
        return Training(net, batch, opt, steps=3000, every=50, forward=two_views(0.3))

    spans = ((0.0, 2.4), (0.0, 1.5), (0.0, 1.2))
    yield from judged_at(self, "gru", NOT_KNOWN, build, Expected(final=(0.0, 1.2)), spans)


@family("long: imbalance")
def finds_rare_keys(self: Family) -> Iterator[Case]:
    """4% of the sequences have the key; the recall of these is logged. All is called negative for the first steps."""

    def build() -> Training:
        net = Net("lstm", 5, 20, 1, symbols=4)
        x, y = rare_key(12, 512, 0.04, 227)(0)

        def metrics(net: nn.Module, step: int) -> dict[str, float]:
            if step % 25:
                return {}
            with torch.no_grad():
                said = net(x) > 0
            return {"val_recall": float((said & (y > 0)).sum() / y.sum())}

        batch, opt = rare_key(12, 48, 0.04, 228), optimizer("adagrad:0.05", net)
        return Training(net, batch, opt, bce, steps=3000, every=50, metrics=metrics)

    spans = ((0.0, 0.25), (0.0, 0.05), (0.0, 0.05))
    yield from judged_at(self, "lstm", SAME, build, Expected(final=(0, 0.05)), spans)


@family("long: still learning")
def falls_to_the_end(self: Family) -> Iterator[Case]:
    """A small rate without momentum: the loss of a long chain falls a little all the time, and is not done."""

    def build() -> Training:
        net = Net("gru", 12, 32, 16, symbols=16, last=False)
        return Training(
            net, markov(12, 24, symbols=16, seed=229).batch, optimizer("sgd:0.01", net), steps=4000, every=50
        )

    high = markov(12, symbols=16).chance
    spans = ((high - 0.5, high + 0.2), (high - 0.9, high - 0.1), (high - 1.2, high - 0.2))
    yield from judged_at(self, "gru", (SLOW,) * 3, build, Expected(final=spans[-1]), spans)
