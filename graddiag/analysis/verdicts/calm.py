"""What is said when no rule applies: healthy, or not measured with the reason."""

import math
from collections.abc import Sequence

from graddiag import schema
from graddiag.analysis.findings import Advice, Finding
from graddiag.analysis.measured import Measured
from graddiag.analysis.vanishing import Fading, evidence_of
from graddiag.analysis.words import number, plural
from graddiag.run import Run


def not_measured(measured: Measured) -> Finding:
    """The way through time was measured in no layer; why."""
    reasons = [
        each.missing or f"At no step did a finite gradient above 0 reach {each.selection.label}."
        for each in measured.reaches
    ]
    reason = reasons[0] if reasons else _why_nothing(measured.run)
    advice = "record a few steps of training with graddiag.watch, and let backward() run through the recurrent layer."
    sentence = f"The gradient's way back through time was not measured. {reason}"
    return Finding("not-measured", "info", sentence, advice=(Advice(advice),))


def _why_nothing(run: Run) -> str:
    if not len(run.read(schema.TABLE_STEPS, columns=[schema.STEP])):
        return "The run holds no step."
    return "The run holds no timestep of any recurrent layer."


def healthy(faded: Sequence[Fading], noted: bool) -> Finding:
    """No other rule that is more than information applies, and the way through time was measured."""
    weakest = min(faded, key=lambda each: each.arriving)
    but = "Apart from what is told as information, the" if noted else "The"
    sentence = f"{but} gradient neither explodes nor vanishes on its way back through time. {_how_far(weakest)}"
    advice = Advice("nothing about the gradient; see whether other seeds agree (graddiag compare).")
    return Finding(
        "healthy",
        "info",
        sentence,
        evidence_of(weakest),
        "none of the other rules is more than information.",
        (advice,),
    )


def _how_far(fading: Fading) -> str:
    reach = fading.reach
    if not reach.dense:
        return (
            f"In {reach.selection.label}, where least arrives, a share of {number(fading.arriving)} of it reaches the "
            f"timestep farthest from the loss ({plural(reach.length, 'timestep')})."
        )
    if reach.horizon is None or math.isinf(reach.horizon):
        return "Every timestep has a loss of its own, and what comes from later ones does not fade."
    return (
        f"Every timestep has a loss of its own; in {reach.selection.label} a fresh gradient falls to a third in "
        f"{number(reach.horizon)} of {plural(reach.length, 'timestep')}; part of it may go farther."
    )
