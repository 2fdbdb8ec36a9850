"""The outcome by what the user wants: a goal that was named, or logged under a usual name."""

import re
from dataclasses import replace
from typing import Final

import numpy as np

from graddiag.analysis.diagnosis.outcome.course import Course, course
from graddiag.analysis.diagnosis.outcome.levels import (
    Judgement,
    beats,
    by_reference,
    late_course,
    lost_gain,
    most_gone,
)
from graddiag.analysis.diagnosis.outcome.measures import Measure, constant_loss, explained_of, loss_of
from graddiag.analysis.diagnosis.outcome.untrained import hardly_moved
from graddiag.analysis.thresholds import Thresholds
from graddiag.run import Run

_MOST: Final = 0.5  # of the loss
_SOME: Final = 0.25  # of it
_IN_ORDER: Final = 5  # values
_LASTING: Final = 3  # values at the end
_NEAR_BOUND: Final = 0.9  # of a share
_FEW_LEVELS: Final = 5  # made of fewer than 20 values
_BARELY: Final = 0.1  # of the first value
_NEAR_ALL: Final = 0.02  # of all answers
_BEFORE: Final = 50  # losses before a jump whose spread is its noise
_JUMP: Final = 8.0  # times that noise


def by_goal(run: Run, measure: Measure, found: Course, moved: Course | None, t: Thresholds) -> Judgement:
    """By what the user wants; whether that is better than a constant prediction is known by the training loss."""
    if measure.reference is not None:
        judged = by_reference(measure, found, found, measure.reference, t)
        learned = beats(measure, found, t, best=True)
        return (_overfits(measure, found, moved, t) if learned else None) or _with_loss(judged, measure, moved, t)
    span, explained = found.start - found.best, explained_of(run)
    fits = None if explained is None else course(explained.steps, explained.values)
    trained = explained is not None and fits is not None and (beats(explained, fits, t) or fell(run, t))
    sure = t.loss_noise * max(found.few * (found.noise + found.error), found.best_spread)
    if span <= max(sure, t.goal_least * abs(found.start)) and not _gained(found, t):
        if _regained(measure, found) and (trained or (moved is not None and memorized(moved, t))):
            return Judgement("learned", "recovered")
        if moved is not None and _just_rising(found, t) and memorized(moved, t):
            return Judgement("learning")
        if _climbs(found, t):
            return Judgement("learning")
        no_better = found.start - found.last < max(span / 2, _BARELY * abs(found.start))
        worse = surely_worse(found, t)
        gone = moved is not None and (memorized(moved, t) or (worse and some_gone(moved, t)))
        if measure.held_out and no_better and gone:
            return Judgement("overfits", "never-better", found.best_step)
        if _wrong_throughout(measure, found):
            return Judgement("stuck", "never-fell", int(found.steps[0]))
        if found.last - found.start > max(t.loss_noise * found.few * found.noise, t.goal_least * abs(found.start)):
            overfits = _overfits(measure, found, moved, t) if trained or explained is None else None
            return overfits or Judgement("diverged", "rose", found.above_since(found.start))
        if trained and fits is not None and not (hardly_moved(run) and fits.last > _MOST):
            if _was_good(fits, int(found.steps[0])):
                return Judgement("learned", "near-floor")
            if found.start - found.late[0] > _BARELY * abs(found.start):  # within its noise, beside a loss that fell
                return Judgement("learning")
        if run.manifest.began_at or _began_near_bound(measure):  # resumed or fine-tuned: it need not improve
            return Judgement("unknown", "floor-unknown")
        gain = found.start - found.late[0]  # of few values, that may have more noise than they show
        if gain > max(t.goal_least * abs(found.start), t.loss_noise * (found.noise + found.error)):
            return Judgement("unknown", "not-significant")
        return Judgement("stuck", "never-fell", int(found.steps[0]))
    changed = (
        _forgot(measure, found, moved) or _overfits(measure, found, moved, t) or _lost_beside(measure, found, moved, t)
    )
    if changed is not None:
        return changed
    return lost_gain(found, span, t) or _with_loss(late_course(found, span, t), measure, moved, t)


