"""The apart part: long trainings that fail, at once or in the end, each judged at 10, 50 and 100% of its steps."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts import field_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.field_nets import carried, counted, reinforce, thirds, under, validation
from benchmarks.verdicts.labels import (
    AT_CHANCE,
    BAD_BATCH,
    CHANGED,
    CLIP_LOW,
    CLIPPED_EXPLODES,
    CUT,
    FADES,
    HEALTHY,
    LR_HIGH,
    LR_LOW,
    NOT_UPDATED,
    NOT_ZEROED,
    OVERFITS,
)
from benchmarks.verdicts.nets import Net, start
from benchmarks.verdicts.optimizers import optimizer, schedule
from benchmarks.verdicts.tasks import Task, ce, mse, shuffled
from benchmarks.verdicts.training import Training

FAMILIES = Families("apart")

STEPS = 3000
LN2, LN3 = math.log(2), math.log(3)
BY_CHANCE = {"chance_loss": LN2}


def during(batch: data.Batch, at: int, change: object) -> data.Batch:
    """The batches, changed from step ``at`` on."""
    return lambda step: change(*batch(step)) if step >= at else batch(step)


@FAMILIES.family("overfitting")
def few_genes(self: Family) -> Iterator[Case]:
    """A hundred sequences with wrong labels among them: val_loss falls little, then rises for long."""

    def build() -> Training:
        net = Net("gru", 8, 24, 2, symbols=4)
        batch = data.dataset(data.genes(12, 100, 1, 0.2), 100, 10, 3)
        metrics = validation(data.genes(12, 300, 2, 0.2), ce, 50, right="val_acc")
        return Training(net, batch, optimizer("adam:0.003", net), steps=STEPS, every=50, metrics=metrics)

    rises = Expected(measure="val_loss", final=(0.8, 20.0))
    early = Expected(measure="val_loss", final=(0.65, 1.2))
    told = (OVERFITS, early), (OVERFITS, rises), (OVERFITS, rises)
    yield from thirds(self, "val_loss, val_acc", build, *told)


@FAMILIES.family("overfitting")
def few_series(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net, noisy = Net("lstm", 2, 24, 1), data.load(10, 24, 1, 0.8)
        x, y = noisy(0)
        batch = data.dataset(lambda step: (x, y[-1]), 24, 8, 3)

        def held(step: int) -> tuple[Tensor, Tensor]:
            x, y = data.load(10, 300, 2, 0.8)(0)
            return x, y[-1]

        more = {"every": 50, "metrics": validation(held, mse, 50)}
        return Training(net, batch, optimizer("adam:0.003", net), mse, STEPS, **more)

    rises = Expected(measure="val_loss", final=(1.3, 20.0))
    early = Expected(measure="val_loss", final=(1.2, 2.5))
    told = (OVERFITS, early), (OVERFITS, rises), (OVERFITS, rises)
    yield from thirds(self, "val_loss", build, *told)


@FAMILIES.family("learning rate")
def warm_up_without_end(self: Family) -> Iterator[Case]:
    """The rate goes on rising after the warm-up, by 0.15% a step."""

    def build() -> Training:
        net = Net("tanh", 2, 16, 1, last=False)
        batch = data.dataset(data.load(10, 2000, 1), 2000, 16, 2, tokens=True)
        more = {"every": 50, "before": schedule(lambda step: 0.02 * 1.0015**step)}
        return Training(net, batch, optimizer("sgd:0.02", net), mse, STEPS, **more)

    label = LR_HIGH.also(causes=("changed-during-training",), actions="revert-change")
    told = (HEALTHY, under(0.6)), (HEALTHY, under(0.3)), (label, Expected(final=(1.0, math.inf), nonfinite=None))
    yield from thirds(self, "SGD", build, *told)


@FAMILIES.family("non-finite")
def lost_sensor(self: Family) -> Iterator[Case]:
    """From one batch on a reading is NaN, as where a file has a gap."""

    def build() -> Training:
        net, batch = Net("gru", 1, 12, 1, last=False), data.calls(12, 16, 1)

        def gap(step: int) -> tuple[Tensor, Tensor]:
            x, y = batch(step)
            if step == 1900:
                x[3, 2] = math.nan
            return x, y

        optim = optimizer("adam:0.003", net)
        return Training(net, gap, optim, functional.poisson_nll_loss, STEPS, every=50)

    told = (HEALTHY, under(-4)), (HEALTHY, under(-5)), (BAD_BATCH, Expected(nonfinite=True))
    yield from thirds(self, "NaN in an input", build, *told)


@FAMILIES.family("changed")
def labels_of_another_file(self: Family) -> Iterator[Case]:
    """After a restart at 55% the labels come from a file in another order."""

    def build() -> Training:
        net = Net("lstm", 8, 16, 3, symbols=20, last=False)

        def change(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            return x, y[:, torch.randperm(y.shape[1])][torch.randperm(len(y))]

        batch = during(data.slots(8, 16, 1), 1650, change)
        return Training(net, batch, optimizer("adam:0.003", net), forward=counted(ce), steps=STEPS, every=50)

    told = (HEALTHY, under(0.5)), (HEALTHY, under(0.1)), (CHANGED.also(outcomes="stuck"), under(2.0, 0.4))
    yield from thirds(self, "tags", build, *told)


@FAMILIES.family("changed")
def dead_channel(self: Family) -> Iterator[Case]:
    """From 30% on the input is 0, as of a sensor that is unplugged."""

    def build() -> Training:
        net = Net("tanh", 1, 16, 1, last=False)
        pool = data.dataset(data.pendulum(12, 2000, 1), 2000, 16, 2, tokens=True)
        batch = during(pool, 900, lambda x, y: (0 * x, y))
        return Training(net, batch, optimizer("adam:0.005", net), mse, STEPS, every=50)

    label = CHANGED.also(outcomes="stuck")
    told = (HEALTHY, under(0.2)), (label, under(2.0, 0.2)), (label, under(2.0, 0.2))
    yield from thirds(self, "input becomes 0", build, *told)


@FAMILIES.family("changed")
def locked_maze(self: Family) -> Iterator[Case]:
    """From 55% on neither way is out, so that nothing is ever rewarded."""

    def build() -> Training:
        net = Net("gru", 3, 12, 2)
        watch = {"goal": "reward", "better": "higher", "chance": 0.5}
        more = {"every": 50, "forward": reinforce(), "watch": watch}
        batch = during(data.maze(4, 16, 1), 1650, lambda x, y: (x, y + 2))
        return Training(net, batch, optimizer("adam:0.005", net), steps=STEPS, **more)

    def reward(low: float, high: float) -> Expected:
        return Expected(measure="reward", final=(low, high))

    label = CHANGED.also(outcomes="stuck")
    yield from thirds(self, "reward", build, *[(HEALTHY, reward(0.85, 1.0))] * 2, (label, reward(0.0, 0.2)))


@FAMILIES.family("learning rate")
def scheduler_by_batch(self: Family) -> Iterator[Case]:
    """An exponential schedule meant for epochs that is stepped with each batch: nothing is left after 100 steps."""

    def build() -> Training:
        net = Net("lstm", 2, 16, 6, symbols=6, last=True)
        more = {"every": 50, "before": schedule(lambda step: 0.001 * 0.9**step), "watch": {"chance_loss": math.log(4)}}
        return Training(net, data.temporal_order(10, 32, 1), optimizer("adam:0.001", net), steps=STEPS, **more)

    yield from thirds(self, "ExponentialLR", build, *[(LR_LOW, under(1.8, 1.34))] * 3)


@FAMILIES.family("data")
def bearings_shuffled(self: Family) -> Iterator[Case]:
    """Inputs are sorted by length and the targets are not."""

    def build() -> Training:
        net = Net("gru", 1, 16, 4)
        batch = shuffled(Task(data.bearing(12, 32, 4, 1))).batch
        return Training(net, batch, optimizer("adam:0.003", net), steps=STEPS, every=50, watch={"chance_loss": "ln 4"})

    about = under(1.42, 1.35)
    yield from thirds(self, "chance known", build, *[(AT_CHANCE, about)] * 3)


@FAMILIES.family("vanishing")
def long_corridor(self: Family) -> Iterator[Case]:
    """A sign 40 timesteps ago, a recurrence that halves."""

    def build() -> Training:
        net = start(Net("tanh", 3, 16, 2), "orth", 0.5)
        return Training(net, data.maze(40, 16, 1), optimizer("sgd:0.05", net), steps=STEPS, every=50, watch=BY_CHANCE)

    yield from thirds(self, "tanh", build, *[(FADES, Expected(final=(0.66, 0.73), kept=(0.0, 1e-4)))] * 3)


@FAMILIES.family("truncation")
def windows_of_five(self: Family) -> Iterator[Case]:
    """The symbol of 9 timesteps ago, in windows of 5 whose state is carried and detached."""

    def build() -> Training:
        net = Net("lstm", 6, 16, 3, symbols=3, last=False)
        batch, forward = carried(9, 5, 16, 3, 1)
        more = {"every": 50, "forward": forward, "watch": {"chance_loss": LN3}}
        return Training(net, batch, optimizer("adam:0.002", net), steps=STEPS, **more)

    yield from thirds(self, "windows of 5", build, *[(CUT, under(1.13, 1.05))] * 3)


@FAMILIES.family("clipping")
def clipped_bearings(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 1, 12, 4)
        more = {"every": 50, "clip": "norm:0.0002", "watch": {"chance_loss": "ln 4"}}
        return Training(net, data.bearing(12, 32, 4, 1), optimizer("sgd:0.1", net), steps=STEPS, **more)

    yield from thirds(self, "norm 0.0002, SGD", build, *[(CLIP_LOW, under(1.5, 1.3))] * 3)


@FAMILIES.family("not updated")
def head_alone(self: Family) -> Iterator[Case]:
    """The optimizer was given the head; the recurrence stays as it began, and forgets."""

    def build() -> Training:
        net = Net("tanh", 3, 12, 2)
        optim = optimizer("adam:0.005", net.head)
        return Training(net, data.maze(25, 16, 1), optim, steps=STEPS, every=50, watch=BY_CHANCE)

    label = NOT_UPDATED.also(causes=("vanishing",), actions="change-initialization change-cell shorten-path")
    yield from thirds(self, "a sign at timestep 0", build, *[(label, under(0.72, 0.66))] * 3)


@FAMILIES.family("exploding")
def chaotic_net(self: Family) -> Iterator[Case]:
    """Recurrent weights three times too large: clipped at each step, and to no use."""

    def build() -> Training:
        net = start(Net("tanh", 4, 32, 4, symbols=6), "gauss", 3.0)
        more = {"every": 50, "clip": "norm:1", "watch": {"chance_loss": "ln 4"}}
        return Training(net, data.temporal_order(30, 16, 1), optimizer("sgd:0.1", net), steps=STEPS, **more)

    about = Expected(final=(1.33, 5.0), growth=(10.0, math.inf))
    yield from thirds(self, "tanh, clip 1", build, *[(CLIPPED_EXPLODES, about)] * 3)


@FAMILIES.family("learning rate")
def far_too_fast(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 16, 24, 28, symbols=28, last=False)
        more = {"every": 50, "watch": {"chance_loss": "ln 28"}}
        return Training(net, data.sentences(10, 8, 1), optimizer("adam:3", net), steps=STEPS, **more)

    yield from thirds(self, "Adam at 3", build, *[(LR_HIGH, under(math.inf, 2.8))] * 3)


@FAMILIES.family("not zeroed")
def added_up_gradients(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 1, 12, 4)
        more = {"every": 50, "zero": False, "watch": {"chance_loss": "ln 4"}}
        return Training(net, data.bearing(12, 32, 4, 1), optimizer("sgd:0.1", net), steps=STEPS, **more)

    yield from thirds(self, "SGD", build, *[(NOT_ZEROED, under(math.inf, 1.3))] * 3)


@FAMILIES.family("data")
def broadcast(self: Family) -> Iterator[Case]:
    """Outputs [N, 1] less targets [N] are a square [N, N]: the mean of all targets is learned."""

    def build() -> Training:
        net, series = Net("gru", 2, 12, 1), data.load(8, 16, 1)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = series(step)
            return x, y[-1, :, 0] / 0.9

        def loss(output: Tensor, target: Tensor) -> Tensor:
            return (output - target).square().mean()

        more = {"every": 50, "watch": {"chance_loss": 1.0}}
        return Training(net, batch, optimizer("adam:0.003", net), loss, STEPS, **more)

    yield from thirds(self, "[N, 1] - [N]", build, *[(AT_CHANCE, under(1.5, 0.8))] * 3)


@FAMILIES.family("data")
def inverted_mask(self: Family) -> Iterator[Case]:
    """The mask is that of the padding: the loss is of padding alone, and goes to 0."""

    def build() -> Training:
        net, batch = Net("gru", 8, 16, 3, symbols=21, last=False), data.slots(8, 16, 1)

        def padded(step: int) -> tuple[Tensor, Tensor]:
            x, y = batch(step)
            ends = torch.randint(4, 8, (x.shape[1],))
            inside = torch.arange(len(x))[:, None] < ends
            return torch.where(inside, x, 20), torch.where(inside, y, 0)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, dict[str, float]]:
            output, real = net(x), x != 20
            marked = real & (y > 0)
            right = (output.argmax(-1) == y)[marked].float().mean()
            return ce(output[~real], y[~real]), {"slot_recall": float(right)}

        watch = {"goal": "slot_recall", "better": "higher", "chance": 0.33}
        more = {"every": 50, "forward": forward, "watch": watch}
        return Training(net, padded, optimizer("adam:0.003", net), steps=STEPS, **more)

    label = AT_CHANCE.also(outcomes="overfits diverged")
    about = Expected(measure="slot_recall", final=(0.0, 0.35))
    yield from thirds(self, "recall of slots", build, *[(label, about)] * 3)
