"""The verdict about a run, from the gradient as it was measured: never from the norms of weights."""

import math
from collections.abc import Sequence

from graddiag import schema
from graddiag.analysis.exploding import exploding
from graddiag.analysis.findings import Diagnosis, Evidence, Finding, Severity, diagnosis
from graddiag.analysis.nonfinite import NonfiniteOrigin, nonfinite_origin
from graddiag.analysis.norms import norm_history
from graddiag.analysis.reach import Reach, reach
from graddiag.analysis.selection import selections
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import source_of
from graddiag.analysis.vanishing import Fading, evidence_of, fading, vanishing
from graddiag.analysis.words import number, plural
from graddiag.run import Run


def diagnose(run: Run, thresholds: Thresholds | None = None) -> Diagnosis:
    """What is wrong with ``run``, where, and what to try; the worst first.

    Non-finite: any NaN or inf in the loss, the gradient or its norm. Exploding: the gradient grows on its way back
    through time, or its norm jumps between steps. Vanishing: what the loss says does not arrive where it can arrive
    through time alone. Healthy: none of these, and the way through time was measured in at least one layer; otherwise
    not measured, with the reason. See ``Thresholds`` for every number.

    The measured transport gain decides, since the spectral radius of a weight does not: a saturated net with a radius
    of 1.25 may pass its gradient on unchanged. And the totals ||dL/dh_t|| alone do not either: with a loss at every
    timestep they are level in a net that forgets at once.
    """
    thresholds = thresholds or Thresholds()
    origin = nonfinite_origin(run)
    reaches = [reach(run, each, thresholds=thresholds) for each in selections(run)]
    faded = [each for each in (fading(one, thresholds) for one in reaches) if each is not None]
    history = norm_history(run)
    found = [
        _nonfinite(origin, len(history.steps)) if origin.found else None,
        exploding(history, reaches, thresholds),
        vanishing(faded, thresholds, run.manifest.model),
    ]
    findings = [each for each in found if each is not None]
    if not faded:
        findings.append(_not_measured(run, reaches))
    elif all(each.severity == "info" for each in findings):
        findings.append(_healthy(faded, bool(findings)))
    return diagnosis(source_of(run), findings, thresholds)


def _nonfinite(origin: NonfiniteOrigin, steps: int) -> Finding:
    where = f", at {origin.where}" if origin.where else ""
    went_on = origin.last_step is not None and origin.steps < max(1, steps) * 0.01 and origin.last_step < steps - 1
    severity: Severity = "warning" if went_on else "severe"
    message = f" {origin.message}" if origin.message else ""
    held = f"{plural(origin.steps, 'step')} of {steps:,} held such values."
    sentence = f"NaN or inf began at step {origin.step}{where}.{message} {held}"
    evidence = (Evidence("steps with NaN or inf", origin.steps, f"of {steps:,}", f"first at step {origin.step}"),)
    advice = (
        "stop at the first such step (graddiag run --on-nonfinite stop) and look at its batch; clipping does not help: "
        "one inf makes its own entry NaN and all others 0.",
        "a smaller learning rate, or clipping from the start, if the norm grew before that step.",
    )
    rule = "any NaN or inf in the loss, in the gradient before clipping or in its norm; severe unless rare and passing."
    return Finding("non-finite", severity, sentence, evidence, rule, advice)


def _not_measured(run: Run, reaches: Sequence[Reach]) -> Finding:
    reasons = [
        each.missing or f"At no step did a finite gradient above 0 reach {each.selection.label}." for each in reaches
    ]
    reason = reasons[0] if reasons else _why_nothing(run)
    advice = "record a few steps of training with graddiag.watch, and let backward() run through the recurrent layer."
    sentence = f"The gradient's way back through time was not measured. {reason}"
    return Finding("not measured", "info", sentence, advice=(advice,))


def _why_nothing(run: Run) -> str:
    if not len(run.read(schema.TABLE_STEPS, columns=[schema.STEP])):
        return "The run holds no step."
    return "The run holds no timestep of any recurrent layer."


def _healthy(faded: Sequence[Fading], noted: bool) -> Finding:
    weakest = min(faded, key=lambda each: each.arriving)
    but = "Apart from that, the" if noted else "The"
    sentence = f"{but} gradient neither explodes nor vanishes on its way back through time. {_how_far(weakest)}"
    return Finding("healthy", "info", sentence, evidence_of(weakest), "none of the other rules applies.")


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
