"""The rule for a vanishing gradient: what the loss sends back does not reach timesteps that have no loss."""

import math
from collections.abc import Sequence
from typing import Final

from graddiag.analysis.diagnosis.causes.reach_advice import advice_on
from graddiag.analysis.diagnosis.context import DiagnosticContext
from graddiag.analysis.diagnosis.findings import PRACTICE, Advice, Evidence, Finding, Strength, place_in
from graddiag.analysis.flow.fading import Fading, arrived_early, began
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.words import number, percent, plural, span

_USED: Final = (
    *("touched_floor", "arriving", "arriving_severe", "fresh_gain", "dense_share", "judged_share"),
    *("gate_open", "saturated"),
)


def vanishing(measured: DiagnosticContext) -> Finding | None:
    """The finding about the layer in which the smallest share is left, or None; layers whose back-propagation is cut
    short are left out."""
    cut = [each.selection for each in measured.cuts]
    found = [each for each in measured.faded if each.reach.selection not in cut]
    starved = [each for each in found if each.arriving < measured.thresholds.arriving]
    if starved:
        return _starved(measured, min(starved, key=lambda each: each.arriving))
    return _dense(measured, found)


def _starved(measured: DiagnosticContext, fading: Fading) -> Finding:
    reach, share, t = fading.reach, fading.arriving, measured.thresholds
    amount = percent(share) if share > 0 else "nothing"
    sentence = (
        f"The gradient vanishes: {amount} of it reaches the timesteps farthest from the loss ({reach.selection.label}, "
        f"{plural(reach.length, 'timestep')}, median of {span(*fading.judged)}). What happens there is not learned."
    )
    inside = reach.inside
    if inside is not None and inside.makes_vanishing:
        sentence += f" {inside.sentence}"
    since = began(fading, t)
    thrown = measured.thrown_first
    late = arrived_early(fading, t) or (thrown is not None and since > thrown)
    if late and since > fading.reach.steps[0]:
        sentence += f" Until step {since:,} it did reach them."
    severe = share < t.arriving_severe
    strength: Strength = "weak" if late else "strong" if severe else "moderate"
    severe = severe and not late
    advice = advice_on(measured, fading)
    if inside is not None and inside.makes_vanishing:
        loosen = Advice(
            f"Loosen or remove {inside.policy}: it makes the gradient vanish.", PRACTICE, "raise-clip-threshold"
        )
        advice = (loosen, *advice)
    return Finding(
        "vanishing",
        measured.severity(severe=severe),
        sentence,
        evidence_of(fading),
        _rule(t),
        advice,
        _USED,
        since,
        strength,
    )


def _dense(measured: DiagnosticContext, found: Sequence[Fading]) -> Finding | None:
    """With a loss at most timesteps: how much of what one loss sends back is left one timestep earlier."""
    t = measured.thresholds
    short = [each for each in found if each.fresh_gain is not None and each.fresh_gain < t.fresh_gain]
    if not short:
        return None
    fading = min(short, key=lambda each: each.fresh_gain or 0.0)
    reach = fading.reach
    sentence = (
        f"What a loss sends back vanishes: {percent(fading.fresh_gain or 0.0)} of it is left after one timestep "
        f"({reach.selection.label}). Each timestep learns from its own loss alone."
    )
    advice = advice_on(measured, fading)
    return Finding(
        "vanishing", measured.severity(), sentence, evidence_of(fading), _rule(t), advice, _USED, fading.judged[0],
        "moderate",
    )  # fmt: skip


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
    share = "share of the gradient that reaches the farthest timestep, median"
    found = [Evidence(share, fading.arriving, "", judged, place)]
    if reach.exponent is not None and reach.horizon is not None:
        found.append(Evidence("growth rate of the gradient", reach.exponent, "per timestep", all_steps, everywhere))
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
        f"over the last {thresholds.judged_share:.0%} of the recorded steps the median share that reaches the "
        f"farthest timestep is below {number(thresholds.arriving)} (severe below "
        f"{number(thresholds.arriving_severe)}, the resolution of float32); or, with a loss at most timesteps, a mean "
        f"transport gain below {number(thresholds.fresh_gain)}."
    )
