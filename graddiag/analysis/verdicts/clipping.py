"""The rules about a clip policy that always acts, never acts, or could not act on anything seen."""

from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis.findings import PRACTICE, Advice, Evidence, Finding, Place, Severity
from graddiag.analysis.measured import Measured
from graddiag.analysis.spikes import Spikes, find_spikes
from graddiag.analysis.words import number, percent, plural

_HEURISTIC: Final = "Pascanu et al. 2013, section 3.2"


def clipping_always(measured: Measured) -> Finding | None:
    """Clipping engages at nearly every step: the threshold, and not the gradient, sets the length of the update."""
    found, t = measured.clipping, measured.thresholds
    if found.clipped_share is None or found.clipped_share < t.clipped_always or found.steps < t.history:
        return None
    kept = found.coefficient_quantiles["50%"]
    severity: Severity = "warning" if kept < t.clipped_hard or measured.loss.harmed else "info"
    sentence = (
        f"Clipping ({found.policy or 'by a policy that the run does not name'}) engages at "
        f"{percent(found.clipped_share)} of the steps and leaves {percent(kept)} of the gradient's length in the "
        "median: it is no safety net but sets the size of every step."
    )
    first = Place(step=found.first_clipped_step)
    evidence = (
        Evidence("clipped steps", 100 * found.clipped_share, "%", f"{plural(found.steps, 'step')}"),
        Evidence("norm after / norm before, median clipped step", kept, "", f"first at step {first.step}", first),
    )
    rule = (
        f"clipping engages at {t.clipped_always:.0%} of the steps or more; a warning if it leaves less than "
        f"{t.clipped_hard:.0%} of the length in the median, or if the loss never fell or rose again."
    )
    used = ("clipped_always", "clipped_hard", "history")
    return Finding("clipping-always", severity, sentence, evidence, rule, _loosen(measured), used, first.step)


def clipping_never(measured: Measured) -> Finding | None:
    """A policy is set and engaged at no step; ``threshold-above-all`` says so where it could not have engaged."""
    if not _idle(measured) or _out_of_reach(measured) is not None:
        return None
    found, misplaced = measured.clipping, measured.events.get(schema.EVENT_CLIP_MISPLACED)
    severity: Severity = "warning" if misplaced else "info"
    sentence = f"Clipping ({found.policy}) is set and engaged at none of {plural(found.steps, 'step')}."
    sentence += f" {misplaced}" if misplaced else " A safety net that was not needed so far is no fault."
    if misplaced:
        advice = Advice("clip between backward() and optimizer.step(): earlier or later it has no effect.", PRACTICE)
    else:
        advice = Advice("leave the clipping on: it costs next to nothing, and jumps may come later.", _HEURISTIC)
    evidence = (_largest(measured),) if found.norm_max is not None else ()
    rule = "a clip policy is set and the coefficient is 1 at every step; a warning if clipping came too late or early."
    return Finding("clipping-never", severity, sentence, evidence, rule, (advice,), ("history",))


def threshold_above_all(measured: Measured) -> Finding | None:
    """The threshold lies above everything seen by far, or above jumps that clipping is there to catch."""
    spikes = _out_of_reach(measured) if _idle(measured) else None
    if spikes is None:
        return None
    found, t = measured.clipping, measured.thresholds
    assert found.threshold is not None
    assert found.norm_max is not None
    missed = len(spikes.steps) > 0
    sentence = (
        f"The clip threshold {number(found.threshold)} lies above every norm seen: the largest is "
        f"{number(found.norm_max)}, at step {found.norm_max_step}."
    )
    sentence += f" {plural(len(spikes.steps), 'jump')} of the norm passed below it." if missed else ""
    threshold = Evidence("clip threshold over the largest norm", found.threshold / found.norm_max, "times", "all steps")
    rule = (
        f"norm:C with C at least {number(t.above_all)} times the largest norm before clipping; or C above every norm "
        "although the norm jumps, which is a warning."
    )
    severity: Severity = "warning" if missed else "info"
    advice = (
        Advice(
            f"lower the clip threshold, to {_suggested(measured)} say: half to ten times the usual norm will do.",
            _HEURISTIC,
        ),
        Advice("compare a run with it and one without: graddiag pair, graddiag compare.", PRACTICE),
    )
    used = ("above_all", "spike", "history")
    onset = int(spikes.steps[0]) if missed else None
    return Finding(
        "threshold-above-all", severity, sentence, (threshold, _largest(measured)), rule, advice, used, onset
    )


def _idle(measured: Measured) -> bool:
    """Whether a policy is set, the coefficient known at enough steps, and 1 at all of them."""
    known = int(np.isfinite(measured.history.coefficient.values).sum())
    return (
        measured.history.source.clipped and known >= measured.thresholds.history and not measured.clipping.clipped_steps
    )


def _out_of_reach(measured: Measured) -> Spikes | None:
    """The spikes (there may be none) of a run whose threshold norm:C is out of reach; None where it is not."""
    found, t = measured.clipping, measured.thresholds
    if found.threshold is None or not found.norm_max:
        return None
    spikes = find_spikes(measured.history.steps, measured.history.before.values, t)
    above = found.threshold >= t.above_all * found.norm_max
    return spikes if above or (found.threshold > found.norm_max and len(spikes.steps)) else None


def _largest(measured: Measured) -> Evidence:
    found = measured.clipping
    assert found.norm_max is not None
    place, norm = Place(step=found.norm_max_step), "(L2 over all parameters)"
    return Evidence("largest norm before clipping", found.norm_max, norm, f"step {found.norm_max_step}", place)


def _suggested(measured: Measured) -> str:
    """A threshold as a safety net, within what the recorded norms support."""
    found = measured.recommended.safety_net or measured.clipping.norm_percentiles["50%"]
    return f"norm:{found:.2g}"


def _loosen(measured: Measured) -> tuple[Advice, ...]:
    raised = Advice(
        f"raise the threshold, to {_suggested(measured)} say, and lower the learning rate if that makes the loss jump: "
        "with every step clipped the two are one knob.",
        _HEURISTIC,
    )
    meant = Advice(
        "leave it if steps of one length are what you want: normalised gradient descent is a method of its own.",
        "Zhang et al. 2020, why gradient clipping accelerates training",
    )
    return (raised, meant) if measured.loss.stuck else (meant, raised)
