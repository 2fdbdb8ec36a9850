"""Trainings that learn, of very different kind; they may be looked at while rules are written."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.labels import HEALTHY, NOTED, UNMEASURED
from benchmarks.verdicts.nets import Net, fill, keep, start, times
from benchmarks.verdicts.optimizers import cosine, optimizer, warmup
from benchmarks.verdicts.tasks import autoregression, echo, fixed, majority, markov, mean_of, mse, nll, remember, weak
from benchmarks.verdicts.training import Training

FAMILIES = Families("tune")
family = FAMILIES.family


@family("healthy")
def fits_classes(self: Family) -> Iterator[Case]:
    """Which input has the largest sum over the last timesteps; one loss, at the end."""
    for cell, spec, T, N in (
        ("gru", "adam:0.01", 20, 32),
        ("lstm", "adam:0.01", 15, 16),
        ("tanh", "momentum:0.03", 15, 32),
        ("relu", "adam:0.002", 20, 32),
        ("gru", "momentum:0.1", 25, 16),
        ("lstm", "rmsprop:0.003", 20, 32),
        ("tanh", "adamw:0.003", 12, 64),
        ("gru", "sgd:0.5", 15, 32),
    ):

        def build(cell=cell, spec=spec, T=T, N=N) -> Training:
            net = Net(cell, 3, 24, 3)
            if cell in ("tanh", "relu"):
                start(net, "orth", 0.9)
            return Training(net, majority(T, N).batch, optimizer(spec, net), steps=300)

        yield self.case(f"{cell} T={T} N={N} {spec}", HEALTHY, build, Expected(final=(0, 0.75)))


@family("healthy")
def fits_classes_and_measures(self: Family) -> Iterator[Case]:
    """The same with accuracy or a validation loss beside the loss."""
    for cell, name in (("gru", "val_loss"), ("lstm", "accuracy"), ("tanh", "val_acc")):

        def build(cell=cell, name=name) -> Training:
            net, task, held = Net(cell, 3, 24, 3), majority(15, 32), majority(15, 128, seed=99).batch(0)

            def metrics(net: nn.Module, step: int) -> dict[str, float]:
                if step % 10:
                    return {}
                with torch.no_grad():
                    out = net(held[0])
                loss, right = cross_entropy(out, held[1]), (out.argmax(-1) == held[1]).float().mean()
                return {name: float(loss if name == "val_loss" else right)}

            return Training(net, task.batch, optimizer("adam:0.005", net), metrics=metrics)

        yield self.case(f"{cell} {name}", HEALTHY, build, Expected(final=(0, 0.75)))


@family("healthy")
def next_symbol(self: Family) -> Iterator[Case]:
    """The next symbol of a chain, a loss at each timestep; the floor is well above 0."""
    floor = markov(10).floor
    for cell, spec, layers, T in (
        ("lstm", "adam:0.01", 1, 30),
        ("gru", "adamw:0.005", 1, 20),
        ("tanh", "rmsprop:0.002", 1, 30),
        ("gru", "adam:0.005", 2, 20),
        ("lstm", "momentum:0.5", 1, 25),
        ("tanh", "sgd:0.5", 1, 40),
    ):

        def build(cell=cell, spec=spec, layers=layers, T=T) -> Training:
            net = Net(cell, 12, 32, 12, symbols=12, last=False, num_layers=layers)
            return Training(net, markov(T).batch, optimizer(spec, net), steps=300)

        yield self.case(f"{cell} x{layers} T={T} {spec}", HEALTHY, build, Expected(final=(floor - 0.1, floor + 0.3)))


@family("healthy")
def noisy_batches(self: Family) -> Iterator[Case]:
    """Batches of one or two sequences: a loss whose noise is large."""
    for cell, N, spec, T in (
        ("gru", 1, "adam:0.003", 20),
        ("lstm", 2, "adam:0.01", 15),
        ("tanh", 1, "momentum:0.01", 30),
        ("gru", 2, "rmsprop:0.001", 20),
    ):

        def build(cell=cell, N=N, spec=spec, T=T) -> Training:
            net = Net(cell, 12, 32, 12, symbols=12, last=False)
            return Training(net, markov(T, N).batch, optimizer(spec, net), steps=500)

        yield self.case(f"{cell} N={N} {spec}", HEALTHY, build, Expected(final=(0.5, 1.9)))


@family("healthy")
def weak_signal(self: Family) -> Iterator[Case]:
    """Targets of which the inputs explain 3 to 8%: all that there is to learn is a small fall."""
    for cell, share, N in (("gru", 0.05, 256), ("lstm", 0.08, 128), ("tanh", 0.03, 512), ("relu", 0.06, 256)):

        def build(cell=cell, share=share, N=N) -> Training:
            net = times(fill(Net(cell, 2, 24, 1), "head.bias", 0.0), "head.weight", 0.3)
            return Training(net, weak(8, N, share).batch, optimizer("adam:0.003", net), mse, steps=300)

        yield self.case(f"{cell} {share} N={N}", UNMEASURED, build, Expected(final=(0.8, 1 - share / 2)))


@family("healthy")
def plateau_then_drop(self: Family) -> Iterator[Case]:
    """A long initial plateau at chance that is left: the norm jumps as it is, and the loss falls to near 0."""
    for cell, spec, T, steps in (
        ("gru", "momentum:0.2", 20, 400),
        ("gru", "momentum:0.1", 30, 600),
        ("lstm", "adam:0.005", 20, 500),
        ("gru", "adam:0.003", 30, 400),
        ("lstm", "rmsprop:0.002", 20, 500),
    ):

        def build(cell=cell, spec=spec, T=T, steps=steps) -> Training:
            net = keep(Net(cell, 8, 32, 3, symbols=6), 2.0)
            return Training(net, remember(T).batch, optimizer(spec, net), steps=steps)

        yield self.case(f"{cell} T={T} {spec}", HEALTHY, build, Expected(final=(0, 0.4)))


@family("healthy")
def schedules(self: Family) -> Iterator[Case]:
    for name, cell, before in (
        ("warmup", "lstm", warmup(0.02, 80)),
        ("cosine", "gru", cosine(0.02, 300)),
        ("warmup and cosine", "tanh", cosine(0.01, 300, 50)),
    ):

        def build(cell=cell, before=before) -> Training:
            net = Net(cell, 12, 32, 12, symbols=12, last=False)
            return Training(net, markov(25).batch, optimizer("adam:0.01", net), before=before)

        yield self.case(f"{cell} {name}", HEALTHY, build, Expected(final=(1.3, 2.0)))


@family("healthy")
def density(self: Family) -> Iterator[Case]:
    """The likelihood of a series with little noise: the loss falls through 0 and far below."""
    for cell, spec, noise in (("gru", "adam:0.005", 0.05), ("lstm", "adam:0.01", 0.1), ("tanh", "rmsprop:0.001", 0.03)):

        def build(cell=cell, spec=spec, noise=noise) -> Training:
            net = Net(cell, 1, 32, 2, last=False)
            return Training(
                net, autoregression(25, noise=noise).batch, optimizer(spec, net), nll, steps=400, clip="norm:5.0"
            )

        yield self.case(f"{cell} noise {noise}", UNMEASURED, build, Expected(final=(-4, -0.2)))


@family("healthy")
def smoothed_labels(self: Family) -> Iterator[Case]:
    for cell, amount in (("gru", 0.2), ("lstm", 0.4)):

        def build(cell=cell, amount=amount) -> Training:
            net = Net(cell, 3, 24, 3)

            def loss(output: Tensor, target: Tensor) -> Tensor:
                return cross_entropy(output, target, label_smoothing=amount)

            return Training(net, majority(15, 32).batch, optimizer("adam:0.01", net), loss)

        yield self.case(f"{cell} {amount}", HEALTHY, build, Expected(final=(0.3, 1.0)))


def pretrained(net: nn.Module, batch, loss, spec: str, steps: int) -> nn.Module:
    """The net after ``steps`` updates that nobody records."""
    opt = optimizer(spec, net)
    for step in range(steps):
        x, y = batch(step)
        opt.zero_grad()
        loss(net(x), y).backward()
        opt.step()
    return net


@family("healthy")
def fine_tuning(self: Family) -> Iterator[Case]:
    """Starts from what an earlier training reached, with a small learning rate: the loss hardly moves, at its floor."""
    for cell, spec in (("gru", "adam:0.0003"), ("lstm", "sgd:0.01"), ("tanh", "adamw:0.0002")):

        def build(cell=cell, spec=spec) -> Training:
            net, task = Net(cell, 1, 24, 1, last=False), autoregression(20)
            pretrained(net, task.batch, mse, "adam:0.01", 400)
            return Training(net, task.batch, optimizer(spec, net), mse, steps=250)

        yield self.case(f"{cell} {spec}", UNMEASURED, build, Expected(final=(0.07, 0.2)))


@family("healthy")
def harmless_spike(self: Family) -> Iterator[Case]:
    """A batch of outliers late in training: norm and loss jump for a step and do no harm."""
    for cell, factor, at in (("gru", 30.0, 250), ("lstm", 10.0, 180), ("tanh", 20.0, 300)):

        def build(cell=cell, factor=factor, at=at) -> Training:
            net, task = Net(cell, 1, 24, 1, last=False), autoregression(20)

            def batch(step: int) -> tuple[Tensor, Tensor]:
                x, y = task.batch(step)
                return (factor * x, factor * y) if step == at else (x, y)

            return Training(net, batch, optimizer("adam:0.003", net), mse, steps=400)

        label = HEALTHY.also(actions="check-batch")
        yield self.case(f"{cell} x{factor:g} at {at}", label, build, Expected(final=(0.07, 0.3)))


@family("healthy")
def clipped_in_time(self: Family) -> Iterator[Case]:
    """Clipping within the range of the norms: it engages now and then, or mostly under Adam, and harms nothing."""
    for cell, spec, clip in (
        ("gru", "adam:0.01", "norm:0.1"),
        ("lstm", "adam:0.01", "norm:0.02"),
        ("tanh", "momentum:0.05", "norm:1.0"),
        ("gru", "adamw:0.01", "value:0.05"),
    ):

        def build(cell=cell, spec=spec, clip=clip) -> Training:
            net = Net(cell, 12, 32, 12, symbols=12, last=False)
            return Training(net, markov(20).batch, optimizer(spec, net), clip=clip)

        yield self.case(f"{cell} {spec} {clip}", NOTED, build, Expected(final=(1.3, 2.1)))


@family("healthy")
def regression(self: Family) -> Iterator[Case]:
    for cell, spec, T in (
        ("gru", "adam:0.01", 15),
        ("tanh", "momentum:0.02", 12),
        ("lstm", "adam:0.01", 20),
        ("relu", "rmsprop:0.001", 12),
    ):

        def build(cell=cell, spec=spec, T=T) -> Training:
            net = Net(cell, 2, 32, 1)
            if cell in ("tanh", "relu"):
                start(net, "orth", 0.97)
            return Training(net, mean_of(T).batch, optimizer(spec, net), mse, steps=400)

        yield self.case(f"{cell} T={T} {spec}", HEALTHY, build, Expected(final=(0, 0.4)))


@family("healthy")
def learned_by_heart(self: Family) -> Iterator[Case]:
    """One batch again and again, as one checks a model: the training loss falls to 0, which is what was asked."""
    for cell, T in (("gru", 15), ("lstm", 25)):

        def build(cell=cell, T=T) -> Training:
            net = Net(cell, 8, 32, 4, symbols=4, last=False)
            return Training(net, fixed(echo(T, 8), 1).batch, optimizer("adam:0.01", net))

        yield self.case(f"{cell} T={T}", UNMEASURED, build, Expected(final=(0, 0.3)))


@family("healthy")
def converged_long_ago(self: Family) -> Iterator[Case]:
    """Learns in the first fifth and then stays at a loss near 0."""
    for cell, spec in (("gru", "adam:0.02"), ("lstm", "adam:0.02"), ("tanh", "adam:0.01")):

        def build(cell=cell, spec=spec) -> Training:
            net = Net(cell, 8, 32, 4, symbols=4, last=False)
            return Training(net, echo(15, 16, lag=1).batch, optimizer(spec, net), steps=600)

        # the first target is always 0 and can be learned too
        yield self.case(f"{cell} {spec}", HEALTHY, build, Expected(final=(0, 0.05 * math.log(4))))
