"""The rule about what changed when the loss got worse: the process, the learning rate, the data."""

from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis.diagnosis.causes.resumption import worse_since_resumed
from graddiag.analysis.diagnosis.causes.step_size import grew
from graddiag.analysis.diagnosis.context import DiagnosticContext
from graddiag.analysis.diagnosis.findings import Advice, Evidence, Finding, Place
from graddiag.analysis.words import number

_BEFORE: Final = 50  # values before a jump whose spread is its noise
_DECISIVE: Final = 30.0  # times the noise of the loss: no usual update makes it jump so far in one step
_RAISED: Final = 3  # times: a learning rate that was changed


def changed_during_training(measured: DiagnosticContext) -> Finding | None:
    """What else changed at the step at which the loss got worse: the process, the learning rate, the data."""
    o = measured.outcome
    if o.since is None:
        return None
    if o.name == "broken" and o.detail is None and grew(measured):  # under a rate that rose until then
        return _rate_rose(measured, o.since)
    if o.name not in ("diverged", "learning") or o.detail not in ("lost", "rose", "jumped", "recovering"):
        return None
    if not measured.recorded.size or o.since <= measured.history.steps[min(10, len(measured.history.steps) - 1)]:
        return None
    resumed = worse_since_resumed(measured, o.since)
    if resumed is not None:
        return resumed
    return _rate_rose(measured, o.since) or _loss_first(measured, o.since)


def _rate_rose(measured: DiagnosticContext, since: int) -> Finding | None:
    """The learning rate rose before the loss got worse: in one step, or bit by bit over half of the steps before."""
    jump = _rate_jump(measured, since)
    rose = jump or _rate_climb(measured, since)
    if rose is None:
        return None
    first, step, before, after = rose
    sentence = (
        f"The learning rate went from {number(before)} to {number(after)} at step {step:,}, and the loss "
        "got worse then."
        if jump
        else f"The learning rate rose from {number(before)} at step {first:,} to {number(after)} at step {step:,}, "
        "where the loss got worse."
    )
    found = (
        Evidence("learning rate before", before, "", f"step {first}"),
        Evidence("learning rate after", after, "", f"step {step}"),
    )
    text = f"Keep the learning rate at {before:.3g} (it went to {after:.3g} at step {step:,})."
    rule = (
        "the learning rate rose at least threefold in the steps just before the loss got worse, or over the second "
        "half of all steps before that."
    )
    return Finding(
        "changed-during-training", measured.severity(), sentence, found, rule,
        (Advice(text, "Goyal et al. 2017", "lower-learning-rate"),), (), step, "strong", "the learning rate was raised",
    )  # fmt: skip


def _rate_jump(measured: DiagnosticContext, since: int) -> tuple[int, int, float, float] | None:
    steps, rates = measured.scalar(schema.LR)
    near = np.flatnonzero((steps[1:] <= since) & (steps[1:] >= since - max(20, len(steps) // 20)))
    jumps = [i for i in near if rates[i] > 0 and rates[i + 1] >= _RAISED * rates[i]]
    if not jumps:
        return None
    at = jumps[0]
    return int(steps[at + 1]) - 1, int(steps[at + 1]), float(rates[at]), float(rates[at + 1])


def _rate_climb(measured: DiagnosticContext, since: int) -> tuple[int, int, float, float] | None:
    steps, rates = measured.scalar(schema.LR)
    if not len(steps):
        return None
    first, last = (min(int(np.searchsorted(steps, each)), len(steps) - 1) for each in (since // 2, since))
    if not 0 < _RAISED * rates[first] <= rates[last]:
        return None
    return int(steps[first]), int(steps[last]), float(rates[first]), float(rates[last])


def _loss_first(measured: DiagnosticContext, since: int) -> Finding | None:
    """The loss jumped in one step while the norm and the updates before it were as usual: the data or the task."""
    course = measured.loss_course
    if course is None or since not in course.steps:
        return None
    at = int(np.searchsorted(course.steps, since))
    before, after = course.values[max(0, at - 10) : at], course.values[at : at + 5]
    if len(before) < 5 or not len(after):
        return None
    jump = float(np.median(after) - np.median(before))
    norms, steps = measured.history.before.values, measured.history.steps
    recent = norms[(steps < since) & (steps >= since - 3)]
    usual = norms[(steps < since - 3) & (steps >= since - 100)]
    most = max(3 * np.nanmedian(usual), np.nanmax(usual)) if len(usual) > 4 else np.nan
    calm = len(recent) > 0 and bool(np.nanmax(recent) <= most)
    noise = min(course.noise, float(np.std(course.values[max(0, at - _BEFORE) : at])))  # before the jump
    if jump < max(8 * noise, 0.1 * (course.start - course.best)) or not calm:
        return None
    sentence = (
        f"The loss jumps from {number(float(np.median(before)))} to {number(float(np.median(after)))} at "
        f"step {since:,}, and "
        "neither the norm nor the learning rate changed before it: the data or the task changed."
    )
    place = Place(step=since)
    found = (Evidence("jump of the loss", jump, "", f"step {since}", place),)
    advice = (
        Advice(
            f"Compare the batches before and after step {since:,}: order, source, preprocessing, targets.",
            "",
            "check-data",
        ),
    )
    rule = "the loss jumps within one step by eight times its noise, after steps whose norm was as usual."
    return Finding(
        "changed-during-training",
        measured.severity(),
        sentence,
        found,
        rule,
        advice,
        (),
        since,
        "strong" if jump > _DECISIVE * noise else "moderate",
        "the data or the task changed",
    )
