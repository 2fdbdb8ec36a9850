"""Runs against runs: arms over seeds, paired by seed and length, with what differs and where a pair parts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.differences import Difference, differences
from graddiag.analysis.intervals import Interval, over_seeds, told_over_seeds
from graddiag.analysis.metrics import METRICS, STEPS_TO_TARGET, RunSummary, summary_of
from graddiag.analysis.pairing import Key, key_of, one_of_each
from graddiag.analysis.parting import Parting, parting
from graddiag.analysis.target import steps_to, target_loss
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Result, source_of
from graddiag.analysis.words import listed, number, plural
from graddiag.run import Run

_COLUMNS: Final = (
    "quantity",
    "unit",
    "baseline",
    "baseline mean",
    "arm",
    "arm mean",
    "difference",
    "low",
    "high",
    "pairs",
    "note",
)


@dataclass(frozen=True)
class ArmSummary:
    """The runs of one arm."""

    arm: str
    clip: str | None
    runs: tuple[RunSummary, ...]


@dataclass(frozen=True)
class Pair:
    """Two runs of one seed and length: of the baseline arm and of another, by their names."""

    seed: int | None
    baseline: str
    treated: str
    arm_baseline: str
    arm_treated: str
    length: int | None = None


@dataclass(frozen=True)
class Effect:
    """What an arm changes in one metric, arm less baseline, pair by pair.

    seeds and lengths: of each pair, None where its runs name none. values and baseline_values: one a pair, None where
    not known. difference: mean over the pairs that are finite in both; interval: 95%, over pairs, None below two of
    them: by Student's t of two to four, by the bootstrap of more (``intervals.over_seeds``); n: how many; note: how few
    they are, and what the numbers cannot say.
    never: of the steps to the target loss, how many runs of the pairs never came to it, baseline and arm: their number
    is missing, not large, and the difference speaks of the other pairs alone.
    """

    metric: str
    title: str
    unit: str
    baseline_arm: str
    arm: str
    seeds: tuple[int | None, ...]
    baseline_values: tuple[float | None, ...]
    values: tuple[float | None, ...]
    difference: float | None
    interval: Interval | None
    n: int
    note: str
    never: tuple[int, int] = (0, 0)
    lengths: tuple[int | None, ...] = ()


@dataclass(frozen=True)
class Comparison(Result):
    """Arms, the first being the baseline; pairs by seed; effects; what differs in the settings; where pairs part.

    left_out: runs that are not compared, since their arm has another one of the same seed and length.
    target: the loss that the steps to a target are counted to: what the worst arm comes to at its best, smoothed, in
    the median of its runs (see ``target_loss``); None where no loss is finite.
    """

    arms: tuple[ArmSummary, ...]
    pairs: tuple[Pair, ...]
    effects: tuple[Effect, ...]
    differences: tuple[Difference, ...]
    parting: tuple[Parting, ...]
    missing: str | None = None
    target: float | None = None
    left_out: tuple[str, ...] = ()

    @property
    def caption(self) -> str:
        return f"{self._found}{self._left_out}"

    @property
    def _found(self) -> str:
        if self.missing:
            return self.missing
        loss = self.effects[0]
        if loss.difference is None:
            cannot = f"{loss.arm} against {loss.baseline_arm}: the final losses cannot be compared ({loss.note})."
            return f"{cannot}{self._never}"
        sure = (
            f" (95% interval {number(loss.interval[0])} to {number(loss.interval[1])}{_by(loss)})"
            if loss.interval
            else f" ({loss.note})"
        )
        together = _several(loss.lengths)
        over = f"over {plural(loss.n, 'pair')}{f' of {together}' if together and loss.interval else ''}{sure}"
        return f"Against {loss.baseline_arm}, {loss.arm} {_change(loss)} {over}.{self._never}"

    @property
    def _never(self) -> str:
        """How many runs never came to the target loss, where any did not."""
        found = [each for each in self.effects if any(each.never)]
        if not found:
            return ""
        arms = [(found[0].baseline_arm, found[0].never[0])] + [(each.arm, each.never[1]) for each in found]
        counts = ", ".join(f"{count} of {arm}" for arm, count in arms)
        return f" Runs that never came to a loss of {number(self.target)}: {counts}."

    @property
    def _left_out(self) -> str:
        if not self.left_out:
            return ""
        return f" Left out, as their arm has another run of the same seed: {', '.join(self.left_out)}."

    def table(self) -> pd.DataFrame:
        """The effects, a row each: numbers as numbers, missing where not known."""
        rows = [
            (
                e.title,
                e.unit,
                e.baseline_arm,
                _mean(e.baseline_values),
                e.arm,
                _mean(e.values),
                e.difference,
                *(e.interval or (None, None)),
                e.n,
                e.note,
            )
            for e in self.effects
        ]
        return pd.DataFrame(rows, columns=list(_COLUMNS))

    def runs_table(self) -> pd.DataFrame:
        """The runs, a row each: arm, seed, verdict, steps and every metric."""
        rows = [_run_row(arm.arm, run) for arm in self.arms for run in arm.runs]
        return pd.DataFrame(
            rows, columns=["run", "arm", "seed", "verdict", "steps", *(title for title, _ in METRICS.values())]
        )


def compare(runs: Sequence[Run], *, thresholds: Thresholds | None = None) -> Comparison:
    """The effect of each arm against the baseline: the arm of that name, else one without clipping, else the first.

    Runs of one seed and one length make a pair; without seeds, the first run of each arm do. Of several runs of an arm
    with the same seed and length the first that is finished is compared, and the others are named in ``left_out``.

    Source: Efron (1979), the bootstrap, for the percentile intervals over seeds; what is compared is defined in
    ``analysis.metrics``.
    """
    thresholds = thresholds or Thresholds()
    grouped: dict[str, list[Run]] = {}
    for run in runs:
        grouped.setdefault(source_of(run).arm_label, []).append(run)
    chosen = {arm: one_of_each(members) for arm, members in grouped.items()}
    target = target_loss([taken for taken, _ in chosen.values()])
    members = {arm: [_member(run, thresholds, target) for run in taken] for arm, (taken, _) in chosen.items()}
    ordered = sorted(members.items(), key=_arm_order)
    arms = tuple(_arm(*each) for each in ordered)
    pairs = {arm: _matched(ordered[0][1], of_arm) for arm, of_arm in ordered[1:]}
    return Comparison(
        arms,
        tuple(_pair(*pair) for matched in pairs.values() for pair in matched),
        tuple(_effect(name, (arms[0].arm, arm), matched, target) for arm, matched in pairs.items() for name in METRICS),
        differences([(arm, run.manifest) for arm, of_arm in members.items() for run, _ in of_arm]),
        tuple(parting(one, other) for matched in pairs.values() for (one, _), (other, _) in matched),
        _what_is_missing(arms),
        target,
        tuple(run.name for _, left in chosen.values() for run in left),
    )


Member = tuple[Run, RunSummary]


def _member(run: Run, thresholds: Thresholds, target: float | None) -> Member:
    summary = summary_of(run, thresholds)
    reached = None if target is None else steps_to(run, target)
    return run, replace(summary, metrics={**summary.metrics, STEPS_TO_TARGET: reached})


def _arm(name: str, members: Sequence[Member]) -> ArmSummary:
    return ArmSummary(name, members[0][1].source.clip, tuple(summary for _, summary in members))


def _matched(baseline: Sequence[Member], treated: Sequence[Member]) -> list[tuple[Member, Member]]:
    of_baseline = {key_of(member[0]): member for member in reversed(baseline)}
    of_treated = {key_of(member[0]): member for member in reversed(treated)}
    keys = sorted(of_baseline.keys() & of_treated.keys(), key=_key_order)
    return [(of_baseline[key], of_treated[key]) for key in keys]


def _arm_order(arm: tuple[str, list[Member]]) -> tuple[bool, bool]:
    name, members = arm
    return name != schema.BASELINE_ARM, members[0][1].source.clipped


def _key_order(key: Key) -> tuple[tuple[bool, int], ...]:
    return tuple((each is not None, each or 0) for each in reversed(key))


def _pair(baseline: Member, treated: Member) -> Pair:
    b, t = baseline[1].source, treated[1].source
    return Pair(b.seed, b.run, t.run, b.arm_label, t.arm_label, baseline[0].length)


def _effect(name: str, arms: tuple[str, str], pairs: Sequence[tuple[Member, Member]], target: float | None) -> Effect:
    before = [one.metrics[name] for (_, one), _ in pairs]
    after = [other.metrics[name] for _, (_, other) in pairs]
    gaps = np.array([_less(b, a) for b, a in zip(after, before, strict=True)], dtype=np.float64)
    finite = gaps[np.isfinite(gaps)]
    title, unit = METRICS[name]
    never = (0, 0)
    if name == STEPS_TO_TARGET and target is not None:
        unit = f"steps to a smoothed loss of {number(target)}"
        never = (before.count(None), after.count(None))
    lengths = tuple(run.length for (run, _), _ in pairs)
    return Effect(
        name,
        title,
        unit,
        *arms,
        tuple(run.manifest.seed for (run, _), _ in pairs),
        tuple(before),
        tuple(after),
        float(finite.mean()) if len(finite) else None,
        over_seeds(finite),
        len(finite),
        _note(len(pairs), len(finite), never, _several(lengths)),
        never,
        lengths,
    )


def _less(value: float | None, baseline: float | None) -> float:
    """Their difference; NaN where either is not known, NaN or inf."""
    if value is None or baseline is None or not (math.isfinite(value) and math.isfinite(baseline)):
        return math.nan
    return value - baseline


def _several(lengths: Sequence[int | None]) -> str:
    """The lengths of the pairs in words, where there is more than one."""
    different = sorted({length for length in lengths if length is not None})
    return f"lengths {listed([str(length) for length in different])} together" if len(different) > 1 else ""


def _note(pairs: int, finite: int, never: tuple[int, int], lengths: str) -> str:
    if not pairs:
        return "no seed that both arms have"
    if any(never):
        alone = "; one seed: no interval" if finite == 1 else _after(told_over_seeds(finite))
        reached = f"never reached by {never[0]} of {pairs} baseline runs and {never[1]} of {pairs} of the arm{alone}"
        return f"{reached}{_after(lengths)}"
    if not finite:
        return "not known, or not finite, in either arm of any pair"
    lost = f"{pairs - finite} of {pairs} pairs not finite" if finite < pairs else ""
    few = "one seed: no interval" if finite == 1 else told_over_seeds(finite)
    return "; ".join(filter(None, (few, lost, lengths)))


def _change(loss: Effect) -> str:
    """What an arm does to the final loss; nothing is claimed where the interval holds 0."""
    assert loss.difference is not None
    if loss.difference == 0:
        return "leaves the final loss as it was"
    if _holds_zero(loss):
        return f"shows no difference in the final loss: {number(loss.difference)} on average"
    return f"{'lowers' if loss.difference < 0 else 'raises'} the final loss by {number(abs(loss.difference))}"


def _holds_zero(effect: Effect) -> bool:
    return effect.interval is not None and effect.interval[0] <= 0 <= effect.interval[1]


def _by(effect: Effect) -> str:
    """How its interval came about, where so few pairs need to be told."""
    return f", {told}" if (told := told_over_seeds(effect.n)) else ""


def _after(words: str) -> str:
    return f"; {words}" if words else ""


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _run_row(arm: str, run: RunSummary) -> tuple[Any, ...]:
    metrics: Mapping[str, float | None] = run.metrics
    return (run.source.run, arm, run.source.seed, run.verdict, run.steps, *(metrics[name] for name in METRICS))


def _what_is_missing(arms: Sequence[ArmSummary]) -> str | None:
    if not arms:
        return "There is no run to compare."
    if len(arms) == 1:
        return f"All runs are of one arm ({arms[0].arm}): there is nothing to compare it with."
    return None
