"""Trainings that learn, written last and without a look at the rules."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.kinds_of_training import against, classify
from benchmarks.verdicts.labels import HEALTHY, NOTED, UNMEASURED
from benchmarks.verdicts.likelihoods import Weighed, student, triplet, weibull
from benchmarks.verdicts.nets import Net, Tapped, start
from benchmarks.verdicts.optimizers import optimizer, schedule
from benchmarks.verdicts.sequences import chaotic, leaky, position, reversal, sinks, sums, templates
from benchmarks.verdicts.tasks import Batch, ce, first_sign, generator, markov
from benchmarks.verdicts.training import Training

FAMILIES = Families("unseen")
family = FAMILIES.family


@family("healthy")
def adds_numbers(self: Family) -> Iterator[Case]:
    """Binary addition, a digit a timestep: the carry is learned last."""
    for cell, spec in (("gru", "nadam:0.01"), ("lstm", "adamax:0.02")):

        def build(cell=cell, spec=spec) -> Training:
            net = Net(cell, 2, 20, 1, last=False)
            loss = functional.binary_cross_entropy_with_logits
            return Training(net, sums(10, 32, 401), optimizer(spec, net), loss, steps=500)

        yield self.case(f"{cell} {spec}", HEALTHY, build, Expected(final=(0, 0.35)))


class Translator(nn.Module):
    """An encoder, and a decoder that starts at its last state and is given the symbol before each."""

    def __init__(self, kinds: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(kinds + 1, 8)
        self.encoder, self.decoder = nn.GRU(8, hidden), nn.GRU(8, hidden)
        self.head = nn.Linear(hidden, kinds + 1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        before = torch.cat([torch.zeros_like(y[:1]), y[:-1]])
        _, state = self.encoder(self.embedding(x))
        return self.head(self.decoder(self.embedding(before), state)[0])


@family("healthy")
def reverses_with_a_decoder(self: Family) -> Iterator[Case]:
    """An encoder and a decoder of one GRU each reverse five symbols."""

    def build() -> Training:
        net = Translator(5, 40)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            return ce(net(x, y), y)

        return Training(net, reversal(5, 32, 5, 402), optimizer("adam:0.01", net), steps=700, forward=forward)

    yield self.case("gru", HEALTHY, build, Expected(final=(0, 0.9)))


@family("healthy")
def leaky_cells_by_hand(self: Family) -> Iterator[Case]:
    """A linear recurrence by hand that learns a leaky sum; a net under Rprop with the same 200 series each time."""

    def by_hand() -> Training:
        net = start(Tapped(lambda a: a, 1, 12, 1, last=False), "orth", 0.5)
        return Training(net, leaky(12, 32, 403), optimizer("adadelta:1.0", net), functional.smooth_l1_loss, steps=400)

    def whole() -> Training:
        net = Net("tanh", 1, 16, 1, last=False)
        held, opt = whole_batch(leaky(10, 200, 404)), torch.optim.Rprop(net.parameters(), 0.002)
        return Training(net, held, opt, functional.mse_loss, steps=250)

    yield self.case("linear adadelta", HEALTHY, by_hand, Expected(final=(0, 0.3)))
    yield self.case("tanh rprop", UNMEASURED, whole, Expected(final=(0, 0.5)))


def whole_batch(batch: Batch) -> Batch:
    """The first batch at every step."""
    held = batch(0)
    return lambda step: held


@family("healthy")
def points_at_the_largest(self: Family) -> Iterator[Case]:
    """At which of 8 timesteps the input was largest, by two layers with dropout; accuracy held out."""

    def build() -> Training:
        net = Net("lstm", 1, 32, 8, num_layers=2, dropout=0.2)
        metrics = against(net, position(8, 256, 405)(0), classify, names=("val_acc",), every=20)
        return Training(net, position(8, 32, 406), optimizer("radam:0.01", net), steps=600, metrics=metrics)

    yield self.case("lstm", HEALTHY, build, Expected(measure="val_acc", final=(0.5, 1)))


@family("healthy")
def heavy_tails_and_survival(self: Family) -> Iterator[Case]:
    """Student's t for targets with outliers, which make the norm jump; times to an event, a third of them not seen."""

    def outliers() -> Training:
        net, task, draw = Net("gru", 1, 20, 2, last=False), leaky(9, 32, 407), generator(408)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = task(step)
            far = torch.rand(y.shape, generator=draw) < 0.03
            return x, y + 30 * far * torch.randn(y.shape, generator=draw)

        return Training(net, batch, optimizer("adamw:0.01", net), student, steps=400)

    def survival() -> Training:
        net, draw = Net("lstm", 2, 16, 1), generator(409)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x = torch.randn(7, 48, 2, generator=draw)
            event = x[-3:, :, :1].sum(0).exp() * torch.rand(48, 1, generator=draw).log().neg() ** (1 / 1.5)
            end = 3 * torch.rand(48, 1, generator=draw) + 0.5
            return x, torch.cat([torch.minimum(event, end).clamp_min(1e-3), (event < end).float()], 1)

        return Training(net, batch, optimizer("amsgrad:0.01", net), weibull, steps=400)

    yield self.case("student gru", UNMEASURED, outliers, Expected(final=(-5, 0.2)))
    yield self.case("weibull lstm", UNMEASURED, survival, Expected(final=(-5, 0.9)))


