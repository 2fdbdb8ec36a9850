"""The rule for an exploding gradient: it grows on its way back through time, or its norm jumps and the loss with it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from graddiag.analysis.diagnosis.context import DiagnosticContext
from graddiag.analysis.diagnosis.findings import (
    PRACTICE,
    Advice,
    Evidence,
    Finding,
    Place,
    Severity,
    Strength,
    place_in,
)
from graddiag.analysis.diagnosis.success_rates import EXPLODING, with_rates
from graddiag.analysis.flow.reach import Reach
from graddiag.analysis.optimization.norms import NormHistory, Spikes, find_high, leads_up_from
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Floats, Ints
from graddiag.analysis.words import number, percent, plural, span

_USED: Final = (
    *("growth", "growth_share", "growth_severe", "spike", "spike_share", "spike_severe", "spike_share_severe"),
    *("recent", "history"),
)
_SMALLER_WEIGHT: Final = Advice(
    "Start with a smaller recurrent weight: orthogonal, or scaled so that its singular values are at most 1.",
    "Saxe et al. 2014",
    "change-initialization",
)


@dataclass(frozen=True)
class GrowthThroughTime:
    """How often and how much the gradient of one layer grows on its way back through time.

    steps: those at which it grows so. share: of the recorded steps at which that is known, those whose gradient dies
    out on its way (it is exactly 0 from somewhere on) among them.
    """

    reach: Reach
    steps: Ints
    share: float
    typical: float
    largest: float
    largest_step: int
    first_step: int


def exploding(measured: DiagnosticContext) -> Finding | None:
    """The finding, or None: growth through time by ``growth`` at ``growth_share`` of the recorded steps, or spikes of
    the norm before clipping, a share of ``spike_share`` of the steps or a single one of ``spike_severe``.

    Spikes alone are an explosion only in a training that failed and whose loss jumped or got worse with them: a norm
    also jumps when a training leaves an initial plateau.
    """
    t, history = measured.thresholds, measured.history
    growth = growth_of(measured.reaches, t)
    spikes = measured.spikes if _many(measured.spikes, t) and _harmful(measured) else None
    if growth is None and spikes is None:
        return _across_depth(measured)
    held = held_by_clipping(history, measured.spikes, growth, t)
    # nothing shows yet that clipping is enough; or that it is not: the direction of such a gradient is arbitrary
    early = measured.outcome.detail == "few-steps" or (measured.outcome.failed and growth is not None)
    severity: Severity = "info" if held and not early else _severity(measured, growth, spikes)
    began = [] if growth is None else [growth.first_step]
    began += [] if spikes is None else [leads_up_from(history.steps, history.before.values, spikes)]
    return Finding(
        "exploding",
        severity,
        _sentence(growth, spikes, _caught(growth, history) if held else None, stuck=measured.outcome.failed),
        (*_norm_evidence(spikes), *(_growth_evidence(growth) if growth else ())),
        _rule(t),
        with_rates(_advice(measured, growth, spikes, held and severity == "info"), EXPLODING),
        _USED,
        min(began),
        None if severity == "info" else _strength(measured, growth, spikes),
    )


def _across_depth(measured: DiagnosticContext) -> Finding | None:
    """The gradient grows from layer to layer and not through time."""
    ratios, across, t = measured.depth.ratios, measured.depth.across, measured.thresholds
    steep = bool(ratios) and (max(each.typical for each in ratios) >= t.growth or (across or 0.0) >= 10 * t.growth)
    if not steep or not measured.outcome.failed:
        return None
    worst = max(ratios, key=lambda each: each.typical)
    sentence = (
        f"The gradient grows across depth: {number(worst.typical)} times from {worst.upper.short} down "
        f"to layer {worst.lower.layer}, and {number(across)} times from top to bottom."
    )
    place = place_in(worst.lower, int(worst.steps[0]), int(worst.steps[-1]))
    found = (Evidence("growth from one layer to the next below", worst.typical, "times", worst.lower.label, place),)
    smaller = Advice(
        "Start with smaller input weights in the upper layers, or normalize between layers.", "Saxe et al. 2014",
        "change-initialization",
    )  # fmt: skip
    clip = measured.clip.advice()
    advice = (smaller, *([clip] if clip is not None else []), measured.rate.lower())
    return Finding(
        "exploding", measured.severity(), sentence, found, _rule(measured.thresholds), advice, ("growth",),
        int(worst.steps[0]), "strong", "gradient grows across depth",
    )  # fmt: skip


def growth_of(reaches: Sequence[Reach], thresholds: Thresholds) -> GrowthThroughTime | None:
    """The layer in which the gradient grows most through time, often enough; None where there is none."""
    grown = [each for each in (_growth(one, thresholds) for one in reaches) if each is not None]
    often = (each for each in grown if each.share >= thresholds.growth_share)
    return max(often, key=lambda each: each.typical, default=None)


def _harmful(measured: DiagnosticContext) -> bool:
    """Whether the training failed, and its loss jumped or got worse at the spikes or after them."""
    o, spikes = measured.outcome, measured.spikes
    if not o.failed or not len(spikes.steps):
        return False
    first = int(spikes.steps[0])
    if o.name in ("diverged", "broken"):
        return o.since is None or o.since >= first - 2 or measured.early_climb is not None
    jumps = measured.loss.jumped_from
    return bool(len(jumps)) and bool((np.abs(jumps[:, None] - spikes.steps[None, :]) <= _NEAR).any())


_LED_TO: Final = 10  # steps between a spike and the step from which on the loss is worse for good
_NEAR: Final = 3  # steps between a jump of the norm and one of the loss that belong together


def held_by_clipping(
    history: NormHistory, spikes: Spikes, growth: GrowthThroughTime | None, thresholds: Thresholds
) -> bool:
    """Whether clipping engaged at every spike and left none, and at so many of the steps at which the gradient grows
    that the others would not have been called exploding."""
    clipped = _clipped(history)
    if not history.source.clipped or not len(clipped) or not history.after.measured:
        return False
    left = find_high(history.steps, history.after.values, thresholds)
    met = bool(np.isin(spikes.steps, clipped).all()) and not len(left.steps)
    return met and (growth is None or _share_left(growth, clipped) < thresholds.growth_share)


def _clipped(history: NormHistory) -> Ints:
    return history.steps[history.coefficient.values < 1]


def _share_left(growth: GrowthThroughTime, clipped: Ints) -> float:
    """The share of the recorded steps that grow and were not clipped."""
    return growth.share * float((~np.isin(growth.steps, clipped)).mean())


def _growth(reach: Reach, thresholds: Thresholds) -> GrowthThroughTime | None:
    growths: Floats = reach.growth_by_step
    known = ~np.isnan(growths) & ((growths > 0) | np.isfinite(reach.arriving_by_step))
    grown = known & (growths >= thresholds.growth)
    if not grown.any():
        return None
    at = int(np.where(known, growths, -1.0).argmax())
    steps = reach.steps[grown]
    median, share = float(np.median(growths[known])), float(grown.sum() / known.sum())
    return GrowthThroughTime(reach, steps, share, median, float(growths[at]), int(reach.steps[at]), int(steps[0]))


def _many(found: Spikes, thresholds: Thresholds) -> bool:
    if not len(found.steps):
        return False
    return found.share >= thresholds.spike_share or bool(found.ratios.max() >= thresholds.spike_severe)


def _severity(measured: DiagnosticContext, growth: GrowthThroughTime | None, spikes: Spikes | None) -> Severity:
    t = measured.thresholds
    by_growth = growth is not None and growth.typical >= t.growth_severe
    by_norm = spikes is not None and bool(spikes.ratios.max() >= t.spike_severe or spikes.share >= t.spike_share_severe)
    early = growth is not None and measured.outcome.detail == "few-steps"
    return measured.severity(severe=by_growth or by_norm or early)


def _strength(measured: DiagnosticContext, growth: GrowthThroughTime | None, spikes: Spikes | None) -> Strength:
    """Strong where the gradient was measured to grow through time; moderate by spikes of the norm alone."""
    t = measured.thresholds
    if growth is not None and growth.typical >= t.growth:
        return "strong"
    often = spikes is not None and (spikes.share >= t.spike_share_severe or bool(spikes.ratios.max() >= t.spike_severe))
    o = measured.outcome
    lasting = o.name in ("diverged", "broken") and spikes is not None and o.since is not None
    led_to = lasting and spikes is not None and bool((np.abs(spikes.steps - (o.since or 0)) <= _LED_TO).any())
    if growth is not None:
        return "strong" if spikes is not None else "moderate"
    # at the loss of a constant prediction a batch of outliers makes both, norm and loss
    return "moderate" if (often or led_to) and not measured.at_reference else "weak"


def _caught(growth: GrowthThroughTime | None, history: NormHistory) -> str:
    """Which of the steps clipping caught, in words, where it held the explosion."""
    every = growth is None or not _share_left(growth, _clipped(history))
    return "every such step" if every else "nearly every such step"


def _sentence(growth: GrowthThroughTime | None, spikes: Spikes | None, caught: str | None, *, stuck: bool) -> str:
    parts = []
    if growth is not None:
        parts.append(
            f"The gradient of {growth.reach.selection.label} grows on its way back through "
            f"{plural(growth.reach.length, 'timestep')}: {number(growth.typical)} times in the median step, up to "
            f"{number(growth.largest)} times at step {growth.largest_step:,}, at {percent(growth.share)} "
            "of the recorded steps."
        )
    if spikes is not None:
        at = spikes.largest
        parts.append(
            f"The gradient norm spikes at {plural(len(spikes.steps), 'step')} of {spikes.counted:,}, up to "
            f"{number(float(spikes.norms[at]))} at step {spikes.steps[at]:,} (typical {number(spikes.usual)})."
        )
    if caught:
        parts.append(f"Clipping caught {caught}, so the updates kept their usual size.")
        parts += ["It does not mend their direction, and the training did not learn."] if stuck and growth else []
    return " ".join(parts)


def _norm_evidence(spikes: Spikes | None) -> tuple[Evidence, ...]:
    if spikes is None:
        return ()
    at = spikes.largest
    when, place = f"step {spikes.steps[at]}", Place(step=int(spikes.steps[at]))
    first = Place(step=int(spikes.steps[0]))
    return (
        Evidence("largest norm before clipping", float(spikes.norms[at]), "(L2 over all parameters)", when, place),
        Evidence("largest norm over the typical one", float(spikes.ratios[at]), "times", when, place),
        Evidence("steps that spike", len(spikes.steps), f"of {spikes.counted:,}", f"first at step {first.step}", first),
    )


def _growth_evidence(growth: GrowthThroughTime) -> tuple[Evidence, ...]:
    steps, selection = growth.reach.steps, growth.reach.selection
    when = f"{selection.label}, {span(int(steps[0]), int(steps[-1]))}"
    place = place_in(selection, int(steps[0]), int(steps[-1]))
    at = replace(place_in(selection, growth.largest_step))
    return (
        Evidence("growth through time, median step", growth.typical, "times", when, place),
        Evidence(
            "growth through time, largest",
            growth.largest,
            "times",
            f"{selection.label}, step {growth.largest_step}",
            at,
        ),
        Evidence("recorded steps that grow so", 100 * growth.share, "%", when, place),
    )


def _rule(thresholds: Thresholds) -> str:
    return (
        f"the gradient grows on its way back through time, by its gains and against what the loss puts in, by a factor "
        f"of at least {number(thresholds.growth)} at {thresholds.growth_share:.0%} of the recorded steps; or, in a "
        f"training that failed, the norm before clipping is at least {number(thresholds.spike)} times the typical one, "
        f"at {thresholds.spike_share:.2%} of the steps, or {number(thresholds.spike_severe)} times at one, "
        "and the loss jumps or gets worse there. Where clipping caught it, it is information, unless the gradient "
        "grows through time in a training that failed."
    )


def _advice(
    measured: DiagnosticContext, growth: GrowthThroughTime | None, spikes: Spikes | None, held: bool
) -> tuple[Advice, ...]:
    """The recurrent weight first where the gradient grows from the first step on; else clipping, then the rate; the
    rate first where no norm tells a threshold."""
    if held:
        return (Advice("Keep clipping on: it caught these steps.", "Pascanu et al. 2013", "keep-clipping"),)
    clip, rate = measured.clip.advice(), measured.rate.lower()
    clipping = (clip,) if clip is not None and not measured.clip.raises else ()
    if growth is None:
        return (*clipping, rate)
    clipped = measured.outcome.failed and measured.clip.clipped  # and that was not enough
    always = growth.first_step == int(growth.reach.steps[0]) and (
        growth.typical >= measured.thresholds.growth or clipped
    )
    if not measured.outcome.failed and measured.outcome.detail != "few-steps":
        return (*clipping, Advice("Leave it while the loss improves.", PRACTICE, "continue"))
    return (_SMALLER_WEIGHT, *clipping, rate) if always else (*clipping, rate, _SMALLER_WEIGHT)
