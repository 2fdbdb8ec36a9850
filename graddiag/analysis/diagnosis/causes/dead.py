"""The rule for dead units: they do nothing, or nothing teaches them."""

from typing import Final

import numpy as np

from graddiag.analysis.diagnosis.context import DiagnosticContext
from graddiag.analysis.diagnosis.findings import PRACTICE, Advice, Evidence, Finding, Severity, Strength, place_in
from graddiag.analysis.gates.dead_units import DeadUnits
from graddiag.analysis.words import percent, plural, span

_USED: Final = ("dead_share", "judged_share")


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
    return Finding("dead-units", severity, sentence, evidence, rule, advice, _USED, onset, strength)


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
