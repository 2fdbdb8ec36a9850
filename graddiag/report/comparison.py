"""The comparison of a chapter's runs: effects with their intervals, what differs, and where pairs part."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from graddiag import analysis, figures
from graddiag.analysis import Comparison, Effect, Parting, number
from graddiag.report.content import Grid, Part
from graddiag.report.plots import picture
from graddiag.report.words import UNKNOWN
from graddiag.run import Run


def comparison_part(id: str, runs: Sequence[Run]) -> Part:
    """What ``runs`` say against each other; a sentence alone when there is nothing to compare."""
    compared = analysis.compare(runs)
    sentences = (compared.caption, *(_parted(each) for each in compared.parting))
    if compared.missing:
        return Part("Comparison", sentences)
    drawn = picture(f"{id}-effects", "Effects", [], partial(figures.effects, compared, title=False))
    tables = [_effects(compared, arm.arm) for arm in compared.arms[1:]]
    if compared.differences:
        tables.append(_differences(compared))
    return Part("Comparison", sentences, tuple(tables), (drawn,))


def _effects(compared: Comparison, arm: str) -> Grid:
    baseline = compared.arms[0].arm
    columns = ("Quantity", baseline, arm, "Difference", "95% interval", "Pairs", "Unit", "Note")
    rows = tuple(_effect(effect) for effect in compared.effects if effect.arm == arm)
    return Grid(f"{arm} against {baseline}: means over the pairs, and their difference", columns, rows)


def _effect(effect: Effect) -> tuple[str, ...]:
    low_high = effect.interval
    return (
        effect.title,
        _mean(effect.baseline_values),
        _mean(effect.values),
        UNKNOWN if effect.difference is None else number(effect.difference),
        UNKNOWN if low_high is None else f"{number(low_high[0])} to {number(low_high[1])}",
        str(effect.n),
        effect.unit,
        effect.note,
    )


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return number(float(np.mean(known))) if known else UNKNOWN


def _differences(compared: Comparison) -> Grid:
    arms = tuple(arm.arm for arm in compared.arms)
    rows = tuple((each.key, *(each.values.get(arm, UNKNOWN) for arm in arms)) for each in compared.differences)
    return Grid("What differs in the settings", ("Setting", *arms), rows)


def _parted(parting: Parting) -> str:
    who = f"{parting.runs[0]} and {parting.runs[1]}"
    clipped = parting.first_clipped_step
    if parting.first_different_step is None:
        return f"{who} are the same to the last bit at all {parting.compared_steps:,} steps that both have."
    parted = parting.first_different_step
    when = "never clipped" if clipped is None else f"first clipped at step {clipped:,}"
    same = f"are the same to the last bit before step {parted:,}" if parted else "part at their first step"
    return f"{who} {same}; {parting.runs[1]} was {when}."
