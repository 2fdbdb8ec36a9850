"""The later part: long trainings that are healthy, each judged at 10, 50 and 100% of its steps."""

from collections.abc import Iterator

from torch import nn

from benchmarks.verdicts import common_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.everyday_nets import accuracy, scored
from benchmarks.verdicts.field_nets import counted, ctc, reinforce, thirds, under, validation
from benchmarks.verdicts.labels import FINE, HEALTHY, UNMEASURED, UNTOLD
from benchmarks.verdicts.nets import Net, keep, times
from benchmarks.verdicts.optimizers import cosine, restarts, schedule
from benchmarks.verdicts.projects_nets import fit, schooled, word_errors
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("later")

LONG = {"steps": 3000, "every": 50}
LN7 = {"chance_loss": "ln 7"}
# at chance up to now; nobody can know that the fall comes
WAITS = UNTOLD.also(
    causes=("vanishing",),
    actions=" ".join(("change-initialization", "change-cell", "shorten-path", "raise-forget-bias", *FINE[:-1])),
)


@FAMILIES.family("schedules")
def annealed_to_zero(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 6, 16, 5, symbols=3, last=False)
        return fit(net, data.stock(10, 8, 1), "adamw:0.01", **LONG, before=cosine(0.01, 3000, 100))

    told = ((UNMEASURED, under(0.9)), (UNMEASURED, under(0.1)), (UNMEASURED, under(0.05)))
    yield from thirds(self, "half a cosine", build, *told)


@FAMILIES.family("schedules")
def six_restarts(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 6, 16, 7, symbols=7, last=False)
        return fit(net, data.weekdays(10, 8, 1), "nesterov:0.3", **LONG, before=restarts(0.3, 500), watch=LN7)

    told = ((HEALTHY, under(1.8)), (HEALTHY, under(1.2)), (HEALTHY, under(1.1)))
    yield from thirds(self, "SGD with warm restarts", build, *told)


