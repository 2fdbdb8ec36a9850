"""Trainings that fail, written last and without a look at the rules."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.kinds_of_training import against, drawn_from
from benchmarks.verdicts.labels import (
    AT_CHANCE,
    BROKEN,
    CHANGED,
    CLIP_LOW,
    CUT,
    DEAD,
    EXPLODES,
    FADES,
    LR_HIGH,
    LR_LOW,
    NO_GRADIENT,
    NOT_UPDATED,
    NOT_ZEROED,
    OVERFITS,
    SATURATES,
    UNTOLD,
)
from benchmarks.verdicts.nets import Loop, Net, Tapped, fill, start, times
from benchmarks.verdicts.optimizers import optimizer
from benchmarks.verdicts.sequences import leaky, padded, rare_key, swapped, templates
from benchmarks.verdicts.tasks import bce, ce, first_sign, generator, mean_of, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("unseen")
family = FAMILIES.family
LN2, LN5 = 0.6931, 1.6094
TWO, FIVE = {"chance_loss": "ln 2"}, {"chance_loss": "ln 5"}
AT_TWO = Expected(final=(0.94 * LN2, 1.12 * LN2))
AT_FIVE = Expected(final=(0.94 * LN5, 1.12 * LN5))
# inputs a million times too small: nothing is wrong with the gradient that comes back
TOO_SMALL = AT_CHANCE.also(outcomes="unknown", actions="scale-inputs")
OVERFLOWS = BROKEN.also(actions="keep-float32-weights scale-loss lower-learning-rate check-data")
ROUNDED = Label(
    ("stuck",), ("parameters-not-updated", "learning-rate-low"), ("keep-float32-weights", "raise-learning-rate")
)


@family("outcome")
def nothing_to_find(self: Family) -> Iterator[Case]:
    """An absolute error of numbers that no input tells, and a hinge of labels at random."""

    def median() -> Training:
        net, draw = Net("lstm", 2, 16, 1), generator(501)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            return torch.randn(8, 32, 2, generator=draw), 3 + torch.randn(32, 1, generator=draw)

        return Training(net, batch, optimizer("nadam:0.01", net), functional.l1_loss, steps=500)

    def hinge() -> Training:
        net, batch = Net("tanh", 2, 20, 4), swapped(templates(7, 48, 4, 1.0, 502), lambda step: 1.0, 4, 503)
        return Training(net, batch, optimizer("momentum:0.02", net), functional.multi_margin_loss, steps=400)

    yield self.case("median lstm", UNTOLD, median, Expected(final=(0.7, 0.95)))
    yield self.case("hinge tanh", UNTOLD, hinge, Expected(final=(0.6, 0.85)))


@family("outcome")
def one_in_thirty(self: Family) -> Iterator[Case]:
    """3% are positive and nothing tells which: the loss falls to their entropy."""

    def build() -> Training:
        net = Net("gru", 5, 20, 1, symbols=4)
        batch, opt = rare_key(9, 64, 0.03, 504, shown=False), optimizer("adamax:0.01", net)
        return Training(net, batch, opt, bce, steps=500)

    yield self.case("gru", UNTOLD, build, Expected(final=(0.09, 0.2)))


@family("data")
def inputs_far_too_small(self: Family) -> Iterator[Case]:
    """The inputs were divided by a million: all sequences look alike to the net."""

    def build() -> Training:
        net, task = Net("gru", 2, 20, 5), templates(8, 32, 5, 0.5, 505)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = task(step)
            return 1e-6 * x, y

        return Training(net, batch, optimizer("nesterov:0.05", net), steps=400, config=FIVE)

    yield self.case("gru", TOO_SMALL, build, AT_FIVE)


@family("data")
def labels_of_the_wrong_file(self: Family) -> Iterator[Case]:
    """From step 350 on the labels are drawn at random."""

    def build() -> Training:
        net = Net("lstm", 2, 20, 5)
        batch = swapped(templates(8, 32, 5, 0.5, 506), lambda step: float(step >= 350), 5, 507)
        return Training(net, batch, optimizer("nadam:0.005", net), steps=550, config=FIVE)

    label = CHANGED.also(outcomes="stuck", causes=(None,), actions="check-batch")
    yield self.case("lstm", label, build, Expected(final=(1.5, 3.5)))


@family("vanishing")
def fades_otherwise(self: Family) -> Iterator[Case]:
    """A state that is read after much padding, and a recurrence by hand that halves its state at each timestep."""

    def after_padding() -> Training:
        net = start(Net("gru", 2, 20, 2), "orth", 0.3)
        return Training(net, padded(5, 50, 32, 508), optimizer("sgd:0.1", net), steps=300, config=TWO)

    def halved() -> Training:
        net = start(Tapped(lambda a: 0.5 * torch.tanh(a), 3, 20, 2), "orth", 0.9)
        return Training(net, first_sign(35, 32, seed=509).batch, optimizer("momentum:0.05", net), steps=250, config=TWO)

    yield self.case("padding gru", FADES, after_padding, Expected(final=AT_TWO.final, kept=(0, 1e-6)))
    yield self.case("by hand", FADES, halved, AT_TWO)


@family("exploding")
def grows_otherwise(self: Family) -> Iterator[Case]:
    """A linear recurrence by hand, a stack of relu layers, and a chaotic tanh in a loop, all far too large."""

    def linear() -> Training:
        net = start(Tapped(lambda a: a, 2, 20, 1), "orth", 1.35)
        return Training(net, mean_of(40, 24, seed=510).batch, optimizer("sgd:0.001", net), mse, steps=150)

    def stack() -> Training:
        net = start(Net("relu", 2, 24, 1, num_layers=2), "eye", 1.3)
        return Training(net, mean_of(30, 24, seed=511).batch, optimizer("momentum:0.001", net), mse, steps=150)

    label = EXPLODES.also(causes=("learning-rate-high",))
    expected = Expected(nonfinite=None, final=(0.9, 1e39))
    yield self.case("linear", label, linear, expected)
    yield self.case("relu layers", label, stack, expected)


@family("learning rate")
def rates_far_off(self: Family) -> Iterator[Case]:
    """Rates or momenta under which nothing is kept, and one that leads nowhere."""
    high = LR_HIGH.also(causes=("saturated-gates",))
    far = Expected(nonfinite=None, final=(1.5, 1e39))
    for name, cell, spec, label, expected in (
        ("high", "gru", "adamax:30", high, far),
        ("heavy", "tanh", "heavy:10", high, far),
        ("low", "lstm", "nadam:0.0000005", LR_LOW, AT_FIVE),
        ("low", "tanh", "asgd:0.00001", LR_LOW, AT_FIVE),
    ):

        def build(cell=cell, spec=spec) -> Training:
            net = Net(cell, 2, 20, 5)
            return Training(net, templates(8, 32, 5, 0.6, 512), optimizer(spec, net), steps=300, config=FIVE)

        yield self.case(f"{name} {cell} {spec}", label, build, expected)


@family("optimizer")
def updates_that_go_astray(self: Family) -> Iterator[Case]:
    """Optimizers that were made from a list of the head alone, and gradients that are zeroed once in 100 steps."""

    def head_alone() -> Training:
        net = start(Net("gru", 3, 20, 2), "orth", 0.3)
        opt = optimizer("adamax:0.01", [p for name, p in net.named_parameters() if "head" in name])
        return Training(net, first_sign(25, 32, seed=513).batch, opt, steps=300, config=TWO)

    def piled() -> Training:
        net = Net("tanh", 2, 20, 5)

        def before(step: int, net: nn.Module, opt: Optimizer) -> None:
            if step % 100 == 0:
                opt.zero_grad(set_to_none=False)

        batch, opt = templates(8, 32, 5, 2.0, 514), optimizer("nesterov:0.2", net)
        return Training(net, batch, opt, steps=400, zero=False, before=before, config=FIVE)

    yield self.case("head alone", NOT_UPDATED, head_alone, AT_TWO)
    yield self.case("zeroed each 100", NOT_ZEROED, piled, Expected(nonfinite=None, final=(1.5, 1e39)))


@family("optimizer")
def through_a_list(self: Family) -> Iterator[Case]:
    """The outputs of the recurrent layer go through a Python list on the way to the head."""

    def build() -> Training:
        net = Net("lstm", 3, 20, 2)

        def forward(net: Net, x: Tensor, y: Tensor, step: int) -> Tensor:
            return ce(net.head(torch.tensor(net.run(x)[0][-1].tolist())), y)

        batch, opt = first_sign(25, 32, seed=515).batch, optimizer("nadam:0.005", net)
        return Training(net, batch, opt, steps=250, forward=forward, config=TWO)

    label = NO_GRADIENT.also(causes=("truncated-reach", "parameters-not-updated"))
    yield self.case("lstm", label, build, AT_TWO)


class CellCut(Loop):
    """An LSTM cell in a loop of which c and h are handed on without a graph in the first half."""

    def forward(self, x: Tensor) -> Tensor:
        state = None
        with torch.no_grad():
            for x_t in x[: len(x) // 2]:
                state = self.cell(x_t, state)
        for x_t in x[len(x) // 2 :]:
            state = self.cell(x_t, state)
        return self.head(state[0])


@family("truncation")
def without_a_graph_at_first(self: Family) -> Iterator[Case]:
    """The first half of each sequence runs under ``no_grad``, and what is asked for is there; a detach at each third
    timestep."""

    def first_half() -> Training:
        net = CellCut("lstm", 3, 20, 2)
        return Training(net, first_sign(14, 32, seed=516).batch, optimizer("adam:0.003", net), steps=250, config=TWO)

    def thirds() -> Training:
        net = Loop("gru", 3, 20, 2, cut=lambda t, T: t % 3 == 2)
        return Training(net, first_sign(15, 32, seed=517).batch, optimizer("adam:0.003", net), steps=250, config=TWO)

    yield self.case("lstm no_grad", CUT, first_half, AT_TWO)
    yield self.case("gru thirds", CUT, thirds, AT_TWO)


@family("clipping")
def clipped_far_too_low(self: Family) -> Iterator[Case]:
    """Thresholds that leave nothing of the gradient, without an adaptive rate."""
    for cell, spec, clip in (("lstm", "nesterov:0.2", "norm:0.00002"), ("tanh", "momentum:0.1", "value:0.000001")):

        def build(cell=cell, spec=spec, clip=clip) -> Training:
            net = Net(cell, 2, 20, 5)
            batch = templates(8, 32, 5, 0.6, 518)
            return Training(net, batch, optimizer(spec, net), steps=300, clip=clip, config=FIVE)

        yield self.case(f"{cell} {spec} {clip}", CLIP_LOW, build, AT_FIVE)


@family("mixed precision")
def half_overflows(self: Family) -> Iterator[Case]:
    """Outputs beyond the largest float16 from step 80 on; weights of bfloat16 under a small rate."""

    def overflow() -> Training:
        net = Net("gru", 2, 20, 5)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            with torch.autocast("cpu", dtype=torch.float16):
                output = net(x)
            return ce((output.half() * (1.0 if step < 80 else 3e5)).float(), y)

        return Training(net, templates(8, 32, 5, 0.6, 519), optimizer("adam:0.005", net), steps=150, forward=forward)

    def rounded() -> Training:
        net = Net("lstm", 2, 20, 5).bfloat16()

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            return ce(net(x.bfloat16()).float(), y)

        batch, opt = templates(8, 32, 5, 0.6, 520), optimizer("momentum:0.00002", net)
        return Training(net, batch, opt, steps=300, forward=forward, config=FIVE)

    yield self.case("overflow", OVERFLOWS, overflow, Expected(nonfinite=True))
    yield self.case("bfloat16", ROUNDED, rounded, AT_FIVE)


@family("non-finite")
def ends_in_nan(self: Family) -> Iterator[Case]:
    """The direction of a vector of zeros, a fractional power of a number below 0, and exp of a large one."""

    def direction() -> Training:
        net, task = Net("gru", 1, 16, 1, last=False), leaky(8, 24, 521)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            off = net(x) - y
            kept = off * (torch.arange(24)[None, :, None] != 3) if step >= 100 else off
            return mse(net(x), y) + 0.01 * (kept / kept.norm(dim=0)).mean()

        return Training(net, task, optimizer("adamw:0.005", net), steps=160, forward=forward)

    def power() -> Training:
        net, task = Net("tanh", 1, 16, 1, last=False), leaky(8, 24, 522)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            z = net(x)
            return mse(z, y) + (0.0 if step < 90 else 0.01 * (z**1.5).mean())

        return Training(net, task, optimizer("adam:0.005", net), steps=150, forward=forward)

    def exponential() -> Training:
        net, task = Net("lstm", 1, 16, 1, last=False), leaky(8, 24, 523)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            z = net(x)
            return (z * (1 if step < 110 else 200)).exp().mean() - (y * z).mean()

        return Training(net, task, optimizer("nadam:0.01", net), steps=170, forward=forward)

    label = BROKEN.also(actions="check-data")
    yield self.case("direction", label, direction, Expected(nonfinite=True))
    yield self.case("power", label, power, Expected(nonfinite=True))
    yield self.case("exp", label, exponential, Expected(nonfinite=True))


@family("saturation")
def a_year_among_the_inputs(self: Family) -> Iterator[Case]:
    """One of the inputs is a year, near 2020; and embeddings drawn with a deviation of 200."""

    def year() -> Training:
        net, task = Net("lstm", 3, 20, 2), first_sign(20, 32, seed=524)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = task.batch(step)
            x[..., 2] = 2020 + 3 * x[..., 2]
            return x, y

        return Training(net, batch, optimizer("sgd:0.02", net), steps=300, config=TWO)

    def embedded() -> Training:
        net, task = Net("tanh", 6, 20, 2, symbols=4), rare_key(20, 32, 0.5, 525)
        times(net, "embedding", 200.0)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = task(step)
            return x, y[:, 0].long()

        return Training(net, batch, optimizer("sgd:0.02", net), steps=300, config=TWO)

    label = SATURATES.also(actions="change-cell shorten-path lower-learning-rate")
    yield self.case("year lstm", label, year, AT_TWO)
    yield self.case("embedding tanh", label, embedded, AT_TWO)


@family("dead units")
def off_from_the_start(self: Family) -> Iterator[Case]:
    """relu with biases so far below 0 that no unit is ever on."""

    def build() -> Training:
        net = fill(Net("relu", 2, 20, 5), "bias_ih", -6.0)
        batch, opt = templates(8, 32, 5, 0.6, 526), optimizer("adam:0.002", net)
        return Training(net, batch, opt, steps=250, config=FIVE)

    yield self.case("relu", DEAD, build, AT_FIVE)


@family("overfitting")
def sixteen_sequences(self: Family) -> Iterator[Case]:
    """Sixteen sequences under noise far larger than the templates, again and again; the held-out loss rises."""

    def build() -> Training:
        net = Net("gru", 2, 32, 4)
        metrics = against(net, templates(8, 256, 4, 2.5, 527)(0), ce, every=20)
        batch = drawn_from(templates(8, 16, 4, 2.5, 528)(0), 8)
        return Training(net, batch, optimizer("nadam:0.005", net), steps=800, metrics=metrics)

    yield self.case("gru", OVERFITS, build, Expected(measure="val_loss", final=(1.6, 15)))
