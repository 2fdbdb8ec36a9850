"""The rule for an exploding gradient: it grows on its way back through time, or its norm jumps from step to step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graddiag.analysis.findings import Evidence, Finding, Severity
from graddiag.analysis.norms import NormHistory
from graddiag.analysis.reach import Reach
from graddiag.analysis.spikes import Spikes, find_spikes
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Floats
from graddiag.analysis.words import number, plural, span


@dataclass(frozen=True)
class Growth:
    """How often and how much the gradient of one layer grows on its way back through time."""

    reach: Reach
    share: float
    typical: float
    largest: float
    largest_step: int


def exploding(history: NormHistory, reaches: Sequence[Reach], thresholds: Thresholds) -> Finding | None:
    """The finding, or None. It is information only where clipping caught every one of the steps in question.

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
    held = held_by_clipping(history, spikes, thresholds)
    severity: Severity = "info" if held else _severity(growth, spikes, thresholds)
    evidence = (*(_spike_evidence(spikes) if spiking else ()), *(_growth_evidence(growth) if growth else ()))
    return Finding(
        "exploding",
        severity,
        _sentence(growth, spikes if spiking else None, held),
        evidence,
        _rule(thresholds),
        _advice(spikes, held),
    )


def held_by_clipping(history: NormHistory, spikes: Spikes, thresholds: Thresholds) -> bool:
    """Whether clipping engaged at every spike, and what it left has no spike."""
    if not history.source.clipped or not (history.coefficient.values < 1).any():
        return False
    met = history.coefficient.values[np.isin(history.steps, spikes.steps)]
    left = find_spikes(history.steps, history.after.values, thresholds)
    return history.after.measured and bool((met < 1).all()) and not len(left.steps)


def _growth(reach: Reach, thresholds: Thresholds) -> Growth | None:
    growths: Floats = reach.growth_by_step
    known = ~np.isnan(growths) & (growths > 0)
    if not known.any():
        return None
    at = int(np.where(known, growths, -1.0).argmax())
    share = float((growths[known] >= thresholds.growth).mean())
    return Growth(reach, share, float(np.median(growths[known])), float(growths[at]), int(reach.steps[at]))


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


def _sentence(growth: Growth | None, spikes: Spikes | None, held: bool) -> str:
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
    if held:
        parts.append("Clipping caught every such step, so the updates stayed of the usual size.")
    return " ".join(parts)


def _spike_evidence(spikes: Spikes) -> tuple[Evidence, ...]:
    at = spikes.largest
    when = f"step {spikes.steps[at]}"
    return (
        Evidence("largest jump of the norm before clipping", float(spikes.norms[at]), "(L2 over all parameters)", when),
        Evidence("that is, over the usual norm", float(spikes.ratios[at]), "times", when),
        Evidence("steps that jump", len(spikes.steps), f"of {spikes.counted:,}", f"first at step {spikes.steps[0]}"),
    )


def _growth_evidence(growth: Growth) -> tuple[Evidence, ...]:
    steps = growth.reach.steps
    when = f"{growth.reach.selection.label}, {span(int(steps[0]), int(steps[-1]))}"
    return (
        Evidence("growth back through time, median step", growth.typical, "times", when),
        Evidence(
            "growth back through time, largest",
            growth.largest,
            "times",
            f"{growth.reach.selection.label}, step {growth.largest_step}",
        ),
        Evidence("recorded steps that grow so", 100 * growth.share, "%", when),
    )


def _rule(thresholds: Thresholds) -> str:
    return (
        f"on its way back the gradient grows, by its gains and against what the loss puts in, by a factor of at least "
        f"{number(thresholds.growth)} at {thresholds.growth_share:.0%} of the recorded steps; or the norm before "
        f"clipping is at least {number(thresholds.spike)} times the usual one at {thresholds.spike_share:.2%} of the "
        f"steps, or {number(thresholds.spike_severe)} times at one."
    )


def _advice(spikes: Spikes, held: bool) -> tuple[str, ...]:
    if held:
        return ("keep clipping on: without it these steps would be taken in full.",)
    clip = "clip by global norm"
    if spikes.usual:
        clip += f", norm:{spikes.usual:.2g} say (the usual norm; half to ten times it will do; Pascanu et al. 2013)"
    return (
        f"{clip}.",
        "a smaller learning rate: jumps of the norm are met at the steep walls of the loss, which small steps avoid.",
        "a start with a smaller recurrent weight (orthogonal, or its singular values at most 1).",
    )
