"""Trainings that learn, of very different kind. Held out: whoever writes rules does not read this."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, huber_loss

from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.kinds_of_training import ctc, forecast, spoken
from benchmarks.verdicts.labels import HEALTHY, NOTED, UNMEASURED
from benchmarks.verdicts.nets import Loop, Net, Tapped, keep, start
from benchmarks.verdicts.optimizers import optimizer, restarts, schedule
from benchmarks.verdicts.tasks import (
    Task,
    autoregression,
    bce,
    ce,
    echo,
    fixed,
    generator,
    majority,
    markov,
    mse,
    nll,
    remember,
    weak,
)
from benchmarks.verdicts.training import Training

FAMILIES = Families("held-out")
family = FAMILIES.family


@family("healthy")
def cells_in_a_loop(self: Family) -> Iterator[Case]:
    """torch's cells, called once per timestep."""
    for cell, spec, T in (
        ("gru", "adamw:0.01", 12),
        ("lstm", "nesterov:0.2", 12),
        ("tanh", "adam:0.005", 15),
        ("relu", "rmsprop:0.001", 12),
    ):

        def build(cell=cell, spec=spec, T=T) -> Training:
            net = Loop(cell, 3, 24, 3)
            return Training(net, majority(T, 32).batch, optimizer(spec, net))

        yield self.case(f"{cell} {spec} T={T}", HEALTHY, build, Expected(final=(0, 0.8)))


@family("healthy")
def tapped_recurrence(self: Family) -> Iterator[Case]:
    for name, f, spec in (("tanh", torch.tanh, "adam:0.01"), ("sine", torch.sin, "momentum:0.05")):

        def build(f=f, spec=spec) -> Training:
            net = Tapped(f, 12, 32, 12, symbols=12, last=False)
            return Training(net, markov(12).batch, optimizer(spec, net))

        yield self.case(f"{name} {spec}", HEALTHY, build, Expected(final=(1.3, 2.1)))


def seen_before(T: int, N: int, kinds: int = 4, seed: int = 1) -> Task:
    """At each timestep, by symbol, whether it was seen in the last three timesteps."""
    draw = generator(seed)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        x = nn.functional.one_hot(torch.randint(0, kinds, (T, N), generator=draw), kinds).float()
        padded = torch.cat([torch.zeros(2, N, kinds), x])
        return x, torch.stack([padded[t : t + 3].amax(0) for t in range(T)])

    return Task(batch, 0.68)


@family("healthy")
def several_labels(self: Family) -> Iterator[Case]:
    """Binary cross entropy of several labels at each timestep."""
    for cell, spec, T in (
        ("gru", "adam:0.01", 15),
        ("lstm", "adamw:0.01", 25),
        ("tanh", "rmsprop:0.002", 15),
        ("relu", "momentum:0.1", 12),
    ):

        def build(cell=cell, spec=spec, T=T) -> Training:
            net = Net(cell, 4, 24, 4, last=False)
            return Training(net, seen_before(T, 16).batch, optimizer(spec, net), bce)

        yield self.case(f"{cell} {spec} T={T}", HEALTHY, build, Expected(final=(0, 0.35)))


@family("healthy")
def alignment(self: Family) -> Iterator[Case]:
    """CTC that learns to read."""
    for cell, spec, steps in (("lstm", "adam:0.01", 500), ("gru", "adam:0.01", 400)):

        def build(cell=cell, spec=spec, steps=steps) -> Training:
            net = Net(cell, 3, 32, 4, last=False)
            return Training(net, spoken(4, 16), optimizer(spec, net), steps=steps, forward=ctc)

        yield self.case(f"{cell} {spec}", HEALTHY, build, Expected(final=(-1, 0.5)))


@family("healthy")
def rate_with_restarts(self: Family) -> Iterator[Case]:
    for cell, top, period in (("gru", 0.02, 100), ("lstm", 0.03, 75)):

        def build(cell=cell, top=top, period=period) -> Training:
            net = Net(cell, 12, 32, 12, symbols=12, last=False)
            before = restarts(top, period)
            return Training(net, markov(15).batch, optimizer(f"adam:{top}", net), steps=300, before=before)

        yield self.case(f"{cell} every {period}", HEALTHY, build, Expected(final=(1.3, 2.0)))