def _with_loss(judged: Judgement, measure: Measure, moved: Course | None, t: Thresholds) -> Judgement:
    """Learning where the goal is counted on what is trained on, and the loss of that still falls: noise of the goal may
    hide that it improves."""
    if judged.name != "learned" or judged.detail == "near-floor" or measure.held_out or moved is None:
        return judged
    late = late_course(moved, max(moved.start - moved.best, moved.error), t)
    return replace(judged, name=late.name)


def hardly_gained(measure: Measure) -> bool:
    """Whether an accuracy gained less than a tenth of what it lacked of 1 at first."""
    found = course(measure.steps, measure.values)
    return measure.is_accuracy and found.start - found.last < _BARELY * (1 + found.start)


def _began_near_bound(measure: Measure) -> bool:
    """Whether an accuracy was near its bound 1 from the start, and is at the end."""
    first, last = (float(np.median(-each)) for each in (measure.values[:_LASTING], measure.values[-_LASTING:]))
    return measure.is_accuracy and min(first, last) >= _NEAR_BOUND


def _wrong_throughout(measure: Measure, found: Course) -> bool:
    """Whether an error rate of transcripts ends at 1, which an answer of blanks has, and never was below half: that of
    an untrained net lies below it by chance."""
    rate = re.search(r"(?:^|[_/.\- ])(?:cer|wer)(?:$|[_/.\- ])", measure.name.lower())
    return bool(rate) and abs(found.last - 1) < _NEAR_ALL and float(measure.values.min()) > _MOST


def _was_good(fits: Course, step: int) -> bool:
    """Whether the model explained something at ``step``, when the goal was measured first. Where it did not, the goal
    has at the end what an untrained net has."""
    return bool(fits.values[np.abs(fits.steps - step).argmin()] < 1 - _BARELY)


def _climbs(found: Course, t: Thresholds) -> bool:
    """Whether the levels improve from the first to the last two, by more than their noise and a least share, and still
    do: the first value alone, that noise may have lifted, does not show it."""
    return found.improving and _gained(found, t)


def _gained(found: Course, t: Thresholds) -> bool:
    gain = float(found.levels[0]) - max(found.last, found.before_last)
    return gain > max(t.goal_least * abs(found.start), t.loss_noise * found.few * float(np.sqrt(2)) * found.error)


def _lost_beside(measure: Measure, found: Course, moved: Course | None, t: Thresholds) -> Judgement | None:
    """A held-out measure that got worse, beyond its noise, when the training loss lost what it had gained: data or
    targets that changed spoil the training, and the held-out data show it less."""
    if not measure.held_out or moved is None or found.last - found.best <= 2 * t.loss_noise * found.error:
        return None
    lost = lost_gain(moved, moved.start - moved.best, t)
    return lost if lost is not None and lost.name == "diverged" and _MOST * moved.start < moved.last else None


def _forgot(measure: Measure, found: Course, moved: Course | None) -> Judgement | None:
    """A held-out measure that lost most of what it had gained between two of its values, for good, where the training
    loss jumped too: the task or the data changed, which is no overfitting."""
    best, steps = int(found.values.argmin()), found.steps
    rises = np.diff(found.values[best:])
    if not measure.held_out or moved is None or not len(rises):
        return None
    at = best + int(rises.argmax())
    gained, lost = found.start - float(found.values[best]), float(rises.max())
    if not gained > 0 or min(lost, float(found.values[at + 1 :].min()) - float(found.values[best])) < _MOST * gained:
        return None
    # the loss of a step is that of the weights before it; the measure comes after
    jump = _jump(moved, int(steps[at]) - 1, int(steps[at + 1]))
    return Judgement("diverged", "lost", jump) if jump is not None else None


def _jump(moved: Course, first: int, last: int) -> int | None:
    """The step between these at which the loss rose most, if by far more than its noise until then and by much of what
    had gone of it."""
    inside = np.flatnonzero((moved.steps > first) & (moved.steps <= last))
    inside = inside[inside >= _IN_ORDER]
    if not len(inside):
        return None
    at = int(inside[np.argmax(moved.values[inside] - moved.values[inside - 1])])
    before = moved.values[max(0, at - _BEFORE) : at]
    rise = float(np.median(moved.values[at : at + _IN_ORDER]) - np.median(before))
    enough = max(_JUMP * float(before.std()), _SOME * (moved.start - float(np.median(before))))
    return int(moved.steps[at]) if rise > enough else None


