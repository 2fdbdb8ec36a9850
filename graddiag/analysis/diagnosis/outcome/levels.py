"""What a judgement of an outcome is, and how levels are judged: against a reference, or by the loss alone."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from graddiag.analysis.diagnosis.outcome.course import Course, course
from graddiag.analysis.diagnosis.outcome.measures import Measure
from graddiag.analysis.thresholds import Thresholds

OutcomeName = Literal["learned", "learning", "overfits", "stuck", "diverged", "broken", "unknown"]
Detail = Literal[
    "at-chance",
    "constant-prediction",
    "plateau",
    "never-fell",
    "slow",
    "jumped",
    "recovering",
    "recovered",
    "lost",
    "rose",
    "near-floor",
    "floor-unknown",
    "not-significant",
    "not-a-measure",
    "no-loss",
    "few-steps",
    "skipped",
    "barely",
    "never-better",
]
OUTCOME_NAMES: Final[tuple[OutcomeName, ...]] = get_args(OutcomeName)
_SMALL: Final = 0.05  # of the reference: a gain that noise must not be able to hide, for a training to be called stuck
_MOST: Final = 0.5
_ROUNDING: Final = 1e-6  # a few units in the last place of float32
FINE: Final = ("learned", "learning")


@dataclass(frozen=True)
class Judgement:
    name: OutcomeName
    detail: Detail | None = None
    since: int | None = None

    @property
    def fine(self) -> bool:
        return self.name in FINE


def by_reference(
    measure: Measure, found: Course, path: Course, reference: float, t: Thresholds, *, spread: float = 0.0
) -> Judgement:
    """Against a constant prediction or guessing: whether it is better, by the ``measure`` or by the many more values of
    the ``path``, in whose units that has ``reference``, with the error ``spread``; how it moved, by the path."""
    now = beats(measure, found, t) or (path is not found and _below(path, reference, spread, t))
    ever = now or beats(measure, found, t, best=True) or (path is not found and _was_below(path, reference, spread, t))
    span = reference - path.best
    lost = lost_gain(path, span, t) if ever and span > 0 else None
    if lost is not None:
        return lost
    if not now:
        never = _never(path, reference, t)
        if never.detail in ("at-chance", "constant-prediction") and _falls_below(path, reference, t):
            return Judgement("learning", "slow")
        unsure = never.detail in ("at-chance", "constant-prediction") and _may_beat(measure, found)
        return Judgement("unknown", "not-significant") if unsure else never
    late = late_course(path, max(span, path.error), t)
    if late.name == "learned" and reference - max(path.start, float(path.levels[0])) > span / 2:
        return Judgement("learned", "near-floor")
    return late


def beats(measure: Measure, found: Course, t: Thresholds, *, best: bool = False) -> bool:
    """Whether the late values (or the best level) lie below the reference, by ``least`` and by more than their noise;
    the best of many levels lies low by chance, so that twice the noise is asked of it. Of late values that still
    improve the last levels count instead."""
    assert measure.reference is not None
    if best:
        return measure.reference - found.best > max(measure.least, 2 * t.loss_noise * found.few * found.best_error)
    level, error = found.late
    late = measure.reference - level > max(measure.least, t.loss_noise * error)
    lasting = max(found.last, found.before_last)
    now = measure.reference - lasting > max(measure.least, t.loss_noise * found.few * found.error)
    lately = (found.last + found.before_last) / 2  # nearer to the late values than to the reference
    return now or (late and lately < (level + measure.reference) / 2)


def _may_beat(measure: Measure, found: Course) -> bool:
    """Whether the late values lie below the reference by more than their standard error, and either by as much as a
    success has to or within their noise of 5% of it: then a small success would not show."""
    assert measure.reference is not None
    level, error = found.late
    gain = measure.reference - level
    plausible = gain > error and gain + 2 * error > _SMALL * abs(measure.reference)
    return plausible or gain > max(measure.least, error)


def _falls_below(path: Course, reference: float, t: Thresholds) -> bool:
    """Whether the losses fall significantly, and the last two levels are below the reference and the first loss: a
    training that stays at a constant prediction does not pass it."""
    lasting = max(path.last, path.before_last)
    gap = max(0.01 * abs(reference), path.error)
    return path.improving and lasting < path.start and -path.late_change > 2 * gap and reference - lasting > gap


def _below(path: Course, reference: float, spread: float, t: Thresholds) -> bool:
    """Whether the late losses lie below the reference, by 1% of it and more than the noise of both; or most is gone."""
    level, error = path.late
    return most_gone(path, reference, t) or reference - level > max(
        0.01 * abs(reference), t.loss_noise * float(np.hypot(error, spread))
    )


def _was_below(path: Course, reference: float, spread: float, t: Thresholds) -> bool:
    """Whether the best losses surely were less than half of the reference: the best of many are low by chance, which
    the reference is not."""
    error = t.loss_noise * float(np.hypot(2 * path.best_spread, spread))
    return path.best + error < _MOST * reference


def most_gone(path: Course, reference: float, t: Thresholds) -> bool:
    """Whether the last losses are surely less than half of the first one and of the reference: even of few batches the
    reference is known better than that."""
    lasting = max(path.last, path.before_last)
    return lasting + t.loss_noise * path.error < _MOST * min(path.start, reference)


def _never(found: Course, reference: float, t: Thresholds) -> Judgement:
    """Not better than guessing: above it and rising, above it and slow, or at it."""
    scale = max(abs(reference), reference - found.best)
    lasting = min(found.last, found.before_last)
    above, rise = lasting - reference, lasting - found.start
    near = max(t.near_chance * scale, t.loss_noise * found.best_error)
    above_first = max(t.loss_noise * found.error, 2 * found.start_noise)  # the first loss is a single value
    surely = rise > t.loss_noise * found.start_noise or found.best - found.start > above_first
    if rise > max(t.loss_noise * found.error, near) and above > near and surely:
        return Judgement("diverged", "rose", found.above_since(max(found.start, reference)))
    if above > max(near, t.loss_noise * found.error):
        fall = found.start - found.best
        if lasting - found.best > max(t.loss_rise * fall, 2 * t.loss_noise * found.error):
            return Judgement("diverged", "lost", found.above_since(found.best + (lasting - found.best) / 2))
        return _slow(found, above)
    since = found.flat_since(max(near, 2 * t.loss_noise * found.error))
    if found.start - reference > max(near, t.loss_noise * found.noise):
        return Judgement("stuck", "constant-prediction", since)
    return Judgement("stuck", "at-chance", int(found.steps[0]))


def _slow(found: Course, above: float) -> Judgement:
    """Above a constant prediction still: learning where the present pace brings it there within as many steps again."""
    pace = -found.late_change / 0.4 if found.improving else 0.0
    if pace > above:
        return Judgement("learning", "slow")
    fell = found.improving or found.start - found.last > 2 * found.error
    return Judgement("stuck", "slow" if fell else "never-fell", int(found.steps[0]))


def lost_gain(found: Course, span: float, t: Thresholds) -> Judgement | None:
    """Whether it gave back for good a good part of what it had gained; or is just coming back from there."""
    lasting = min(found.last, found.before_last)
    worse = lasting - found.best
    enough = max(t.loss_rise * span, 2 * t.loss_noise * found.error)
    peak = float(found.levels[found.best_block :].max())
    if worse > enough:
        back = found.improving and peak - found.last > max(0.3 * (peak - found.best), t.loss_noise * found.error)
        back = back and worse < span  # above where it began, or a constant prediction, nothing has come back yet
        since = found.above_since(found.best + min(enough, worse / 2))
        return Judgement("learning", "recovering", since) if back else Judgement("diverged", "lost", since)
    if found.last - found.best > enough:
        return Judgement("learning", "jumped", int(found.block_steps[-1]))
    return None


def late_course(found: Course, span: float, t: Thresholds) -> Judgement:
    """Of a training that improved: whether it still does, and whether it had to come back from a jump."""
    gone = np.flatnonzero(found.levels - np.minimum.accumulate(found.levels) > max(0.5 * span, 6 * found.error))
    back: Detail | None = "recovered" if len(gone) else None
    if found.improving and -found.late_change > 0.02 * span:
        return Judgement("learning", back)
    return Judgement("learned", back)


def by_loss(found: Course, t: Thresholds) -> Judgement:
    """By the training loss alone, of which neither chance nor the floor is known."""
    span, sure = found.start - found.best, t.loss_noise * (found.start_noise + found.error)
    if min(found.last, found.before_last) - found.start > max(sure, found.late_error):
        return Judgement("diverged", "rose", found.above_since(found.start))
    if span <= sure or found.start - found.last <= sure / 2:
        return Judgement("unknown", "floor-unknown")
    lost = lost_gain(found, span, t)
    if lost is not None:
        return lost
    late = late_course(found, span, t)
    if late.name == "learning" or (found.noise < t.loss_interpolates * span and not _depends_on_nothing(found)):
        return late
    if _improved_until_a_jump(found, span, t):
        return Judgement("learning", "jumped", int(found.block_steps[-1]))
    return Judgement("unknown", "floor-unknown", found.flat_since(max(0.05 * span, 2 * t.loss_noise * found.error)))


def _improved_until_a_jump(found: Course, span: float, t: Thresholds) -> bool:
    """Whether the loss still improved until its last level, which lies well above the one before."""
    if found.last - found.before_last <= 2 * t.loss_noise * found.error:
        return False
    until = found.steps < found.block_steps[-1]
    return late_course(course(found.steps[until], found.values[until]), span, t).name == "learning"


def _depends_on_nothing(found: Course) -> bool:
    """Whether the losses at the end are one number, to the rounding of float32, and most of the first one. A loss
    that is the same for each batch (the margin of a triplet loss, of codes that are all alike) shows no success."""
    return found.noise <= _ROUNDING * abs(found.last) and abs(found.last) > _MOST * abs(found.start)
