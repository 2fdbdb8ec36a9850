"""Trainings that fail by their gradient: exploding, vanishing, cut short, saturated, dead. Open to rule writers."""

from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.labels import CUT, DEAD, EXPLODES, FADES, LR_HIGH, SATURATES
from benchmarks.verdicts.nets import Loop, Net, Tapped, fill, keep, start
from benchmarks.verdicts.optimizers import optimizer
from benchmarks.verdicts.tasks import echo, first_sign, last_sign, markov, mean_of, mse, remember
from benchmarks.verdicts.training import Training

FAMILIES = Families("tune")
family = FAMILIES.family
LN2, LN3 = 0.6931, 1.0986


@family("exploding")
def relu_grows(self: Family) -> Iterator[Case]:
    """relu with W_hh = g I: gradient and state grow g-fold at every timestep, and plain SGD does not survive it."""
    for g, T, spec in ((1.3, 40, "sgd:0.01"), (1.5, 30, "momentum:0.001"), (1.2, 60, "sgd:0.05")):

        def build(g=g, T=T, spec=spec) -> Training:
            net = start(Net("relu", 2, 32, 1), "eye", g)
            return Training(net, mean_of(T).batch, optimizer(spec, net), mse, steps=150)

        yield self.case(f"{g} I T={T} {spec}", EXPLODES, build, Expected(nonfinite=None, final=(1.2, 1e39)))


@family("exploding")
def chaotic_tanh(self: Family) -> Iterator[Case]:
    """tanh with a W_hh so large that the state is chaotic: the gradient grows, and nothing is learned."""
    for g, T, spec in ((2.5, 60, "sgd:0.0000001"), (2.0, 60, "momentum:0.0000001"), (3.0, 50, "sgd:0.00000003")):

        def build(g=g, T=T, spec=spec) -> Training:
            net = start(Net("tanh", 8, 48, 3, symbols=6), "gauss", g)
            return Training(net, remember(T, 16).batch, optimizer(spec, net), config={"chance_loss": LN3})

        expected = Expected(final=(0.97 * LN3, 1e9), growth=(100, 1e15))
        yield self.case(f"{g} gauss T={T} {spec}", EXPLODES, build, expected)


@family("exploding")
def thrown_by_one_step(self: Family) -> Iterator[Case]:
    """The same with a learning rate that the first exploding gradient turns into saturation: at chance ever after."""
    for g, T, spec in ((2.5, 60, "sgd:0.05"), (3.0, 50, "sgd:0.1")):

        def build(g=g, T=T, spec=spec) -> Training:
            net = start(Net("tanh", 8, 48, 3, symbols=6), "gauss", g)
            return Training(net, remember(T, 16).batch, optimizer(spec, net), config={"chance_loss": LN3})

        label = EXPLODES.also(causes=("saturated-gates", "vanishing", "learning-rate-high"))
        yield self.case(f"{g} gauss T={T} {spec}", label, build, Expected(final=(0.97 * LN3, 1e9)))


@family("exploding")
def first_steps(self: Family) -> Iterator[Case]:
    """A learning rate far too high for a loss at each timestep: norm and loss climb in the first steps and stay."""
    for cell, spec, T in (("tanh", "sgd:30", 30), ("tanh", "momentum:5", 40), ("relu", "sgd:10", 25)):

        def build(cell=cell, spec=spec, T=T) -> Training:
            net = Net(cell, 12, 48, 12, symbols=12, last=False)
            task = markov(T)
            return Training(net, task.batch, optimizer(spec, net), config={"chance_loss": round(task.chance, 4)})

        label = LR_HIGH.also(causes=("saturated-gates", "non-finite", "dead-units"))
        yield self.case(f"{cell} {spec}", label, build, Expected(nonfinite=None, final=(2.4, 1e39)))


