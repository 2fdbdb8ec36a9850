"""The rule for NaN and inf: where they began, and whether training continued."""

import math
import re
from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis.diagnosis.causes.exploding import growth_of
from graddiag.analysis.diagnosis.causes.step_size import grew
from graddiag.analysis.diagnosis.context import DiagnosticContext
from graddiag.analysis.diagnosis.findings import PRACTICE, Advice, Evidence, Finding, Place, Severity, Strength
from graddiag.analysis.diagnosis.outcome.untrained import skipped_updates
from graddiag.analysis.optimization.norms import find_high
from graddiag.analysis.words import plural
from graddiag.run import numbers

_INPUT_WEIGHT: Final = re.compile(r"(^|\.)weight_ih(_l\d+(_reverse)?)?$")  # as torch.nn and graddiag.nn name them


def nonfinite(measured: DiagnosticContext) -> Finding | None:
    """Any NaN or inf in the loss, the gradient or its norm, but for what a GradScaler skips."""
    origin, steps, rare = measured.origin, len(measured.history.steps), measured.thresholds.nonfinite_rare
    skipped = skipped_updates(measured.run)
    if skipped is not None and not (origin.found and measured.outcome.detail != "skipped"):
        return _skips(measured, *skipped)
    if not origin.found:
        return None
    rarely = _went_on(measured)
    severity: Severity = (
        "severe" if measured.outcome.name == "broken" else "info" if rarely and measured.outcome.fine else "warning"
    )
    grown = _grown(measured)
    led_up = bool(grown) or grew(measured) or _exploded(measured)
    strength: Strength | None = None if severity == "info" else "moderate" if led_up else "strong"
    place = Place(
        step=origin.step, module=origin.module, layer=origin.layer, direction=origin.direction, timestep=origin.timestep
    )
    count = Evidence("steps with NaN or inf", origin.steps, f"of {steps:,}", f"first at step {origin.step}", place)
    rule = (
        "any NaN or inf in the loss, in the gradient before clipping or in its norm; information if the training "
        f"learned, it is at less than {rare:.0%} of the steps and the last step is free of it."
    )
    used = ("nonfinite_rare", "spike", "recent", "history")
    advice, evidence = _advice(measured, rarely, led_up), (count, *grown)
    return Finding("non-finite", severity, _sentence(measured), evidence, rule, advice, used, origin.step, strength)


def _skips(measured: DiagnosticContext, skipped: int, made: int, since: int) -> Finding:
    """A GradScaler, or ``on_nonfinite="skip"``, that finds NaN or inf in nearly every gradient."""
    sentence = (
        f"{plural(skipped, 'update')} were skipped and {made:,} made: the gradient holds NaN or inf, "
        "under a GradScaler whatever the scale. It begins in the backward pass, or in the loss."
    )
    guard = Advice(
        "Guard the operation that makes NaN or inf (e.g. sqrt or log at 0); torch.autograd.set_detect_anomaly(True) "
        "names it.",
        "torch.autograd.set_detect_anomaly",
        "guard-operation",
    )
    batch = Advice("Check a batch for NaN, inf or an empty sequence.", PRACTICE, "check-batch")
    rule = 'a GradScaler, or on_nonfinite="skip", skipped more than ten updates, and more than were made.'
    evidence = (Evidence("updates skipped", skipped, f"beside {made:,} made", "the run"),)
    return Finding("non-finite", "severe", sentence, evidence, rule, (guard, batch), (), since, "strong")


def _exploded(measured: DiagnosticContext) -> bool:
    """Whether the gradient grew through time at a recorded step before."""
    growth, step = growth_of(measured.reaches, measured.thresholds), measured.origin.step
    return growth is not None and step is not None and growth.first_step <= step


def _sentence(measured: DiagnosticContext) -> str:
    origin, steps = measured.origin, len(measured.history.steps)
    message = f" {origin.message}" if origin.message else ""
    where = f" in {origin.where}" if origin.where else ""
    held = f" {plural(origin.steps, 'step')} of {steps:,} held NaN or inf."
    failed = measured.run.manifest.error
    raised = f" The run ended with {failed}." if measured.run.manifest.status == "failed" and failed else ""
    given, came = _through_input_weights(measured), ""
    if given is not None:
        where = f" in the gradient of {given}"
        came = " All other gradients are finite, those of the states too: the input of that layer holds inf or NaN."
    return f"NaN or inf began at step {origin.step:,}{where}.{message}{came}{held}{raised}"


