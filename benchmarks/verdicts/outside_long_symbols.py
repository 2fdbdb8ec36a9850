"""The outside part: long trainings on symbols and decisions that learn, judged at 10, 50 and 100% of their steps."""

from collections.abc import Iterator

from torch import nn
from torch.optim import AdamW

from benchmarks.verdicts import projects_data as data
from benchmarks.verdicts import projects_losses as losses
from benchmarks.verdicts.case import ANY, Case, Expected, Families, Family, Label
from benchmarks.verdicts.everyday_nets import Carried, accuracy, perplexity, scored
from benchmarks.verdicts.field_data import spoken
from benchmarks.verdicts.field_nets import counted, ctc, thirds, under
from benchmarks.verdicts.labels import FIND, FINE, HEALTHY, NOTED, UNMEASURED
from benchmarks.verdicts.nets import Net, start
from benchmarks.verdicts.projects_nets import (
    Attending,
    Gambler,
    Tied,
    arms,
    attended,
    fit,
    gambled,
    schooled,
    taught,
    word_errors,
)
from benchmarks.verdicts.sequences import by_step, reversal
from benchmarks.verdicts.tasks import ce
from benchmarks.verdicts.training import Training

FAMILIES = Families("outside")

LONG = {"steps": 3000, "every": 50}
# at chance so far, as it is on the way there
PLATEAU = Label(("stuck", "learning", "unknown"), (None,), (*FINE, *FIND), failed=False)


@FAMILIES.family("healthy")
def late_recall(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 24, 4, symbols=8)
        return fit(net, data.gap_recall(24, 32, 1), "adam:0.001", **LONG, watch={"chance_loss": "ln 4"})

    early = PLATEAU.also(causes=("vanishing",), actions="change-initialization shorten-path")
    told = ((early, under(1.5, 1.2)), (HEALTHY, under(1.0)), (HEALTHY, under(0.1)))
    yield from thirds(self, "GRU", build, *told)