@family("vanishing")
def short_memory(self: Family) -> Iterator[Case]:
    """The first symbol is asked for at the end, and next to nothing of the gradient reaches it."""
    for cell, about, T, spec in (
        ("tanh", ("orth", 0.5), 40, "sgd:0.1"),
        ("tanh", ("orth", 0.6), 50, "adam:0.001"),
        ("tanh", ("gauss", 0.4), 30, "momentum:0.02"),
        ("relu", ("orth", 0.7), 40, "sgd:0.1"),
        ("lstm", -3.0, 40, "sgd:0.1"),
        ("lstm", -2.0, 60, "momentum:0.05"),
        ("gru", -3.0, 40, "sgd:0.1"),
        ("gru", -4.0, 50, "adam:0.0003"),
    ):

        def build(cell=cell, about=about, T=T, spec=spec) -> Training:
            net = Net(cell, 8, 32, 3, symbols=6)
            net = start(net, *about) if isinstance(about, tuple) else keep(net, about)
            return Training(net, remember(T).batch, optimizer(spec, net), config={"chance_loss": "ln 3"})

        expected = Expected(final=(0.97 * LN3, 1.3), kept=(0, 1e-5))
        yield self.case(f"{cell} {about} T={T} {spec}", FADES.also(causes=("dead-units",)), build, expected)


@family("vanishing")
def sigmoid_tapped(self: Family) -> Iterator[Case]:
    """A sigmoid recurrence by hand: each timestep keeps at most a quarter of the gradient."""
    for T, spec in ((30, "sgd:0.1"), (50, "adam:0.001"), (25, "momentum:0.05")):

        def build(T=T, spec=spec) -> Training:
            net = Tapped(torch.sigmoid, 8, 32, 3, symbols=6)
            return Training(net, remember(T).batch, optimizer(spec, net), steps=200, config={"chance_loss": "ln 3"})

        yield self.case(f"T={T} {spec}", FADES, build, Expected(final=(0.97 * LN3, 1.2)))


@family("vanishing")
def two_layers(self: Family) -> Iterator[Case]:
    for cell, spec, T in (("tanh", "sgd:0.1", 50), ("lstm", "sgd:0.1", 60)):

        def build(cell=cell, spec=spec, T=T) -> Training:
            net = Net(cell, 8, 24, 3, symbols=6, num_layers=2)
            net = start(net, "orth", 0.6) if cell == "tanh" else keep(net, -1.0)
            return Training(net, remember(T).batch, optimizer(spec, net), steps=200, config={"chance_loss": "ln 3"})

        yield self.case(f"{cell} T={T} {spec}", FADES, build, Expected(final=(0.97 * LN3, 1.2), kept=(0, 1e-6)))


@family("vanishing")
def at_each_timestep(self: Family) -> Iterator[Case]:
    """A loss at each timestep that asks for the symbol of four timesteps ago, of which nothing comes back."""
    for cell, about, spec in (
        ("tanh", ("orth", 0.03), "sgd:0.05"),
        ("tanh", ("orth", 0.05), "momentum:0.01"),
        ("gru", -8.0, "sgd:0.05"),
        ("lstm", -9.0, "sgd:0.05"),
    ):

        def build(cell=cell, about=about, spec=spec) -> Training:
            net = Net(cell, 8, 32, 4, symbols=4, last=False)
            net = start(net, *about) if isinstance(about, tuple) else keep(net, about)
            if not isinstance(about, tuple):
                with torch.no_grad():
                    net.recurrent.weight_hh_l0.mul_(0.05)
            return Training(net, echo(30, lag=4).batch, optimizer(spec, net), config={"chance_loss": round(LAG4, 4)})

        yield self.case(f"{cell} {about} {spec}", FADES, build, Expected(final=(0.96 * LAG4, 1.5), kept=(0, 1e-8)))


LAG4 = echo(30, lag=4).chance


