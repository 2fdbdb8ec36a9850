"""A loss that got worse where a training was resumed from a checkpoint: a part of its state was not restored."""

from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis.diagnosis.context import DiagnosticContext
from graddiag.analysis.diagnosis.findings import Advice, Evidence, Finding, Place, Strength
from graddiag.analysis.values import Ints
from graddiag.analysis.words import number

_AROUND: Final = 10  # losses before and after
_NEAR: Final = 20  # steps between it and the step from which on the loss is worse, or a twentieth of the run
_DECISIVE: Final = 30.0  # times the noise of the loss
_ADVICE: Final = (
    "Restore all of the training's state with the model: optimizer, learning rate schedule, GradScaler, order of the "
    "data, hidden state."
)


def resumed_steps(measured: DiagnosticContext) -> Ints:
    """The steps at which the training was resumed in this run, in their order."""
    rows = measured.run.read(schema.TABLE_EVENTS, columns=[schema.STEP], where={schema.KIND: schema.EVENT_RESUMED})
    return np.unique(rows[schema.STEP].to_numpy(dtype=np.int64))


def worse_since_resumed(measured: DiagnosticContext, since: int) -> Finding | None:
    """The training was resumed about the step ``since`` which on the loss is worse, and the loss jumped there."""
    near, course = max(_NEAR, len(measured.history.steps) // 20), measured.loss_course
    steps = resumed_steps(measured)
    steps = steps[np.abs(steps - since) <= near]
    if course is None or not len(steps):
        return None
    step = int(steps[0])
    at = int(np.searchsorted(course.steps, step))
    before, after = course.values[max(0, at - _AROUND) : at], course.values[at : at + _AROUND]
    if len(before) < _AROUND // 2 or len(after) < _AROUND // 2:
        return None
    low, high = float(np.median(before)), float(np.median(after))
    if high - low < max(8 * course.noise, 0.1 * (course.start - course.best)):
        return None
    sentence = (
        f"The training was resumed at step {step:,}, and the loss went from {number(low)} to {number(high)} there."
    )
    found = (Evidence("rise of the loss", high - low, "", f"step {step}", Place(step=step)),)
    rule = "the loss rises by eight times its noise at the step at which the training was resumed from a checkpoint."
    strength: Strength = "strong" if high - low > _DECISIVE * course.noise else "moderate"
    advice = (Advice(_ADVICE, "torch tutorials: saving a general checkpoint", "restore-state"),)
    severity, short = measured.severity(), "the training was resumed without a part of its state"
    return Finding("changed-during-training", severity, sentence, found, rule, advice, (), step, strength, short)
