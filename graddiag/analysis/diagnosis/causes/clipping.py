"""The rules about a clip policy that always acts, never acts, or could not act on anything seen."""

from typing import Final

import numpy as np

from graddiag.analysis.diagnosis.causes.exploding import growth_of
from graddiag.analysis.diagnosis.context import DiagnosticContext
from graddiag.analysis.diagnosis.findings import PRACTICE, Advice, Evidence, Finding, Place, Severity, Strength
from graddiag.analysis.optimization.norms import Spikes, find_spikes
from graddiag.analysis.words import number, percent, plural

_HEURISTIC: Final = "Pascanu et al. 2013, section 3.2"


def clipping_always(measured: DiagnosticContext) -> Finding | None:
    """Clipping engages at nearly every step: the threshold, not the gradient, sets the length of the update. Under an
    optimizer that scales gradients by their own size (Adam) that hardly matters; where the gradient explodes through
    time, its norms are no measure of a better threshold."""
    found, t = measured.clipping, measured.thresholds
    if found.clipped_share is None or found.clipped_share < t.clipped_always or found.steps < t.history:
        return None
    kept = found.coefficient_quantiles["50%"]
    explodes = growth_of(measured.reaches, t) is not None
    hard = kept < t.clipped_hard and not measured.rate.adaptive and not explodes
    slows = measured.outcome.failed or measured.outcome.name == "learning" or measured.outcome.name == "unknown"
    severity: Severity = "warning" if hard and slows else "info"
    sentence = (
        f"Clipping ({found.policy or 'the run does not name a policy'}) engages at "
        f"{percent(found.clipped_share)} of the "
        f"steps and leaves {percent(kept)} of the gradient norm in the median: the threshold sets the size "
        "of every step."
    )
    if measured.rate.adaptive:
        sentence += f" Under {measured.rate.optimizer} the length of the gradient hardly matters."
    first = Place(step=found.first_clipped_step)
    evidence = (
        Evidence("clipped steps", 100 * found.clipped_share, "%", f"{plural(found.steps, 'step')}"),
        Evidence("norm after / norm before, median clipped step", kept, "", f"first at step {first.step}", first),
    )
    rule = (
        f"clipping engages at {t.clipped_always:.0%} of the steps or more; a warning if it leaves less than "
        f"{t.clipped_hard:.0%} of the norm in the median, the training failed or still learns, the gradient does not "
        "explode through time, and the optimizer does not scale gradients by their own size."
    )
    used = ("clipped_always", "clipped_hard", "history")
    strength: Strength | None = None if severity == "info" else "strong"
    return Finding(
        "clipping-always",
        severity,
        sentence,
        evidence,
        rule,
        _loosen(measured, hard, explodes),
        used,
        first.step,
        strength,
    )


def clipping_never(measured: DiagnosticContext) -> Finding | None:
    """A policy is set and engaged at no step; ``threshold-above-all`` says so where it could not have engaged."""
    if not _idle(measured) or _out_of_reach(measured) is not None:
        return None
    found = measured.clipping
    sentence = f"Clipping ({found.policy}) is set and engaged at none of {plural(found.steps, 'step')}."
    advice = Advice(
        "Keep clipping on: it costs next to nothing, and spikes may come later.", _HEURISTIC, "keep-clipping"
    )
    evidence = (_largest(measured),) if found.norm_max is not None else ()
    rule = "a clip policy is set and the coefficient is 1 at every step."
    return Finding("clipping-never", "info", sentence, evidence, rule, (advice,), ("history",))


def threshold_above_all(measured: DiagnosticContext) -> Finding | None:
    """The threshold lies above everything seen by far, or above jumps that clipping is there to catch."""
    spikes = _out_of_reach(measured) if _idle(measured) else None
    if spikes is None:
        return None
    found, t = measured.clipping, measured.thresholds
    assert found.threshold is not None
    assert found.norm_max is not None
    missed = len(spikes.steps) > 0
    sentence = (
        f"The clip threshold {number(found.threshold)} is above every norm: the largest is "
        f"{number(found.norm_max)}, at step {found.norm_max_step}."
    )
    sentence += f" {plural(len(spikes.steps), 'jump')} of the norm passed below it." if missed else ""
    threshold = Evidence("clip threshold over the largest norm", found.threshold / found.norm_max, "times", "all steps")
    rule = (
        f"norm:C with C at least {number(t.above_all)} times the largest norm before clipping; or C above every norm "
        "although the norm jumps, which is a warning."
    )
    severity: Severity = "warning" if missed and measured.outcome.failed else "info"
    clip = measured.clip.advice()
    keep = Advice("Keep clipping on: a threshold that never engages does no harm.", PRACTICE, "keep-clipping")
    advice = (clip,) if missed and clip is not None else (keep,)
    used = ("above_all", "spike", "history")
    onset = int(spikes.steps[0]) if missed else None
    return Finding(
        "threshold-above-all", severity, sentence, (threshold, _largest(measured)), rule, advice, used, onset
    )


def _idle(measured: DiagnosticContext) -> bool:
    """Whether a policy is set, the coefficient known at enough steps, and 1 at all of them."""
    known = int(np.isfinite(measured.history.coefficient.values).sum())
    return (
        measured.history.source.clipped
        and known >= measured.thresholds.history
        and not measured.clipping.clipped_steps
        and not measured.clipping.inside
    )


def _out_of_reach(measured: DiagnosticContext) -> Spikes | None:
    """The spikes (there may be none) of a run whose threshold norm:C is out of reach; None where it is not."""
    found, t = measured.clipping, measured.thresholds
    if found.threshold is None or not found.norm_max:
        return None
    spikes = find_spikes(measured.history.steps, measured.history.before.values, t)
    above = found.threshold >= t.above_all * found.norm_max
    return spikes if above or (found.threshold > found.norm_max and len(spikes.steps)) else None


def _largest(measured: DiagnosticContext) -> Evidence:
    found = measured.clipping
    assert found.norm_max is not None
    place, norm = Place(step=found.norm_max_step), "(L2 over all parameters)"
    return Evidence("largest norm before clipping", found.norm_max, norm, f"step {found.norm_max_step}", place)


def _loosen(measured: DiagnosticContext, hard: bool, explodes: bool) -> tuple[Advice, ...]:
    meant = Advice(
        "Leave it if steps of one length are meant (normalized gradient descent).",
        "Zhang et al. 2020, why gradient clipping accelerates training",
        "continue",
    )
    raised = measured.clip.advice() if measured.clip.raises else _weaker(measured) if hard else None
    if raised is None or explodes:
        return (meant,)
    return (raised, meant) if hard else (meant, raised)


def _weaker(measured: DiagnosticContext) -> Advice:
    """Of a policy without a threshold of norms (value:C, agc:C): by what it leaves of them."""
    found = measured.clipping
    times = 1 / max(found.coefficient_quantiles["50%"], 1e-12)
    now = f" (now {found.policy})" if found.policy else ""
    return Advice(
        f"Raise the clip threshold by a factor of about {times:.1g}{now}.", _HEURISTIC, "raise-clip-threshold"
    )