@family("truncation")
def detached_inside(self: Family) -> Iterator[Case]:
    """The state is detached inside the sequence, so that the loss at the end never sees the first symbol."""
    for cell, name, cut in (
        ("gru", "each step", lambda t, T: True),
        ("lstm", "in the middle", lambda t, T: t == T // 2),
        ("tanh", "every fourth", lambda t, T: t % 4 == 3),
    ):

        def build(cell=cell, cut=cut) -> Training:
            net = Loop(cell, 8, 32, 3, symbols=6, cut=cut)
            return Training(
                net, remember(14).batch, optimizer("adam:0.003", net), steps=200, config={"chance_loss": "ln 3"}
            )

        yield self.case(f"{cell} {name}", CUT, build, Expected(final=(0.97 * LN3, 1.25)))


def windows(distance: int, window: int, N: int = 16, kinds: int = 4):
    """Consecutive windows of long sequences whose target is the symbol of ``distance`` timesteps before."""
    draw = torch.Generator().manual_seed(3)
    whole = torch.randint(0, kinds, (4000, N), generator=draw)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        at = distance + (step * window) % (3900 - distance)
        return whole[at : at + window], whole[at - distance : at - distance + window]

    return batch


def carried():
    """A forward pass that carries the state from window to window, detached."""
    kept: dict[str, object] = {}

    def forward(net, x, y, step):
        output, state = net.run(x, kept.get("state"))
        kept["state"] = tuple(each.detach() for each in state) if isinstance(state, tuple) else state.detach()
        return torch.nn.functional.cross_entropy(net.read(output).flatten(0, -2), y.flatten())

    return forward


@family("truncation")
def short_windows(self: Family) -> Iterator[Case]:
    """Windows shorter than the distance of the dependency, which is told."""
    for cell, distance, window in (("gru", 24, 8), ("lstm", 30, 10)):

        def build(cell=cell, distance=distance, window=window) -> Training:
            net = Net(cell, 8, 32, 4, symbols=4, last=False)
            config = {"distance": distance, "chance_loss": "ln 4"}
            batch = windows(distance, window)
            return Training(net, batch, optimizer("adam:0.003", net), steps=250, forward=carried(), config=config)

        yield self.case(f"{cell} {window} of {distance}", CUT, build, Expected(final=(1.34, 1.5)))


@family("saturation")
def large_inputs(self: Family) -> Iterator[Case]:
    """Inputs of a size that drives every unit or gate to its end; the task needs no memory when they are scaled."""
    for cell, size, spec in (
        ("tanh", 2000.0, "sgd:0.02"),
        ("gru", 1000.0, "sgd:0.05"),
        ("lstm", 1000.0, "sgd:0.05"),
        ("tanh", 500.0, "adam:0.001"),
    ):

        def build(cell=cell, size=size, spec=spec) -> Training:
            net = start(Net(cell, 3, 32, 2), "orth", 0.9)
            task = first_sign(20, 32, size)
            return Training(net, task.batch, optimizer(spec, net), config={"chance_loss": "ln 2"})

        yield self.case(f"{cell} x{size:g} {spec}", SATURATES, build, Expected(final=(0.96 * LN2, 2.0)))


@family("dead units")
def dead_relu(self: Family) -> Iterator[Case]:
    """A bias so negative that no relu is ever on."""
    for bias, spec in ((-8.0, "sgd:0.1"), (-15.0, "adam:0.001"), (-6.0, "momentum:0.05")):

        def build(bias=bias, spec=spec) -> Training:
            net = fill(start(Net("relu", 4, 32, 2), "orth", 0.7), "bias_hh", bias)
            config = {"chance_loss": "ln 2"}
            return Training(net, last_sign(15).batch, optimizer(spec, net), config=config, watch={"snapshot_every": 50})

        label = DEAD.also(causes=("no-gradient",))
        yield self.case(f"bias {bias} {spec}", label, build, Expected(final=(0.97 * LN2, 0.8)))


@family("exploding")
def grows_over_layers(self: Family) -> Iterator[Case]:
    """Six layers whose input matrices are large: the gradient grows from layer to layer, not through time."""
    for cell, spec in (("relu", "sgd:0.05"), ("relu", "sgd:0.0000001")):

        def build(cell=cell, spec=spec) -> Training:
            net = Net(cell, 4, 32, 2, num_layers=6)
            with torch.no_grad():
                for name, parameter in net.recurrent.named_parameters():
                    if "weight_hh" in name:
                        parameter.mul_(0.05)
                    elif "weight_ih" in name:
                        parameter.normal_(0, 3.0 / 32**0.5 * 1.5)
            return Training(net, last_sign(10).batch, optimizer(spec, net), steps=150, config={"chance_loss": "ln 2"})

        label = EXPLODES.also(causes=("learning-rate-high", "dead-units"))
        yield self.case(f"{cell} {spec}", label, build, Expected(nonfinite=None, final=(0.65, 1e39)))
