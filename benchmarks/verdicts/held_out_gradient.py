"""Trainings that fail by their gradient. Held out: whoever writes rules does not read this."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.labels import CUT, DEAD, EXPLODES, FADES, LR_HIGH, SATURATES
from benchmarks.verdicts.nets import Loop, Net, Tapped, fill, keep, start, times
from benchmarks.verdicts.optimizers import optimizer
from benchmarks.verdicts.tasks import Task, bce, ce, echo, first_sign, generator, last_sign, markov, mse, remember
from benchmarks.verdicts.training import Training

FAMILIES = Families("held-out")
family = FAMILIES.family
LN2, LN4 = 0.6931, 1.3863


def first_value(T: int, N: int = 16, seed: int = 1) -> Task:
    """The value at timestep 0, of variance 1/3, after noise."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = 0.3 * torch.randn(T, N, 2, generator=draw)
        y = 2 * torch.rand(N, 1, generator=draw) - 1
        x[0, :, :1] = y
        return x, y

    return Task(batch, 1 / 3)


@family("exploding")
def cell_in_a_loop_grows(self: Family) -> Iterator[Case]:
    """relu cells in a loop with a W_hh above the identity, or of large Gaussian entries."""
    for kind, scale, T, spec in (
        ("eye", 1.25, 35, "sgd:0.01"),
        ("gauss", 2.2, 30, "momentum:0.003"),
        ("eye", 1.4, 25, "sgd:0.1"),
    ):

        def build(kind=kind, scale=scale, T=T, spec=spec) -> Training:
            net = start(Loop("relu", 2, 32, 1), kind, scale)
            config = {"chance_loss": 0.3333}
            return Training(net, first_value(T).batch, optimizer(spec, net), mse, steps=150, config=config)

        yield self.case(f"{scale} {kind} T={T} {spec}", EXPLODES, build, Expected(nonfinite=None, final=(0.33, 1e39)))


@family("exploding")
def chaos_with_a_regression(self: Family) -> Iterator[Case]:
    """A chaotic tanh RNN asked for the first value: the gradient grows a thousandfold and nothing is learned."""
    for scale, T, spec in ((2.2, 60, "sgd:1e-7"), (2.8, 50, "momentum:1e-9"), (2.5, 70, "nesterov:1e-9")):

        def build(scale=scale, T=T, spec=spec) -> Training:
            net = start(Net("tanh", 2, 48, 1), "gauss", scale)
            config = {"chance_loss": 0.3333}
            return Training(net, first_value(T).batch, optimizer(spec, net), mse, config=config)

        expected = Expected(final=(0.3, 1e39), growth=(100, 1e15))
        yield self.case(f"{scale} T={T} {spec}", EXPLODES, build, expected)


@family("exploding")
def gates_of_large_weights(self: Family) -> Iterator[Case]:
    """Gated cells whose recurrent matrices are six to eight times too large."""
    for cell, scale, spec in (("lstm", 8.0, "sgd:1e-8"), ("gru", 6.0, "sgd:1e-8"), ("gru", 7.0, "momentum:1e-9")):

        def build(cell=cell, scale=scale, spec=spec) -> Training:
            net = start(Net(cell, 6, 32, 4, symbols=8), "gauss", scale)
            return Training(net, remember(50, 16, 4).batch, optimizer(spec, net), config={"chance_loss": "ln 4"})

        expected = Expected(final=(0.97 * LN4, 1e9), growth=(100, 1e15))
        yield self.case(f"{cell} {scale} {spec}", EXPLODES, build, expected)


@family("exploding")
def gates_thrown_open_or_shut(self: Family) -> Iterator[Case]:
    """The same with a learning rate at which the first update saturates every gate."""
    for cell, scale, spec in (("lstm", 8.0, "sgd:0.2"), ("gru", 7.0, "momentum:0.05")):

        def build(cell=cell, scale=scale, spec=spec) -> Training:
            net = start(Net(cell, 6, 32, 4, symbols=8), "gauss", scale)
            return Training(net, remember(50, 16, 4).batch, optimizer(spec, net), config={"chance_loss": "ln 4"})

        label = EXPLODES.also(causes=("saturated-gates", "vanishing", "learning-rate-high"))
        yield self.case(f"{cell} {scale} {spec}", label, build, Expected(final=(0.97 * LN4, 1e9)))


