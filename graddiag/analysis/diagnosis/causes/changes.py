"""The rule about what changed when the loss got worse: the process, the learning rate, the data."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis.diagnosis.causes.resumption import worse_since_resumed
from graddiag.analysis.diagnosis.causes.step_size import grew
from graddiag.analysis.diagnosis.context import DiagnosticContext
from graddiag.analysis.diagnosis.findings import PRACTICE, Advice, Evidence, Finding, Place
from graddiag.analysis.values import Floats
from graddiag.analysis.words import number

_BEFORE: Final = 50  # values before a jump whose spread is its noise
_DECISIVE: Final = 30.0  # times the noise of the loss: no usual update makes it jump so far in one step
_RAISED: Final = 3  # times: a learning rate that was changed
_SIZE_RATIO: Final = 1.5  # between sizes before and after
_AROUND: Final = 20  # recorded sizes before and after
_FEWEST: Final = 3


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
    rules = (_rate_rose, _setting_changed, _size_changed, _loss_first)
    return next((found for rule in rules if (found := rule(measured, o.since)) is not None), None)


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
    near = np.flatnonzero((steps[1:] <= since) & (steps[1:] >= since - _window(measured)))
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


def _setting_changed(measured: DiagnosticContext, since: int) -> Finding | None:
    """Another setting of the optimizer jumped just before the loss got worse: weight decay or momentum."""
    columns = [schema.STEP, schema.WHERE, schema.VALUE, schema.MESSAGE]
    rows = measured.run.read(schema.TABLE_EVENTS, columns=columns, where={schema.KIND: schema.EVENT_SETTING_CHANGED})
    rows = rows[rows[schema.STEP].between(since - _window(measured), since)]
    if rows.empty:
        return None
    last = rows.iloc[-1]
    step, name, message = int(last[schema.STEP]), str(last[schema.WHERE]), str(last[schema.MESSAGE])
    found = (Evidence(f"{name} after", float(last[schema.VALUE]), "", f"step {step}", Place(step=step)),)
    advice = (Advice(f"Set it back: {message}", "", "undo-change"),)
    rule = "weight decay, or the inverse of 1 - momentum, changed at least threefold just before the loss got worse."
    return Finding(
        "changed-during-training", measured.severity(), f"{message} The loss got worse then.", found, rule, advice,
        (), step, "strong", f"{name} was changed",
    )  # fmt: skip


@dataclass(frozen=True)
class _Size:
    """What a column counts, and what to do where it changed."""

    column: str
    name: str
    unit: str
    advice: str
    action: str


_SIZES: Final = (
    _Size(
        schema.SEQUENCE_LENGTH, "length of the sequences", "timesteps",
        "Change the length in smaller steps, or keep {before:,.0f} {unit}.", "shorten-path",
    ),
    _Size(
        schema.BATCH_SIZE, "batch size", "samples",
        "Change the learning rate with the batch size, or keep {before:,.0f} {unit}.", "lower-learning-rate",
    ),
)  # fmt: skip


def _size_changed(measured: DiagnosticContext, since: int) -> Finding | None:
    """The sequences got longer or shorter for good, or the batches did, just before the loss got worse."""
    for size in _SIZES:
        steps, values = measured.scalar(size.column)
        apart = int(np.diff(steps).max(initial=1))  # sizes are known at recorded steps
        near = np.flatnonzero((steps[1:] >= since - _window(measured)) & (steps[1:] <= since + apart))
        for at in near:
            before, after = values[max(0, at + 1 - _AROUND) : at + 1], values[at + 1 : at + 1 + _AROUND]
            if min(len(before), len(after)) < _FEWEST or not _apart(before, after):
                continue
            return _of_size(measured, size, int(steps[at + 1]), float(np.median(before)), float(np.median(after)))
    return None


def _of_size(measured: DiagnosticContext, size: _Size, step: int, before: float, after: float) -> Finding:
    sentence = (
        f"The {size.name} went from {before:,.0f} to {after:,.0f} {size.unit} at step {step:,}, and the loss got "
        "worse then."
    )
    found = (
        Evidence(f"{size.name} before", before, size.unit, "median of up to 20 recorded steps"),
        Evidence(f"{size.name} after", after, size.unit, f"from step {step}", Place(step=step)),
    )
    rule = "all recorded sizes after a step are at least 1.5 times those before it, or the reverse, near the step from "
    rule += "which on the loss is worse."
    text = size.advice.format(before=before, unit=size.unit)
    return Finding(
        "changed-during-training", measured.severity(), sentence, found, rule,
        (Advice(text, PRACTICE, size.action),), (), step, "strong", f"the {size.name} changed",
    )  # fmt: skip


def _apart(before: Floats, after: Floats) -> bool:
    """Whether all of one are well above all of the other."""
    return after.min() >= _SIZE_RATIO * before.max() or before.min() >= _SIZE_RATIO * after.max()


def _window(measured: DiagnosticContext) -> int:
    """Steps before the one from which on the loss is worse in which a cause of it may lie."""
    return max(20, len(measured.history.steps) // 20)


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