@family("healthy")
def codes_by_class(self: Family) -> Iterator[Case]:
    """A triplet loss with the hardest others of a batch: 0 once all are in place."""

    def build() -> Training:
        net = Net("gru", 2, 24, 8)
        return Training(net, templates(8, 32, 4, 0.5, 410), optimizer("adam:0.005", net), steps=350, forward=triplet)

    yield self.case("gru", UNMEASURED, build, Expected(final=(0, 0.3)))


@family("healthy")
def losses_under_learned_weights(self: Family) -> Iterator[Case]:
    """A class and a number, each loss under a weight that is learned: the sum falls below 0."""

    def build() -> Training:
        net = Weighed(Net("lstm", 2, 24, 5))

        def forward(net: Weighed, x: Tensor, y: Tensor, step: int) -> Tensor:
            return net.loss(net(x), y, x[-1, :, :1])

        return Training(net, templates(8, 32, 4, 0.4, 411), optimizer("adam:0.01", net), steps=600, forward=forward)

    yield self.case("lstm", UNMEASURED, build, Expected(final=(-9, 0.3)))


@family("mixed precision")
def half_clipped_as_it_should_be(self: Family) -> Iterator[Case]:
    """float16 with a scaler, unscaled before it is clipped; bfloat16 without one."""
    for dtype, spec, clip in ((torch.float16, "adam:0.005", "norm:1.0"), (torch.bfloat16, "nesterov:0.05", "norm:0.5")):

        def build(dtype=dtype, spec=spec, clip=clip) -> Training:
            net = Net("gru", 2, 24, 5)
            scaler = torch.amp.GradScaler("cpu", init_scale=2.0**18) if dtype == torch.float16 else None

            def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
                with torch.autocast("cpu", dtype=dtype):
                    output = net(x)
                return ce(output.float(), y)

            batch, opt = templates(8, 32, 5, 0.6, 412), optimizer(spec, net)
            return Training(net, batch, opt, steps=350, clip=clip, scaler=scaler, forward=forward)

        yield self.case(f"{dtype} {spec}", NOTED, build, Expected(final=(0, 0.7)))


@family("healthy")
def noise_on_the_gradient(self: Family) -> Iterator[Case]:
    """Noise is added to every gradient and fades (Neelakantan et al. 2015)."""

    def build() -> Training:
        net = Net("tanh", 2, 20, 5)

        def gradient(net: nn.Module, step: int) -> None:
            for parameter in net.parameters():
                if parameter.grad is not None:
                    parameter.grad += 0.1 / (1 + step) ** 0.55 * torch.randn_like(parameter)

        batch, opt = templates(8, 32, 5, 0.6, 413), optimizer("momentum:0.05", net)
        return Training(net, batch, opt, steps=400, gradient=gradient)

    yield self.case("tanh", HEALTHY, build, Expected(final=(0, 0.6)))