@family("exploding")
def climbs_at_once(self: Family) -> Iterator[Case]:
    """Updates far too large for a forecaster: loss and norm climb from the first steps on."""
    for cell, spec in (("tanh", "momentum:3"), ("relu", "sgd:30"), ("lstm", "nesterov:30")):

        def build(cell=cell, spec=spec) -> Training:
            net = Net(cell, 12, 32, 12, symbols=12, last=False)
            task = markov(25, 16, seed=4)
            config = {"chance_loss": round(task.chance, 4)}
            return Training(net, task.batch, optimizer(spec, net), steps=250, config=config)

        label = LR_HIGH.also(causes=("saturated-gates", "dead-units", "non-finite"))
        yield self.case(f"{cell} {spec}", label, build, Expected(nonfinite=None, final=(2.35, 1e39)))


@family("vanishing")
def first_value_is_forgotten(self: Family) -> Iterator[Case]:
    """A regression on the value at timestep 0: falls to the variance of the targets and stays."""
    for cell, about, T, spec in (
        ("tanh", ("gauss", 0.5), 50, "sgd:0.1"),
        ("relu", ("eye", 0.6), 40, "momentum:0.02"),
        ("lstm", -3.0, 50, "adam:0.0005"),
        ("gru", -3.0, 60, "nesterov:0.05"),
        ("tanh", ("orth", 0.5), 30, "rmsprop:0.0003"),
    ):

        def build(cell=cell, about=about, T=T, spec=spec) -> Training:
            net = Net(cell, 2, 24, 1)
            net = start(net, *about) if isinstance(about, tuple) else keep(net, about)
            config = {"chance_loss": 0.3333}
            return Training(net, first_value(T, 32).batch, optimizer(spec, net), mse, config=config)

        expected = Expected(final=(0.31, 0.38), kept=(0, 1e-6))
        yield self.case(f"{cell} {about} T={T} {spec}", FADES.also(causes=("dead-units",)), build, expected)


@family("vanishing")
def plain_cell_over_a_long_way(self: Family) -> Iterator[Case]:
    """Cells as torch starts them, over 100 to 150 timesteps."""
    for cell, T, spec in (("lstm", 150, "sgd:0.1"), ("tanh", 100, "momentum:0.01"), ("gru", 150, "sgd:0.05")):

        def build(cell=cell, T=T, spec=spec) -> Training:
            net = Net(cell, 6, 20, 2, symbols=4)
            return Training(
                net, remember(T, 8, 2).batch, optimizer(spec, net), steps=150, config={"chance_loss": "ln 2"}
            )

        yield self.case(f"{cell} T={T} {spec}", FADES, build, Expected(final=(0.97 * LN2, 0.8), kept=(0, 1e-8)))


@family("vanishing")
def looped_and_tapped(self: Family) -> Iterator[Case]:
    """Cells in a loop, and a hard sigmoid by hand."""

    def squash(x: Tensor) -> Tensor:
        return torch.nn.functional.hardsigmoid(x)

    nets = {
        "tanh loop": lambda: start(Loop("tanh", 6, 24, 2, symbols=4), "orth", 0.5),
        "lstm loop": lambda: keep(Loop("lstm", 6, 24, 2, symbols=4), -3.0),
        "hard sigmoid": lambda: Tapped(squash, 6, 24, 2, symbols=4),
        "softsign": lambda: times(Tapped(nn.functional.softsign, 6, 24, 2, symbols=4), "recurrent.weight", 0.5),
    }
    for name, make in nets.items():

        def build(make=make) -> Training:
            net = make()
            batch = remember(40, 16, 2).batch
            return Training(net, batch, optimizer("sgd:0.1", net), steps=200, config={"chance_loss": "ln 2"})

        yield self.case(name, FADES, build, Expected(final=(0.97 * LN2, 0.8)))


@family("vanishing")
def labels_at_each_timestep(self: Family) -> Iterator[Case]:
    """Binary labels at each timestep that depend on five timesteps ago; nothing comes back so far."""
    for cell, scale, spec in (("tanh", 0.04, "sgd:0.1"), ("relu", 0.02, "sgd:0.1"), ("tanh", 0.02, "nesterov:0.01")):

        def build(cell=cell, scale=scale, spec=spec) -> Training:
            net, task = start(Net(cell, 2, 24, 1, last=False), "orth", scale), echo(25, 16, lag=5, kinds=2)

            def batch(step: int) -> tuple[Tensor, Tensor]:
                x, y = task.batch(step)
                y[:5] = torch.randint(0, 2, y[:5].shape)
                return torch.nn.functional.one_hot(x, 2).float(), y[..., None].float()

            return Training(net, batch, optimizer(spec, net), bce, config={"chance_loss": "ln 2"})

        label = FADES.also(causes=("dead-units",))
        yield self.case(f"{cell} {scale} {spec}", label, build, Expected(final=(0.98 * LN2, 0.8), kept=(0, 1e-8)))