@family("healthy")
def state_that_is_carried(self: Family) -> Iterator[Case]:
    """Truncated back-propagation as it is meant: consecutive windows of one series, the state handed on."""
    for cell, window, spec in (("lstm", 15, "adam:0.01"), ("gru", 10, "rmsprop:0.002"), ("tanh", 20, "momentum:0.2")):

        def build(cell=cell, window=window, spec=spec) -> Training:
            net = Net(cell, 12, 32, 12, symbols=12, last=False)
            x, y = markov(3000, 16).batch(0)
            kept: dict[str, object] = {}

            def batch(step: int) -> tuple[Tensor, Tensor]:
                at = (step * window) % (3000 - window)
                return x[at : at + window], y[at : at + window]

            def forward(net: Net, x: Tensor, y: Tensor, step: int) -> Tensor:
                output, state = net.run(x, kept.get("state"))
                kept["state"] = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
                return ce(net.read(output), y)

            return Training(net, batch, optimizer(spec, net), forward=forward)

        yield self.case(f"{cell} {window} {spec}", HEALTHY, build, Expected(final=(1.3, 2.1)))


@family("healthy")
def leaves_its_plateau(self: Family) -> Iterator[Case]:
    """The sign of the first input after many timesteps: at chance for long, then solved at once."""
    for cell, spec, T, steps in (
        ("gru", "nesterov:0.2", 25, 400),
        ("gru", "momentum:0.3", 20, 400),
        ("lstm", "momentum:0.5", 20, 500),
        ("gru", "adamw:0.003", 40, 400),
    ):

        def build(cell=cell, spec=spec, T=T, steps=steps) -> Training:
            net = keep(Net(cell, 6, 24, 2, symbols=4), 2.5)
            return Training(net, remember(T, 32, kinds=2).batch, optimizer(spec, net), steps=steps)

        yield self.case(f"{cell} T={T} {spec}", HEALTHY, build, Expected(final=(0, 0.25)))


@family("healthy")
def solved_early(self: Family) -> Iterator[Case]:
    """Solved in the first tenth, then hundreds of steps at a loss of next to nothing."""
    for cell, spec in (("gru", "adam:0.03"), ("relu", "adam:0.005"), ("lstm", "rmsprop:0.01")):

        def build(cell=cell, spec=spec) -> Training:
            net = Net(cell, 6, 32, 3, symbols=3, last=False)
            return Training(net, echo(12, 16, lag=1, kinds=3).batch, optimizer(spec, net), steps=800)

        yield self.case(f"{cell} {spec}", HEALTHY, build, Expected(final=(0, 0.05)))


@family("healthy")
def both_directions(self: Family) -> Iterator[Case]:
    """Bidirectional layers that tag each timestep by both neighbours; with dropout between two layers."""
    for cell, layers, drop in (("lstm", 1, 0.0), ("gru", 2, 0.2)):

        def build(cell=cell, layers=layers, drop=drop) -> Training:
            net = Net(cell, 6, 24, 2, symbols=3, last=False, num_layers=layers, bidirectional=True, dropout=drop)
            draw = generator(6)

            def batch(step: int) -> tuple[Tensor, Tensor]:
                x = torch.randint(0, 3, (15, 16), generator=draw)
                edge = torch.zeros(1, 16, dtype=torch.long)
                return x, ((torch.cat([edge, x[:-1]]) == 0) | (torch.cat([x[1:], edge]) == 0)).long()

            return Training(net, batch, optimizer("adam:0.01", net), steps=400)

        yield self.case(f"{cell} x{layers} drop {drop}", HEALTHY, build, Expected(final=(0, 0.4)))