@FAMILIES.family("schedules")
def tenth_at_milestones(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("tanh", 1, 16, 1, last=False)
        before = schedule(lambda step: 0.1 * 0.1 ** ((step >= 1200) + (step >= 2400)))
        return fit(net, data.boiler(10, 8, 1, noise=0.3), "sgd:0.1", mse, **LONG, before=before)

    told = ((UNMEASURED, under(0.25)), (UNMEASURED, under(0.15)), (UNMEASURED, under(0.13)))
    yield from thirds(self, "SGD, a tenth at 1,200 and 2,400", build, *told)


@FAMILIES.family("spikes")
def spikes_that_pass(self: Family) -> Iterator[Case]:
    def gradient(net: nn.Module, step: int) -> None:
        if step > 100 and step % 400 == 0:
            for parameter in net.parameters():
                parameter.grad.mul_(500.0)

    def build() -> Training:
        net = Net("gru", 3, 12, 4)
        more = {"gradient": gradient, "clip": "norm:2", "forward": counted(ce)}
        return fit(net, data.engines(8, 16, 4, 1), "adam:0.002", **LONG, **more)

    told = ((UNMEASURED, under(0.9)), (UNMEASURED, under(0.5)), (UNMEASURED, under(0.4)))
    yield from thirds(self, "of the gradient, each 400 steps, clipped", build, *told)


@FAMILIES.family("changed midway")
def other_engines_learned_anew(self: Family) -> Iterator[Case]:
    def build() -> Training:
        batch = data.switched(data.engines(8, 16, 4, 1), data.engines(8, 16, 4, 1, law=57), 1700)
        return fit(Net("gru", 3, 14, 4), batch, "adam:0.003", **LONG, forward=counted(ce))

    again = UNMEASURED.also(causes=("changed-during-training",), actions="revert-change check-data")
    told = ((UNMEASURED, under(0.8)), (UNMEASURED, under(0.4)), (again, under(0.5)))
    yield from thirds(self, "from step 1,700", build, *told)


@FAMILIES.family("policy gradient")
def corridor_for_long(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 6, 16, 4, symbols=9)
        return fit(net, data.badge(4, 24, 1), "adam:0.002", **LONG, forward=reinforce(entropy=0.005))

    told = (
        (UNMEASURED, Expected((0.25, 1), "reward")),
        (UNMEASURED, Expected((0.8, 1), "reward")),
        (UNMEASURED, Expected((0.9, 1), "reward")),
    )
    yield from thirds(self, "REINFORCE, 4 choices after 4 timesteps", build, *told)


@FAMILIES.family("CTC")
def letters_for_long(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 3, 16, 4, last=False)
        held = scored(data.morse(3, 40, 3, 2), 100, cer=word_errors)
        return fit(net, data.morse(3, 8, 3, 1), "adam:0.002", **LONG, forward=ctc, metrics=held)

    told = ((UNMEASURED, Expected((0, 1), "cer")), *[(UNMEASURED, Expected((0, 0.2), "cer"))] * 2)
    yield from thirds(self, "three letters, error rate", build, *told)


@FAMILIES.family("fine-tuning")
def on_other_engines(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = schooled(Net("lstm", 3, 16, 4), data.engines(8, 32, 4, 3), "adam:0.01", 200)
        batch = data.engines(8, 16, 4, 1, law=58)
        held = scored(data.engines(8, 200, 4, 2, law=58), 100, val_acc=accuracy)
        return fit(net, batch, "adam:0.0005", **LONG, metrics=held)

    told = ((UNMEASURED, under(2.5)), (UNMEASURED, under(0.6)), (UNMEASURED, under(0.5)))
    yield from thirds(self, "Adam at 5e-4", build, *told)


@FAMILIES.family("floor of noise")
def at_the_floor_for_long(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 1, 12, 1, last=False)
        held = validation(data.boiler(10, 200, 2, noise=1.0), mse, 100)
        return fit(net, data.boiler(10, 8, 1, noise=1.0), "adam:0.003", mse, **LONG, metrics=held)

    told = ((UNMEASURED, under(1.3, 0.9)), (UNMEASURED, under(1.12, 0.9)), (UNMEASURED, under(1.12, 0.9)))
    yield from thirds(self, "noise of 1, val_loss", build, *told)


@FAMILIES.family("plateau")
def falls_after_a_plateau(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = keep(Net("lstm", 6, 16, 4, symbols=9), 1.2)
        return fit(net, data.badge(24, 12, 1), "adam:0.0008", **LONG, watch={"chance_loss": "ln 4"})

    told = ((WAITS, under(1.45, 1.3)), (HEALTHY, under(1.1)), (HEALTHY, under(0.6)))
    yield from thirds(self, "the first of 24 symbols", build, *told)


@FAMILIES.family("still learning")
def slow_to_the_end(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 6, 16, 5, symbols=3, last=False)
        return fit(net, data.stock(12, 8, 1), "sgd:0.006", **LONG)

    early = UNMEASURED.also(causes=("learning-rate-low",), actions="raise-learning-rate")
    told = ((early, under(1.6, 1.1)), (early, under(1.3, 0.7)), (early, under(1.1, 0.4)))
    yield from thirds(self, "SGD at 0.006", build, *told)


@FAMILIES.family("floor of noise")
def returns_for_long(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = times(Net("gru", 2, 12, 1), "head", 0.1)
        held = validation(data.odds(6, 1000, 2, share=0.08), mse, 50)
        return fit(net, data.odds(6, 64, 1, share=0.08), "adam:0.001", mse, **LONG, metrics=held)

    early = UNMEASURED.also(outcomes="stuck", actions="check-data overfit-one-batch")
    told = (
        (early, Expected((0.9, 1.06), "val_loss")),
        (UNMEASURED, Expected((0.86, 0.98), "val_loss")),
        (UNMEASURED, Expected((0.86, 0.98), "val_loss")),
    )
    yield from thirds(self, "8% of the variance", build, *told)
