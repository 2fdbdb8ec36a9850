"""The plain part: long trainings of small nets, each judged at 10, 50 and 100% of its steps."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.verdicts import ordinary_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.everyday_nets import accuracy, r2, scored
from benchmarks.verdicts.field_nets import ctc, reinforce, thirds, under, validation
from benchmarks.verdicts.labels import (
    BAD_BATCH,
    CHANGED,
    CLIPPED_EXPLODES,
    CRAWLS,
    CUT,
    FADES,
    FINE,
    HEALTHY,
    LR_LOW,
    NOTED,
    OVERFITS,
    UNMEASURED,
    UNTOLD,
)
from benchmarks.verdicts.nets import Loop, Net, keep, start, times
from benchmarks.verdicts.optimizers import changed, cosine, restarts
from benchmarks.verdicts.projects_nets import fit, schooled, word_errors
from benchmarks.verdicts.sequences import by_step, swapped
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("plain")

LN3, LN4 = math.log(3), math.log(4)
LETTERS, LETTERS_FLOOR = data.letter_entropies()
LONG = {"steps": 3000, "every": 50}
MAYBE = Label(("learning", "learned", "overfits"), (None,), (*OVERFITS.actions, *FINE), failed=False)
AT_LN4 = under(LN4 + 0.1, LN4 - 0.1)
# an honest answer before the drop of a plateau: nothing was learned yet
WAITING = Label(
    ("stuck", "learning", "unknown", "learned"),
    (None, "learning-rate-low"),
    (*UNTOLD.actions, *FINE, "raise-learning-rate", "shorten-path"),
    failed=False,
)


@FAMILIES.family("overfits")
def same_reviews_again(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = data.Pooled("gru", 8, 20, 4, symbols=30)
        batch = data.few(swapped(data.reviews(10, 24, 4, 1), lambda step: 0.3, 4, 5), 2)
        held = validation(data.reviews(10, 300, 4, 2), ce, 50, right="val_acc")
        return fit(net, batch, "adam:0.005", **LONG, metrics=held)

    late = Expected((1.4, 40.0), "val_loss")
    told = (OVERFITS, late)
    yield from thirds(self, "48 reviews", build, told, told, told)


@FAMILIES.family("overfits")
def same_series_again(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("tanh", 1, 24, 1, last=False)
        held = validation(data.season(10, 200, 1.0, 2), mse, 50)
        return fit(net, data.few(data.season(10, 12, 1.0, 1), 1), "adam:0.004", mse, **LONG, metrics=held)

    late = Expected((2.0, 40.0), "val_loss")
    yield from thirds(self, "12 noisy seasons", build, (MAYBE, Expected()), (OVERFITS, late), (OVERFITS, late))


@FAMILIES.family("vanishing")
def gate_never_keeps(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = keep(Net("gru", 4, 12, 4), -3.5)
        return fit(net, data.mark(18, 16, 4, 1), "sgd:0.03", **LONG)

    told = (FADES, Expected((LN4 - 0.1, LN4 + 0.1), kept=(0.0, 1e-6)))
    yield from thirds(self, "GRU, update bias of -3.5", build, told, told, told)


@FAMILIES.family("exploding")
def clipped_in_chaos(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Net("tanh", 4, 48, 4), "gauss", 3.0)
        return fit(net, data.mark(40, 12, 4, 1), "sgd:0.001", **LONG, clip="norm:0.5")

    label = CLIPPED_EXPLODES.also(causes=("saturated-gates",), actions="scale-inputs")
    told = (label, Expected((LN4 - 0.1, 3.0), growth=(1e3, math.inf)))
    yield from thirds(self, "tanh, gain of 3", build, told, told, told)


@FAMILIES.family("truncation")
def cut_every_four(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Loop("lstm", 6, 12, 4, symbols=9, cut=lambda t, T: t % 4 == 3)
        return fit(net, data.first_word(20, 16, 4, 1), "momentum:0.01", **LONG)

    told = (CUT, AT_LN4)
    yield from thirds(self, "LSTM, the first of 20 words", build, told, told, told)


@FAMILIES.family("learning rate")
def rate_of_another_scale(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 1, 12, 2, last=False)
        held = scored(data.switch(12, 100, 2), 100, val_acc=accuracy)
        return fit(net, data.switch(12, 16, 1), "sgd:0.00005", **LONG, metrics=held)

    told = (LR_LOW, under(0.8, 0.63))
    early = (LR_LOW.also(outcomes="unknown", causes=(None,), actions="overfit-one-batch check-data"), told[1])
    yield from thirds(self, "switch, SGD at 5e-5", build, early, told, told)


@FAMILIES.family("learning rate")
def rate_raised_late(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 16, 27, symbols=27, last=False)
        return fit(net, data.letters(12, 12, 1), "adam:0.005", **LONG, before=changed(0.005, 2.0, 1900))

    bad = CHANGED.also(
        outcomes="stuck",
        causes=("learning-rate-high", "saturated-gates", "exploding"),
        actions="lower-learning-rate clip",
    )
    good = (HEALTHY, under(LETTERS - 0.2))
    end = under(math.inf, LETTERS)
    yield from thirds(self, "letters, Adam to 2 at step 1,900", build, good, (HEALTHY, under(1.9)), (bad, end))


@FAMILIES.family("non-finite")
def missing_value_late(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 1, 14, 1, last=False)

        def change(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            return (torch.where(x > 0.97, math.nan, x), y) if step == 2200 else (x, y)

        return fit(net, data.mapped(data.maximum(12, 16, 1), change), "momentum:0.05", mse, **LONG)

    label = BAD_BATCH.also(actions="guard-operation")
    good = (HEALTHY, under(0.02))
    yield from thirds(self, "at step 2,200", build, good, good, (label, Expected(nonfinite=True)))


@FAMILIES.family("at chance")
def random_labels_for_long(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 3, 12, 3)
        batch = swapped(data.mark(8, 24, 3, 1), lambda step: 1.0, 3, 4)
        held = validation(data.mark(8, 200, 3, 2), ce, 100, right="val_acc")
        return fit(net, batch, "adam:0.001", **LONG, metrics=held)

    told = (UNTOLD, under(LN3 + 0.06, LN3 - 0.06))
    yield from thirds(self, "marks", build, told, told, told)


@FAMILIES.family("clipping")
def clipped_to_a_crawl(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("tanh", 8, 16, 27, symbols=27, last=False)
        return fit(net, data.letters(12, 12, 1), "sgd:0.1", **LONG, clip="norm:0.001")

    early = (CRAWLS.also(outcomes="unknown"), under(3.5, 3.1))
    crawls = (CRAWLS, under(3.5, LETTERS + 0.2))
    yield from thirds(self, "letters, norm of 0.001", build, early, crawls, crawls)


@FAMILIES.family("changed")
def labels_lost_midway(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 4, 14, 4)
        batch = swapped(data.mark(6, 24, 4, 1), lambda step: 1.0 if step >= 1800 else 0.0, 4, 3)
        return fit(net, batch, "adam:0.002", **LONG)

    label = CHANGED.also(outcomes="stuck", actions="overfit-one-batch")
    good = (HEALTHY, under(1.3))
    yield from thirds(self, "drawn from step 1,800", build, good, (HEALTHY, under(0.05)), (label, under(2.0, 1.3)))


@FAMILIES.family("policy gradient")
def reward_is_minimized(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 3, 12, 3)
        forward = reinforce(sign=-1.0)
        return fit(net, data.mark(4, 24, 3, 1), "adam:0.003", **LONG, forward=forward, watch={"goal": "reward"})

    label = Label(
        ("stuck", "diverged", "unknown"),
        (None, "changed-during-training", "vanishing"),
        ("check-data", "overfit-one-batch", "log-metric", "give-chance", "revert-change", "lower-learning-rate"),
    )
    told = (label, Expected((0.0, 0.3), "reward"))
    yield from thirds(self, "the sign of the loss is wrong", build, told, told, told)


@FAMILIES.family("policy gradient")
def reward_is_learned(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 4, 12, 4)
        forward = reinforce(entropy=0.01)
        return fit(net, data.mark(5, 24, 4, 1), "adam:0.003", **LONG, forward=forward, watch={"goal": "reward"})

    good = (UNMEASURED, Expected((0.8, 1.0), "reward"))
    yield from thirds(self, "one choice of four", build, good, good, good)


@FAMILIES.family("schedules")
def annealed_to_zero(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 8, 16, 27, symbols=27, last=False)
        held = validation(data.letters(12, 60, 2), ce, 100)
        return fit(net, data.letters(12, 12, 1), "adam:0.01", **LONG, before=cosine(0.01, 3000, 100), metrics=held)

    good = (HEALTHY, under(LETTERS - 0.4, LETTERS_FLOOR - 0.1))
    yield from thirds(self, "letters, cosine", build, (HEALTHY, under(LETTERS)), good, good)


@FAMILIES.family("schedules")
def restarted_rates(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 1, 14, 1, last=False)
        return fit(net, data.season(14, 16, 0.5, 1), "momentum:0.2", mse, **LONG, before=restarts(0.2, 500))

    good = (HEALTHY, under(0.8, 0.2))
    yield from thirds(self, "season, every 500 steps", build, (HEALTHY, under(1.2)), good, good)


@FAMILIES.family("spikes")
def outliers_now_and_then(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 1, 14, 2, last=False)

        def change(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            return (x, 1 - y) if step % 370 == 369 else (x, y)

        return fit(net, data.mapped(data.switch(12, 16, 1), change), "adam:0.005", **LONG, clip="norm:1")

    good = (HEALTHY, under(0.2))
    yield from thirds(self, "inverted labels every 370 steps", build, (HEALTHY, under(0.5)), good, good)


@FAMILIES.family("changed")
def relearns_after_a_shift(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 4, 16, 4)
        first, second = data.mark(6, 24, 4, 1, at=4), data.mapped(data.mark(6, 24, 4, 2, at=2), _renamed)
        return fit(net, by_step(lambda step: first if step < 1300 else second), "adam:0.003", **LONG)

    middle = Label(
        ("learned", "learning", "diverged", "stuck"),
        (None, "changed-during-training"),
        (*FINE, "revert-change", "check-data"),
        failed=False,
    )
    end = HEALTHY.also(causes=("changed-during-training",), actions="revert-change check-data")
    told = ((HEALTHY, under(0.5)), (middle, Expected()), (end, under(0.1)))
    yield from thirds(self, "another place and other names at step 1,300", build, *told)


def _renamed(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
    return x, (y + 1) % 4


@FAMILIES.family("CTC")
def letters_from_frames(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 3, 14, 4, last=False)
        held = scored(data.spelled(3, 4, 50, 3, 2), 150, cer=word_errors)
        return fit(net, data.spelled(3, 4, 12, 3, 1), "adam:0.004", **LONG, forward=ctc, metrics=held)

    good = (HEALTHY, Expected((0.0, 0.25), "cer"))
    yield from thirds(self, "three letters of three", build, (HEALTHY, under(0.9)), good, good)


@FAMILIES.family("fine-tuning")
def tuned_on_more_noise(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = schooled(Net("lstm", 1, 14, 3), data.tone(12, 24, 3, 0.1, 3), "adam:0.01", 300)
        held = validation(data.tone(12, 200, 3, 0.6, 2), ce, 50, right="val_acc")
        more = {"metrics": held, "watch": {"chance_loss": "ln 3"}}
        return fit(net, data.tone(12, 24, 3, 0.6, 1), "adamw:0.001", **LONG, **more)

    good = (HEALTHY, under(0.6, 0.05))
    yield from thirds(self, "tones under more noise", build, (HEALTHY, under(0.9)), good, good)


@FAMILIES.family("at chance")
def parity_is_not_found(self: Family) -> Iterator[Case]:
    """The gradient arrives at the first bit, and no step of a few bits lowers the loss."""

    def build() -> Training:
        net = start(Net("tanh", 4, 16, 2, symbols=2), "orth", 0.95)
        batch = data.mapped(data.residues(12, 32, 2, 1), lambda x, y, step: (x, y[-1]))
        return fit(net, batch, "momentum:0.005", **LONG, clip="norm:1", watch={"chance_loss": "ln 2"})

    label = UNTOLD.also(
        causes=("learning-rate-low", "vanishing"), actions="raise-learning-rate shorten-path change-cell"
    )
    told = (label, under(0.75, 0.68))
    yield from thirds(self, "parity of 12 bits", build, told, told, told)


@FAMILIES.family("delayed learning")
def recall_after_a_plateau(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 6, 16, 4, symbols=9)
        return fit(net, data.first_word(13, 16, 4, 1), "adam:0.0015", **LONG, clip="norm:1")

    good = (NOTED, under(0.2))
    yield from thirds(self, "the first of 13 words", build, (WAITING, Expected()), (NOTED, under(0.9)), good)


@FAMILIES.family("little to learn")
def returns_for_long(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = times(Net("gru", 3, 8, 1), "head", 0.1)
        held = scored(data.explained(5, 4000, 0.05, 2), 100, val_r2=r2)
        return fit(net, data.explained(5, 128, 0.05, 1), "adam:0.001", mse, **LONG, metrics=held)

    good = (UNMEASURED, Expected((0.025, 0.065), "val_r2"))
    early = (UNMEASURED.also(outcomes="stuck"), Expected())
    yield from thirds(self, "R2 of 0.05", build, early, good, good)


@FAMILIES.family("still learning")
def slow_all_along(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("tanh", 8, 16, 27, symbols=27, last=False)
        return fit(net, data.letters(12, 12, 1), "sgd:0.02", **LONG)

    label = HEALTHY.also(causes=("learning-rate-low",), actions="raise-learning-rate")
    told = (label, under(2.95)), (label, under(2.6)), (label, under(2.4, LETTERS_FLOOR + 0.2))
    yield from thirds(self, "letters, SGD at 0.02", build, *told)
