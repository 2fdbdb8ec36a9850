"""The next part: short trainings that learn and look like trouble: plateaus, spikes, rising losses, noise, floors."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from benchmarks.verdicts import coming_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.coming_nets import between, fit, policy
from benchmarks.verdicts.common_data import mapped, mislabelled
from benchmarks.verdicts.everyday_nets import accuracy, r2, scored
from benchmarks.verdicts.field_nets import Seq2Seq, counted, translating, validation
from benchmarks.verdicts.labels import CRAWLS, HEALTHY, SWINGS, UNMEASURED
from benchmarks.verdicts.nets import Net, keep, start
from benchmarks.verdicts.optimizers import restarts, schedule
from benchmarks.verdicts.sequences import by_step
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Scalars, Training

FAMILIES = Families("next")
LN8 = {"watch": {"chance_loss": "ln 8"}}


@FAMILIES.family("healthy")
def after_a_plateau(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Net("gru", 8, 32, 5, symbols=9), "orth", 0.9)
        held = scored(data.spotted(20, 200, 2), 25, val_acc=accuracy)
        return fit(net, data.spotted(20, 32, 1), "momentum:0.03", steps=700, metrics=held)

    yield self.case("nothing for a third of the steps", HEALTHY, build, between(0.85, 1, "val_acc"))


@FAMILIES.family("healthy")
def a_bad_batch(self: Family) -> Iterator[Case]:
    def outlier(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
        return x, y * 60 if step == 180 else y

    def build() -> Training:
        net = Net("lstm", 1, 24, 1, last=False)
        held = scored(data.pendulum(16, 100, 2), 20, val_r2=r2)
        batch = mapped(data.pendulum(16, 32, 1), outlier)
        return fit(net, batch, "adam:0.005", mse, 400, metrics=held)

    label = HEALTHY.also(actions="check-batch check-data")
    yield self.case("one spike, and on", label, build, between(0.8, 1, "val_r2"))

    def skipped(net: nn.Module, step: int) -> None:
        if step == 120:
            for parameter in net.parameters():
                parameter.grad = torch.zeros_like(parameter)

    def lost() -> Training:
        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
            loss, found = counted(ce)(net, x, y, step)
            return loss * (float("nan") if step == 120 else 1.0), found

        net = Net("gru", 8, 24, 5, symbols=3, last=False)
        return fit(net, data.machine(10, 32, 1), "adam:0.01", steps=300, forward=forward, gradient=skipped)

    label = HEALTHY.also(causes=("non-finite",), actions="check-batch guard-operation check-data")
    yield self.case("one NaN that is skipped", label, lost, Expected(nonfinite=True))


@FAMILIES.family("healthy")
def a_loss_that_rises(self: Family) -> Iterator[Case]:
    def longer() -> Training:
        lengths = [data.machine(T, 32, T) for T in (4, 10, 18)]
        net = Net("tanh", 8, 24, 5, symbols=3, last=False)
        held = scored(data.machine(18, 100, 2), 20, val_acc=accuracy)
        batch = by_step(lambda step: lengths[min(2, step // 130)])
        return fit(net, batch, "adam:0.005", steps=400, metrics=held)

    yield self.case("sequences get longer", HEALTHY, longer, between(0.9, 1, "val_acc"))

    def weaned() -> Training:
        forward = translating(lambda step: 1.0 if step < 250 else 0.6)
        return fit(Seq2Seq(7, 48), data.sorting(5, 64, 1), "adam:0.005", steps=450, forward=forward)

    yield self.case("the decoder gets its own answers", HEALTHY, weaned, between(0.75, 1, "token_acc"))

    def weighed() -> Training:
        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
            output = net(x)
            return (1 + step / 60) * ce(output, y), {"acc": float((output.argmax(-1) == y).float().mean())}

        net = Net("gru", 12, 40, 8, symbols=8, last=False)
        return fit(net, data.verses(12, 32, 1), "adam:0.01", steps=400, forward=forward)

    label = HEALTHY.also(actions="check-data")
    yield self.case("under a weight that rises", label, weighed, between(0.8, 1, "acc"))


@FAMILIES.family("healthy")
def a_high_floor(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 2, 24, 4)
        held = validation(data.gestures(10, 200, 2), ce, 20, right="clean_val_acc")
        batch = mislabelled(data.gestures(10, 64, 1), 0.5, 4, 3)
        return fit(net, batch, "adam:0.01", steps=350, metrics=held)

    yield self.case("half of the labels drawn at random", HEALTHY, build, between(0.85, 1, "clean_val_acc"))


@FAMILIES.family("healthy")
def a_rate_that_jumps(self: Family) -> Iterator[Case]:
    def warm() -> Training:
        net = Net("lstm", 12, 40, 8, symbols=8, last=False)
        return fit(
            net,
            data.verses(12, 32, 1),
            "adam:0.02",
            steps=450,
            before=restarts(0.02, 110),
            watch={"chance_loss": "ln 8"},
        )

    yield self.case("warm restarts", HEALTHY, warm, between(0.7, 1.3))

    def cycles() -> Training:
        net = Net("gru", 3, 24, 1, last=False)
        before = schedule(lambda step: 0.002 + 0.02 * abs(step % 80 - 40) / 40)
        held = validation(data.load(16, 100, 2), mse, 20)
        return fit(net, data.load(16, 32, 1), "rmsprop:0.02", mse, 400, before=before, metrics=held)

    yield self.case("a triangle", HEALTHY, cycles, between(0.03, 0.08))


@FAMILIES.family("healthy")
def much_noise(self: Family) -> Iterator[Case]:
    def dropped() -> Training:
        net = Net("gru", 16, 48, 5, symbols=3, last=False, num_layers=2, dropout=0.5)
        held = scored(data.machine(10, 100, 2), 25, val_acc=accuracy)
        return fit(net, data.machine(10, 16, 1), "adam:0.01", steps=400, metrics=held)

    yield self.case("half of the units dropped", HEALTHY, dropped, between(0.85, 1, "val_acc"))

    def single() -> Training:
        net = Net("lstm", 8, 32, 8, symbols=8, last=False)
        return fit(net, data.verses(20, 1, 1), "adam:0.005", steps=900, forward=counted(ce))

    yield self.case("one sequence a batch", HEALTHY, single, between(0.6, 0.9, "acc"))


@FAMILIES.family("healthy")
def large_gradients(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Net("tanh", 8, 32, 5, symbols=3, last=False), "gauss", 1.8)
        return fit(net, data.machine(12, 32, 1), "adam:0.003", steps=400, clip="norm:1", forward=counted(ce))

    label = HEALTHY.also(causes=("clipping-always",), actions="raise-clip-threshold")
    yield self.case("a chaotic start under a norm of 1", label, build, between(0.85, 1, "acc"))

    def fast() -> Training:
        net = start(Net("relu", 1, 32, 1), "eye", 1.0)
        held = scored(data.battery(24, 200, 2), 20, val_r2=r2)
        return fit(net, data.battery(24, 32, 1), "adam:0.001", mse, 400, clip="value:0.5", metrics=held)

    yield self.case("relu that adds up, values of 0.5", HEALTHY, fast, between(0.9, 1, "val_r2"))


@FAMILIES.family("healthy")
def an_objective_that_says_little(self: Family) -> Iterator[Case]:
    def rewarded() -> Training:
        net = Net("gru", 8, 24, 4, symbols=4, last=False)
        return fit(net, data.stream(1, 10, 64, 1), "adam:0.01", steps=400, forward=policy(entropy=0.05))

    yield self.case("a policy with a bonus for entropy", HEALTHY, rewarded, between(0.8, 1, "reward"))

    def two_sides() -> Training:
        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
            code = functional.normalize(net(x), dim=-1)
            same = (y[:, None] == y).float()
            near = (code[:, None] - code).square().sum(-1)
            found = (same * near + (1 - same) * (1 - near.clamp_min(1e-9).sqrt()).clamp_min(0).square()).mean()
            others = code @ code.t() - 9 * torch.eye(len(code))
            return found, {"nearest_acc": float((y[others.argmax(-1)] == y).float().mean())}

        return fit(Net("gru", 2, 24, 8), data.gestures(10, 48, 1), "adam:0.005", steps=350, forward=forward)

    yield self.case("contrastive pairs", HEALTHY, two_sides, between(0.85, 1, "nearest_acc"))


@FAMILIES.family("healthy")
def weights_that_are_averaged(self: Family) -> Iterator[Case]:
    def build() -> Training:
        kept: dict[str, Tensor] = {}

        def slow(step: int, net: nn.Module, used: Optimizer) -> None:
            with torch.no_grad():
                for name, parameter in net.named_parameters():
                    if step % 5 == 0:
                        before = kept.get(name, parameter.detach().clone())
                        parameter.copy_(before + 0.5 * (parameter - before))
                        kept[name] = parameter.detach().clone()

        net = Net("lstm", 8, 32, 5, symbols=9)
        held = scored(data.spotted(10, 200, 2), 20, val_acc=accuracy)
        return fit(net, data.spotted(10, 32, 1), "adam:0.01", steps=400, after=slow, metrics=held)

    label = HEALTHY
    yield self.case("slow weights of a look-ahead", label, build, between(0.9, 1, "val_acc"))


@FAMILIES.family("clipping")
def clipped_and_slow(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 3, 24, 1, last=False)
        held = validation(data.load(16, 100, 2), mse, 20)
        return fit(net, data.load(16, 32, 1), "sgd:0.2", mse, 400, clip="norm:0.01", metrics=held)

    yield self.case("SGD, norm of 0.01", CRAWLS, build, between(0.1, 0.45))


@FAMILIES.family("not zeroed")
def piled_up_and_learned(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 24, 5, symbols=3, last=False)
        return fit(net, data.machine(10, 32, 1), "adam:0.002", steps=300, zero=False, forward=counted(ce))

    yield self.case("Adam at 0.002", SWINGS, build, Expected((0, 1.5)))


@FAMILIES.family("healthy")
def a_long_memory(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = keep(Net("gru", 8, 32, 5, symbols=9), 2.0)
        held = scored(data.spotted(40, 100, 2, first=True), 25, val_acc=accuracy)
        return fit(net, data.spotted(40, 32, 1, first=True), "adam:0.005", steps=300, metrics=held)

    yield self.case("40 timesteps, a gate that keeps", HEALTHY, build, between(0.9, 1, "val_acc"))

    def quiet() -> Training:
        net = Net("lstm", 1, 16, 1)
        return fit(net, data.alarms(30, 32, 0.5, 1), "adam:0.01", nn.BCEWithLogitsLoss(), 300)

    yield self.case("the gradient fades, and need not reach back", UNMEASURED, quiet, between(0, 0.4))
