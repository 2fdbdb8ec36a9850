"""The rule for a vanishing gradient: what the loss says does not arrive at timesteps that hear it only through time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from graddiag.analysis.findings import Advice, Evidence, Finding, Severity, place_in
from graddiag.analysis.reach import Reach
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Ints
from graddiag.analysis.words import number, plural, span

_ADVICE: Final = {
    "lstm": Advice("a forget-gate bias of 1 or more (the sum of torch's two biases).", "Jozefowicz et al. 2015"),
    "gru": Advice("a larger bias of the update gate z, so that the state is copied longer.", "Tallec & Ollivier 2018"),
    "": Advice("an LSTM or GRU, whose state is carried on by a sum.", "Hochreiter & Schmidhuber 1997"),
}
_USED: Final = ("touched_floor", "arriving", "arriving_severe", "fresh_gain", "judged_share")


@dataclass(frozen=True)
class Fading:
    """What arrives in one layer over the judged steps: the median share at the worst-served timestep, and the geometric
    mean of the gains (None where the loss touches fewer than half of the timesteps)."""

    reach: Reach
    judged: tuple[int, int]
    arriving: float
    fresh_gain: float | None


def fading(reach: Reach, thresholds: Thresholds) -> Fading | None:
    """What arrives in one layer, by the last ``judged_share`` of the steps at which that is known; None if at none."""
    known = np.flatnonzero(np.isfinite(reach.arriving_by_step))
    if not len(known) or (reach.missing and not reach.zero_gains):
        return None
    judged = known[int(len(known) * (1 - thresholds.judged_share)) :]
    return Fading(
        reach,
        (int(reach.steps[judged[0]]), int(reach.steps[judged[-1]])),
        float(np.median(reach.arriving_by_step[judged])),
        _fresh_gain(reach, judged) if reach.dense else None,
    )


def vanishing(found: Sequence[Fading], thresholds: Thresholds, model: str | None) -> Finding | None:
    """The finding about the layer in which least arrives, or None."""
    starved = [each for each in found if each.arriving < thresholds.arriving]
    if starved:
        return _starved(min(starved, key=lambda each: each.arriving), thresholds, model)
    cut = [each for each in found if each.fresh_gain is not None and each.fresh_gain < thresholds.fresh_gain]
    return _cut(min(cut, key=lambda each: each.fresh_gain or 0.0), thresholds, model) if cut else None


def _starved(fading: Fading, thresholds: Thresholds, model: str | None) -> Finding:
    reach, share = fading.reach, fading.arriving
    severity: Severity = "severe" if share < thresholds.arriving_severe else "warning"
    amount = f"a share of {number(share)}" if share > 0 else "nothing at all"
    sentence = (
        f"In {reach.selection.label} {amount} of the loss's gradient arrives at the timesteps farthest from it "
        f"({plural(reach.length, 'timestep')} in all): what happens there is not learned."
    )
    rule, advice = _rule(thresholds), _advice(model, reach)
    return Finding(
        "vanishing", severity, sentence, evidence_of(fading), rule, advice, _USED, _began(fading, thresholds)
    )


def _cut(fading: Fading, thresholds: Thresholds, model: str | None) -> Finding:
    reach = fading.reach
    sentence = (
        f"In {reach.selection.label} one step back through time leaves {number(fading.fresh_gain)} of the gradient: "
        "each timestep learns from its own loss alone, and hardly anything teaches the recurrence."
    )
    rule, advice, onset = _rule(thresholds), _advice(model, reach), fading.judged[0]
    return Finding("vanishing", "warning", sentence, evidence_of(fading), rule, advice, _USED, onset)


def _began(fading: Fading, thresholds: Thresholds) -> int:
    """The first recorded step from which on less than ``arriving`` arrives, for good."""
    arriving = fading.reach.arriving_by_step
    enough = np.flatnonzero(np.isfinite(arriving) & (arriving >= thresholds.arriving))
    last = int(enough[-1]) if len(enough) else -1
    return int(fading.reach.steps[last + 1]) if last + 1 < len(arriving) else fading.judged[0]


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


def _fresh_gain(reach: Reach, judged: Ints) -> float | None:
    if reach.zero_gains > reach.n_gains:
        return 0.0
    exponents = reach.exponent_by_step[judged]
    exponents = exponents[np.isfinite(exponents)]
    return math.exp(float(np.median(exponents))) if len(exponents) else None


def _rule(thresholds: Thresholds) -> str:
    return (
        f"over the last {thresholds.judged_share:.0%} of the recorded steps the median share that arrives at the "
        f"worst-served timestep is below {number(thresholds.arriving)} (severe below "
        f"{number(thresholds.arriving_severe)}, the resolution of float32); or, with a loss at most timesteps, a mean "
        f"transport gain below {number(thresholds.fresh_gain)}."
    )


def _advice(model: str | None, reach: Reach) -> tuple[Advice, ...]:
    kind = next((name for name in ("lstm", "gru") if name in f"{model} {reach.selection.module}".lower()), "")
    return (
        _ADVICE[kind],
        Advice("an orthogonal or identity start of the recurrent weight.", "Le, Jaitly & Hinton 2015"),
        Advice(
            "shorter sequences, or a loss at more timesteps; clipping cannot help a gradient that vanishes.",
            "Pascanu et al. 2013",
        ),
    )
