"""The rule for a vanishing gradient: what the loss says does not arrive at timesteps that hear it only through time."""

import math
from collections.abc import Callable, Sequence
from typing import Final

from graddiag.analysis.fading import Fading, began
from graddiag.analysis.findings import Evidence, Finding, Severity, place_in
from graddiag.analysis.kinds import Cell
from graddiag.analysis.longer import advice_on
from graddiag.analysis.selection import Selection
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.words import number, plural, span

_USED: Final = (
    *("touched_floor", "arriving", "arriving_severe", "fresh_gain", "dense_share", "judged_share"),
    *("gate_open", "saturated"),
)


def vanishing(found: Sequence[Fading], thresholds: Thresholds, cell_of: Callable[[Selection], Cell]) -> Finding | None:
    """The finding about the layer in which least arrives, or None; ``cell_of`` is asked about that layer alone."""
    starved = [each for each in found if each.arriving < thresholds.arriving]
    if starved:
        return _starved(min(starved, key=lambda each: each.arriving), thresholds, cell_of)
    cut = [each for each in found if each.fresh_gain is not None and each.fresh_gain < thresholds.fresh_gain]
    return _cut(min(cut, key=lambda each: each.fresh_gain or 0.0), thresholds, cell_of) if cut else None


def _starved(fading: Fading, thresholds: Thresholds, cell_of: Callable[[Selection], Cell]) -> Finding:
    reach, share = fading.reach, fading.arriving
    severity: Severity = "severe" if share < thresholds.arriving_severe else "warning"
    amount = f"a share of {number(share)}" if share > 0 else "nothing at all"
    sentence = (
        f"In {reach.selection.label} {amount} of the loss's gradient arrives at the timesteps farthest from it "
        f"({plural(reach.length, 'timestep')} in all): what happens there is not learned."
    )
    rule, advice = _rule(thresholds), advice_on(fading, cell_of(reach.selection), thresholds)
    return Finding("vanishing", severity, sentence, evidence_of(fading), rule, advice, _USED, began(fading, thresholds))


def _cut(fading: Fading, thresholds: Thresholds, cell_of: Callable[[Selection], Cell]) -> Finding:
    reach = fading.reach
    sentence = (
        f"In {reach.selection.label} one step back through time leaves {number(fading.fresh_gain)} of the gradient: "
        "each timestep learns from its own loss alone, and hardly anything teaches the recurrence."
    )
    rule, onset = _rule(thresholds), fading.judged[0]
    advice = advice_on(fading, cell_of(reach.selection), thresholds)
    return Finding("vanishing", "warning", sentence, evidence_of(fading), rule, advice, _USED, onset)


def evidence_of(fading: Fading) -> tuple[Evidence, ...]:
    """The numbers about the gradient's way back through time in one layer."""
    reach = fading.reach
    judged, all_steps = (
        f"{reach.selection.label}, {span(*steps)}"
        for steps in (fading.judged, (int(reach.steps[0]), int(reach.steps[-1])))
    )
    place, everywhere = (
        place_in(reach.selection, *steps) for steps in (fading.judged, (int(reach.steps[0]), int(reach.steps[-1])))
    )
    share = "share of the loss's gradient at the worst-served timestep, median"
    found = [Evidence(share, fading.arriving, "", judged, place)]
    if reach.exponent is not None and reach.horizon is not None:
        found.append(Evidence("mean ln of the transport gain", reach.exponent, "a timestep", all_steps, everywhere))
        unit = "(it does not fade)" if math.isinf(reach.horizon) else f"of {plural(reach.length, 'timestep')}"
        found.append(Evidence("memory horizon", reach.horizon, unit, all_steps, everywhere))
    if reach.ratio is not None:
        name = "‖dL/dh‖ at the first timestep over the last, median"
        found.append(Evidence(name, reach.ratio, "", all_steps, everywhere))
    if reach.zero_gains:
        found.append(Evidence("transport gains that are exactly 0", reach.zero_gains, "", all_steps, everywhere))
    return tuple(found)


def _rule(thresholds: Thresholds) -> str:
    return (
        f"over the last {thresholds.judged_share:.0%} of the recorded steps the median share that arrives at the "
        f"worst-served timestep is below {number(thresholds.arriving)} (severe below "
        f"{number(thresholds.arriving_severe)}, the resolution of float32); or, with a loss at most timesteps, a mean "
        f"transport gain below {number(thresholds.fresh_gain)}."
    )
