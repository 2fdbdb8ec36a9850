"""Trainings that fail by the optimizer, clipping, precision, what is not finite, the learning rate or the data.

They may be looked at while rules are written.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import softmax

from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.labels import (
    AT_CHANCE,
    BEFORE_UNSCALE,
    BROKEN,
    CHANGED,
    CLIP_LOW,
    CRAWLS,
    HEALTHY,
    LR_HIGH,
    LR_LOW,
    MISPLACED,
    NO_GRADIENT,
    NOT_UPDATED,
    NOT_ZEROED,
    SWINGS,
    UNTOLD,
)
from benchmarks.verdicts.nets import Net, start, times
from benchmarks.verdicts.optimizers import changed, optimizer
from benchmarks.verdicts.tasks import (
    Batch,
    autoregression,
    echo,
    majority,
    markov,
    mse,
    random_labels,
    remember,
    shuffled,
)
from benchmarks.verdicts.training import Training

FAMILIES = Families("tune")
family = FAMILIES.family
LN2, LN3, LN4 = 0.6931, 1.0986, 1.3863
CHAIN = markov(10)


def chain_net(cell: str, hidden: int = 32, **layer: object) -> Net:
    """A net for the next symbol of a chain."""
    return Net(cell, 12, hidden, 12, symbols=12, last=False, **layer)


@family("outcome")
def labels_at_random(self: Family) -> Iterator[Case]:
    """Labels that have nothing to do with the inputs, whose chance is told: at chance, the gradient is fine."""
    for cell, spec, classes, config in (
        ("gru", "sgd:0.1", 4, {"chance_loss": "ln 4"}),
        ("lstm", "adam:0.002", 3, {"chance_loss": "ln 3"}),
        ("tanh", "momentum:0.01", 2, {"chance_loss": "ln 2"}),
        ("gru", "rmsprop:0.001", 5, {"chance_loss": "ln 5"}),
        ("lstm", "sgd:0.2", 4, {}),
        ("gru", "adam:0.001", 2, {}),
    ):

        def build(cell=cell, spec=spec, classes=classes, config=config) -> Training:
            net = Net(cell, 4, 24, classes)
            task = random_labels(12, 32, classes)
            return Training(net, task.batch, optimizer(spec, net), steps=400, config=config)

        chance = random_labels(12, 32, classes).chance
        label = AT_CHANCE if config else UNTOLD
        told = "told" if config else "not told"
        yield self.case(f"{cell} {classes} {spec}, {told}", label, build, Expected(final=(chance - 0.03, chance + 0.1)))


@family("outcome")
def class_prior(self: Family) -> Iterator[Case]:
    """Falls to the entropy of unequal classes, and stays there: the majority class."""
    for cell, prior, spec in (("lstm", (0.85, 0.15), "adam:0.003"), ("gru", (0.7, 0.2, 0.1), "momentum:0.02")):
        chance = random_labels(12, 32, len(prior), prior=prior).chance

        def build(cell=cell, prior=prior, spec=spec, chance=chance) -> Training:
            net = Net(cell, 4, 24, len(prior))
            batch = random_labels(12, 48, len(prior), prior=prior).batch
            return Training(net, batch, optimizer(spec, net), steps=400, config={"chance_loss": round(chance, 4)})

        yield self.case(f"{cell} {prior}", AT_CHANCE, build, Expected(final=(chance - 0.04, chance + 0.06)))


@family("data")
def shuffled_targets(self: Family) -> Iterator[Case]:
    """Targets of other sequences and timesteps: falls to the entropy of the symbols and stays."""
    for cell, spec, told in (("gru", "sgd:1.0", True), ("lstm", "adam:0.01", True), ("tanh", "momentum:0.1", True)):

        def build(cell=cell, spec=spec, told=told) -> Training:
            task, net = shuffled(markov(20)), chain_net(cell)
            config = {"chance_loss": round(task.chance, 4)} if told else {}
            return Training(net, task.batch, optimizer(spec, net), steps=400, config=config)

        yield self.case(f"{cell} {spec}", AT_CHANCE, build, Expected(final=(CHAIN.chance - 0.03, CHAIN.chance + 0.06)))


def only_some(net: nn.Module, *parts: str) -> list[nn.Parameter]:
    """The parameters whose name begins with one of ``parts``."""
    return [p for name, p in net.named_parameters() if name.startswith(parts)]


@family("optimizer")
def not_in_the_optimizer(self: Family) -> Iterator[Case]:
    """The optimizer holds the head alone, and what the head reads has forgotten the first symbol."""
    for cell, spec in (("tanh", "sgd:0.1"), ("lstm", "adam:0.003"), ("gru", "momentum:0.05")):

        def build(cell=cell, spec=spec) -> Training:
            net = Net(cell, 8, 16, 3, symbols=6)
            if cell == "tanh":
                start(net, "orth", 0.8)
            opt = optimizer(spec, only_some(net, "head"))
            return Training(net, remember(25).batch, opt, config={"chance_loss": "ln 3"})

        label = NOT_UPDATED.also(outcomes="diverged")
        yield self.case(f"{cell} {spec}", label, build, Expected(final=(0.95 * LN3, 1.3)))


@family("optimizer")
def gradients_pile_up(self: Family) -> Iterator[Case]:
    """zero_grad forgotten: the gradient is the sum of all before it."""
    for cell, spec in (("gru", "sgd:0.02"), ("lstm", "adam:0.02"), ("tanh", "momentum:0.002"), ("gru", "adam:0.01")):

        def build(cell=cell, spec=spec) -> Training:
            net = chain_net(cell)
            config = {"chance_loss": round(CHAIN.chance, 4)}
            return Training(net, markov(20).batch, optimizer(spec, net), zero=False, config=config)

        if spec.startswith("sgd"):
            yield self.case(f"{cell} {spec}", SWINGS, build, Expected(final=(1.3, 2.0)))
        else:
            yield self.case(f"{cell} {spec}", NOT_ZEROED, build, Expected(nonfinite=None, final=(2.3, 1e39)))


@family("optimizer")
def cut_off(self: Family) -> Iterator[Case]:
    """The output of the recurrent layer is detached before the head reads it."""
    for cell, spec in (("gru", "adam:0.003"), ("tanh", "sgd:0.1")):

        def build(cell=cell, spec=spec) -> Training:
            net = Net(cell, 8, 16, 3, symbols=6)

            def forward(net: Net, x: Tensor, y: Tensor, step: int) -> Tensor:
                return nn.functional.cross_entropy(net.read(net.run(x)[0].detach()), y)

            batch = remember(25).batch
            return Training(
                net, batch, optimizer(spec, net), steps=200, forward=forward, config={"chance_loss": "ln 3"}
            )

        label = NO_GRADIENT.also(causes=("truncated-reach", "parameters-not-updated"))
        yield self.case(f"{cell} {spec}", label, build, Expected(final=(0.95 * LN3, 1.3)))


@family("optimizer")
def one_update_too_large(self: Family) -> Iterator[Case]:
    """A learning rate of 1e4 and more: one update throws the weights far away, and what follows is chance or worse."""
    for cell, spec in (("gru", "sgd:30000"), ("lstm", "sgd:100000"), ("relu", "sgd:1000")):

        def build(cell=cell, spec=spec) -> Training:
            net = chain_net(cell)
            config = {"chance_loss": round(CHAIN.chance, 4)}
            return Training(net, markov(15).batch, optimizer(spec, net), steps=120, config=config)

        label = LR_HIGH.also(causes=("saturated-gates",))
        yield self.case(f"{cell} {spec}", label, build, Expected(nonfinite=None, final=(3.0, 1e39)))


@family("clipping")
def clip_far_too_low(self: Family) -> Iterator[Case]:
    """A threshold far below every norm under SGD: the updates are next to nothing."""
    for cell, spec, clip in (
        ("gru", "sgd:0.5", "norm:0.0002"),
        ("lstm", "sgd:1.0", "norm:0.001"),
        ("tanh", "momentum:0.05", "norm:0.0001"),
    ):

        def build(cell=cell, spec=spec, clip=clip) -> Training:
            net = chain_net(cell)
            config = {"chance_loss": round(CHAIN.chance, 4)}
            return Training(net, markov(20).batch, optimizer(spec, net), clip=clip, config=config)

        yield self.case(f"{cell} {spec} {clip}", CLIP_LOW, build, Expected(final=(2.2, 2.7)))


@family("clipping")
def clip_of_a_sum(self: Family) -> Iterator[Case]:
    """A loss summed over batch and time with a threshold for a mean: always clipped, and slow."""
    for cell, spec in (("gru", "sgd:0.01"), ("lstm", "sgd:0.02")):

        def build(cell=cell, spec=spec) -> Training:
            net, task = chain_net(cell), markov(20)

            def loss(output: Tensor, target: Tensor) -> Tensor:
                return nn.functional.cross_entropy(output.flatten(0, -2), target.flatten(), reduction="sum")

            watch = {"loss_reduction": "sum over batch and timesteps"}
            config = {"chance_loss": round(CHAIN.chance * 320, 1)}
            return Training(
                net, task.batch, optimizer(spec, net), loss, steps=250, clip="norm:1.0", watch=watch, config=config
            )

        yield self.case(f"{cell} {spec}", CRAWLS, build, Expected(final=(1.7 * 320, 2.4 * 320)))


@family("clipping")
def clip_after_the_update(self: Family) -> Iterator[Case]:
    """Clipping is called where it does nothing, in a training that needs it: relu that grows at each timestep."""
    for where, g in (("after-update", 1.1), ("before-backward", 1.12)):

        def build(where=where, g=g) -> Training:
            net = start(Net("relu", 2, 32, 1), "eye", g)
            draw = torch.Generator().manual_seed(4)

            def batch(step: int) -> tuple[Tensor, Tensor]:
                x = torch.rand(40, 16, 2, generator=draw)
                return x, x[..., :1].mean(0)

            return Training(net, batch, optimizer("sgd:0.001", net), mse, 120, 1, "norm:1.0", where)

        label = MISPLACED.also(causes=("exploding",), actions="clip")
        yield self.case(f"{where} {g}", label, build, Expected(nonfinite=None, final=(0.2, 1e39)))


@family("mixed precision")
def scale_settles(self: Family) -> Iterator[Case]:
    """A GradScaler that begins far too high, and skips updates until its scale fits: as meant."""
    for cell, spec in (("gru", "adam:0.01"), ("lstm", "momentum:0.5")):

        def build(cell=cell, spec=spec) -> Training:
            net = chain_net(cell)
            scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
            return Training(net, markov(20).batch, optimizer(spec, net), scaler=scaler)

        yield self.case(f"{cell} {spec}", HEALTHY, build, Expected(final=(1.3, 2.2)))


@family("mixed precision")
def clip_before_unscale(self: Family) -> Iterator[Case]:
    """Scaled gradients are clipped: after unscaling, next to nothing of them is left."""
    for cell, spec in (("gru", "sgd:0.5"), ("lstm", "momentum:0.2")):

        def build(cell=cell, spec=spec) -> Training:
            net = chain_net(cell)
            scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
            config = {"chance_loss": round(CHAIN.chance, 4)}
            return Training(
                net,
                markov(20).batch,
                optimizer(spec, net),
                scaler=scaler,
                unscale=False,
                clip="norm:1.0",
                config=config,
            )

        yield self.case(f"{cell} {spec}", BEFORE_UNSCALE, build, Expected(final=(2.2, 2.7)))


@family("non-finite")
def log_of_zero(self: Family) -> Iterator[Case]:
    """The logarithm of a probability that underflowed: the loss itself is inf."""
    for cell, factor in (("gru", 400.0), ("tanh", 300.0)):

        def build(cell=cell, factor=factor) -> Training:
            net = times(Net(cell, 3, 24, 3), "head.weight", factor)

            def loss(output: Tensor, target: Tensor) -> Tensor:
                return -softmax(output, 1)[torch.arange(len(target)), target].log().mean()

            return Training(net, majority(15).batch, optimizer("sgd:0.1", net), loss, steps=120)

        yield self.case(f"{cell} {factor:g}", BROKEN, build, Expected(nonfinite=True))


@family("non-finite")
def root_of_zero(self: Family) -> Iterator[Case]:
    """A distance that becomes exactly 0 at a step: the loss is finite, the gradient of its root is not."""
    for cell, at in (("gru", 60), ("lstm", 0)):

        def build(cell=cell, at=at) -> Training:
            net, task = Net(cell, 1, 24, 1, last=False), autoregression(15)

            def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
                out = net(x)
                target = torch.where(torch.arange(len(y))[:, None, None] == 3, out.detach(), y) if step == at else y
                return (out - target).square().sum(-1).sqrt().mean()

            return Training(net, task.batch, optimizer("adam:0.003", net), forward=forward, steps=150)

        yield self.case(f"{cell} at {at}", BROKEN, build, Expected(nonfinite=True))


@family("non-finite")
def overflow(self: Family) -> Iterator[Case]:
    """exp of an output that is large at a step: the loss is inf from there on."""
    for cell, at in (("gru", 80),):

        def build(cell=cell, at=at) -> Training:
            net, task = Net(cell, 1, 24, 1, last=False), autoregression(15)

            def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
                out = net(x) + (200.0 if step >= at else 0.0)
                return (out - y.abs() * out.exp() * 0 + (out - 1.0).exp() * y.abs()).mean()

            return Training(net, task.batch, optimizer("sgd:0.01", net), forward=forward, steps=150)

        yield self.case(f"{cell} at {at}", BROKEN, build, Expected(nonfinite=True))


@family("learning rate")
def far_too_low(self: Family) -> Iterator[Case]:
    """A learning rate hundreds of times too low: the loss creeps."""
    for cell, spec in (("lstm", "sgd:0.001"), ("gru", "adam:0.000003"), ("tanh", "momentum:0.0001")):

        def build(cell=cell, spec=spec) -> Training:
            net = chain_net(cell)
            config = {"chance_loss": round(CHAIN.chance, 4)}
            return Training(net, markov(20).batch, optimizer(spec, net), config=config)

        yield self.case(f"{cell} {spec}", LR_LOW, build, Expected(final=(2.3, 2.7)))


@family("learning rate")
def far_too_high(self: Family) -> Iterator[Case]:
    for cell, spec in (("lstm", "adam:3.0"), ("gru", "momentum:30"), ("lstm", "sgd:200"), ("gru", "adam:2.0")):

        def build(cell=cell, spec=spec) -> Training:
            net = chain_net(cell)
            config = {"chance_loss": round(CHAIN.chance, 4)}
            return Training(net, markov(20).batch, optimizer(spec, net), config=config)

        label = LR_HIGH.also(causes=("saturated-gates",))
        yield self.case(f"{cell} {spec}", label, build, Expected(nonfinite=None, final=(2.45, 1e39)))


@family("learning rate")
def raised_midway(self: Family) -> Iterator[Case]:
    """A fault of the schedule: the learning rate is raised a hundredfold, and the loss jumps and stays."""
    for cell, first, then in (("gru", 0.5, 150.0), ("lstm", 0.5, 200.0)):

        def build(cell=cell, first=first, then=then) -> Training:
            net = chain_net(cell)
            config = {"chance_loss": round(CHAIN.chance, 4)}
            before = changed(first, then, 200)
            opt = optimizer(f"sgd:{first}", net)
            return Training(net, markov(20).batch, opt, before=before, steps=400, config=config)

        label = LR_HIGH.also(causes=("changed-during-training", "saturated-gates"), actions="revert-change")
        yield self.case(f"{cell} {first} to {then}", label, build, Expected(nonfinite=None, final=(2.45, 1e39)))


def shifted(first: Batch, then: Batch, at: int) -> Batch:
    return lambda step: first(step) if step < at else then(step)


@family("data")
def shift_midway(self: Family) -> Iterator[Case]:
    """From a step on the targets are of other sequences: what was learned is lost, and nothing replaces it."""
    for cell, at, lag in (("gru", 200, 1), ("lstm", 250, 1)):

        def build(cell=cell, at=at, lag=lag) -> Training:
            net, task = Net(cell, 8, 32, 4, symbols=4, last=False), echo(15, lag=lag)
            batch = shifted(task.batch, shuffled(echo(15, lag=lag, seed=8)).batch, at)
            config = {"chance_loss": "ln 4"}
            return Training(net, batch, optimizer("adam:0.005", net), steps=400, config=config)

        label = CHANGED.also(outcomes="stuck", causes=(None,), actions="check-batch")
        yield self.case(f"{cell} at {at}", label, build, Expected(final=(1.25, 2.5)))
