"""The outcome of a training: learned, learning, overfits, stuck, diverged, broken, or unknown; and by what.

A training is called learned or learning only where a measure shows it: it is better than a constant prediction or than
guessing by more than its noise; or, where neither is known, it is far better than at the start and its noise is small,
or it still improves.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis.diagnosis.outcome import words
from graddiag.analysis.diagnosis.outcome.course import Course, course
from graddiag.analysis.diagnosis.outcome.goals import by_goal, fell, hardly_gained, some_gone, surely_worse
from graddiag.analysis.diagnosis.outcome.levels import (
    FINE,
    Detail,
    Judgement,
    OutcomeName,
    beats,
    by_loss,
    by_reference,
)
from graddiag.analysis.diagnosis.outcome.measures import (
    Measure,
    accuracy_of_constant,
    constant_loss,
    explained_of,
    goal_of,
    held_out_loss_of,
    loss_of,
    no_measure,
)
from graddiag.analysis.diagnosis.outcome.untrained import (
    cannot_learn,
    in_half,
    partly_trained,
    skipped_updates,
    without_gradient,
)
from graddiag.analysis.optimization.loss import chance_of
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Result, Source, source_of
from graddiag.run import Run, numbers, remembered

_FEW: Final = 20  # steps; fewer show nothing
_MOST: Final = 0.5  # of the loss that has to be gone for a claim about a run of few steps
_LASTING: Final = 3  # values at the end
_NEAR_BOUND: Final = 0.9  # of a share
_FEW_LEVELS: Final = 5  # made of fewer than 20 values
_ROUNDING: Final = 1e-11  # of the first loss: more than rounding in float32 makes of targets that are all one number
_ROUNDING_HALF: Final = 1e-7  # in float16 and bfloat16
_BARELY: Final = 0.1  # of the reference, or of the first value: a smaller gain is none while a part of the model is not
# trained, or where noise may explain it


@dataclass(frozen=True)
class Outcome(Result):
    """Whether a training learned. name and detail: see docs/verdicts.md; since: the first step at which it is so, None
    where that is not known.

    measure: the scalar judged, as it is logged, with its levels start, best (at best_step) and last; reference: what
    guessing or a constant prediction has in the same units, None where that is not known. assumed: whether the measure
    was recognised by its name. held_out: whether it was measured on data that are not trained on, as far as its name
    says.
    """

    source: Source
    name: OutcomeName
    detail: Detail | None
    since: int | None
    sentence: str
    measure: str | None = None
    start: float | None = None
    best: float | None = None
    best_step: int | None = None
    last: float | None = None
    reference: float | None = None
    reference_name: str = ""
    assumed: bool = False
    held_out: bool = False
    missing: str | None = None

    @property
    def fine(self) -> bool:
        return self.name in FINE

    @property
    def failed(self) -> bool:
        return self.name in ("stuck", "diverged", "broken")

    @property
    def caption(self) -> str:
        return f"{self.source.label}: {self.headline}. {self.sentence}"

    @property
    def headline(self) -> str:
        """The outcome in a few words, in capitals as a badge has them."""
        return words.headline(self.name, self.detail)


@remembered
def outcome(run: Run, thresholds: Thresholds) -> Outcome:
    """The outcome of ``run``.

    Source: the definitions of ``Outcome``, which are this project's own; the constant prediction as the reference is
    that of R2 and of McFadden's (1974) pseudo R2.
    """
    source, loss = source_of(run), loss_of(run)
    broken = broken_from(run)
    measure = _deciding(run, thresholds) or loss
    if broken is not None:
        return _told(run, source, Judgement("broken", None, broken), measure or loss)
    skipped = skipped_updates(run)
    if skipped is not None:
        return _told(run, source, Judgement("broken", "skipped", skipped[2]), measure or loss)
    if measure is None or (loss is None and measure.kind != "goal"):
        return Outcome(source, "unknown", "no-loss", None, words.NO_LOSS, missing=words.NO_LOSS)
    if loss is not None and len(loss.values) < thresholds.loss_steps and measure.kind != "goal":
        judged = _early(run, measure, loss, thresholds)
    else:
        judged = _judge(run, measure, loss, thresholds)
    return _told(run, source, _with_faults(run, measure, judged), measure)


def _deciding(run: Run, t: Thresholds) -> Measure | None:
    """The goal; but what the model explains where nothing was learned in training and the goal has no reference: what
    is not learned in training cannot be held out."""
    goal, explained = goal_of(run), explained_of(run)
    if goal is not None and (worse := _worse_than_untrained(run, goal, t)) is not None:
        return worse
    if goal is not None and goal.reference is not None:
        return _finer(run, goal, explained, t)
    if goal is None or explained is None:
        return goal or explained
    fits = course(explained.steps, explained.values)
    trained = beats(explained, fits, t) or beats(explained, fits, t, best=True) or fell(run, t)
    return goal if trained or _beats_constant(run, goal, t) else explained


def _worse_than_untrained(run: Run, goal: Measure, t: Thresholds) -> Measure | None:
    """A held-out loss beside a held-out goal of another kind, if it ends worse than that of the untrained net while
    most of the training loss is gone: it overfits, even where the share of right answers hardly moves."""
    loss = loss_of(run)
    if not goal.held_out or goal.declared or goal.sign > 0 or loss is None:
        return None
    other = held_out_loss_of(run)
    if other is None or not some_gone(course(loss.steps, loss.values), t):
        return None
    return other if surely_worse(course(other.steps, other.values), t) else None


def _finer(run: Run, goal: Measure, explained: Measure | None, t: Thresholds) -> Measure:
    """The goal; but the loss where the goal is barely better than guessing and the loss is known to be no better: an
    error is counted on few samples, and the loss of each step says more."""
    assert goal.reference is not None
    found, loss = course(goal.steps, goal.values), explained or loss_of(run)
    if loss is None or loss.reference is None or not by_reference(goal, found, found, goal.reference, t).fine:
        return goal
    share = goal.values.min() >= -1 and goal.values.max() <= 1
    room = max(abs(goal.reference), 1 - abs(goal.reference) if share else 0.0)
    if goal.reference - found.late[0] > _BARELY * room:
        return goal
    return goal if _judge(run, loss, loss_of(run), t).fine else loss


def _beats_constant(run: Run, goal: Measure, t: Thresholds) -> bool:
    """Whether an accuracy is surely above that of any constant prediction."""
    most = accuracy_of_constant(run) if goal.is_accuracy else None
    if most is None:
        return False
    found = course(goal.steps, goal.values)
    lasting = min(-found.last, *(-goal.values[-_LASTING:]))
    return lasting - most > max(_BARELY, t.loss_noise * found.few * found.error)


def _with_faults(run: Run, measure: Measure, judged: Judgement) -> Judgement:
    """The outcome of a training that cannot have learned: without any gradient it is stuck where its loss does not
    tell, and a small gain is none where for certain something is in the way of learning."""
    if judged.name == "unknown" and measure.values[-1] != 0 and without_gradient(run):
        return Judgement("stuck", "never-fell", 0)
    if judged.name not in FINE:
        return judged
    if measure.kind == "goal":
        hardly = measure.reference is None and hardly_gained(measure) and partly_trained(run)
        return Judgement("stuck", "barely", 0) if hardly else judged
    known = measure.reference if measure.reference is not None else (constant_loss(run) or (None,))[0]
    gain = None if known is None else (known - course(measure.steps, measure.values).last) / abs(known)
    barely = gain is not None and gain < _BARELY
    return Judgement("stuck", "barely", 0) if barely and cannot_learn(run) else judged


def _early(run: Run, measure: Measure, loss: Measure, t: Thresholds) -> Judgement:
    """Of few steps: learning where most of the loss is gone and a longer run would be called learned."""
    if len(loss.values) >= _FEW and _judge(run, measure, loss, t).fine:
        found, known = course(loss.steps, loss.values), constant_loss(run)
        whole = found.start if known is None or _same_targets(run, found) else min(known[0], found.start)
        if whole - max(found.last, found.before_last) > _MOST * abs(whole):
            return Judgement("learning")
    return Judgement("unknown", "few-steps")


def _same_targets(run: Run, found: Course) -> bool:
    """Whether the targets hardly vary, so that a constant prediction is the task; and the loss is not at its floor."""
    known, rounding = constant_loss(run), _ROUNDING_HALF if in_half(run) else _ROUNDING
    return known is not None and known[0] < rounding * abs(found.start) and found.last > 10 * known[0]


def broken_from(run: Run) -> int | None:
    """The first step from which on every logged loss is NaN or inf, or from which on every gradient norm is; None where
    the last one is finite."""
    frame = run.read(schema.TABLE_STEPS, columns=[schema.STEP, schema.LOSS, schema.GRAD_NORM])
    steps = frame[schema.STEP].to_numpy(dtype=np.int64)
    found = []
    for name in (schema.LOSS, schema.GRAD_NORM):
        values, missing = numbers(frame[name])
        logged = ~missing
        finite = np.isfinite(values[logged])
        if len(finite) and not finite[-1]:
            whole = np.flatnonzero(finite)
            found.append(int(steps[logged][whole[-1] + 1 if len(whole) else 0]))
    return min(found) if found else None


def _judge(run: Run, measure: Measure, loss: Measure | None, t: Thresholds) -> Judgement:
    found = course(measure.steps, measure.values)
    moved = course(loss.steps, loss.values) if loss is not None and len(loss.values) else None
    if measure.kind == "loss" and (why := no_measure(run, found)):
        return Judgement("unknown", why)
    if measure.kind == "goal":
        return by_goal(run, measure, found, moved, t)
    if measure.kind == "explained" and moved is not None and _same_targets(run, moved):
        return by_loss(moved, t)
    if measure.kind == "explained":
        return _by_loss_beside(run, measure, found, moved, t)
    known = constant_loss(run)
    if measure.kind == "loss" and chance_of(run) is None and known is not None:  # of few recorded steps
        measure = replace(
            measure, reference=known[0], reference_name="a constant prediction", least=0.01 * abs(known[0])
        )
        return by_reference(measure, found, found, known[0], t)
    if measure.reference is None:
        return by_loss(found, t)
    return by_reference(measure, found, found, measure.reference, t)


def _by_loss_beside(run: Run, explained: Measure, found: Course, moved: Course | None, t: Thresholds) -> Judgement:
    """By what the model explains; how it moved, by the loss of every step where that has the same units. Of the
    constant prediction the user may know more than few batches tell."""
    known, given = constant_loss(run), chance_of(run)
    if known is not None and given is not None and given < known[0]:
        explained = replace(explained, reference=given / known[0], reference_name="chance")
        known = given, known[1]
    if known is None or moved is None:
        return by_reference(explained, found, found, explained.reference or 1.0, t)
    return by_reference(explained, found, moved, known[0], t, spread=known[1])


def _told(run: Run, source: Source, judged: Judgement, measure: Measure | None) -> Outcome:
    """The outcome in words: levels in the units of the loss where the measure is what the model explains."""
    shown, reference = measure, None if measure is None else measure.reference
    if measure is not None and measure.kind == "explained":
        shown, known = loss_of(run), constant_loss(run)
        reference = None if known is None else known[0]
    if shown is None or not len(shown.values):
        return Outcome(
            source, judged.name, judged.detail, judged.since, words.sentence(judged.name, judged.detail, judged.since)
        )
    found = course(shown.steps, shown.values)
    same = shown.kind == "loss" and _same_targets(run, found)
    if same:
        measure, reference = shown, None
    told, named = reference, "" if measure is None else measure.reference_name
    if told is None and not same and shown.kind == "loss" and (known := constant_loss(run)) is not None:
        told, named = known[0], "a constant prediction"
    last = (
        _lasting(found, told) if judged.name in FINE or judged.detail in ("barely", "not-significant") else found.last
    )
    levels = [shown.shown(each) for each in (found.start, found.best, last)]
    share = _share(measure, shown, last, told)
    told = None if told is None else shown.shown(told)
    return Outcome(
        source,
        judged.name,
        judged.detail,
        judged.since,
        words.sentence(
            judged.name, judged.detail, judged.since, shown.name, levels, told, named, found.best_step, share
        ),
        shown.name,
        levels[0],
        levels[1],
        found.best_step,
        levels[2],
        told,
        named,
        shown.kind == "goal" and not shown.declared,
        shown.held_out,
    )


def _lasting(found: Course, reference: float | None) -> float:
    """The last level; or, where noise lifts that above the reference, the median of the last 40% of the values."""
    late = found.late[0]
    return late if reference is not None and late < reference <= found.last else found.last


def _share(measure: Measure | None, shown: Measure, last: float, reference: float | None) -> float | None:
    """How far a loss lies below its reference, as a share of it; or, where no reference is known in its units, what the
    model explains."""
    if reference is not None:
        return (reference - last) / reference if shown.kind == "loss" and reference > 0 else None
    known = measure is not None and measure.kind == "explained"
    return 1 - course(measure.steps, measure.values).last if known and measure is not None else None
