"""The rule for saturated gates: nearly all activations of a gate at their ends, where its slope passes little on."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis.findings import Advice, Evidence, Finding, Severity, place_in
from graddiag.analysis.measured import Measured
from graddiag.analysis.remedies import clip, smaller_rate
from graddiag.analysis.selection import Selection
from graddiag.analysis.values import Floats, Ints
from graddiag.analysis.words import gate_title, percent, span
from graddiag.run import numbers

# the gate that carries the state on: to be open all the time is what it is for
_CARRYING: Final = ("f", "z")


@dataclass(frozen=True)
class Saturation:
    """One gate of one layer: the share of saturated activations at the steps looked at, [S], mean over timesteps. It is
    judged by the last ``judged_share`` of them."""

    selection: Selection
    gate: str
    steps: Ints
    shares: Floats
    judged_share: float

    @property
    def judged_from(self) -> int:
        """The index of the first of them that is judged."""
        return int(len(self.shares) * (1 - self.judged_share))

    @property
    def typical(self) -> float:
        return float(np.median(self.shares[self.judged_from :]))

    def since(self, limit: float) -> int:
        """The first of the steps from which on the share stays at or above ``limit``; else the first such step."""
        below = np.flatnonzero(self.shares < limit)
        after = int(below[-1]) + 1 if len(below) else 0
        return int(self.steps[after if after < len(self.steps) else int((self.shares >= limit).argmax())])


def saturated(measured: Measured) -> Finding | None:
    """The most saturated gate, if it is beyond the threshold. A warning only where the training shows harm.

    A forget gate (or a GRU's z) that is open throughout is not counted: that is how a cell remembers. Neither is a
    relu, whose zeros are its nature.
    """
    limit = measured.thresholds.saturated
    found = [each for layer in measured.selections for each in _shares(measured, layer) if each.typical >= limit]
    if not found:
        return None
    worst = max(found, key=lambda each: each.typical)
    severity: Severity = "warning" if measured.harmed else "info"
    onset, place = worst.since(limit), replace(place_in(worst.selection), gate=worst.gate)
    when = f"{worst.selection.label}, {span(int(worst.steps[worst.judged_from]), int(worst.steps[-1]))}"
    title = gate_title(worst.gate)
    sentence = (
        f"In {worst.selection.label} {percent(worst.typical)} of the {title} is saturated, seen from step {onset} on: "
        "there its slope is small, and it hardly learns any more."
    )
    others = tuple(
        Evidence(
            f"saturated share of the {gate_title(each.gate)}",
            100 * each.typical,
            "%",
            each.selection.label,
            replace(place_in(each.selection), gate=each.gate),
        )
        for each in found
        if each is not worst
    )
    if severity == "info":
        sentence += " The gradient through time is healthy all the same and the loss does not stand still."
    evidence = Evidence(f"saturated share of the {title}, median step", 100 * worst.typical, "%", when, place)
    return Finding(
        "saturated-gates",
        severity,
        sentence,
        (evidence, *others),
        _rule(measured),
        _advice(measured, worst, onset),
        _USED,
        onset,
    )


_USED: Final = ("saturated", "judged_share")
_SMALLER: Final = Advice(
    "smaller inputs or a smaller start of the weights: saturation comes of pre-activations beyond about 2.2.",
    "Glorot & Bengio 2010",
)
_NORMALISE: Final = Advice("layer normalisation of the pre-activations.", "Ba, Kiros & Hinton 2016")


def _advice(measured: Measured, worst: Saturation, onset: int) -> tuple[Advice, ...]:
    """Clipping first where the norm jumps: then the jump is what drove the units there. Smaller steps first where the
    gate was not saturated at the start."""
    rate = smaller_rate("one large step drives units to their ends", measured.update_ratio)
    jumping = measured.exploding is not None and measured.exploding.alarming
    if jumping:
        return clip(measured.history, measured.recommended.safety_net), rate, _SMALLER, _NORMALISE
    if onset > int(worst.steps[0]):
        return rate, _SMALLER, _NORMALISE
    return _SMALLER, _NORMALISE


def _rule(measured: Measured) -> str:
    t = measured.thresholds
    return (
        f"at least {t.saturated:.0%} of a gate's activations are saturated (a sigmoid below "
        f"{schema.SATURATION_LOW:g} or above {schema.SATURATION_HIGH:g}, a tanh beyond {schema.SATURATION_HIGH:g}), in "
        f"the median of the last {t.judged_share:.0%} of the steps looked at; an open f or z does not count. A "
        "warning if the gradient is ill, or the loss never fell or rose again."
    )


def _shares(measured: Measured, layer: Selection) -> list[Saturation]:
    columns = [schema.STEP, schema.GATE, schema.SATURATED_LOW, schema.SATURATED_HIGH]
    where = {**layer.where, schema.STEP: [int(step) for step in measured.looked_at]}
    if not where[schema.STEP]:
        return []
    rows = measured.run.read(schema.TABLE_GATES, columns=columns, where=where)
    (low, _), (high, no_high) = (numbers(rows[name]) for name in columns[2:])
    gates, steps = rows[schema.GATE].to_numpy(dtype=object), rows[schema.STEP].to_numpy(dtype=np.int64)
    found = []
    for gate in dict.fromkeys(gates):
        chosen = (gates == gate) & ~no_high
        share = low if gate in _CARRYING else low + high
        at, means = _by_step(steps[chosen], share[chosen])
        if len(at):
            found.append(Saturation(layer, str(gate), at, means, measured.thresholds.judged_share))
    return found


def _by_step(steps: Ints, shares: Floats) -> tuple[Ints, Floats]:
    """The mean share at each step, over the timesteps where it is finite; steps without any are left out."""
    finite = np.isfinite(shares)
    at, rows = np.unique(steps[finite], return_inverse=True)
    return at, np.bincount(rows, shares[finite], len(at)) / np.maximum(np.bincount(rows, minlength=len(at)), 1)