def _went_on(measured: DiagnosticContext) -> bool:
    """Whether such steps are rare and the last step is free of it."""
    origin, steps = measured.origin, len(measured.history.steps)
    rare = origin.steps < max(1, steps) * measured.thresholds.nonfinite_rare
    return origin.last_step is not None and rare and origin.last_step < steps - 1


def _grown(measured: DiagnosticContext) -> tuple[Evidence, ...]:
    """The largest norm of the ``recent`` steps before, if it is many times the usual one."""
    origin, history, t = measured.origin, measured.history, measured.thresholds
    high = find_high(history.steps, history.before.values, t)
    assert origin.step is not None
    before = (high.steps < origin.step) & (high.steps >= origin.step - t.recent)
    if not before.any():
        return ()
    at = int(np.where(before, high.ratios, 0.0).argmax())
    place = Place(step=int(high.steps[at]))
    name = "largest norm in the steps before, over the usual one"
    return (Evidence(name, float(high.ratios[at]), "times", f"step {place.step}", place),)


def _advice(measured: DiagnosticContext, rarely: bool, grown: bool) -> tuple[Advice, ...]:
    """Smaller steps first where the norm grew before; else the operation that made it."""
    step = measured.origin.step
    look = Advice(
        f"Check the batch of step {step:,} for NaN, inf or an empty sequence; clipping cannot help: one "
        "inf makes its own "
        "entry NaN and all others 0.",
        "torch.nn.utils.clip_grad_norm_",
        "check-batch",
    )
    if grown:
        clip = measured.clip.advice()
        return (*([clip] if clip is not None else []), measured.rate.lower(), look)
    guard = _guard(measured)
    if rarely and measured.outcome.fine:
        return (Advice("Leave it: such steps are rare and the training continued.", PRACTICE, "continue"), look)
    return (look, guard) if _came_in(measured) else (guard, look)


def _came_in(measured: DiagnosticContext) -> bool:
    """Whether it began as NaN in the state of a recurrent layer, whose weights were finite at the step before: most
    likely it came in with the inputs. inf may be made there, by a relu. Or whether it came in as inf, which saturates
    gates and leaves the state finite."""
    origin = measured.origin
    as_nan = origin.during == "forward" and origin.value is not None and math.isnan(origin.value)
    return as_nan or _through_input_weights(measured) is not None


def _through_input_weights(measured: DiagnosticContext) -> str | None:
    """The input weights of recurrent layers if their gradient alone is NaN or inf where it began, which is the
    gradient of the gates times the input; None where another one is too, or that step's parameters are not known."""
    columns, step = [schema.PARAMETER, schema.GRAD_NORM], measured.origin.step
    rows = measured.run.read(schema.TABLE_PARAMETERS, columns=columns, where={schema.STEP: step})
    norms, missing = numbers(rows[schema.GRAD_NORM])
    bad = [str(name) for name in rows[schema.PARAMETER][~np.isfinite(norms) & ~missing]]
    alone = bool(bad) and len(bad) < len(rows) and all(_INPUT_WEIGHT.search(name) for name in bad)
    return ", ".join(bad) if alone and measured.origin.during is None else None


def _guard(measured: DiagnosticContext) -> Advice:
    anomaly = "torch.autograd.set_detect_anomaly(True) names it"
    where = _place(measured)
    if where == "the loss":
        text = (
            "Make the loss finite: guard its logarithm, division or exponential (e.g. use log_softmax, add an "
            f"epsilon); {anomaly}."
        )
    elif where == "the backward pass":
        text = (
            "Guard the operation whose derivative is infinite where the loss is finite (e.g. sqrt or a norm "
            f"at 0); {anomaly}."
        )
    else:
        text = f"Guard the operation in {where} that makes NaN or inf; {anomaly}."
    return Advice(text, "torch.autograd.set_detect_anomaly", "guard-operation")


def _place(measured: DiagnosticContext) -> str:
    """Where it began, as far as the loss and the recorded timesteps of that step tell."""
    origin = measured.origin
    frame = measured.run.read(schema.TABLE_STEPS, columns=[schema.STEP, schema.LOSS], where={schema.STEP: origin.step})
    values, missing = numbers(frame[schema.LOSS])
    if origin.during is not None:
        at = f", timestep {origin.timestep}" if origin.timestep is not None else ""
        return (
            f"the {origin.during} pass of {origin.module or '(model)'}{at}"
            if origin.during == "forward"
            else "the backward pass"
        )
    if len(values) and not missing[0]:
        return "the backward pass" if np.isfinite(values[0]) else "the loss"
    return "the loss or outside the recurrent layers"
