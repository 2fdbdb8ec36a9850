"""The comparison of a chapter's runs: effects with their intervals, what differs, and where pairs part."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from graddiag.analysis import METRICS, Comparison, FirstDivergence, number
from graddiag.report.content import ReportGrid, ReportPart
from graddiag.report.pictures import comparison_pictures
from graddiag.report.words import UNKNOWN
from graddiag.run import Run


def comparison_part(id: str, compared: Comparison, runs: Sequence[Run]) -> ReportPart:
    """How ``runs`` compare; a sentence alone when there is nothing to compare."""
    if compared.missing:
        return ReportPart("Comparison", sentences(compared))
    return ReportPart("Comparison", sentences(compared), tables(compared), comparison_pictures(id, runs))


def sentences(compared: Comparison) -> tuple[str, ...]:
    """What the comparison comes to, and where each pair parts."""
    return (compared.caption, *(_first_divergence(each) for each in compared.first_divergence))


def tables(compared: Comparison) -> tuple[ReportGrid, ...]:
    """A table of effects for each arm but the baseline, and one of the settings that differ."""
    effects = tuple(_effects(compared, arm.arm) for arm in compared.arms[1:])
    if not compared.differences:
        return effects
    differences = compared.differences_table().rename(columns={"setting": "Setting"})
    return (*effects, ReportGrid.of("What differs in the settings", differences))


def runs_table(compared: Comparison) -> ReportGrid:
    """The runs of all arms with their verdicts."""
    runs = compared.runs_table()
    steps = runs["steps"].map("{:,}".format)
    loss, _ = METRICS["final_loss"]
    shown = runs.assign(steps=steps)[["run", "arm", "seed", "verdict", "steps", loss]]
    return ReportGrid.of("The runs", shown.set_axis(["Run", "Arm", "Seed", "Verdict", "Steps", "Final loss"], axis=1))


def _effects(compared: Comparison, arm: str) -> ReportGrid:
    found = compared.to_frame()
    found = found[found["arm"] == arm]
    baseline = compared.arms[0].arm
    columns = ("Quantity", baseline, arm, "Difference", "Interval", "Pairs", "Unit")
    shown = [
        *(found[name] for name in ("quantity", "baseline median", "arm median", "difference")),
        found.apply(_interval, axis=1),
        *(found[name] for name in ("pairs", "unit")),
    ]
    frame = pd.concat(shown, axis=1).set_axis(columns, axis=1)
    return ReportGrid.of(f"{arm} against {baseline}: medians over the pairs, and the median difference", frame)


def _interval(effect: "pd.Series[Any]") -> str:
    """``[-2.3, -1.2] (94%, n=5)``, where there is an interval, and the note."""
    low, high, level, n = (effect[name] for name in ("low", "high", "level", "pairs"))
    interval = "" if level is pd.NA else f"[{number(low)}, {number(high)}] ({level:.0%}, n={n})"
    return "; ".join(word for word in (interval, effect["note"]) if word) or UNKNOWN


def _first_divergence(first_divergence: FirstDivergence) -> str:
    who = f"{first_divergence.runs[0]} and {first_divergence.runs[1]}"
    clipped = first_divergence.first_clipped_step
    if first_divergence.first_different_step is None:
        return f"{who} are the same to the last bit at all {first_divergence.compared_steps:,} steps that both have."
    parted = first_divergence.first_different_step
    when = "never clipped" if clipped is None else f"first clipped at step {clipped:,}"
    same = f"are the same to the last bit before step {parted:,}" if parted else "part at their first step"
    return f"{who} {same}; {first_divergence.runs[1]} was {when}."