def _regained(measure: Measure, found: Course) -> bool:
    """Whether a share of which more is better (recall, accuracy) fell by more than half after the start and is near its
    bound 1 at the end. An untrained net has it so by calling all inputs alike, until it begins to tell them apart."""
    quality = measure.sign * found.levels
    if measure.sign > 0 or measure.values.min() < -1 or measure.values.max() > 0:
        return False
    lasting = min(float(quality[-1]), *(measure.sign * measure.values[-_LASTING:]))
    return lasting >= _NEAR_BOUND and float(quality.min()) < lasting / 2


def _just_rising(found: Course, t: Thresholds) -> bool:
    """Of few values: whether they were level for most of the run and end well beyond the noise of that."""
    rise = found.start - found.last
    few = len(found.levels) <= _FEW_LEVELS
    return (
        few
        and found.best_block == len(found.levels) - 1
        and rise > max(t.loss_noise * found.start_noise, t.goal_least * abs(found.start))
    )


def _overfits(measure: Measure, found: Course, moved: Course | None, t: Thresholds) -> Judgement | None:
    """Held-out measures that get worse for good while the training loss does not rise."""
    if not measure.held_out or moved is None or found.best_block >= len(found.levels) - 1:
        return None
    worse, span = found.last - found.best, max(found.start, found.last) - found.best
    enough = max(2 * t.loss_noise * found.error, 0.05 * span, 0.02 * abs(found.best))
    best_step = found.best_step if worse > enough else _valley(found, t)
    if best_step is None:
        return None
    at = int(np.searchsorted(moved.block_steps, best_step, side="right"))
    at_best = float(moved.levels[max(at - 1, 0)])
    rises = moved.last - at_best > t.loss_noise * moved.error + 0.05 * (moved.start - moved.best)
    return None if rises else Judgement("overfits", None, best_step)


def _valley(found: Course, t: Thresholds) -> int | None:
    """The step of the lowest three values after one another, if all later levels are surely above them, and the last
    one by a tenth of what was gained: a level of more values may bridge a valley."""
    if len(found.values) <= _LASTING * len(found.levels):
        return None
    means = np.convolve(found.values, np.full(_LASTING, 1 / _LASTING), "valid")
    at = int(means.argmin())
    low, own = float(means[at]), float(found.values[at : at + _LASTING].std(ddof=1))
    later = found.levels[found.block_steps > found.steps[at + _LASTING - 1]]
    noise = max(found.noise, own) / float(np.sqrt(_LASTING))
    sure, enough = 2 * t.loss_noise * noise, max(_BARELY * (max(found.start, found.last) - low), 0.02 * abs(low))
    lost = len(later) > 1 and float(later.min()) - low > sure and found.last - low > enough
    return int(found.steps[at]) if lost else None


def memorized(moved: Course, t: Thresholds) -> bool:
    """Whether most of the training loss is gone, surely: of a model that was good from the start it is not."""
    gone = moved.start - moved.last
    return gone > max(_MOST * abs(moved.start), t.loss_noise * (moved.start_noise + moved.error))


def some_gone(moved: Course, t: Thresholds) -> bool:
    """Whether a quarter of the training loss is gone, by its levels: enough beside held-out values that got worse."""
    first = float(moved.levels[0])
    gone = first - max(moved.last, moved.before_last)
    return gone > max(_SOME * abs(first), t.loss_noise * float(np.sqrt(2)) * moved.error)


def surely_worse(found: Course, t: Thresholds) -> bool:
    """Whether it ends worse than it began, beyond its noise; or, where few values tell no noise, the last five rise one
    after the other, which one in 120 orders does, to a tenth above the first and above all others."""
    if found.last - found.start > t.loss_noise * found.few * (found.noise + found.error):
        return True
    tail = found.values[-_IN_ORDER:]
    rising = len(tail) == _IN_ORDER and bool((np.diff(tail) > 0).all())
    most = max(found.start + _BARELY * abs(found.start), float(found.values[:-1].max()))
    return rising and float(tail[-1]) > most


def fell(run: Run, t: Thresholds) -> bool:
    """Whether the training loss is far below that of a constant prediction."""
    loss, known = loss_of(run), constant_loss(run)
    return loss is not None and known is not None and most_gone(course(loss.steps, loss.values), known[0], t)
