"""The rules about the learning rate: too high where the loss rises, too low where it hardly moves."""

from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis.diagnosis.context import DiagnosticContext
from graddiag.analysis.diagnosis.decisions import CHECK_DATA, LONGER, SCALE_TARGETS
from graddiag.analysis.diagnosis.findings import PRACTICE, Advice, Evidence, Finding, Strength
from graddiag.analysis.diagnosis.outcome.goals import memorized
from graddiag.analysis.words import number, percent

_LAST: Final = 10  # recorded updates before a loss got worse
_MOVED: Final = 0.01  # of the weights: what moves by less in all the steps of a run learns nothing
_NEARER: Final = 0.05  # of the way from the first loss to that of a constant prediction
_STRAIGHT: Final = 0.9  # a cosine of successive gradients
_FADED: Final = 1e-3  # of its highest: a learning rate that a schedule took to next to nothing
_RATE_USED: Final = ("large_update", "slow_update", "spike")


def learning_rate_high(measured: DiagnosticContext) -> Finding | None:
    """The loss got worse for good, or the first updates threw it up; strong where the updates were large too. Or it
    jumps in a training that failed, under large updates."""
    o, t, rate = measured.outcome, measured.thresholds, measured.rate
    worse = o.name == "diverged" or (o.name == "broken" and grew(measured))
    thrown = o.failed and _thrown(measured)
    large = rate.largest is not None and rate.largest >= 10 * t.large_update
    usual = rate.update is not None and rate.update >= t.large_update
    # what had learned under updates of all sizes was not undone by those that came later
    led = o.detail != "lost" or thrown or _large_before(measured)
    # the first updates of Adam are that large as a rule, and a loss at that of a constant may jump with the batch:
    # there the updates have to be large at most steps
    by_steps = not measured.at_reference or (usual and rate.optimizer is not None and not rate.adaptive)
    swings = o.failed and large and len(measured.loss.jumps) > 0 and by_steps
    if not (worse or thrown or swings):
        return None
    strength: Strength = (
        "weak"
        if not led
        else "strong"
        if (large or usual) and (worse or thrown)
        else "moderate"
        if thrown or usual
        else "weak"
    )
    onset = measured.thrown_first if thrown else o.since if worse else int(measured.loss.jumps[0])
    sentence = _high_sentence(measured, thrown)
    clip = measured.clip.advice()
    advice = (rate.lower(), *([clip] if clip else []), *(() if large or usual else (CHECK_DATA,)))
    rule = (
        f"the loss got worse for good; or, in a training that failed, the norm grew {number(t.spike)} times within the "
        "first 10 steps, an update was larger than the weights, or the loss jumps and an update reached "
        f"{number(10 * t.large_update)} of the weights (at a constant prediction only if it also is "
        f"{number(t.large_update)} in the median step, under an optimizer other than Adam and its kind); "
        f"strong where an update reached {number(10 * t.large_update)} of the weights, or "
        f"{number(t.large_update)} in the median step, and weak where what had been learned was lost and the same does "
        f"not hold of the {_LAST} updates recorded before."
    )
    return Finding(
        "learning-rate-high", measured.severity(severe=o.name == "broken"), sentence, _update_evidence(measured), rule,
        advice, _RATE_USED, onset, strength,
    )  # fmt: skip


def _large_before(measured: DiagnosticContext) -> bool:
    """Whether the last updates recorded before the loss got worse were large in the median, or one ten times that."""
    steps, ratios = measured.scalar(schema.UPDATE_RATIO)
    before, large = ratios[steps < (measured.outcome.since or 0)][-_LAST:], measured.thresholds.large_update
    return len(before) > 0 and bool(np.median(before) >= large or before.max() >= 10 * large)


def _thrown(measured: DiagnosticContext) -> bool:
    """Whether its own updates threw the training off course: one larger than the weights; or the norm climbed in the
    first steps and the loss with it, or both stayed up in a training that ends at a constant prediction: there one
    batch may have made the norm."""
    if measured.thrown is not None:
        return True
    climbed, norms, steps = measured.early_climb, measured.history.before.values, measured.history.steps
    if climbed is None or not measured.at_reference:
        return climbed is not None
    after = norms[steps > climbed][:10]
    return len(after) > 0 and float(np.nanmedian(after)) >= measured.thresholds.spike / 2 * norms[0]


def grew(measured: DiagnosticContext) -> bool:
    """Whether just before the first NaN or inf the norm was far above the usual one, or an update larger than the
    weights."""
    step, norms, steps = measured.origin.step, measured.history.before.values, measured.history.steps
    if step is None:
        return False
    if measured.thrown_first is not None and measured.thrown_first <= step:
        return True
    before = norms[(steps < step) & np.isfinite(norms)]
    return len(before) > 2 and bool(before[-3:].max() >= measured.thresholds.spike * np.median(before))


