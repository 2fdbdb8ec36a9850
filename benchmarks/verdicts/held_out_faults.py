"""Trainings that fail by anything but the gradient through time. Held out: writers of rules do not read this."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.labels import (
    AT_CHANCE,
    BEFORE_UNSCALE,
    CLIP_LOW,
    HEALTHY,
    LR_HIGH,
    LR_LOW,
    MISPLACED,
    NO_GRADIENT,
    NOT_UPDATED,
    NOT_ZEROED,
    SWINGS,
)
from benchmarks.verdicts.nets import Net, keep, start
from benchmarks.verdicts.optimizers import changed, optimizer, schedule
from benchmarks.verdicts.tasks import (
    Batch,
    echo,
    generator,
    majority,
    markov,
    mean_of,
    mse,
    remember,
)
from benchmarks.verdicts.training import Training

FAMILIES = Families("held-out")
family = FAMILIES.family
LN2, LN3 = 0.6931, 1.0986


def noise(T: int, N: int, out: int, shift: float = 0.0, seed: int = 1) -> Batch:
    """Inputs and targets that have nothing to do with each other; the targets of variance 1 about ``shift``."""
    draw = generator(seed)
    return lambda step: (torch.randn(T, N, 3, generator=draw), shift + torch.randn(N, out, generator=draw))


@family("optimizer")
def held_back(self: Family) -> Iterator[Case]:
    """Recurrent weights that no update changes: not in the optimizer, a rate of 0, put back after each step, a copy."""

    def net_of(cell: str) -> Net:
        net = Net(cell, 6, 16, 2, symbols=4)
        return start(net, "orth", 0.7) if cell in ("tanh", "relu") else keep(net, -0.5)

    def missing(net: Net, spec: str) -> torch.optim.Optimizer:
        return optimizer(spec, [*net.head.parameters(), *net.embedding.parameters()])

    def no_rate(net: Net, spec: str) -> torch.optim.Optimizer:
        groups = [{"params": net.recurrent.parameters(), "lr": 0.0}, {"params": net.head.parameters()}]
        return optimizer(spec, groups)

    for name, make, cell, spec in (
        ("missing", missing, "gru", "adamw:0.003"),
        ("missing", missing, "tanh", "nesterov:0.05"),
        ("rate 0", no_rate, "lstm", "momentum:0.05"),
        ("rate 0", no_rate, "tanh", "adam:0.003"),
    ):

        def build(make=make, cell=cell, spec=spec) -> Training:
            net = net_of(cell)
            return Training(net, remember(25, 32, 2).batch, make(net, spec), config={"chance_loss": "ln 2"})

        yield self.case(f"{name} {cell} {spec}", NOT_UPDATED, build, Expected(final=(0.95 * LN2, 1.0)))

    def restored() -> Training:
        net = net_of("gru")
        kept = [p.detach().clone() for p in net.parameters()]

        def after(step: int, net: nn.Module, opt: torch.optim.Optimizer) -> None:
            with torch.no_grad():
                for parameter, value in zip(net.parameters(), kept, strict=True):
                    parameter.copy_(value)

        batch = remember(15, 32, 2).batch
        return Training(net, batch, optimizer("sgd:0.1", net), after=after, config={"chance_loss": "ln 2"})

    yield self.case("put back", NOT_UPDATED.also(causes=(None,), actions="check-data overfit-one-batch"), restored)


@family("optimizer")
def never_zeroed(self: Family) -> Iterator[Case]:
    for cell, spec in (
        ("lstm", "rmsprop:0.003"),
        ("gru", "momentum:0.003"),
        ("tanh", "adamw:0.005"),
        ("lstm", "sgd:0.02"),
    ):

        def build(cell=cell, spec=spec) -> Training:
            net = Net(cell, 3, 24, 3)
            batch = majority(12, 32).batch
            return Training(net, batch, optimizer(spec, net), zero=False, config={"chance_loss": "ln 3"})

        label, final = (SWINGS, (0.1, 3.0)) if cell == "lstm" else (NOT_ZEROED, (1.2, 1e39))
        yield self.case(f"{cell} {spec}", label, build, Expected(nonfinite=None, final=final))


@family("optimizer")
def encoder_without_gradient(self: Family) -> Iterator[Case]:
    """An encoder under no_grad, or whose output is detached, that a second layer reads."""

    class Two(nn.Module):
        def __init__(self, how: str) -> None:
            super().__init__()
            self.encoder = start(Net("tanh", 6, 16, 16, symbols=4, last=False), "orth", 0.2)
            self.reader, self.head, self.how = nn.GRU(16, 16), nn.Linear(16, 2), how

        def forward(self, x: Tensor) -> Tensor:
            if self.how == "no_grad":
                with torch.no_grad():
                    code = self.encoder(x)
            else:
                code = self.encoder(x).detach()
            return self.head(self.reader(code)[0][-1])

    for how in ("no_grad", "detach"):

        def build(how=how) -> Training:
            net = Two(how)
            config = {"chance_loss": "ln 2"}
            return Training(net, remember(60, 16, 2).batch, optimizer("sgd:0.02", net), steps=200, config=config)

        label = NO_GRADIENT.also(causes=("parameters-not-updated", "vanishing"), actions="update-parameters")
        yield self.case(how, label, build, Expected(final=(0.95 * LN2, 0.8)))


@family("clipping")
def threshold_far_below(self: Family) -> Iterator[Case]:
    """Clipping by norm and by value, far below what the gradient has, under SGD with and without momentum."""
    for cell, spec, clip in (
        ("lstm", "sgd:0.5", "value:0.00001"),
        ("gru", "momentum:0.1", "norm:0.0002"),
        ("relu", "sgd:0.1", "norm:0.0005"),
        ("tanh", "nesterov:0.02", "norm:0.001"),
    ):

        def build(cell=cell, spec=spec, clip=clip) -> Training:
            net = Net(cell, 3, 24, 3)
            batch = majority(12, 32).batch
            return Training(net, batch, optimizer(spec, net), clip=clip, config={"chance_loss": "ln 3"})

        yield self.case(f"{cell} {spec} {clip}", CLIP_LOW, build, Expected(final=(0.95, 1.2)))


@family("clipping")
def clip_without_effect(self: Family) -> Iterator[Case]:
    """Clipping before the backward pass, told or not, in a relu RNN that needs it, and in a GRU that does not."""
    for declared, scale in ((True, 1.15), (False, 1.1)):

        def build(declared=declared, scale=scale) -> Training:
            net = start(Net("relu", 2, 24, 1), "eye", scale)
            where = "before-backward" if declared else "after-update"
            return Training(
                net,
                mean_of(40, 16).batch,
                optimizer("sgd:0.01", net),
                mse,
                steps=150,
                every=1,
                clip="norm:1.0",
                clip_at=where,
                declared=declared,
            )

        label = MISPLACED.also(causes=("exploding",), actions="clip")
        yield self.case(f"relu {scale}", label, build, Expected(nonfinite=None, final=(1.0, 1e39)))
    for where in ("before-backward", "after-update"):

        def build_fine(where=where) -> Training:
            net = Net("gru", 3, 24, 3)
            opt = optimizer("adam:0.01", net)
            return Training(net, majority(12, 32).batch, opt, clip="norm:0.05", clip_at=where)

        label = HEALTHY.also(causes=("clip-misplaced",), actions="move-clipping")
        yield self.case(f"gru {where}", label, build_fine, Expected(final=(0, 0.7)))


@family("mixed precision")
def scaled_gradients_are_clipped(self: Family) -> Iterator[Case]:
    for cell, spec, scale in (("lstm", "sgd:1.0", 14), ("tanh", "momentum:0.05", 16), ("gru", "nesterov:0.1", 15)):

        def build(cell=cell, spec=spec, scale=scale) -> Training:
            net = Net(cell, 3, 24, 3)
            scaler = torch.amp.GradScaler("cpu", init_scale=2.0**scale)
            opt, batch = optimizer(spec, net), majority(12, 32).batch
            config = {"chance_loss": "ln 3"}
            return Training(net, batch, opt, scaler=scaler, unscale=False, clip="norm:0.5", config=config)

        yield self.case(f"{cell} {spec} 2^{scale}", BEFORE_UNSCALE, build, Expected(final=(0.95, 1.25)))


@family("mixed precision")
def halves_underflow(self: Family) -> Iterator[Case]:
    """A net in float16 with a small loss: every gradient is below the smallest float16, and is 0."""
    for cell, factor in (("gru", 1e-6), ("tanh", 1e-6)):

        def build(cell=cell, factor=factor) -> Training:
            net, task = Net(cell, 3, 24, 3).half(), majority(12, 32)

            def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
                return factor * cross_entropy(net(x.half()).float(), y)

            opt = torch.optim.SGD(net.parameters(), 0.1 / factor * 1e-4)
            config = {"chance_loss": factor * math.log(3)}
            return Training(net, task.batch, opt, forward=forward, steps=200, config=config)

        label = AT_CHANCE.also(causes=("vanishing", "no-gradient", "parameters-not-updated"), actions="scale-loss")
        yield self.case(f"{cell} {factor}", label, build, Expected(final=(0.9 * LN3 * factor, 1.3 * LN3 * factor)))


@family("learning rate")
def much_too_low(self: Family) -> Iterator[Case]:
    for cell, spec in (
        ("gru", "sgd:0.002"),
        ("lstm", "rmsprop:0.0000005"),
        ("tanh", "adamw:0.000002"),
        ("gru", "nesterov:0.0002"),
    ):

        def build(cell=cell, spec=spec) -> Training:
            net = Net(cell, 6, 24, 4, symbols=4, last=False)
            return Training(net, echo(12, 16, lag=1).batch, optimizer(spec, net), config={"chance_loss": 1.2708})

        yield self.case(f"{cell} {spec}", LR_LOW, build, Expected(final=(1.2, 1.5)))


@family("learning rate")
def much_too_high(self: Family) -> Iterator[Case]:
    for cell, spec in (
        ("gru", "rmsprop:1.0"),
        ("lstm", "adamw:2.0"),
        ("gru", "nesterov:50"),
        ("tanh", "adam:3.0"),
        ("lstm", "momentum:100"),
    ):

        def build(cell=cell, spec=spec) -> Training:
            net = Net(cell, 6, 24, 3, symbols=3, last=False)
            batch = echo(12, 16, lag=2, kinds=3).batch
            return Training(
                net, batch, optimizer(spec, net), config={"chance_loss": round(echo(12, lag=2, kinds=3).chance, 4)}
            )

        label = LR_HIGH.also(causes=("saturated-gates",))
        yield self.case(f"{cell} {spec}", label, build, Expected(nonfinite=None, final=(0.9, 1e39)))


@family("learning rate")
def schedule_at_fault(self: Family) -> Iterator[Case]:
    """The rate is raised a hundredfold by a fault of the schedule, or goes to 0 before anything was learned."""
    for cell, first, then, at in (("gru", "adam:0.005", 3.0, 150), ("lstm", "momentum:0.5", 50.0, 250)):

        def build(cell=cell, first=first, then=then, at=at) -> Training:
            net = Net(cell, 12, 24, 12, symbols=12, last=False)
            before = changed(float(first.split(":")[1]), then, at)
            batch = markov(12).batch
            return Training(
                net,
                batch,
                optimizer(first, net),
                before=before,
                steps=450,
                config={"chance_loss": round(markov(12).chance, 4)},
            )

        label = LR_HIGH.also(causes=("changed-during-training", "saturated-gates"), actions="revert-change")
        yield self.case(f"{cell} up at {at}", label, build, Expected(nonfinite=None, final=(2.4, 1e39)))
    for cell, top in (("tanh", 0.1), ("gru", 0.2)):

        def build_down(cell=cell, top=top) -> Training:
            net = Net(cell, 12, 24, 12, symbols=12, last=False)
            before = schedule(lambda step: top * 0.7**step)
            config = {"chance_loss": round(markov(12).chance, 4)}
            return Training(net, markov(12).batch, optimizer(f"sgd:{top}", net), before=before, config=config)

        label = LR_LOW.also(causes=("changed-during-training",), actions="revert-change")
        yield self.case(f"{cell} down from {top}", label, build_down, Expected(final=(2.3, 2.7)))


@family("mixed precision")
def scale_grows_and_settles(self: Family) -> Iterator[Case]:
    """A GradScaler whose scale is too high at first and doubles now and then, so that an update is skipped at times."""
    for cell, spec, interval in (("tanh", "adam:0.005", 2000), ("gru", "adamw:0.01", 60), ("lstm", "adam:0.01", 100)):

        def build(cell=cell, spec=spec, interval=interval) -> Training:
            net = Net(cell, 3, 24, 3)
            scaler = torch.amp.GradScaler("cpu", init_scale=2.0**126, growth_interval=interval)
            opt = optimizer(spec, net)
            return Training(net, majority(12, 32).batch, opt, scaler=scaler, clip="norm:1.0")

        yield self.case(f"{cell} {spec} {interval}", HEALTHY, build, Expected(final=(0, 0.8)))
