"""The rules about units: dead units, which do nothing or get no gradient, and saturated gates, whose slope is small."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis.diagnosis.context import DiagnosticContext
from graddiag.analysis.diagnosis.findings import PRACTICE, Advice, Evidence, Finding, Severity, Strength, place_in
from graddiag.analysis.gates.units import DeadUnits
from graddiag.analysis.selection import Selection
from graddiag.analysis.values import Floats, Ints
from graddiag.analysis.words import gate_title, percent, plural, span
from graddiag.kinds import KEEPING, is_state
from graddiag.run import numbers

_USED_FOR_DEAD: Final = ("dead_share", "judged_share")


def dead(measured: DiagnosticContext) -> Finding | None:
    """The layer with the largest share of dead units, by its snapshots; None where there is none, or no snapshot."""
    found = [each for each in measured.dead if len(each.dead)]
    if not found:
        return None
    worst = max(found, key=lambda each: each.share or 0.0)
    assert worst.share is not None
    t = measured.thresholds
    many, all_of_them = worst.share >= t.dead_share, worst.share >= t.dead_all
    severity: Severity = measured.severity() if many else "info"
    strength: Strength | None = "strong" if all_of_them else "weak" if many else None
    label, steps, onset = worst.selection.label, (int(worst.judged[0]), int(worst.judged[-1])), _onset(worst)
    sentence = (
        f"In {label} {len(worst.dead)} of {plural(worst.units, 'unit')} ({percent(worst.share)}) are dead in "
        f"{_when(worst)}: {len(worst.silent)} never change, {len(worst.without_gradient)} get no gradient."
    )
    where, place = f"{label}, {span(*steps)}", place_in(worst.selection, *steps)
    evidence = (
        Evidence("dead units", len(worst.dead), f"of {worst.units}", where, place),
        Evidence("snapshots", len(worst.judged), f"of {len(worst.steps)}", where, place),
    )
    rule = (
        f"a unit whose activations are one number, or whose dL/dh is exactly 0, at all timesteps of the last "
        f"{t.judged_share:.0%} of the snapshots; a warning from {t.dead_share:.0%} of a layer's units on."
    )
    advice = _advice(measured, worst)
    return Finding("dead-units", severity, sentence, evidence, rule, advice, _USED_FOR_DEAD, onset, strength)


def _when(found: DeadUnits) -> str:
    if found.since.max() == found.steps[0]:
        return "every snapshot"
    return f"the last {plural(len(found.judged), 'snapshot')}, at least half of them from step {_onset(found)} on"


def _onset(found: DeadUnits) -> int:
    """The step of the first snapshot from which on at least half of the dead units are dead."""
    return int(np.sort(found.since)[(len(found.since) - 1) // 2])


def _advice(measured: DiagnosticContext, found: DeadUnits) -> tuple[Advice, ...]:
    """Of units that died in training the size of the steps first; of those dead from the start how they start, by the
    kind of cell; of those that only get no gradient what the loss is made of."""
    tries = []
    if _onset(found) > found.steps[0]:
        clip = measured.clip.advice()
        tries += [measured.rate.lower(), *([clip] if clip is not None else [])]
    if len(found.silent):
        tries += _start(measured, found)
    if len(found.without_gradient) > len(found.silent):
        tries.append(
            Advice(
                "Check whether the loss depends on these units: a mask, a slice or a detach() may leave them out.",
                PRACTICE,
                "connect-loss",
            )
        )
    if len(found.dead) < found.units:
        tries.append(Advice("Use fewer units, if the others are enough.", PRACTICE, "continue"))
    return tuple(tries)


def _start(measured: DiagnosticContext, found: DeadUnits) -> list[Advice]:
    cell = measured.cell(found.selection)
    relu = Advice(
        "Start with a positive bias, or use a leaky or smooth activation.", "Maas et al. 2013", "revive-units"
    )
    ends = Advice(
        "Scale the inputs down or start with smaller weights: these activations are saturated.",
        "Glorot & Bengio 2010",
        "scale-inputs",
    )
    either = Advice(
        "Start with a positive bias if the units are relus; else scale inputs and weights down (no gates "
        "were recorded).",
        "Maas et al. 2013; Glorot & Bengio 2010",
        "revive-units",
    )
    return [either if cell.type is None else relu if cell.is_relu else ends]


@dataclass(frozen=True)
class SaturationCause:
    """One gate of one layer: the share of saturated activations at the recorded steps, [S], mean over timesteps. It is
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


