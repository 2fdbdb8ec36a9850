"""The rule for an exploding gradient: it grows on its way back through time, or its norm jumps from step to step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graddiag.analysis.findings import Advice, Evidence, Finding, Place, Severity, place_in
from graddiag.analysis.norms import NormHistory
from graddiag.analysis.reach import Reach
from graddiag.analysis.spikes import Spikes, find_spikes
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Floats, Ints
from graddiag.analysis.words import number, plural, span


@dataclass(frozen=True)
class Growth:
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


def exploding(history: NormHistory, reaches: Sequence[Reach], thresholds: Thresholds) -> Finding | None:
    """The finding, or None. It is information only where clipping caught the steps in question.

    Either sign is enough: growth through time by ``growth`` at ``growth_share`` of the recorded steps, or spikes of
    the norm before clipping: a share of ``spike_share`` of the steps, or a single one of ``spike_severe``.
    """
    spikes = find_spikes(history.steps, history.before.values, thresholds)
    grown = [each for each in (_growth(one, thresholds) for one in reaches) if each is not None]
    growth = max(
        (each for each in grown if each.share >= thresholds.growth_share), key=lambda each: each.typical, default=None
    )
    spiking = _spiking(spikes, thresholds)
    if growth is None and not spiking:
        return None
    held = held_by_clipping(history, spikes, growth, thresholds)
    severity: Severity = "info" if held else _severity(growth, spikes, thresholds)
    evidence = (*(_spike_evidence(spikes) if spiking else ()), *(_growth_evidence(growth) if growth else ()))
    return Finding(
        "exploding",
        severity,
        _sentence(growth, spikes if spiking else None, _caught(growth, history) if held else None),
        evidence,
        _rule(thresholds),
        _advice(spikes, held),
        ("growth", "growth_share", "growth_severe", "spike", "spike_share", "spike_severe", "spike_share_severe"),
        _onset(growth, spikes if spiking else None),
    )


def held_by_clipping(history: NormHistory, spikes: Spikes, growth: Growth | None, thresholds: Thresholds) -> bool:
    """Whether clipping engaged at every spike and left none, and at so many of the steps at which the gradient grows
    that the others would not have been called exploding."""
    clipped = _clipped(history)
    if not history.source.clipped or not len(clipped) or not history.after.measured:
        return False
    left = find_spikes(history.steps, history.after.values, thresholds)
    met = bool(np.isin(spikes.steps, clipped).all()) and not len(left.steps)
    return met and (growth is None or _share_left(growth, clipped) < thresholds.growth_share)


def _clipped(history: NormHistory) -> Ints:
    return history.steps[history.coefficient.values < 1]


def _share_left(growth: Growth, clipped: Ints) -> float:
    """The share of the recorded steps that grow and were not clipped."""
    return growth.share * float((~np.isin(growth.steps, clipped)).mean())


def _onset(growth: Growth | None, spikes: Spikes | None) -> int | None:
    began = [] if spikes is None else [int(spikes.steps[0])]
    return min(began + ([] if growth is None else [growth.first_step]))


def _growth(reach: Reach, thresholds: Thresholds) -> Growth | None:
    growths: Floats = reach.growth_by_step
    known = ~np.isnan(growths) & ((growths > 0) | np.isfinite(reach.arriving_by_step))
    grown = known & (growths >= thresholds.growth)
    if not grown.any():
        return None
    at = int(np.where(known, growths, -1.0).argmax())
    steps = reach.steps[grown]
    median, share = float(np.median(growths[known])), float(grown.sum() / known.sum())
    return Growth(reach, steps, share, median, float(growths[at]), int(reach.steps[at]), int(steps[0]))


def _spiking(spikes: Spikes, thresholds: Thresholds) -> bool:
    if not len(spikes.steps):
        return False
    return spikes.share >= thresholds.spike_share or bool(spikes.ratios.max() >= thresholds.spike_severe)


def _severity(growth: Growth | None, spikes: Spikes, thresholds: Thresholds) -> Severity:
    by_spikes = len(spikes.steps) > 0 and (
        spikes.share >= thresholds.spike_share_severe or spikes.ratios.max() >= thresholds.spike_severe
    )
    by_growth = growth is not None and growth.typical >= thresholds.growth_severe
    return "severe" if by_spikes or by_growth else "warning"


def _caught(growth: Growth | None, history: NormHistory) -> str:
    """Which of the steps clipping caught, in words, where it held the explosion."""
    every = growth is None or not _share_left(growth, _clipped(history))
    return "every such step" if every else "nearly every such step"


def _sentence(growth: Growth | None, spikes: Spikes | None, caught: str | None) -> str:
    parts = []
    if spikes is not None:
        at = spikes.largest
        times = f"{number(float(spikes.ratios[at]))} times the usual {number(spikes.usual)}"
        parts.append(
            f"The gradient norm jumps at {plural(len(spikes.steps), 'step')} of {spikes.counted:,}: to "
            f"{number(float(spikes.norms[at]))} at step {spikes.steps[at]}, {times}."
        )
    if growth is not None:
        parts.append(
            f"On its way back through time the gradient of {growth.reach.selection.label} grows, by a factor of "
            f"{number(growth.typical)} in the median step and {number(growth.largest)} at step {growth.largest_step}."
        )
    if caught:
        parts.append(f"Clipping caught {caught}, so the updates stayed of the usual size.")
    return " ".join(parts)


def _spike_evidence(spikes: Spikes) -> tuple[Evidence, ...]:
    at = spikes.largest
    when, place = f"step {spikes.steps[at]}", Place(step=int(spikes.steps[at]))
    norm, first = "(L2 over all parameters)", Place(step=int(spikes.steps[0]))
    count = f"of {spikes.counted:,}"
    jumps = Evidence("steps that jump", len(spikes.steps), count, f"first at step {first.step}", first)
    return (
        Evidence("largest jump of the norm before clipping", float(spikes.norms[at]), norm, when, place),
        Evidence("that is, over the usual norm", float(spikes.ratios[at]), "times", when, place),
        jumps,
    )


def _growth_evidence(growth: Growth) -> tuple[Evidence, ...]:
    steps, selection = growth.reach.steps, growth.reach.selection
    when = f"{selection.label}, {span(int(steps[0]), int(steps[-1]))}"
    place = place_in(selection, int(steps[0]), int(steps[-1]))
    return (
        Evidence("growth back through time, median step", growth.typical, "times", when, place),
        Evidence(
            "growth back through time, largest",
            growth.largest,
            "times",
            f"{selection.label}, step {growth.largest_step}",
            place_in(selection, growth.largest_step),
        ),
        Evidence("recorded steps that grow so", 100 * growth.share, "%", when, place),
    )


def _rule(thresholds: Thresholds) -> str:
    return (
        f"on its way back the gradient grows, by its gains and against what the loss puts in, by a factor of at least "
        f"{number(thresholds.growth)} at {thresholds.growth_share:.0%} of the recorded steps; or the norm before "
        f"clipping is at least {number(thresholds.spike)} times the usual one at {thresholds.spike_share:.2%} of the "
        f"steps, or {number(thresholds.spike_severe)} times at one."
    )


def _advice(spikes: Spikes, held: bool) -> tuple[Advice, ...]:
    if held:
        return (Advice("keep clipping on: without it these steps would be taken in full.", "Pascanu et al. 2013"),)
    clip = "clip by global norm"
    if spikes.usual:
        clip += f", norm:{spikes.usual:.2g} say (the usual norm; half to ten times it will do)"
    return (
        Advice(f"{clip}.", "Pascanu et al. 2013, section 3.2"),
        Advice(
            "a smaller learning rate: jumps of the norm are met at steep walls of the loss, which small steps avoid.",
            "Pascanu et al. 2013, section 2.3",
        ),
        Advice(
            "a start with a smaller recurrent weight (orthogonal, or its singular values at most 1).",
            "Saxe et al. 2014",
        ),
    )