def _high_sentence(measured: DiagnosticContext, thrown: bool) -> str:
    o = measured.outcome
    if thrown and measured.early_climb is None:
        largest = f"{number(measured.rate.largest)} times"
        return (
            f"An update is larger than the weights that it changes, at step {measured.thrown:,} first "
            f"({largest} at most)."
        )
    if thrown:
        norms = measured.history.before.values[:10]
        top = int(np.nanargmax(norms))
        return (
            f"The first updates are too large: the gradient norm grows from {number(float(norms[0]))} to "
            f"{number(float(norms[top]))} by step {measured.history.steps[top]}{_update_words(measured)}."
        )
    if o.name == "stuck":
        return f"The loss jumps{_update_words(measured)}."
    since = "" if o.since is None else f" from step {o.since:,} on"
    return f"The loss gets worse{since}{_update_words(measured)}."


def _update_words(measured: DiagnosticContext) -> str:
    largest = measured.rate.largest
    return "" if largest is None else f", and an update reaches {number(largest)} of the weights"


def _update_evidence(measured: DiagnosticContext) -> tuple[Evidence, ...]:
    rate, found = measured.rate, []
    if rate.update is not None and rate.largest is not None:
        found += [
            Evidence("norm of an update over that of the weights, median step", rate.update, "", "recorded steps"),
            Evidence("norm of an update over that of the weights, largest", rate.largest, "", "recorded steps"),
        ]
    if rate.now is not None:
        found.append(Evidence("learning rate", rate.now, "", "the optimizer"))
    return tuple(found)


def learning_rate_low(measured: DiagnosticContext) -> Finding | None:
    """The loss falls slowly and steadily, or not at all, while updates are small and point the same way."""
    o, t, ratio = measured.outcome, measured.thresholds, measured.rate.update
    if not (o.name == "stuck" or o.detail == "slow") or ratio is None or measured.early_climb is not None:
        return None
    if measured.loss_course is not None and memorized(measured.loss_course, t):
        return None  # the training loss did fall; updates are small where most of it is gone
    kept = measured.clipping.coefficient_quantiles.get("50%", 1.0) if measured.clipping.clipped_share else 1.0
    if kept < t.clipped_hard and not measured.rate.adaptive:
        return None  # the clip threshold sets the size of the step
    cosine = measured.scalar(schema.GRAD_COSINE)[1]
    same_way = len(cosine) > 0 and float(np.median(cosine)) > t.same_way
    straight = same_way and float(np.median(cosine)) > _STRAIGHT
    course = measured.loss_course
    crawls = o.detail == "slow" and course is not None and course.improving and course.last < course.start
    tiny = ratio < t.slow_update
    still = ratio * len(measured.history.steps) < _MOVED
    steady = crawls and ((straight and _hardly_nearer(measured)) or ratio < 10 * t.slow_update)
    if not (steady or tiny):
        return None
    strength: Strength = (
        "strong"
        if (crawls and (tiny or same_way)) or measured.unmoved
        else "moderate"
        if (tiny and same_way) or crawls or still
        else "weak"
    )
    far = steady and ratio >= 10 * t.slow_update
    sentence = (
        "Successive gradients point the same way. "
        if far
        else f"Updates are small: {number(ratio)} of the weights in the median step. "
    )
    sentence += "The loss falls steadily and far too slowly." if crawls else "The loss hardly moves."
    faded = _faded(measured)
    if faded is not None:
        sentence += f" {faded[0]}"
    found = list(_update_evidence(measured))
    if len(cosine):
        found.append(
            Evidence("cosine between successive gradients, median", float(np.median(cosine)), "", "recorded steps")
        )
    rule = (
        "the training does not get better than a constant prediction, and an update is less than "
        f"{number(t.slow_update)} of the weights in the median step, or less than ten times that while the loss falls "
        f"steadily, or any size where the gradient keeps its direction and less than {percent(_NEARER)} of the way to "
        "a constant prediction is gone; at least "
        f"moderate where the median update times the steps is less than {number(_MOVED)} of the weights, strong where "
        "the loss is then well above that of a constant prediction."
    )
    advice = (measured.rate.higher() if faded is None else faded[1], SCALE_TARGETS if far else LONGER)
    return Finding(
        "learning-rate-low", measured.severity(), sentence, tuple(found), rule, advice, ("slow_update",), 0, strength
    )


def _hardly_nearer(measured: DiagnosticContext) -> bool:
    """Whether hardly any of the way from the first loss down to that of a constant prediction is gone."""
    o = measured.outcome
    if o.start is None or o.last is None or o.reference is None or o.start <= o.reference:
        return False
    return o.start - o.last < _NEARER * (o.start - o.reference)


def _faded(measured: DiagnosticContext) -> tuple[str, Advice] | None:
    """A learning rate that a schedule took to next to nothing, and what to do; None where it did not."""
    steps, rates = measured.scalar(schema.LR)
    if not len(rates) or rates[-1] >= _FADED * rates.max():
        return None
    top = float(rates.max())
    at = int(steps[np.flatnonzero(rates >= _FADED * top)[-1] + 1])
    sentence = f"The schedule took the learning rate from {number(top)} to less than a thousandth of it by step {at:,}."
    text = f"Let the learning rate fall more slowly: keep it near {number(top)} until the loss has fallen."
    return sentence, Advice(text, PRACTICE, "raise-learning-rate")