@FAMILIES.family("healthy")
def late_carry(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("tanh", 16, 32, 10, symbols=100, last=False)
        return fit(net, data.decimals(6, 32, 1), "adam:0.002", **LONG, forward=counted(ce, "digit_acc"))

    told = ((HEALTHY, under(2.25)), (HEALTHY, under(1.5)), (HEALTHY, under(0.8)))
    yield from thirds(self, "addition by a tanh net", build, *told)


@FAMILIES.family("healthy")
def growing_gaps(self: Family) -> Iterator[Case]:
    lengths = (5, 9, 14, 20)

    def build() -> Training:
        net = Net("lstm", 8, 24, 4, symbols=8)
        made = [data.gap_recall(T, 32, T) for T in lengths]
        held = scored(data.gap_recall(20, 200, 2), 100, acc_at_20=accuracy)
        batch = by_step(lambda step: made[min(3, step // 800)])
        return fit(net, batch, "adam:0.003", steps=4000, every=50, metrics=held)

    told = ((HEALTHY.also(outcomes="unknown"), ANY), (HEALTHY, ANY), (HEALTHY, (0.8, 1.0)))
    spans = [(label, Expected(final=span, measure="acc_at_20" if span != ANY else "loss")) for label, span in told]
    yield from thirds(self, "a curriculum of lengths", build, *spans)


@FAMILIES.family("healthy")
def harder_programs(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 32, 5, symbols=5, last=False)
        made = [data.programs(2 + 3 * level, 16, level + 1) for level in range(5)]
        held = scored(data.programs(12, 100, 2), 100, val_acc=accuracy)
        batch = by_step(lambda step: made[min(4, step // 500)])
        return fit(net, batch, "adam:0.003", **LONG, metrics=held)

    told = [(HEALTHY, Expected()), (HEALTHY, Expected()), (HEALTHY, Expected((0.7, 1.0), "val_acc"))]
    yield from thirds(self, "longer every 500 steps, val_acc", build, *told)


@FAMILIES.family("healthy")
def spoken_letters(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 4, 24, 7, last=False, bidirectional=True)
        held = scored(spoken(4, 4, 50, 2, kinds=6, noise=0.8), 150, wer=word_errors)
        batch = spoken(4, 4, 8, 1, kinds=6, noise=0.8)
        return fit(net, batch, "adam:0.002", **LONG, forward=ctc, metrics=held, clip="norm:5")

    told = (
        (NOTED.also(outcomes="unknown stuck"), Expected()),
        (NOTED, Expected((0, 0.3), "wer")),
        (NOTED, Expected((0, 0.2), "wer")),
    )
    yield from thirds(self, "CTC, wer", build, *told)


@FAMILIES.family("healthy")
def coarse_success(self: Family) -> Iterator[Case]:
    def build() -> Training:
        forward = attended("exact_match", 200)
        return fit(Attending(8, 20), reversal(5, 8, 7, 1), "adam:0.001", **LONG, forward=forward, clip="norm:1")

    told = ((NOTED, under(2.1)), (NOTED, under(1.0)), (NOTED, under(0.3)))
    yield from thirds(self, "exact match of eight, every 200 steps", build, *told)


@FAMILIES.family("healthy")
def bases_with_dropout(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net, held = Tied(4, 24, 0.3, layers=2), scored(data.isochores(24, 100, 2), 100, val_ppl=perplexity)
        opt = AdamW(net.parameters(), 0.002, weight_decay=0.05)
        return Training(net, data.shelf(60, data.isochores(24, 32, 1), 16, 4), opt, **LONG, metrics=held)

    yield from thirds(self, "tied weights, val_ppl", build, *((HEALTHY, under(high)) for high in (1.37, 1.34, 1.34)))


@FAMILIES.family("healthy")
def endless_bases(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Carried(Net("gru", 8, 16, 4, symbols=4, last=False))
        return fit(net, data.isochores(8, 16, 3), "rmsprop:0.001", **LONG)

    label = HEALTHY.also(causes=("truncated-reach",), outcomes="unknown")
    yield from thirds(self, "a state that is carried", build, *((label, under(high)) for high in (1.38, 1.35, 1.35)))


@FAMILIES.family("healthy")
def bandit_for_long(self: Family) -> Iterator[Case]:
    def build() -> Training:
        return fit(Gambler(16, 6), arms(32, 2), "adam:0.002", **LONG, forward=gambled(0.02), clip="norm:1")

    spans = ((0.45, 0.9), (0.6, 0.9), (0.65, 0.9))
    label = NOTED.also(outcomes="unknown")
    told = [(label, Expected(final=span, measure="mean_reward")) for span in spans]
    yield from thirds(self, "actor and critic", build, *told)


@FAMILIES.family("healthy")
def small_student(self: Family) -> Iterator[Case]:
    def build() -> Training:
        teacher = schooled(Net("gru", 8, 32, 5, symbols=5, last=False), data.programs(10, 32, 1), "adam:0.01", 700)
        net = Net("gru", 8, 12, 5, symbols=5, last=False)
        forward = taught(teacher.requires_grad_(False), 3.0)
        return fit(net, data.programs(10, 16, 2), "adam:0.003", **LONG, forward=forward)

    told = [(HEALTHY, Expected((low, 1.0), "agreement")) for low in (0.35, 0.5, 0.6)]
    yield from thirds(self, "distillation at 3", build, *told)


@FAMILIES.family("healthy")
def contrasted_rhythms(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 1, 16, 8)
        return fit(net, data.heartbeats(20, 24, 2), "adam:0.002", losses.contrast, **LONG)

    told = [(UNMEASURED, under(high)) for high in (3.2, 2.4, 2.3)]
    yield from thirds(self, "supervised contrast", build, *told)


@FAMILIES.family("healthy")
def identity_start(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Net("relu", 8, 24, 4, symbols=8), "eye", 1.0)
        return fit(net, data.gap_recall(16, 32, 1), "adam:0.001", **LONG, clip="norm:1")

    label = NOTED.also(causes=("exploding",), actions="*")
    told = tuple((label, under(high)) for high in (0.5, 0.1, 0.1))
    yield from thirds(self, "relu from the identity", build, *told)


@FAMILIES.family("healthy")
def tags_in_epochs(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net: nn.Module = Net("lstm", 8, 12, 3, symbols=14, last=False)
        batch = data.shelf(50, data.trips(12, 32, 1), 16, 3)
        held = scored(data.trips(12, 300, 2), 100, val_acc=accuracy)
        return fit(net, batch, "adam:0.0005", steps=5000, every=50, metrics=held)

    yield from thirds(self, "slots, val_acc", build, *((HEALTHY, under(high)) for high in (0.65, 0.2, 0.1)))
