"""The rule for dead units: they do nothing, or nothing teaches them."""

from graddiag.analysis.findings import Advice, Evidence, Finding, Severity, place_in
from graddiag.analysis.measured import Measured
from graddiag.analysis.words import percent, plural, span


def dead(measured: Measured) -> Finding | None:
    """The layer with the largest share of dead units, by its snapshots; None where there is none, or no snapshot."""
    found = [each for each in measured.dead if len(each.dead)]
    if not found:
        return None
    worst = max(found, key=lambda each: each.share or 0.0)
    assert worst.share is not None
    limit = measured.thresholds.dead_share
    severity: Severity = "warning" if worst.share >= limit else "info"
    label, steps = worst.selection.label, (int(worst.steps[0]), int(worst.steps[-1]))
    sentence = (
        f"In {label} {len(worst.dead)} of {plural(worst.units, 'unit')} ({percent(worst.share)}) are dead in every "
        f"snapshot: {len(worst.silent)} never change, {len(worst.untaught)} get no gradient."
    )
    where, place = f"{label}, {span(*steps)}", place_in(worst.selection, *steps)
    evidence = (
        Evidence("dead units", len(worst.dead), f"of {worst.units}", where, place),
        Evidence("snapshots", len(worst.steps), "", where, place),
    )
    rule = (
        "a unit whose activations are the same, or whose dL/dh is exactly 0, at all timesteps of all snapshots; a "
        f"warning from {limit:.0%} of a layer's units on."
    )
    advice = (
        Advice("a smaller learning rate, or clipping: one large step can push a relu below 0 for good.", "Maas 2013"),
        Advice("a bias above 0 at the start, or a leaky or smooth activation.", "Maas et al. 2013"),
        Advice("fewer units, if the others do the job."),
    )
    return Finding("dead-units", severity, sentence, evidence, rule, advice, ("dead_share",))