@family("healthy")
def growing_curriculum(self: Family) -> Iterator[Case]:
    """Sequences that grow from 4 to 16 timesteps while the net learns."""
    for cell, spec in (("gru", "adam:0.005"), ("lstm", "adam:0.01")):

        def build(cell=cell, spec=spec) -> Training:
            net = keep(Net(cell, 6, 32, 3, symbols=6), 1.0)
            tasks = {T: remember(T, 32) for T in range(4, 17)}

            def batch(step: int) -> tuple[Tensor, Tensor]:
                return tasks[min(16, 4 + step // 30)].batch(step)

            return Training(net, batch, optimizer(spec, net), steps=500)

        yield self.case(
            f"{cell} {spec}", HEALTHY.also(causes=("changed-during-training",)), build, Expected(final=(0, 0.5))
        )


@family("healthy")
def accumulated(self: Family) -> Iterator[Case]:
    """Four backward passes an update."""
    for cell, spec in (("gru", "adam:0.01"), ("tanh", "momentum:0.1")):

        def build(cell=cell, spec=spec) -> Training:
            net = Net(cell, 12, 32, 12, symbols=12, last=False)
            return Training(net, markov(12, 8).batch, optimizer(spec, net), steps=200, accumulate=4)

        yield self.case(f"{cell} {spec}", HEALTHY, build, Expected(final=(1.3, 2.1)))


@family("healthy")
def robust_regression(self: Family) -> Iterator[Case]:
    """Huber and absolute losses of a series with outliers."""
    for name, loss, cell, spec in (
        ("huber", huber_loss, "gru", "adam:0.005"),
        ("absolute", nn.functional.l1_loss, "lstm", "adamw:0.01"),
    ):

        def build(loss=loss, cell=cell, spec=spec) -> Training:
            net, task, draw = Net(cell, 1, 24, 1, last=False), autoregression(15, 16), generator(3)

            def batch(step: int) -> tuple[Tensor, Tensor]:
                x, y = task.batch(step)
                return x, y + 5.0 * (torch.rand(y.shape, generator=draw) < 0.01)

            return Training(net, batch, optimizer(spec, net), loss)

        yield self.case(f"{cell} {name}", HEALTHY, build, Expected(final=(0, 0.45)))


@family("healthy")
def likelihood_of_a_sum(self: Family) -> Iterator[Case]:
    """A negative log likelihood summed over time, with little noise: falls through 0 to large negative values."""
    for cell, spec, T in (("gru", "adam:0.003", 12), ("tanh", "adamw:0.003", 20)):

        def build(cell=cell, spec=spec, T=T) -> Training:
            net = Net(cell, 1, 32, 2, last=False)

            def loss(output: Tensor, target: Tensor) -> Tensor:
                return T * nll(output, target)

            watch = {"loss_reduction": "sum over timesteps, mean over batch"}
            return Training(
                net, autoregression(T, noise=0.05).batch, optimizer(spec, net), loss, steps=400, watch=watch
            )

        yield self.case(f"{cell} {spec} T={T}", UNMEASURED, build, Expected(final=(-100, -2)))


@family("healthy")
def little_to_learn(self: Family) -> Iterator[Case]:
    """Targets of which 4 to 10% can be known, a head that starts near their mean."""
    for cell, share, spec in (
        ("lstm", 0.04, "adam:0.005"),
        ("gru", 0.1, "momentum:0.05"),
        ("tanh", 0.05, "rmsprop:0.001"),
    ):

        def build(cell=cell, share=share, spec=spec) -> Training:
            net = Net(cell, 2, 16, 1)
            with torch.no_grad():
                net.head.weight.mul_(0.2)
                net.head.bias.zero_()
            return Training(net, weak(6, 256, share, seed=9).batch, optimizer(spec, net), mse, steps=350)

        yield self.case(f"{cell} {share} {spec}", UNMEASURED, build, Expected(final=(0.8, 1 - share / 3)))


@family("healthy")
def spike_that_is_clipped(self: Family) -> Iterator[Case]:
    """Outliers in the inputs at three late steps, whose gradient the clipping cuts."""
    for cell, spec in (("gru", "momentum:0.05"), ("lstm", "adam:0.005")):

        def build(cell=cell, spec=spec) -> Training:
            net, task = Net(cell, 1, 24, 1, last=False), autoregression(15)

            def batch(step: int) -> tuple[Tensor, Tensor]:
                x, y = task.batch(step)
                return (x, y + 100.0) if step in (240, 300, 333) else (x, y)

            return Training(net, batch, optimizer(spec, net), mse, steps=400, clip="norm:1.0")

        label = HEALTHY.also(actions="check-batch")
        yield self.case(f"{cell} {spec}", label, build, Expected(final=(0.07, 0.35)))


@family("healthy")
def always_clipped_yet_fine(self: Family) -> Iterator[Case]:
    """Adam and RMSprop do not mind the length of the gradient: clipping at every step changes nothing."""
    for cell, spec, clip in (("gru", "adam:0.01", "norm:0.001"), ("tanh", "rmsprop:0.002", "norm:0.01")):

        def build(cell=cell, spec=spec, clip=clip) -> Training:
            net = Net(cell, 3, 24, 3)
            return Training(net, majority(12, 32).batch, optimizer(spec, net), steps=350, clip=clip)

        yield self.case(f"{cell} {spec} {clip}", NOTED, build, Expected(final=(0, 0.7)))


@family("non-finite")
def one_bad_step_is_skipped(self: Family) -> Iterator[Case]:
    """A loss that is NaN at one step; the loop sets its gradient to 0 and the training goes on to learn."""
    for cell, at in (("lstm", 40), ("gru", 111)):

        def build(cell=cell, at=at) -> Training:
            net = Net(cell, 3, 24, 3)

            def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
                return cross_entropy(net(x), y) * (float("nan") if step == at else 1.0)

            def gradient(net: nn.Module, step: int) -> None:
                if step == at:
                    for parameter in net.parameters():
                        parameter.grad = torch.zeros_like(parameter)

            batch = majority(12, 32).batch
            return Training(net, batch, optimizer("adam:0.01", net), forward=forward, gradient=gradient)

        label = HEALTHY.also(causes=("non-finite",), actions="guard-operation check-batch")
        yield self.case(f"{cell} at {at}", label, build, Expected(nonfinite=True))


@family("healthy")
def tuned_further(self: Family) -> Iterator[Case]:
    """The head is new, the rest was trained and is frozen on purpose, or tuned with a small rate."""
    for name, frozen in (("all", False), ("head alone", True)):

        def build(frozen=frozen) -> Training:
            net, task = Net("gru", 3, 24, 3), majority(12, 32)
            _train(net, task, 400)
            net.head.reset_parameters()
            if frozen:
                net.recurrent.requires_grad_(False)
            opt = optimizer("adam:0.003", [p for p in net.parameters() if p.requires_grad])
            return Training(net, task.batch, opt, ce)

        label = HEALTHY.also(causes=("parameters-not-updated",), actions="update-parameters") if frozen else HEALTHY
        yield self.case(name, label, build, Expected(final=(0, 0.6)))


def _train(net: nn.Module, task: Task, steps: int) -> None:
    opt = optimizer("adam:0.01", net)
    for step in range(steps):
        x, y = task.batch(step)
        opt.zero_grad()
        ce(net(x), y).backward()
        opt.step()


@family("healthy")
def starts_at_its_floor(self: Family) -> Iterator[Case]:
    """Resumed from a checkpoint at the floor of a classification and of a series; the loss is flat from the start."""
    for cell, spec in (("gru", "adam:0.0005"), ("tanh", "sgd:0.01")):

        def build(cell=cell, spec=spec) -> Training:
            net, task = Net(cell, 12, 24, 12, symbols=12, last=False), markov(12, 32)
            _train(net, task, 700)
            return Training(net, task.batch, optimizer(spec, net))

        yield self.case(f"{cell} {spec}", UNMEASURED, build, Expected(final=(1.3, 1.8)))


@family("healthy")
def weights_decay_and_rate_steps(self: Family) -> Iterator[Case]:
    """A learning rate that is cut by ten twice; the loss steps down with it."""
    for cell, top in (("gru", 1.0), ("lstm", 2.0)):

        def build(cell=cell, top=top) -> Training:
            net = Net(cell, 12, 32, 12, symbols=12, last=False)
            before = schedule(lambda step: top * 0.1 ** (step // 200))
            return Training(net, markov(12).batch, optimizer(f"momentum:{top}", net), steps=500, before=before)

        yield self.case(f"{cell} from {top}", HEALTHY, build, Expected(final=(1.3, 2.1)))


@family("healthy")
def one_batch_alone(self: Family) -> Iterator[Case]:
    for cell, spec in (("tanh", "adam:0.005"), ("gru", "momentum:0.2")):

        def build(cell=cell, spec=spec) -> Training:
            net = start(Net(cell, 1, 32, 1, last=False), "orth", 0.9)
            return Training(net, fixed(autoregression(12, 4), 1).batch, optimizer(spec, net), forecast, steps=400)

        yield self.case(f"{cell} {spec}", UNMEASURED, build, Expected(final=(0, 0.3)))
