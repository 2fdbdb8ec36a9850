"""Trainings that fail, written when the rules were fixed: other tasks, losses and cells than those of the tune part."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.fresh_healthy import marked
from benchmarks.verdicts.labels import (
    AT_CHANCE,
    BEFORE_UNSCALE,
    BROKEN,
    CHANGED,
    CLIP_LOW,
    CUT,
    DEAD,
    EXPLODES,
    FADES,
    LR_HIGH,
    LR_LOW,
    MISPLACED,
    NO_GRADIENT,
    NOT_UPDATED,
    NOT_ZEROED,
    OVERFITS,
    SATURATES,
    UNTOLD,
)
from benchmarks.verdicts.nets import Loop, Net, Tapped, fill, keep, start
from benchmarks.verdicts.optimizers import optimizer
from benchmarks.verdicts.tasks import (
    first_sign,
    fixed,
    generator,
    mean_of,
    mse,
    random_labels,
    shuffled,
)
from benchmarks.verdicts.training import Training

FAMILIES = Families("fresh")
family = FAMILIES.family
LN2, LN5 = 0.6931, 1.6094
TOLD = {"chance_loss": "ln 5"}
AT = Expected(final=(0.94 * LN5, 1.12 * LN5))
UNDERFLOWS = Label(("stuck",), ("no-gradient", "vanishing"), ("scale-loss",))
ROUNDED = Label(
    ("stuck",), ("parameters-not-updated", "learning-rate-low"), ("keep-float32-weights", "raise-learning-rate")
)
SKIPS = Label(("broken", "stuck"), ("non-finite",), ("guard-operation", "check-batch"))


def before_last(cell: str, hidden: int = 24, **more: object) -> Net:
    """A net for the symbol of the last timestep but two."""
    return Net(cell, 6, hidden, 5, symbols=5, **more)


@family("outcome")
def labels_at_random_again(self: Family) -> Iterator[Case]:
    """Several labels drawn at random, and classes drawn at random under class weights."""
    for cell, spec in (("gru", "adam:0.01"), ("lstm", "nesterov:0.1")):

        def build(cell=cell, spec=spec) -> Training:
            net, draw = Net(cell, 6, 20, 4, symbols=5), generator(31)

            def batch(step: int) -> tuple[Tensor, Tensor]:
                y = torch.rand(32, 4, generator=draw) < torch.tensor([0.2, 0.5, 0.7, 0.1])
                return torch.randint(0, 5, (10, 32), generator=draw), y.float()

            loss = functional.binary_cross_entropy_with_logits
            return Training(net, batch, optimizer(spec, net), loss, steps=300)

        yield self.case(f"labels {cell} {spec}", UNTOLD, build, Expected(final=(0.48, 0.6)))
    for cell, spec in (("tanh", "adam:0.01"), ("gru", "rmsprop:0.003")):

        def build(cell=cell, spec=spec) -> Training:
            net, batch = Net(cell, 4, 20, 4), random_labels(8, 48, 4, seed=32).batch

            def loss(z: Tensor, y: Tensor) -> Tensor:
                return functional.cross_entropy(z, y, torch.tensor([1.0, 0.3, 2.0, 2.0]), reduction="sum")

            return Training(net, batch, optimizer(spec, net), loss, steps=300)

        yield self.case(f"weighted sum {cell} {spec}", UNTOLD, build, Expected(final=(60, 110)))


@family("data")
def targets_of_others(self: Family) -> Iterator[Case]:
    """Targets of other sequences, of symbols and of numbers."""
    for cell, spec in (("gru", "adam:0.02"), ("lstm", "nesterov:0.2")):

        def build(cell=cell, spec=spec) -> Training:
            net = before_last(cell)
            return Training(net, shuffled(marked(9, 32)).batch, optimizer(spec, net), steps=300, config=TOLD)

        yield self.case(f"symbols {cell} {spec}", AT_CHANCE, build, AT)
    for cell, spec in (("gru", "adamw:0.01"), ("tanh", "rmsprop:0.003")):

        def build(cell=cell, spec=spec) -> Training:
            net = Net(cell, 2, 16, 1)
            return Training(net, shuffled(mean_of(8, 48, seed=33)).batch, optimizer(spec, net), mse, steps=300)

        yield self.case(f"numbers {cell} {spec}", AT_CHANCE, build, Expected(final=(0.8, 1.3)))


@family("data")
def labels_break_midway(self: Family) -> Iterator[Case]:
    """Learns, and from a step on the labels are those of other sequences."""
    for cell, at in (("gru", 200), ("lstm", 240)):

        def build(cell=cell, at=at) -> Training:
            net, good, bad = before_last(cell), marked(7, 32), shuffled(marked(7, 32, seed=41))

            def batch(step: int) -> tuple[Tensor, Tensor]:
                return good.batch(step) if step < at else bad.batch(step)

            return Training(net, batch, optimizer("adam:0.01", net), steps=400, config=TOLD)

        label = CHANGED.also(outcomes="stuck", causes=(None,), actions="check-batch")
        yield self.case(f"{cell} at {at}", label, build, Expected(final=(1.5, 3.5)))


@family("vanishing")
def first_sign_fades(self: Family) -> Iterator[Case]:
    """The sign at the first timestep is asked for at the end, through a state that forgets within a few timesteps."""
    for name, T, spec in (
        ("tanh", 45, "nesterov:0.03"),
        ("lstm", 45, "adam:0.001"),
        ("gru", 50, "sgd:0.2"),
        ("hand", 35, "adam:0.001"),
    ):

        def build(name=name, T=T, spec=spec) -> Training:
            net: nn.Module
            if name == "hand":
                net = Tapped(torch.sigmoid, 3, 20, 2)
            elif name == "tanh":
                net = start(Net("tanh", 3, 24, 2), "orth", 0.55)
            else:
                net = keep(Net(name, 3, 24, 2), -3.0)
            return Training(
                net, first_sign(T, 32, seed=34).batch, optimizer(spec, net), steps=220, config={"chance_loss": "ln 2"}
            )

        yield self.case(f"{name} T={T} {spec}", FADES, build, Expected(final=(0.95 * LN2, 1.1 * LN2)))


@family("exploding")
def grows_in_time(self: Family) -> Iterator[Case]:
    """relu and tanh recurrences whose W_hh is far too large, with a sign of the first timestep or a sum as the task."""
    for cell, kind, g, T, spec in (
        ("relu", "eye", 1.35, 35, "nesterov:0.003"),
        ("relu", "gauss", 2.2, 25, "sgd:0.02"),
        ("tanh", "gauss", 3.0, 55, "sgd:0.0000001"),
    ):

        def build(cell=cell, kind=kind, g=g, T=T, spec=spec) -> Training:
            if cell == "relu":
                net = start(Net(cell, 2, 28, 1), kind, g)
                return Training(net, mean_of(T, 24, seed=35).batch, optimizer(spec, net), mse, steps=140)
            net = start(Net(cell, 3, 48, 2), kind, g)
            return Training(
                net, first_sign(T, 24, seed=35).batch, optimizer(spec, net), steps=200, config={"chance_loss": "ln 2"}
            )

        expected = Expected(nonfinite=None, final=(0.9 * LN2, 1e39), growth=(30, 1e30) if cell == "tanh" else None)
        yield self.case(f"{cell} {g} {kind} T={T}", EXPLODES.also(causes=("learning-rate-high",)), build, expected)


@family("learning rate")
def far_too_high_again(self: Family) -> Iterator[Case]:
    for cell, spec in (("lstm", "rmsprop:1.0"), ("gru", "nesterov:20"), ("tanh", "adamw:1.0")):

        def build(cell=cell, spec=spec) -> Training:
            net = before_last(cell)
            return Training(net, marked(9, 32).batch, optimizer(spec, net), steps=200, config=TOLD)

        label = LR_HIGH.also(causes=("saturated-gates",))
        yield self.case(f"{cell} {spec}", label, build, Expected(nonfinite=None, final=(1.58, 1e39)))


@family("learning rate")
def far_too_low_again(self: Family) -> Iterator[Case]:
    for cell, spec in (("gru", "nesterov:0.00005"), ("lstm", "adamw:0.000002")):

        def build(cell=cell, spec=spec) -> Training:
            net = before_last(cell)
            return Training(net, marked(9, 32).batch, optimizer(spec, net), steps=250, config=TOLD)

        yield self.case(f"{cell} {spec}", LR_LOW, build, AT)


@family("optimizer")
def a_group_without_a_rate(self: Family) -> Iterator[Case]:
    """The recurrent layer is in a group of its own whose learning rate is 0; or in no optimizer at all."""
    for cell, held in (("gru", True), ("tanh", False)):

        def build(cell=cell, held=held) -> Training:
            net = start(Net(cell, 3, 20, 2), "orth", 0.6)
            groups = [{"params": list(net.head.parameters())}]
            groups += [{"params": list(net.recurrent.parameters()), "lr": 0.0}] if held else []
            opt = torch.optim.Adam(groups, 0.01)
            return Training(net, first_sign(25, 32, seed=36).batch, opt, steps=220, config={"chance_loss": "ln 2"})

        name = "rate 0" if held else "not held"
        yield self.case(f"{cell} {name}", NOT_UPDATED, build, Expected(final=(0.93 * LN2, 1.1 * LN2)))


@family("optimizer")
def gradients_pile_up_again(self: Family) -> Iterator[Case]:
    for cell, spec in (("gru", "nesterov:0.02"), ("lstm", "adamw:0.03")):

        def build(cell=cell, spec=spec) -> Training:
            net = before_last(cell)
            return Training(net, marked(9, 32).batch, optimizer(spec, net), steps=250, zero=False, config=TOLD)

        yield self.case(f"{cell} {spec}", NOT_ZEROED, build, Expected(nonfinite=None, final=(1.5, 1e39)))


@family("optimizer")
def cut_off_again(self: Family) -> Iterator[Case]:
    """What the head reads is a copy without a graph."""
    for cell, spec in (("lstm", "adam:0.01"), ("gru", "nesterov:0.1")):

        def build(cell=cell, spec=spec) -> Training:
            net = Net(cell, 3, 20, 2)

            def forward(net: Net, x: Tensor, y: Tensor, step: int) -> Tensor:
                return functional.cross_entropy(net.read(net.run(x)[0].data.clone()), y)

            batch = first_sign(30, 32, seed=37).batch
            config = {"chance_loss": "ln 2"}
            return Training(net, batch, optimizer(spec, net), steps=200, forward=forward, config=config)

        label = NO_GRADIENT.also(causes=("truncated-reach", "parameters-not-updated"))
        yield self.case(f"{cell} {spec}", label, build, Expected(final=(0.93 * LN2, 1.12 * LN2)))


@family("truncation")
def cut_in_the_middle(self: Family) -> Iterator[Case]:
    """Cells in a loop whose state is detached once, or at every fourth timestep."""
    for cell, every in (("gru", 0), ("tanh", 4), ("lstm", 0)):

        def build(cell=cell, every=every) -> Training:
            cut = (lambda t, T: t % 4 == 3) if every else (lambda t, T: t == 7)
            net = Loop(cell, 3, 20, 2, cut=cut)
            batch = first_sign(14, 32, seed=38).batch
            return Training(net, batch, optimizer("adam:0.005", net), steps=250, config={"chance_loss": "ln 2"})

        yield self.case(f"{cell} {every or 'once'}", CUT, build, Expected(final=(0.94 * LN2, 1.1 * LN2)))


@family("clipping")
def clipped_to_nothing(self: Family) -> Iterator[Case]:
    for cell, spec, clip in (("gru", "nesterov:0.1", "norm:0.0001"), ("lstm", "sgd:0.5", "value:0.000003")):

        def build(cell=cell, spec=spec, clip=clip) -> Training:
            net = before_last(cell)
            return Training(net, marked(9, 32).batch, optimizer(spec, net), steps=250, clip=clip, config=TOLD)

        yield self.case(f"{cell} {spec} {clip}", CLIP_LOW, build, AT)


@family("clipping")
def clip_too_late(self: Family) -> Iterator[Case]:
    for cell, g, where in (("relu", 1.15, "after-update"), ("relu", 1.12, "before-backward")):

        def build(cell=cell, g=g, where=where) -> Training:
            net = start(Net(cell, 2, 24, 1), "eye", g)
            batch = mean_of(35, 24, seed=39).batch
            return Training(net, batch, optimizer("nesterov:0.002", net), mse, 140, 10, "norm:0.5", where)

        label = MISPLACED.also(causes=("exploding",), actions="clip")
        yield self.case(f"{where} {g}", label, build, Expected(nonfinite=None, final=(0.9, 1e39)))


@family("mixed precision")
def precision_faults(self: Family) -> Iterator[Case]:
    """Clipping of scaled gradients; weights of bfloat16 that no update changes; a scale at which all underflows; a
    gradient that is NaN at every scale."""
    for name, label in (("unscale", BEFORE_UNSCALE), ("round", ROUNDED), ("scale", UNDERFLOWS), ("nan", SKIPS)):

        def build(name=name) -> Training:
            net = before_last("tanh" if name == "scale" else "gru")
            net = net.bfloat16() if name == "round" else net
            spec = {"unscale": "nesterov:0.05", "round": "sgd:0.002", "scale": "adam:0.005", "nan": "adamw:0.005"}[name]
            scaled = {"unscale": 2.0**15, "scale": 2.0**-20, "nan": 2.0**12}
            scaler = (
                torch.amp.GradScaler("cpu", init_scale=scaled[name], growth_interval=10**6) if name in scaled else None
            )

            def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
                with torch.autocast("cpu", dtype=torch.float16, enabled=name == "scale"):
                    z = net(x)
                rest = (z - z.detach()).square().sum().sqrt() if name == "nan" else 0.0
                return functional.cross_entropy(z.float(), y) + rest

            clip = "norm:0.5" if name == "unscale" else None
            batch = marked(8, 16).batch
            return Training(
                net, batch, optimizer(spec, net), steps=160, scaler=scaler, unscale=False, clip=clip, forward=forward,
                config=TOLD,
            )  # fmt: skip

        yield self.case(name, label, build, Expected(final=(0.9 * LN5, 1.2 * LN5), nonfinite=None))


@family("non-finite")
def breaks(self: Family) -> Iterator[Case]:
    """A batch that holds NaN, a deviation of 0 that is divided by, and a logarithm of 0."""
    for name, cell in (("batch", "gru"), ("deviation", "tanh"), ("logarithm", "lstm")):

        def build(name=name, cell=cell) -> Training:
            net, task = Net(cell, 2, 16, 1), mean_of(8, 24, seed=40)

            def batch(step: int) -> tuple[Tensor, Tensor]:
                x, y = task.batch(step)
                if name == "batch" and step >= 90:
                    x[2, 3] = float("nan")
                return x, y * 0 + 1 if name == "deviation" and step == 70 else y

            def loss(z: Tensor, y: Tensor) -> Tensor:
                if name == "deviation":
                    return ((z - y) / y.std()).square().mean()
                return mse(z, y) - (
                    1e-3 * (z.relu() * 0 + (z.detach().abs() < 9)).log().mean() if name == "logarithm" else 0
                )

            def ends(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
                return loss(net(x) * (100 if name == "logarithm" and step >= 60 else 1), y)

            return Training(net, batch, optimizer("adam:0.005", net), steps=150, forward=ends)

        label = BROKEN.also(actions="check-data")
        yield self.case(f"{name} {cell}", label, build, Expected(nonfinite=True))


@family("saturation")
def inputs_in_other_units(self: Family) -> Iterator[Case]:
    for cell, size in (("tanh", 400.0), ("lstm", 1000.0)):

        def build(cell=cell, size=size) -> Training:
            net = Net(cell, 3, 24, 2)
            batch = first_sign(30, 32, size=size, seed=42).batch
            return Training(net, batch, optimizer("sgd:0.05", net), steps=220, config={"chance_loss": "ln 2"})

        yield self.case(f"{cell} x{size:g}", SATURATES, build, Expected(final=(0.93 * LN2, 3.0)))


@family("dead units")
def all_off(self: Family) -> Iterator[Case]:
    for bias, spec in ((-15.0, "adam:0.001"), (-8.0, "nesterov:0.01")):

        def build(bias=bias, spec=spec) -> Training:
            net = fill(Net("relu", 6, 24, 5, symbols=5), "bias_ih", bias)
            return Training(
                net, marked(8, 32).batch, optimizer(spec, net), steps=200, config=TOLD, watch={"snapshot_every": 20}
            )

        yield self.case(f"{bias:g} {spec}", DEAD.also(causes=("no-gradient",), actions="connect-loss"), build, AT)


@family("long: overfitting")
def few_sequences(self: Family) -> Iterator[Case]:
    """Eight sequences with several labels drawn at random, again and again; the held-out loss rises."""
    for cell in ("gru", "lstm"):

        def build(cell=cell) -> Training:
            net, batches = Net(cell, 6, 32, 4, symbols=5), fixed(marked(8, 16), 1)
            x, held = batches.batch(0)[0], marked(8, 64, seed=44).batch(0)[0]
            draw = generator(43)
            y = (torch.rand(16, 4, generator=draw) < 0.5).float()
            loss = functional.binary_cross_entropy_with_logits

            def metrics(net: nn.Module, step: int) -> dict[str, float]:
                if step % 10:
                    return {}
                with torch.no_grad():
                    target = (torch.rand(64, 4, generator=generator(46)) < 0.5).float()
                    return {"val_loss": float(loss(net(held), target))}

            return Training(net, lambda step: (x, y), optimizer("adam:0.01", net), loss, steps=350, metrics=metrics)

        yield self.case(cell, OVERFITS, build, Expected(final=(0, 0.3)))
