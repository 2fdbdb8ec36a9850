"""The rule for an exploding gradient: it grows on its way back through time, or its norm jumps or climbs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from graddiag.analysis.findings import PRACTICE, Advice, Evidence, Finding, Place, Severity, place_in
from graddiag.analysis.norms import NormHistory
from graddiag.analysis.reach import Reach
from graddiag.analysis.remedies import clip, smaller_rate
from graddiag.analysis.spikes import Spikes, climbs_from, find_high, find_spikes, leads_up_from
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


@dataclass(frozen=True)
class _Signs:
    """What speaks for an explosion: growth through time; norms that jump or, if none does, ``climb``, and the step from
    which on they do."""

    growth: Growth | None
    norms: Spikes | None
    norms_from: int | None
    climb: bool

    @property
    def onset(self) -> int:
        began = [] if self.norms_from is None else [self.norms_from]
        return min(began + ([] if self.growth is None else [self.growth.first_step]))


def exploding(
    history: NormHistory,
    reaches: Sequence[Reach],
    thresholds: Thresholds,
    *,
    harmed: bool = False,
    update_ratio: float | None = None,
) -> Finding | None:
    """The finding, or None. It is information only where clipping caught the steps in question, or where the norm
    climbs over many steps without a jump and the training is not ``harmed``.

    Either sign is enough: growth through time by ``growth`` at ``growth_share`` of the recorded steps, or spikes of
    the norm before clipping: a share of ``spike_share`` of the steps, or a single one of ``spike_severe``; or as many
    norms as large that came without a jump.
    """
    grown = [each for each in (_growth(one, thresholds) for one in reaches) if each is not None]
    growth = max(
        (each for each in grown if each.share >= thresholds.growth_share), key=lambda each: each.typical, default=None
    )
    jumps = find_spikes(history.steps, history.before.values, thresholds)
    high = find_high(history.steps, history.before.values, thresholds)
    climb = not _many(jumps, thresholds) and _many(high, thresholds)
    found = high if climb else jumps if _many(jumps, thresholds) else None
    since = climbs_from if climb else leads_up_from
    norms_from = None if found is None else since(history.steps, history.before.values, found)
    signs = _Signs(growth, found, norms_from, climb)
    if growth is None and signs.norms is None:
        return None
    held = held_by_clipping(history, high if climb else jumps, growth, thresholds)
    severity: Severity = "info" if held else _severity(signs, thresholds, harmed)
    harmless = not held and severity == "info"
    return Finding(
        "exploding",
        severity,
        _sentence(signs, _caught(growth, history) if held else None),
        (*_norm_evidence(signs), *(_growth_evidence(growth) if growth else ())),
        _rule(thresholds),
        (_WATCH,) if harmless else _advice(signs, history, jumps.usual, held, update_ratio),
        _USED,
        signs.onset,
    )


_WATCH: Final = Advice(
    "leave it while the loss falls; if it no longer does, a smaller learning rate, or clipping by norm.", PRACTICE
)
_USED: Final = (
    *("growth", "growth_share", "growth_severe", "spike", "spike_share", "spike_severe", "spike_share_severe"),
    *("recent", "history"),
)


def held_by_clipping(history: NormHistory, spikes: Spikes, growth: Growth | None, thresholds: Thresholds) -> bool:
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


def _share_left(growth: Growth, clipped: Ints) -> float:
    """The share of the recorded steps that grow and were not clipped."""
    return growth.share * float((~np.isin(growth.steps, clipped)).mean())


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


def _many(found: Spikes, thresholds: Thresholds) -> bool:
    if not len(found.steps):
        return False
    return found.share >= thresholds.spike_share or bool(found.ratios.max() >= thresholds.spike_severe)


def _severity(signs: _Signs, thresholds: Thresholds, harmed: bool) -> Severity:
    growth, norms = signs.growth, signs.norms
    if growth is None and signs.climb and not harmed:
        return "info"
    large = norms is not None and bool(norms.ratios.max() >= thresholds.spike_severe)
    often = norms is not None and not signs.climb and norms.share >= thresholds.spike_share_severe
    by_growth = growth is not None and growth.typical >= thresholds.growth_severe
    return "severe" if often or by_growth or (large and (harmed or not signs.climb)) else "warning"


def _caught(growth: Growth | None, history: NormHistory) -> str:
    """Which of the steps clipping caught, in words, where it held the explosion."""
    every = growth is None or not _share_left(growth, _clipped(history))
    return "every such step" if every else "nearly every such step"


def _sentence(signs: _Signs, caught: str | None) -> str:
    parts, norms, growth = [], signs.norms, signs.growth
    if norms is not None:
        at = norms.largest
        times = f"{number(float(norms.ratios[at]))} times the usual {number(norms.usual)}"
        top = f"to {number(float(norms.norms[at]))} at step {norms.steps[at]}, {times}"
        jumps = f"jumps at {plural(len(norms.steps), 'step')} of {norms.counted:,}: {top}"
        climbs = f"climbs from step {signs.norms_from} on, {top} before, without a jump"
        parts.append(f"The gradient norm {climbs if signs.climb else jumps}.")
    if growth is not None:
        parts.append(
            f"On its way back through time the gradient of {growth.reach.selection.label} grows, by a factor of "
            f"{number(growth.typical)} in the median step and {number(growth.largest)} at step {growth.largest_step}."
        )
    if caught:
        parts.append(f"Clipping caught {caught}, so the updates stayed of the usual size.")
    return " ".join(parts)


def _norm_evidence(signs: _Signs) -> tuple[Evidence, ...]:
    norms = signs.norms
    if norms is None:
        return ()
    at = norms.largest
    when, place = f"step {norms.steps[at]}", Place(step=int(norms.steps[at]))
    norm, first = "(L2 over all parameters)", Place(step=int(norms.steps[0]))
    largest = "largest norm before clipping" if signs.climb else "largest jump of the norm before clipping"
    steps = "steps with so large a norm" if signs.climb else "steps that jump"
    return (
        Evidence(largest, float(norms.norms[at]), norm, when, place),
        Evidence("that is, over the usual norm", float(norms.ratios[at]), "times", when, place),
        Evidence(steps, len(norms.steps), f"of {norms.counted:,}", f"first at step {first.step}", first),
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
        f"clipping is at least {number(thresholds.spike)} times the usual one, of all steps before and of the last "
        f"{thresholds.recent}, at {thresholds.spike_share:.2%} of the steps, or {number(thresholds.spike_severe)} "
        "times at one; or so many times that of all steps before alone, which is information unless the loss never "
        "fell, rose again or ended in NaN or inf."
    )


def _advice(
    signs: _Signs, history: NormHistory, usual: float | None, held: bool, ratio: float | None
) -> tuple[Advice, ...]:
    """The recurrent weight first where the gradient grew through time from the first step on and its norm is level;
    the learning rate first where the norm climbs; else clipping, or a lower threshold where there is one."""
    if held:
        return (Advice("keep clipping on: without it these steps would be taken in full.", "Pascanu et al. 2013"),)
    clipping = clip(history, usual)
    rate = smaller_rate("jumps of the norm are met at steep walls of the loss, which small steps avoid", ratio)
    if signs.growth is None:
        return (_climbing(ratio), clipping) if signs.climb else (clipping, rate)
    weight = Advice(
        "a start with a smaller recurrent weight (orthogonal, or its singular values at most 1).", "Saxe et al. 2014"
    )
    always = signs.norms is None and signs.growth.first_step == int(signs.growth.reach.steps[0])
    return (weight, clipping, rate) if always else (clipping, rate, weight)


def _climbing(ratio: float | None) -> Advice:
    return smaller_rate("a norm that climbs tells of weights that move into a steeper region", ratio)