@family("truncation")
def state_cut_in_a_loop(self: Family) -> Iterator[Case]:
    """Detached in loops, where the answer lies before the cut."""
    for cell, name, cut, T in (
        ("lstm", "each step", lambda t, T: True, 12),
        ("gru", "in the middle", lambda t, T: t == T // 2, 20),
        ("tanh", "near the end", lambda t, T: t == T - 3, 16),
        ("gru", "every fifth", lambda t, T: t % 5 == 4, 20),
    ):

        def build(cell=cell, cut=cut, T=T) -> Training:
            net = Loop(cell, 6, 24, 4, symbols=8, cut=cut)
            batch = remember(T, 16, 4).batch
            return Training(net, batch, optimizer("adamw:0.003", net), steps=200, config={"chance_loss": "ln 4"})

        yield self.case(f"{cell} {name}", CUT, build, Expected(final=(0.97 * LN4, 1.6)))


@family("truncation")
def window_below_the_distance(self: Family) -> Iterator[Case]:
    """Windows of a carried state that end before the dependency does."""
    for cell, distance, window in (("tanh", 20, 6), ("gru", 40, 12)):

        def build(cell=cell, distance=distance, window=window) -> Training:
            net = Net(cell, 6, 24, 3, symbols=3, last=False)
            whole = torch.randint(0, 3, (4000, 16), generator=generator(9))
            kept: dict[str, object] = {}

            def batch(step: int) -> tuple[Tensor, Tensor]:
                at = distance + (step * window) % 3000
                return whole[at : at + window], whole[at - distance : at + window - distance]

            def forward(net: Net, x: Tensor, y: Tensor, step: int) -> Tensor:
                output, state = net.run(x, kept.get("state"))
                kept["state"] = state.detach()
                return ce(net.read(output), y)

            config = {"distance": distance, "chance_loss": "ln 3"}
            return Training(net, batch, optimizer("adam:0.003", net), forward=forward, config=config)

        yield self.case(f"{cell} {window} of {distance}", CUT, build, Expected(final=(1.07, 1.2)))


@family("saturation")
def driven_to_the_ends(self: Family) -> Iterator[Case]:
    """Unscaled inputs, embeddings far too large, and biases far from 0."""

    def raw(cell: str, size: float) -> tuple[Net, Task]:
        return Net(cell, 3, 24, 2), first_sign(15, 32, size)

    def embedded(cell: str, size: float) -> tuple[Net, Task]:
        return times(Net(cell, 6, 24, 2, symbols=4), "embedding", size), remember(15, 32, 2)

    for name, make, cell, size, spec in (
        ("raw", raw, "lstm", 3000.0, "sgd:0.05"),
        ("raw", raw, "gru", 2000.0, "momentum:0.01"),
        ("raw", raw, "tanh", 5000.0, "nesterov:0.005"),
        ("embedding", embedded, "tanh", 2000.0, "sgd:0.05"),
        ("embedding", embedded, "tanh", 500.0, "nesterov:0.01"),
    ):

        def build(make=make, cell=cell, size=size, spec=spec) -> Training:
            net, task = make(cell, size)
            return Training(net, task.batch, optimizer(spec, net), config={"chance_loss": "ln 2"})

        yield self.case(f"{cell} {name} x{size:g} {spec}", SATURATES, build, Expected(final=(0.95 * LN2, 3.0)))


@family("dead units")
def units_that_died(self: Family) -> Iterator[Case]:
    """relu cells that are off for every input, in a layer and in a loop."""

    def layer() -> nn.Module:
        return fill(start(Net("relu", 4, 24, 2), "orth", 0.8), "bias_ih", -10.0)

    def loop() -> nn.Module:
        return fill(start(Loop("relu", 4, 24, 2), "eye", 0.9), "bias_hh", -20.0)

    for name, make, spec in (
        ("layer", layer, "nesterov:0.05"),
        ("layer", layer, "rmsprop:0.001"),
        ("loop", loop, "sgd:0.1"),
    ):

        def build(make=make, spec=spec) -> Training:
            net = make()
            watch = {"snapshot_every": 50}
            config = {"chance_loss": "ln 2"}
            return Training(net, last_sign(12).batch, optimizer(spec, net), watch=watch, config=config)

        label = DEAD.also(causes=("no-gradient",))
        yield self.case(f"{name} {spec}", label, build, Expected(final=(0.97 * LN2, 0.8)))
