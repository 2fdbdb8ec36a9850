"""The outside part: short trainings on symbols, codes and decisions that learn."""

import copy
from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts import projects_data as data
from benchmarks.verdicts import projects_losses as losses
from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.everyday_nets import Carried, accuracy, averaged, error_rate, perplexity, scored
from benchmarks.verdicts.field_nets import counted, reinforce, under, validation
from benchmarks.verdicts.labels import HEALTHY, NOTED, UNMEASURED
from benchmarks.verdicts.nets import Loop, Net, keep
from benchmarks.verdicts.practice_nets import PackedTagger
from benchmarks.verdicts.projects_nets import (
    Attending,
    Crf,
    Tied,
    arms,
    attended,
    fit,
    schooled,
    taught,
)
from benchmarks.verdicts.projects_nets import Gambler as Player
from benchmarks.verdicts.projects_nets import gambled as played
from benchmarks.verdicts.sequences import reversal
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("outside")


def given(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
    """The loss that the net gives itself."""
    return net(x, y)


@FAMILIES.family("healthy")
def frames_of_phones(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 6, 24, 8, last=False, bidirectional=True)
        batch, held = data.phones(24, 16, 8, 1), data.phones(24, 100, 8, 2)
        return fit(net, batch, "adam:0.01", steps=300, metrics=scored(held, 30, val_fer=error_rate))

    yield self.case("frame error rate", HEALTHY, build, under(0.8))

    def crf() -> Training:
        net = Crf(Net("lstm", 6, 16, 5, last=False), 5)
        return fit(net, data.phones(16, 16, 5, 3), "adam:0.01", steps=300, forward=given)

    yield self.case("CRF", UNMEASURED, crf, under(0.7))


@FAMILIES.family("healthy")
def slots_of_trips(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 8, 16, 3, symbols=14, last=False)
        held = scored(data.trips(16, 200, 2), 25, val_acc=accuracy)
        return fit(net, data.trips(16, 16, 1), "adam:0.01", steps=500, metrics=held)

    yield self.case("val_acc", HEALTHY, build, under(0.12))

    def padded() -> Training:
        def cut(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            x = x + 1
            for row in range(x.shape[1]):
                x[16 - row % 8 :, row] = 0
            return x, y.masked_fill(x == 0, -100)

        net = PackedTagger(15, 8, 12, 3, nn.GRU)
        return fit(net, data.altered(data.trips(16, 16, 3), cut), "adam:0.01", steps=400)

    yield self.case("packed, in two directions", HEALTHY, padded, under(0.12))


@FAMILIES.family("healthy")
def traced_programs(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 32, 5, symbols=5, last=False)
        return fit(net, data.programs(16, 32, 1), "adam:0.01", steps=600, forward=counted(ce))

    yield self.case("GRU", HEALTHY, build, under(0.5))

    def loop() -> Training:
        net = keep(Loop("lstm", 8, 32, 5, symbols=5, last=False), 1.0)
        return fit(net, data.programs(12, 32, 2), "adam:0.02", steps=500, clip="norm:1")

    yield self.case("LSTM cells, clipped at 1", NOTED, loop, under(0.5))


@FAMILIES.family("healthy")
def long_addition(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 16, 32, 10, symbols=100, last=False)
        return fit(net, data.decimals(8, 64, 1), "adam:0.01", steps=700, forward=counted(ce, "digit_acc"))

    yield self.case("digit accuracy", HEALTHY, build, under(0.6))


@FAMILIES.family("healthy")
def attended_reversal(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Attending(9, 24)
        return fit(net, reversal(8, 32, 8, 1), "adam:0.01", steps=600, forward=attended("seq_acc"), clip="norm:1")

    yield self.case("sequence accuracy every 20 steps", NOTED, build, under(0.4))


@FAMILIES.family("healthy")
def tied_words(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net, batch = Tied(4, 24), data.isochores(30, 16, 1)
        more = {"metrics": scored(data.isochores(30, 100, 2), 25, perplexity=perplexity)}
        return fit(net, batch, "adamw:0.003", steps=400, **more)

    # the rate of such a chain is about 1.24 of ln 4 = 1.386
    yield self.case("perplexity of bases", HEALTHY, build, under(1.33))


@FAMILIES.family("healthy")
def carried_state(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Carried(Net("lstm", 8, 16, 4, symbols=4, last=False))
        return fit(net, data.isochores(10, 16, 3), "sgd:2", steps=500, logged=averaged(0.9))

    label = UNMEASURED.also(causes=("truncated-reach",))
    yield self.case("a running mean is logged", label, build, under(1.35))


@FAMILIES.family("healthy")
def margins(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 1, 16, 3)
        return fit(net, data.heartbeats(28, 32, 1), "adagrad:0.05", losses.hinge, 500, forward=counted(losses.hinge))

    yield self.case("hinge, Adagrad", HEALTHY, build, under(0.25))


@FAMILIES.family("healthy")
def codes(self: Family) -> Iterator[Case]:
    def triplet() -> Training:
        net = Net("gru", 8, 16, 8, symbols=8)
        return fit(net, data.gap_recall(6, 24, 1), "adam:0.01", losses.triplets, 500)

    yield self.case("all triplets of a batch", UNMEASURED, triplet, under(0.1))

    def supervised() -> Training:
        net = Net("lstm", 8, 16, 8, symbols=8)
        return fit(net, data.gap_recall(6, 48, 2), "adam:0.01", losses.contrast, 500)

    yield self.case("supervised contrast", UNMEASURED, supervised, under(2.8))


@FAMILIES.family("healthy")
def students(self: Family) -> Iterator[Case]:
    def build() -> Training:
        teacher = schooled(Net("gru", 8, 32, 5, symbols=5, last=False), data.programs(12, 32, 1), "adam:0.01", 500)
        net = Net("lstm", 8, 16, 5, symbols=5, last=False)
        forward = taught(teacher.requires_grad_(False), 2.0)
        return fit(net, data.programs(12, 32, 2), "adam:0.01", steps=600, forward=forward)

    yield self.case("distillation at 2", HEALTHY, build, Expected(final=(0.6, 1.0), measure="agreement"))


@FAMILIES.family("healthy")
def cloned_controller(self: Family) -> Iterator[Case]:
    def act(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        error = x[..., :1]
        return x, error + 0.3 * error.cumsum(0) + 0.5 * functional.pad(error.diff(dim=0), (0, 0, 0, 0, 1, 0))

    def build() -> Training:
        net = Net("gru", 3, 24, 1, last=False)
        batch, held = (data.altered(data.plant(16, N, seed), act) for N, seed in ((32, 1), (200, 2)))
        return fit(net, batch, "adam:0.01", mse, 400, metrics=validation(held, mse, 40))

    yield self.case("of a PID controller", HEALTHY, build, under(0.3))


@FAMILIES.family("healthy")
def remembered_choice(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 16, 4, symbols=8)
        batch = data.gap_recall(6, 64, 1)
        return fit(net, batch, "adam:0.01", steps=700, forward=reinforce(entropy=0.02))

    yield self.case("REINFORCE", HEALTHY, build, Expected(final=(0.8, 1.0), measure="reward"))


@FAMILIES.family("healthy")
def two_armed_bandit(self: Family) -> Iterator[Case]:
    def build() -> Training:
        return fit(Player(16, 8), arms(64, 1), "adam:0.01", steps=400, forward=played(0.01), clip="norm:1")

    expected = Expected(final=(0.65, 0.85), measure="mean_reward")
    yield self.case("actor and critic", NOTED.also(outcomes="unknown"), build, expected)


@FAMILIES.family("healthy")
def transferred(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = schooled(Net("gru", 1, 16, 3), data.heartbeats(28, 32, 1), "adam:0.01", 400)
        fresh = copy.deepcopy(net)
        fresh.recurrent.requires_grad_(False)
        fresh.head = nn.Linear(16, 2)
        batch = data.altered(data.heartbeats(28, 32, 2), lambda step, x, y: (x, (y > 0).long()))
        return fit(fresh, batch, "adam:0.01", steps=250, forward=counted(ce))

    label = HEALTHY.also(causes=("parameters-not-updated", "no-gradient"))
    yield self.case("a new head on a frozen encoder", label, build, under(0.35))


@FAMILIES.family("healthy")
def stopped_while_it_falls(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 8, 32, 10, symbols=100, last=False)
        return fit(net, data.decimals(6, 32, 1), "adam:0.003", steps=150)

    yield self.case("150 steps", HEALTHY, build, under(2.25, 1.2))