@family("healthy")
def head_first(self: Family) -> Iterator[Case]:
    """The head alone for the first third, then all layers: gradual unfreezing, on purpose."""

    def build() -> Training:
        net = Net("gru", 2, 24, 6)

        def before(step: int, net: nn.Module, opt: Optimizer) -> None:
            net.recurrent.requires_grad_(step >= 200)

        return Training(net, templates(8, 32, 6, 0.9, 414), optimizer("adamw:0.01", net), steps=600, before=before)

    yield self.case("gru", HEALTHY, build, Expected(final=(0, 0.7)))


@family("healthy")
def one_sequence_at_a_time(self: Family) -> Iterator[Case]:
    """Batches of one sequence: the loss of a step says little."""
    for cell, spec in (("lstm", "sgd:0.1"), ("gru", "asgd:0.1")):

        def build(cell=cell, spec=spec) -> Training:
            net = Net(cell, 2, 20, 4)
            return Training(net, templates(8, 1, 4, 0.5, 415), optimizer(spec, net), steps=800)

        yield self.case(f"{cell} {spec}", HEALTHY, build, Expected(final=(0, 0.8)))


@family("healthy")
def sum_over_time(self: Family) -> Iterator[Case]:
    """The loss of a chain in nats a sequence: norms in the tens, and a rate to match."""

    def build() -> Training:
        net = Net("lstm", 8, 24, 9, symbols=9, last=False)

        def loss(output: Tensor, target: Tensor) -> Tensor:
            return functional.cross_entropy(output.flatten(0, 1), target.flatten(), reduction="sum") / target.shape[1]

        return Training(net, markov(20, 16, symbols=9, seed=416).batch, optimizer("sgd:0.05", net), loss, steps=500)

    chain = markov(20, symbols=9)
    yield self.case("lstm", HEALTHY, build, Expected(final=(15, 20 * (chain.floor + 0.3))))


@family("healthy")
def long_memory_of_relu(self: Family) -> Iterator[Case]:
    """relu with the identity for W_hh keeps the first sign over 25 timesteps; clipped, under a small rate."""

    def build() -> Training:
        net = start(Net("relu", 3, 32, 2), "eye", 1.0)
        batch, opt = first_sign(25, 32, seed=417).batch, optimizer("adam:0.001", net)
        return Training(net, batch, opt, steps=500, clip="norm:1.0", config={"chance_loss": "ln 2"})

    yield self.case("relu", NOTED, build, Expected(final=(0, 0.4)))


class Signs(torch.optim.Optimizer):
    """Steps of one size by the sign of a running mean (Chen et al. 2023)."""

    def __init__(self, parameters: object, lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: object = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                p -= group["lr"] * (0.9 * mean + 0.1 * p.grad).sign()
                mean.mul_(0.99).add_(0.01 * p.grad)


@family("healthy")
def steps_by_sign(self: Family) -> Iterator[Case]:
    """An optimizer of the user's own; the rate falls in three stairs."""

    def build() -> Training:
        net = Net("gru", 1, 24, 1, last=False)
        before = schedule(lambda step: 0.003 * 0.3 ** (step // 150))
        batch = chaotic(10, 32, 418)
        return Training(net, batch, Signs(net.parameters(), 0.003), functional.mse_loss, steps=450, before=before)

    yield self.case("gru", UNMEASURED, build, Expected(final=(0, 0.2)))


@family("healthy")
def walks_in_both_directions(self: Family) -> Iterator[Case]:
    """Whether a walk fell below -1, by layers in both directions; the error of the batch is logged."""

    def build() -> Training:
        net = Net("gru", 1, 16, 1, bidirectional=True)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, dict[str, float]]:
            z = net(x)
            error = float(((z > 0).float() != y).float().mean())
            return functional.binary_cross_entropy_with_logits(z, y), {"train_error": error}

        return Training(net, sinks(10, 32, 419), optimizer("nadam:0.01", net), steps=350, forward=forward)

    yield self.case("gru", HEALTHY, build, Expected(final=(0, 0.3)))
