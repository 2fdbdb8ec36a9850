"""Trainings that learn, written when the rules were fixed: other tasks, losses and cells than in the tune part."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.labels import HEALTHY, NOTED, UNMEASURED
from benchmarks.verdicts.nets import Loop, Net, Tapped, keep, start
from benchmarks.verdicts.optimizers import optimizer, restarts, schedule
from benchmarks.verdicts.tasks import Batch, Task, autoregression, ce, echo, entropy, generator, last_sign, markov
from benchmarks.verdicts.training import Training

FAMILIES = Families("fresh")
family = FAMILIES.family
LN2 = 0.6931


def present(T: int, N: int, kinds: int = 4, seed: int = 21) -> Batch:
    """Which of the ``kinds`` symbols came at least once; the other symbols of the sequence are blanks."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(0, kinds, (T, N), generator=draw)
        x = torch.where(torch.rand(T, N, generator=draw) < 0.15, x, torch.full_like(x, kinds))
        return x, torch.stack([(x == kind).any(0) for kind in range(kinds)], -1).float()

    return batch


def marked(T: int, N: int, kinds: int = 5, seed: int = 22) -> Task:
    """The symbol at the last timestep but two, at the end."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(0, kinds, (T, N), generator=draw)
        return x, x[-3].clone()

    return Task(batch, float(torch.tensor(float(kinds)).log()))


@family("healthy")
def symbol_before(self: Family) -> Iterator[Case]:
    """The symbol of two timesteps ago by cells in a loop, a recurrence by hand and Nesterov or Adagrad."""
    for name, spec in (("gru", "nesterov:0.05"), ("lstm", "adagrad:0.1"), ("by hand", "adamw:0.005")):

        def build(name=name, spec=spec) -> Training:
            if name == "by hand":
                net: nn.Module = start(Tapped(torch.tanh, 6, 32, 5, symbols=5), "orth", 0.9)
            else:
                net = Loop(name, 6, 24, 5, symbols=5)
            return Training(net, marked(9, 32).batch, optimizer(spec, net), steps=260)

        yield self.case(f"{name} {spec}", HEALTHY, build, Expected(final=(0, 0.9)))


@family("healthy")
def several_labels(self: Family) -> Iterator[Case]:
    """Four labels of a sequence at once, a binary cross-entropy each; two of them with a weight of positives."""
    for cell, spec, weight in (("gru", "adam:0.01", 1.0), ("lstm", "rmsprop:0.005", 3.0), ("gru", "nesterov:0.3", 0.5)):

        def build(cell=cell, spec=spec, weight=weight) -> Training:
            net = Net(cell, 6, 24, 4, symbols=5)

            def loss(z: Tensor, y: Tensor) -> Tensor:
                return functional.binary_cross_entropy_with_logits(z, y, pos_weight=torch.tensor(weight))

            return Training(net, present(12, 32), optimizer(spec, net), loss, steps=300)

        yield self.case(f"{cell} {spec} x{weight:g}", HEALTHY, build, Expected(final=(0, 0.45)))


@family("healthy")
def counts(self: Family) -> Iterator[Case]:
    """Counts whose rate the inputs tell, under a Poisson likelihood, whose floor nobody knows."""
    for cell, spec in (("gru", "adam:0.01"), ("tanh", "adamw:0.005")):

        def build(cell=cell, spec=spec) -> Training:
            net, draw = Net(cell, 2, 24, 1), generator(23)

            def batch(step: int) -> tuple[Tensor, Tensor]:
                x = torch.randn(8, 64, 2, generator=draw)
                return x, torch.poisson((0.5 + x[-3:, :, :1].sum(0)).clamp(-2, 2.5).exp(), generator=draw)

            return Training(net, batch, optimizer(spec, net), functional.poisson_nll_loss, steps=250)

        yield self.case(f"{cell} {spec}", UNMEASURED, build, Expected(final=(-9, 0.6)))


@family("healthy")
def tags_with_padding(self: Family) -> Iterator[Case]:
    """A tag a timestep, padded by -100 at the end of half of the sequences, with weights for rare tags."""
    for cell, spec, more in (
        ("lstm", "adam:0.01", {"bidirectional": True}),
        ("gru", "adamw:0.01", {"num_layers": 2, "dropout": 0.2}),
        ("lstm", "nesterov:0.3", {"bidirectional": True, "num_layers": 2}),
    ):

        def build(cell=cell, spec=spec, more=more) -> Training:
            net = Net(cell, 6, 20, 4, symbols=4, last=False, **more)
            task = echo(14, 24, lag=1, seed=24)

            def batch(step: int) -> tuple[Tensor, Tensor]:
                x, y = task.batch(step)
                y[9:, ::2] = -100
                return x, y

            def loss(z: Tensor, y: Tensor) -> Tensor:
                weight = torch.tensor([0.5, 1.0, 1.0, 3.0])
                return functional.cross_entropy(z.flatten(0, -2), y.flatten(), weight)

            return Training(net, batch, optimizer(spec, net), loss, steps=250)

        yield self.case(f"{cell} {spec} {' '.join(more)}", HEALTHY, build, Expected(final=(0, 0.7)))


@family("healthy")
def labels_with_noise(self: Family) -> Iterator[Case]:
    """A fifth to a third of the labels is drawn at random: the floor is high, and the noise of a batch large."""
    for cell, spec, share, N in (
        ("gru", "adam:0.01", 0.2, 32),
        ("lstm", "adam:0.01", 0.33, 64),
        ("tanh", "adam:0.005", 0.25, 16),
    ):

        def build(cell=cell, spec=spec, share=share, N=N) -> Training:
            net, task, draw = Net(cell, 4, 16, 2), last_sign(6, N, seed=25), generator(26)

            def batch(step: int) -> tuple[Tensor, Tensor]:
                x, y = task.batch(step)
                drawn = torch.randint(0, 2, (N,), generator=draw)
                return x, torch.where(torch.rand(N, generator=draw) < share, drawn, y)

            return Training(net, batch, optimizer(spec, net), steps=350)

        floor = entropy(torch.tensor([share / 2, 1 - share / 2]))
        yield self.case(f"{cell} {spec} {share} N={N}", HEALTHY, build, Expected(final=(floor - 0.15, floor + 0.12)))


@family("healthy")
def robust_series(self: Family) -> Iterator[Case]:
    """A noisy series under an absolute error or that of Huber, by a net with two layers or cells in a loop."""
    for cell, name in (("gru", "l1"), ("lstm", "huber")):

        def build(cell=cell, name=name) -> Training:
            net = Net(cell, 1, 16, 1, last=False, num_layers=2) if name == "l1" else Loop(cell, 1, 16, 1, last=False)
            loss = functional.l1_loss if name == "l1" else functional.huber_loss
            return Training(net, autoregression(14, noise=0.2, seed=27).batch, optimizer("adam:0.01", net), loss)

        yield self.case(f"{cell} {name}", UNMEASURED, build, Expected(final=(0, 0.35)))


@family("healthy")
def measured_error(self: Family) -> Iterator[Case]:
    """The share of wrong answers on 64 held-out sequences, or the accuracy of the batch, beside the loss."""
    for cell, name in (("gru", "val_error"), ("lstm", "acc"), ("tanh", "val_loss")):

        def build(cell=cell, name=name) -> Training:
            net, task = Net(cell, 6, 24, 5, symbols=5), marked(8, 16)
            x, y = marked(8, 64, seed=99).batch(0)

            def metrics(net: nn.Module, step: int) -> dict[str, float]:
                if step % 10:
                    return {}
                with torch.no_grad():
                    z = net(x)
                right = float((z.argmax(-1) == y).float().mean())
                return {name: {"val_error": 1 - right, "acc": right, "val_loss": float(ce(z, y))}[name]}

            return Training(net, task.batch, optimizer("adam:0.01", net), steps=300, metrics=metrics)

        yield self.case(f"{cell} {name}", HEALTHY, build, Expected(final=(0, 0.9)))


@family("healthy")
def accumulated_and_clipped(self: Family) -> Iterator[Case]:
    """Two or four backward passes an update, with a threshold that engages now and then."""
    for cell, spec, parts, clip in (("gru", "momentum:0.3", 2, "norm:1.0"), ("lstm", "adamw:0.01", 4, "norm:0.3")):

        def build(cell=cell, spec=spec, parts=parts, clip=clip) -> Training:
            net = Net(cell, 6, 24, 4, symbols=4, last=False)
            batch = echo(12, 8, lag=1, seed=28).batch
            return Training(net, batch, optimizer(spec, net), steps=250, accumulate=parts, clip=clip)

        yield self.case(f"{cell} {spec} {clip}", NOTED, build, Expected(final=(0, 0.6)))


@family("healthy")
def scheduled(self: Family) -> Iterator[Case]:
    """Warm restarts, and a rate that decays exponentially."""
    for name, cell, before in (
        ("restarts", "gru", restarts(0.02, 60)),
        ("decay", "lstm", schedule(lambda step: 0.03 * 0.985**step)),
    ):

        def build(cell=cell, before=before) -> Training:
            net = Net(cell, 8, 24, 12, symbols=12, last=False)
            return Training(net, markov(12, seed=29).batch, optimizer("adam:0.02", net), before=before, steps=240)

        yield self.case(f"{cell} {name}", HEALTHY, build, Expected(final=(1.2, 2.0)))


@family("mixed precision")
def half_and_fine(self: Family) -> Iterator[Case]:
    """bfloat16 autocast with class weights; float16 with a scaler that begins far too high."""
    for cell, dtype, scale in (("lstm", torch.bfloat16, None), ("tanh", torch.float16, 2.0**40)):

        def build(cell=cell, dtype=dtype, scale=scale) -> Training:
            net = Net(cell, 6, 24, 5, symbols=5)
            scaler = torch.amp.GradScaler("cpu", init_scale=scale) if scale else None

            def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
                with torch.autocast("cpu", dtype=dtype):
                    z = net(x)
                return functional.cross_entropy(z.float(), y, torch.tensor([1.0, 1.0, 2.0, 1.0, 1.0]))

            batch = marked(8, 32).batch
            return Training(net, batch, optimizer("adam:0.01", net), steps=260, forward=forward, scaler=scaler)

        yield self.case(f"{cell} {dtype}", HEALTHY, build, Expected(final=(0, 0.9)))


@family("healthy")
def keeps_a_bit(self: Family) -> Iterator[Case]:
    """A sign of the first timestep is kept to the end: a plateau that is left."""
    for cell, spec, T in (("gru", "adam:0.01", 12), ("lstm", "adam:0.01", 12)):

        def build(cell=cell, spec=spec, T=T) -> Training:
            net, draw = keep(Net(cell, 3, 24, 1), 2.0), generator(30)

            def batch(step: int) -> tuple[Tensor, Tensor]:
                x = 0.2 * torch.randn(T, 32, 3, generator=draw)
                x[0, :, 0] = torch.randint(0, 2, (32,), generator=draw) * 2.0 - 1
                return x, (x[0, :, :1] > 0).float()

            loss = functional.binary_cross_entropy_with_logits
            return Training(net, batch, optimizer(spec, net), loss, steps=300)

        yield self.case(f"{cell} {spec} T={T}", HEALTHY, build, Expected(final=(0, 0.3)))
