"""Trainings in half precision, with and without a fault of it; they may be looked at while rules are written."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.labels import BEFORE_UNSCALE, BROKEN, HEALTHY, LR_HIGH, UNMEASURED
from benchmarks.verdicts.nets import Net, start
from benchmarks.verdicts.optimizers import optimizer
from benchmarks.verdicts.tasks import ce, majority, markov, mean_of, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("tune")
family = FAMILIES.family
CHAIN = markov(10)
TOLD = {"chance_loss": round(CHAIN.chance, 4)}
NEAR = Expected(final=(0.93 * CHAIN.chance, 2.75))

# updates and gradients that are too small for their type; an underflow is one by which no gradient arrives
ROUNDED = Label(
    ("stuck",),
    ("parameters-not-updated", "learning-rate-low"),
    ("keep-float32-weights", "raise-learning-rate"),
)
UNDERFLOWS = Label(("stuck",), ("no-gradient", "vanishing"), ("scale-loss",))
SKIPS = Label(("broken", "stuck"), ("non-finite",), ("guard-operation", "check-batch"))


def chain_net(cell: str, hidden: int = 32, **layer: object) -> Net:
    """A net for the next symbol of a chain."""
    return Net(cell, 12, hidden, 12, symbols=12, last=False, **layer)


def autocast(
    dtype: torch.dtype, loss: Callable[[Tensor, Tensor], Tensor] = ce, factor: float = 1.0
) -> Callable[[nn.Module, Tensor, Tensor, int], Tensor]:
    """The loss of a forward pass in ``dtype``, times ``factor``, taken in float32."""

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
        with torch.autocast("cpu", dtype=dtype):
            output = net(x)
            return factor * loss(output, y)

    return forward


def whole(loss: Callable[[Tensor, Tensor], Tensor] = ce) -> Callable[[nn.Module, Tensor, Tensor, int], Tensor]:
    """Of a net whose weights are of half precision: inputs in its type, the loss in float32."""

    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
        kind = next(net.parameters()).dtype
        return loss(net(x.to(kind) if x.is_floating_point() else x).float(), y)

    return forward


@family("mixed precision")
def half_that_learns(self: Family) -> Iterator[Case]:
    """Autocast in bfloat16, or in float16 with a scaler: as meant."""
    for cell, spec, dtype, scale in (
        ("lstm", "adam:0.01", torch.bfloat16, None),
        ("gru", "momentum:0.3", torch.bfloat16, None),
        ("tanh", "adam:0.005", torch.float16, 2.0**16),
        ("gru", "sgd:1.0", torch.float16, 2.0**10),
    ):

        def build(cell=cell, spec=spec, dtype=dtype, scale=scale) -> Training:
            net = chain_net(cell)
            scaler = torch.amp.GradScaler("cpu", init_scale=scale) if scale else None
            forward = autocast(dtype)
            return Training(net, markov(20).batch, optimizer(spec, net), scaler=scaler, forward=forward)

        yield self.case(f"{cell} {spec} {dtype}", HEALTHY, build, Expected(final=(1.3, 2.1)))


@family("mixed precision")
def half_weights_that_learn(self: Family) -> Iterator[Case]:
    """Weights of bfloat16, with updates that are large enough for it."""
    for cell, spec, classes in (("gru", "sgd:1.0", 3), ("tanh", "adam:0.01", 3)):

        def build(cell=cell, spec=spec, classes=classes) -> Training:
            net = Net(cell, classes, 24, classes).bfloat16()
            return Training(net, majority(12, 32, classes).batch, optimizer(spec, net), forward=whole(cross_entropy))

        yield self.case(f"{cell} {spec}", UNMEASURED, build, Expected(final=(0, 0.9)))


@family("mixed precision")
def updates_rounded_away(self: Family) -> Iterator[Case]:
    """Weights of half precision and updates below half of their last digit: most weights never change."""
    for cell, spec, dtype in (
        ("gru", "sgd:0.003", torch.bfloat16),
        ("lstm", "adam:0.00002", torch.bfloat16),
        ("tanh", "sgd:0.0005", torch.float16),
    ):

        def build(cell=cell, spec=spec, dtype=dtype) -> Training:
            net = chain_net(cell).to(dtype)
            return Training(net, markov(12, 12).batch, optimizer(spec, net), steps=200, forward=whole(), config=TOLD)

        yield self.case(f"{cell} {spec} {dtype}", ROUNDED, build, NEAR)


@family("mixed precision")
def underflow_without_a_scaler(self: Family) -> Iterator[Case]:
    """float16 and a loss so small that its gradients underflow on the way back: the bias of the head alone learns."""
    for cell, spec, factor in (("tanh", "sgd:3000", 1e-5), ("gru", "adam:0.003", 1e-6), ("tanh", "adam:0.003", 1e-6)):

        def build(cell=cell, spec=spec, factor=factor) -> Training:
            net = start(chain_net(cell), "orth", 0.9) if cell == "tanh" else chain_net(cell)
            forward = autocast(torch.float16, factor=factor)
            return Training(net, markov(20, 64).batch, optimizer(spec, net), forward=forward)

        yield self.case(f"{cell} {spec} {factor:g}", UNDERFLOWS, build, Expected(final=(2.2 * factor, 2.75 * factor)))


@family("mixed precision")
def small_targets_in_half(self: Family) -> Iterator[Case]:
    """Targets of 1e-6 in float16: the gradient of their squared error underflows."""
    for cell, spec, size in (("tanh", "sgd:0.3", 1e-6), ("gru", "sgd:0.3", 1e-6)):

        def build(cell=cell, spec=spec, size=size) -> Training:
            net, task = Net(cell, 2, 24, 1), mean_of(12, 256)
            with torch.no_grad():
                net.head.weight.mul_(size)
                net.head.bias.zero_()

            def batch(step: int) -> tuple[Tensor, Tensor]:
                x, y = task.batch(step)
                return x, size * y

            return Training(net, batch, optimizer(spec, net), forward=autocast(torch.float16, mse))

        label = UNDERFLOWS.also(causes=("parameters-not-updated", "learning-rate-low"), actions="raise-learning-rate")
        yield self.case(f"{cell} {spec} {size:g}", label, build, Expected(final=(0.9 * size**2, 1.2 * size**2)))


@family("mixed precision")
def scale_too_low(self: Family) -> Iterator[Case]:
    """A scaler whose scale is far below 1 and does not grow: most entries of the gradient underflow."""
    for cell, spec, scale in (("tanh", "sgd:0.5", 2.0**-16), ("gru", "momentum:0.1", 2.0**-19)):

        def build(cell=cell, spec=spec, scale=scale) -> Training:
            net = chain_net(cell)
            scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=10**6)
            return Training(
                net, markov(20, 64).batch, optimizer(spec, net), scaler=scaler, forward=autocast(torch.float16)
            )

        yield self.case(f"{cell} {spec} {scale:.1g}", UNDERFLOWS, build, NEAR)


@family("mixed precision")
def scaler_that_never_settles(self: Family) -> Iterator[Case]:
    """The gradient is inf whatever the scale: each update is skipped and the scale is halved for ever."""
    for cell, spec in (("gru", "adam:0.01"), ("lstm", "momentum:0.1")):

        def build(cell=cell, spec=spec) -> Training:
            net = chain_net(cell)
            scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)

            def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
                output = net(x)
                off = (output - output.detach()).square().sum(-1)  # 0 everywhere, its root has no gradient there
                return ce(output, y) + 1e-3 * off.sqrt().mean()

            return Training(net, markov(20).batch, optimizer(spec, net), scaler=scaler, forward=forward, config=TOLD)

        yield self.case(f"{cell} {spec}", SKIPS, build, NEAR)


@family("mixed precision")
def adam_in_float16(self: Family) -> Iterator[Case]:
    """Weights and moments of float16: the square of a small gradient is 0, and so is eps; an update is 0 / 0 or inf."""
    for cell, spec in (("gru", "adam:0.001"), ("lstm", "adam:0.0005")):

        def build(cell=cell, spec=spec) -> Training:
            net = chain_net(cell).half()
            return Training(net, markov(20).batch, optimizer(spec, net), steps=150, forward=whole())

        label = BROKEN.also(causes=("learning-rate-high", "exploding"), actions="lower-learning-rate clip check-update")
        yield self.case(f"{cell} {spec}", label, build, Expected(nonfinite=True))


@family("mixed precision")
def clip_before_unscale_and_creeps(self: Family) -> Iterator[Case]:
    """Scaled gradients are clipped, under a learning rate at which the loss creeps all the same."""
    for cell, spec, scale in (("gru", "sgd:30", 2.0**14), ("lstm", "momentum:10", 2.0**16), ("tanh", "sgd:2", 2.0**12)):

        def build(cell=cell, spec=spec, scale=scale) -> Training:
            net = chain_net(cell)
            scaler = torch.amp.GradScaler("cpu", init_scale=scale)
            opt = optimizer(spec, net)
            return Training(net, markov(20).batch, opt, scaler=scaler, unscale=False, clip="norm:1.0")

        yield self.case(f"{cell} {spec}", BEFORE_UNSCALE, build, Expected(final=(0.9 * CHAIN.chance, 2.7)))


@family("mixed precision")
def never_unscaled(self: Family) -> Iterator[Case]:
    """The loss is scaled by hand and the gradient never divided: an update 1e4 times too large."""
    for cell, spec in (("gru", "sgd:0.5"), ("lstm", "momentum:0.1")):

        def build(cell=cell, spec=spec) -> Training:
            net = chain_net(cell)

            def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
                return 2.0**14 * ce(net(x), y)

            return Training(
                net,
                markov(20).batch,
                optimizer(spec, net),
                steps=150,
                forward=forward,
                logged=lambda loss: loss / 2**14,
            )

        label = LR_HIGH.also(causes=("saturated-gates",))
        yield self.case(f"{cell} {spec}", label, build, Expected(nonfinite=None, final=(2.45 * 2**14, 1e39)))
