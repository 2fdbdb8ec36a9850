"""The sealed part: short trainings that fail by the mistakes of data, losses, learning rates and optimizers."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.labels import (
    AT_CHANCE,
    CLIP_LOW,
    CUT,
    FIND,
    LR_HIGH,
    LR_LOW,
    NO_GRADIENT,
    NOT_UPDATED,
    NOT_ZEROED,
    UNTOLD,
)
from benchmarks.verdicts.nets import Loop, Net
from benchmarks.verdicts.optimizers import optimizer, schedule
from benchmarks.verdicts.practice_data import activity, agree, intents, lexicon, rare, sales
from benchmarks.verdicts.practice_nets import Residual, scored
from benchmarks.verdicts.tasks import bce, ce, entropy, mse, remember, shuffled
from benchmarks.verdicts.training import Training

FAMILIES = Families("sealed")

LN2 = math.log(2)


@FAMILIES.family("data")
def next_symbol_of_noise(self: Family) -> Iterator[Case]:
    """A shift by one the wrong way: the target is a symbol that was not seen yet, and that nothing foretells."""

    def build() -> Training:
        draw, net = torch.Generator().manual_seed(3), Net("lstm", 12, 32, 5, symbols=5, last=False)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x = torch.randint(0, 5, (21, 32), generator=draw)
            return x[:-1], x[1:]

        return Training(net, batch, optimizer("adam:0.005", net), watch={"chance_loss": "ln 5"})

    yield self.case("target shifted by one", AT_CHANCE, build, Expected(final=(1.58, 1.65)))


@FAMILIES.family("data")
def mixed_batch_and_time(self: Family) -> Iterator[Case]:
    """view where transpose was meant: a sequence is pieces of many."""

    def build() -> Training:
        net, data = Net("gru", 3, 24, 4), activity(24, 32, 4, 31)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = data(step)
            return x.transpose(0, 1).reshape(24, 32, 3)[:, torch.randperm(32)], y

        return Training(net, batch, optimizer("adam:0.005", net), watch={"chance_loss": "ln 4"})

    yield self.case("view for transpose", AT_CHANCE, build, Expected(final=(1.3, 1.5)))


@FAMILIES.family("data")
def labels_of_other_sequences(self: Family) -> Iterator[Case]:
    def one(watch: dict[str, object]) -> Training:
        net, data = Net("lstm", 16, 32, 10, symbols=30), intents(12, 32, 10, 32)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            x, y = data(step)
            return x, y[torch.randperm(len(y))]

        return Training(net, batch, optimizer("adam:0.003", net), forward=scored(ce), watch=watch)

    about = Expected(final=(2.25, 2.4))
    yield self.case("chance known", AT_CHANCE, lambda: one({"chance_loss": math.log(10)}), about)
    yield self.case("chance not known", UNTOLD, lambda: one({}), about)


@FAMILIES.family("data")
def inputs_zeroed(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net, data = Residual(3, 24, 4), activity(20, 32, 4, 33)
        return Training(
            net,
            lambda step: (0 * data(step)[0], data(step)[1]),
            optimizer("adam:0.005", net),
            forward=lambda net, x, y, step: ce(net(x)[-1], y),
            watch={"chance_loss": "ln 4"},
        )

    label = AT_CHANCE.also(causes=("no-gradient", "vanishing", "parameters-not-updated"), actions="scale-inputs")
    yield self.case("by a mask", label, build, Expected(final=(1.3, 1.55)))


@FAMILIES.family("data")
def rare_and_invisible(self: Family) -> Iterator[Case]:
    """97% accuracy, all of it by never raising the alarm: the channel that shows the events is not in the inputs."""

    def build() -> Training:
        net, data = Net("lstm", 1, 16, 1), rare(20, 64, 0.05, 34)
        chance = entropy(torch.tensor([0.05, 0.95]))

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, dict[str, float]]:
            logit = net(torch.randn_like(x))
            return bce(logit, y), {"accuracy": float(((logit > 0) == (y > 0)).float().mean())}

        return Training(net, data, optimizer("adam:0.005", net), forward=forward, watch={"chance_loss": chance})

    yield self.case("5% positive", AT_CHANCE, build, Expected(final=(0.15, 0.26)))


@FAMILIES.family("data")
def broadcast_targets(self: Family) -> Iterator[Case]:
    """[N, 1] against [N]: the loss is over all pairs, so that the mean of the targets is all that can be learned."""

    def build() -> Training:
        net, data = Net("gru", 1, 16, 1), sales(14, 48, 35)

        def loss(output: Tensor, y: Tensor) -> Tensor:
            return mse(output, y[-1, :, 0])

        return Training(net, data, optimizer("adam:0.01", net), loss, watch={"chance_loss": 1.79})

    # 1 + 1 / 4 + 1 / 2 + 0.04
    yield self.case("squares", AT_CHANCE, build, Expected(final=(1.4, 2.2)))


@FAMILIES.family("no-gradient")
def softmax_over_one(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net, data = Net("lstm", 1, 16, 1), rare(16, 32, 0.5, 36)

        def loss(output: Tensor, y: Tensor) -> Tensor:
            return functional.binary_cross_entropy(output.softmax(-1), y)

        return Training(net, data, optimizer("adam:0.005", net), loss)

    label = NO_GRADIENT.also(actions=" ".join(FIND))
    yield self.case("a single output", label, build, Expected(final=(40, 60)))


@FAMILIES.family("no-gradient")
def underflow_in_half(self: Family) -> Iterator[Case]:
    """Logits in float16, and a loss over the tokens of an epoch: the gradient rounds to 0."""

    def build() -> Training:
        net, data = Net("gru", 3, 24, 4), activity(16, 32, 4, 37)

        def loss(output: Tensor, y: Tensor) -> Tensor:
            return 1e-6 * ce(output.half().float(), y)

        return Training(net, data, optimizer("adam:0.003", net), loss, watch={"chance_loss": 1e-6 * math.log(4)})

    label = NO_GRADIENT.also(causes=("vanishing", "parameters-not-updated"), actions=" ".join(FIND))
    yield self.case("loss over a million tokens", label, build, Expected(final=(1.2e-6, 1.6e-6)))


@FAMILIES.family("no-gradient")
def encoder_detached(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 6, 8, 2, symbols=6)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            h, _ = net.run(x)
            return ce(net.read(h.detach()), y)

        data = agree(12, 64, 6, 38)
        return Training(net, data, optimizer("adam:0.005", net), forward=forward, watch={"chance_loss": "ln 2"})

    label = NO_GRADIENT.also(causes=("parameters-not-updated", "truncated-reach"), actions="update-parameters")
    yield self.case("head alone learns", label, build, Expected(final=(0.62, 0.75)))


@FAMILIES.family("truncated")
def state_detached(self: Family) -> Iterator[Case]:
    def windows() -> Training:
        net = Net("lstm", 8, 24, 3, symbols=6)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            state = None
            for part in x.split(6):
                h, state = net.run(part, state)
                state = tuple(each.detach() for each in state)
            return ce(net.read(h), y)

        data = remember(24, 32, seed=39).batch
        return Training(net, data, optimizer("adam:0.005", net), forward=forward, watch={"chance_loss": "ln 3"})

    def cells() -> Training:
        net = Loop("gru", 8, 16, 2, symbols=5, cut=lambda t, T: True)
        return Training(net, agree(10, 64, 5, 40), optimizer("adam:0.003", net), watch={"chance_loss": "ln 2"})

    yield self.case("windows of 6", CUT, windows, Expected(final=(1.0, 1.2)))
    label = CUT.also(causes=(None,), actions=" ".join(FIND))
    yield self.case("after each call of a cell", label, cells, Expected(final=(0.6, 0.76)))


@FAMILIES.family("not-updated")
def built_before_replaced(self: Family) -> Iterator[Case]:
    def replaced() -> Training:
        net = Net("gru", 6, 8, 2, symbols=6)
        opt = optimizer("adam:0.005", net)
        net.recurrent, net.embedding = nn.GRU(6, 8), nn.Embedding(6, 6)
        return Training(net, agree(12, 64, 6, 41), opt, watch={"chance_loss": "ln 2"})

    def frozen() -> Training:
        net = Net("lstm", 6, 8, 2, symbols=6)
        net.recurrent.requires_grad_(False)
        net.embedding.requires_grad_(False)
        opt = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], 0.005)
        return Training(net, agree(12, 64, 6, 42), opt, watch={"chance_loss": "ln 2"})

    about = Expected(final=(0.62, 0.75))
    yield self.case("layers replaced after the optimizer", NOT_UPDATED, replaced, about)
    yield self.case("layers left frozen", NOT_UPDATED.also(causes=("no-gradient",)), frozen, about)


@FAMILIES.family("learning-rate")
def rate_off_by_100(self: Family) -> Iterator[Case]:
    def one(spec: str, cell: str = "lstm") -> Training:
        task = lexicon(30, 16, 43)
        net = Net(cell, 16, 32, 10, symbols=10, last=False)
        return Training(net, task.batch, optimizer(spec, net), watch={"chance_loss": task.chance})

    yield self.case("Adam at 1e-6", LR_LOW, lambda: one("adam:1e-6"), Expected(final=(2.1, 2.5)))
    yield self.case("SGD at 1e-4", LR_LOW, lambda: one("sgd:0.0001", "gru"), Expected(final=(2.1, 2.5)))
    yield self.case("Adam at 10", LR_HIGH, lambda: one("adam:10"), Expected(final=(2.3, 1e4)))
    yield self.case("momentum at 50", LR_HIGH, lambda: one("momentum:50", "gru"), Expected(final=(2.3, 1e9)))


@FAMILIES.family("learning-rate")
def schedule_per_step(self: Family) -> Iterator[Case]:
    """0.9 was meant for an epoch and is applied at each step."""

    def build() -> Training:
        net = Net("lstm", 3, 24, 5)
        before = schedule(lambda step: 2e-4 * 0.9**step)
        data = activity(20, 32, 5, 44)
        return Training(net, data, optimizer("adam:2e-4", net), before=before, watch={"chance_loss": "ln 5"})

    yield self.case("decays to zero within 50 steps", LR_LOW, build, Expected(final=(1.5, 1.7)))


@FAMILIES.family("learning-rate")
def sums_of_squares(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 1, 24, 1, last=False)
        return Training(
            net, sales(28, 32, 45), optimizer("sgd:0.05", net), lambda output, y: (output - y).square().sum(), steps=200
        )

    yield self.case("SGD at 0.05", LR_HIGH, build, Expected(final=(1600, math.inf), nonfinite=None))


@FAMILIES.family("learning-rate")
def targets_in_units(self: Family) -> Iterator[Case]:
    """Prices of 4000 to 6000 and a rate of 0.001: the bias of the output would need a million steps."""

    def build() -> Training:
        net, data = Net("lstm", 1, 24, 1, last=False), sales(20, 32, 46)
        return Training(
            net, lambda step: (data(step)[0], 5000 + 500 * data(step)[1]), optimizer("adam:0.001", net), mse, steps=300
        )

    label = LR_LOW.also(causes=(None,), actions="check-data scale-inputs overfit-one-batch")
    yield self.case("not normalised", label, build, Expected(final=(2e7, 3e7)))


@FAMILIES.family("clipping")
def threshold_far_too_low(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 3, 24, 4)
        data = activity(20, 32, 4, 47)
        return Training(net, data, optimizer("momentum:0.05", net), clip="norm:0.0001", watch={"chance_loss": "ln 4"})

    yield self.case("0.0001, momentum", CLIP_LOW, build, Expected(final=(1.3, 1.5)))


@FAMILIES.family("zero-grad")
def gradients_kept(self: Family) -> Iterator[Case]:
    def build() -> Training:
        task = lexicon(24, 16, 48)
        net = Net("lstm", 16, 32, 10, symbols=10, last=False)
        return Training(net, task.batch, optimizer("sgd:0.5", net), zero=False, watch={"chance_loss": task.chance})

    yield self.case("SGD, language", NOT_ZEROED, build, Expected(final=(2.3, math.inf), nonfinite=None))


@FAMILIES.family("data")
def shuffled_text(self: Family) -> Iterator[Case]:
    def build() -> Training:
        task = shuffled(lexicon(30, 16, 60))
        net = Net("gru", 16, 32, 10, symbols=10, last=False, num_layers=2)
        return Training(net, task.batch, optimizer("adamw:0.005", net), watch={"chance_loss": task.chance})

    chance = lexicon(4, 1, 1).chance
    yield self.case("targets of other texts", AT_CHANCE, build, Expected(final=(chance - 0.06, chance + 0.08)))