def saturation(measured: DiagnosticContext) -> list[SaturationCause]:
    """The saturated share of each gate of each layer; of a gate that keeps the state that of the shut side alone."""
    return [each for layer in measured.selections for each in _shares(measured, layer)]


def saturated(measured: DiagnosticContext) -> Finding | None:
    """The most saturated gate, if it is beyond the threshold. A cause where it was so from the first step on; later it
    is what large updates made of it.

    A forget gate (or a GRU's z) that is open throughout is not counted: that is how a cell remembers. Neither is a
    relu, whose zeros are its nature.
    """
    limit = measured.thresholds.saturated
    found = [each for each in saturation(measured) if each.typical >= limit]
    if not found:
        return None
    worst = max(found, key=lambda each: each.typical)
    onset, place = worst.since(limit), replace(place_in(worst.selection), gate=worst.gate)
    when = f"{worst.selection.label}, {span(int(worst.steps[worst.judged_from]), int(worst.steps[-1]))}"
    title = gate_title(worst.gate)
    rnn = is_state(worst.gate)
    what = "activations of the hidden state" if rnn else f"activations of the {title}"
    from_start = onset <= int(worst.steps[0])
    sentence = (
        f"{percent(worst.typical)} of the {what} are saturated ({worst.selection.label}), "
        f"{'from the first recorded step on' if from_start else f'from step {onset:,} on'}: their slope is near 0."
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
    pulls = worst.gate not in KEEPING  # a gate that forgets is a matter of its bias
    strength: Strength = (
        "strong" if from_start and pulls and worst.typical >= measured.thresholds.saturated_all else "weak"
    )
    evidence = Evidence(f"saturated share of the {title}, median step", 100 * worst.typical, "%", when, place)
    return Finding(
        "saturated-gates",
        measured.severity(),
        sentence,
        (evidence, *others),
        _rule(measured),
        (_SMALLER, _NORMALISE) if from_start else (measured.rate.lower(), _SMALLER, _NORMALISE),
        _USED_FOR_SATURATED,
        onset,
        strength,
        "saturated activations" if rnn else "saturated gates",
    )


_USED_FOR_SATURATED: Final = ("saturated", "saturated_all", "judged_share")
_SMALLER: Final = Advice(
    "Scale the inputs down, or start with smaller weights: pre-activations beyond about 2.2 saturate.",
    "Glorot & Bengio 2010",
    "scale-inputs",
)
_NORMALISE: Final = Advice("Normalize the pre-activations (layer norm).", "Ba, Kiros & Hinton 2016", "scale-inputs")


def _rule(measured: DiagnosticContext) -> str:
    t = measured.thresholds
    return (
        f"at least {t.saturated:.0%} of a gate's activations are saturated (a sigmoid below "
        f"{schema.SATURATION_LOW:g} or above {schema.SATURATION_HIGH:g}, a tanh beyond {schema.SATURATION_HIGH:g}), in "
        f"the median of the last {t.judged_share:.0%} of the recorded steps; an open f or z does not count."
    )


def _shares(measured: DiagnosticContext, layer: Selection) -> list[SaturationCause]:
    columns = [schema.STEP, schema.GATE, schema.SATURATED_LOW, schema.SATURATED_HIGH]
    where = {**layer.where, schema.STEP: [int(step) for step in measured.sampled_steps]}
    if not where[schema.STEP]:
        return []
    rows = measured.run.read(schema.TABLE_GATES, columns=columns, where=where)
    (low, _), (high, no_high) = (numbers(rows[name]) for name in columns[2:])
    gates, steps = rows[schema.GATE].to_numpy(dtype=object), rows[schema.STEP].to_numpy(dtype=np.int64)
    found = []
    for gate in dict.fromkeys(gates):
        chosen = (gates == gate) & ~no_high
        share = low if gate in KEEPING else low + high
        at, means = _by_step(steps[chosen], share[chosen])
        if len(at):
            found.append(SaturationCause(layer, str(gate), at, means, measured.thresholds.judged_share))
    return found


def _by_step(steps: Ints, shares: Floats) -> tuple[Ints, Floats]:
    """The mean share at each step, over the timesteps where it is finite; steps without any are left out."""
    finite = np.isfinite(shares)
    at, rows = np.unique(steps[finite], return_inverse=True)
    return at, np.bincount(rows, shares[finite], len(at)) / np.maximum(np.bincount(rows, minlength=len(at)), 1)
