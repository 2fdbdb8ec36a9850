"""The comparison of a chapter's runs: effects with their intervals, what differs, and where pairs part."""

from collections.abc import Sequence

from graddiag.analysis import Comparison, Effect, FirstDivergence, number
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
    return (*effects, _differences(compared)) if compared.differences else effects


def runs_table(compared: Comparison) -> ReportGrid:
    """The runs of all arms with their verdicts."""
    rows = [
        (run.source.run, arm.arm, run.source.seed, run.verdict, f"{run.steps:,}", run.metrics["final_loss"])
        for arm in compared.arms
        for run in arm.runs
    ]
    columns = ("Run", "Arm", "Seed", "Verdict", "Steps", "Final loss")
    return ReportGrid("The runs", columns, tuple(tuple(map(_shown, row)) for row in rows))


def _shown(value: str | float | None) -> str:
    if value is None:
        return UNKNOWN
    return number(value) if isinstance(value, float) else str(value)


def _effects(compared: Comparison, arm: str) -> ReportGrid:
    baseline = compared.arms[0].arm
    columns = ("Quantity", baseline, arm, "Difference", "Interval", "Pairs", "Unit")
    rows = tuple(_effect(effect) for effect in compared.effects if effect.arm == arm)
    return ReportGrid(f"{arm} against {baseline}: medians over the pairs, and the median difference", columns, rows)


def _effect(effect: Effect) -> tuple[str, ...]:
    return (
        effect.title,
        _known(effect.baseline_center),
        _known(effect.center),
        _known(effect.difference),
        _joined(effect.range if effect.interval else "", effect.note),
        str(effect.n),
        effect.unit,
    )


def _joined(*words: str) -> str:
    return "; ".join(word for word in words if word) or UNKNOWN


def _known(value: float | None) -> str:
    return UNKNOWN if value is None else number(value)


def _differences(compared: Comparison) -> ReportGrid:
    arms = tuple(arm.arm for arm in compared.arms)
    rows = tuple((each.key, *(each.values.get(arm, UNKNOWN) for arm in arms)) for each in compared.differences)
    return ReportGrid("What differs in the settings", ("Setting", *arms), rows)


def _first_divergence(first_divergence: FirstDivergence) -> str:
    who = f"{first_divergence.runs[0]} and {first_divergence.runs[1]}"
    clipped = first_divergence.first_clipped_step
    if first_divergence.first_different_step is None:
        return f"{who} are the same to the last bit at all {first_divergence.compared_steps:,} steps that both have."
    parted = first_divergence.first_different_step
    when = "never clipped" if clipped is None else f"first clipped at step {clipped:,}"
    same = f"are the same to the last bit before step {parted:,}" if parted else "part at their first step"
    return f"{who} {same}; {first_divergence.runs[1]} was {when}."
