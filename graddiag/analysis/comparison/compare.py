"""Runs against runs: arms over seeds, paired by seed and length, with what differs and where a pair parts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pandas as pd

from graddiag import schema
from graddiag.analysis.comparison.differences import Difference, FirstDivergence, differences, first_divergence
from graddiag.analysis.comparison.effects import (
    TWO_MODES,
    Effect,
    Paired,
    effect_of,
    in_brackets,
    loss_sentence,
    success_effect,
)
from graddiag.analysis.comparison.metrics import (
    FINAL_LOSS,
    METRICS,
    STEPS_TO_TARGET,
    RunSummary,
    Target,
    steps_to,
    summary_of,
    target_loss,
)
from graddiag.analysis.comparison.success import Criterion, SuccessRates, criterion_of, success_rates
from graddiag.analysis.frames import nullable
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Result, source_of
from graddiag.analysis.words import number, plural
from graddiag.deprecation import renamed_attribute
from graddiag.representation import notebook_html, one_line
from graddiag.run import Run

Key = tuple[int | None, int | None]


def key_of(run: Run) -> Key:
    """Seed and length: what the runs of a pair have in common."""
    return run.manifest.seed, run.length


def one_of_each(runs: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """Of the runs of one arm those to compare, in their order, and those left out.

    Of several with the same seed and length one is taken: the first that is finished, else the first. Runs without a
    seed are all taken, as nothing says that one is another's repetition.
    """
    first: dict[Key, Run] = {}
    for run in sorted(runs, key=lambda run: run.manifest.status != "finished"):
        first.setdefault(key_of(run), run)
    taken = [run for run in runs if run.manifest.seed is None or first[key_of(run)] is run]
    return taken, [run for run in runs if not any(run is other for other in taken)]


_COLUMNS: Final = (
    "quantity",
    "unit",
    "baseline",
    "baseline median",
    "arm",
    "arm median",
    "difference",
    "low",
    "high",
    "level",
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
class Comparison(Result):
    """Arms, the first being the baseline; pairs by seed; effects; what differs in the settings; the first
    divergence of pairs.

    left_out: runs that are not compared, since their arm has another one of the same seed and length.
    target: the loss that the steps to a target are counted to, None where there is none; target_note: where it comes
    from, or why there is none (see ``target.target_loss``).
    criterion: what counts as a success, None where that is not known; success: the rates of each arm against the
    baseline (see ``success.criterion_of``). broken: of each arm the runs whose final loss is NaN or inf.
    """

    arms: tuple[ArmSummary, ...]
    pairs: tuple[Pair, ...]
    effects: tuple[Effect, ...]
    differences: tuple[Difference, ...]
    first_divergence: tuple[FirstDivergence, ...]
    missing: str | None = None
    target: float | None = None
    left_out: tuple[str, ...] = ()
    target_note: str = ""
    criterion: Criterion | None = None
    success: tuple[SuccessRates, ...] = ()

    parting = renamed_attribute("parting", "first_divergence")

    def __repr__(self) -> str:
        counts = plural(len(self.pairs), "pair"), plural(len(self.effects), "effect")
        return one_line(self, *counts, f"arms {' / '.join(arm.arm for arm in self.arms) or 'none'}")

    def _repr_html_(self) -> str:
        return notebook_html(self)

    @property
    def broken(self) -> Mapping[str, tuple[str, ...]]:
        return {arm.arm: tuple(run.source.run for run in arm.runs if _is_broken(run)) for arm in self.arms}

    @property
    def caption(self) -> str:
        """Runs that ended in NaN or inf; the effect of each arm; runs that never reached the target; those left out.

        The effect is that on success, where it is known and not the same in all runs, else that on the final loss.
        """
        found = [self.missing] if self.missing else [each for arm in self.arms[1:] for each in self._found(arm.arm)]
        return " ".join(filter(None, (self._broken, *found, self._never, self._left_out)))

    def _found(self, arm: str) -> list[str]:
        loss = next(each for each in self.effects if each.arm == arm and each.metric == FINAL_LOSS)
        rates = next((each for each in self.success if each.arm == arm), None)
        if rates is None or self.criterion is None:
            return [loss_sentence(loss)]
        told = rates.sentence(self.criterion)
        return [told, TWO_MODES] if rates.differs else [told, loss_sentence(loss)]

    @property
    def _broken(self) -> str:
        """Which runs ended in NaN or inf, where any did."""
        if not any(self.broken.values()):
            return ""
        counts = ", ".join(
            f"{len(self.broken[arm.arm])} of {len(arm.runs)} of {arm.arm}{in_brackets(self.broken[arm.arm])}"
            for arm in self.arms
        )
        return f"Runs that ended in NaN or inf: {counts}."

    @property
    def _never(self) -> str:
        """How many runs never reached the target loss, where any did not, or why there is no target."""
        found = [each for each in self.effects if any(each.never)]
        if not found:
            return ""
        arms = [(found[0].baseline_arm, found[0].never[0])] + [(each.arm, each.never[1]) for each in found]
        counts = ", ".join(f"{count} of {arm}" for arm, count in arms)
        return f"Runs that never reached a loss of {number(self.target)} ({self.target_note}): {counts}."

    @property
    def _left_out(self) -> str:
        if not self.left_out:
            return ""
        return f"Left out, as their arm has another run of the same seed: {', '.join(self.left_out)}."

    def to_frame(self) -> pd.DataFrame:
        """As ``table``."""
        return self.table()

    def table(self) -> pd.DataFrame:
        """The effects, a row each: numbers as numbers, missing (NA) where not known; of success rates, not medians."""
        effects, ends = self.effects, [each.interval or (None, None) for each in self.effects]
        columns = (
            [each.title for each in effects],
            [each.unit for each in effects],
            [each.baseline_arm for each in effects],
            nullable([each.baseline_center for each in effects]),
            [each.arm for each in effects],
            nullable([each.center for each in effects]),
            nullable([each.difference for each in effects]),
            nullable([low for low, _ in ends]),
            nullable([high for _, high in ends]),
            nullable([each.level for each in effects]),
            [each.n for each in effects],
            [each.note for each in effects],
        )
        return pd.DataFrame(dict(zip(_COLUMNS, columns, strict=True)))

    def runs_table(self) -> pd.DataFrame:
        """The runs, a row each: arm, seed, verdict, steps and every metric; NaN and inf stay, what is not known is
        missing (NA)."""
        rows = [
            (run.source.run, arm.arm, run.source.seed, run.verdict, run.steps) for arm in self.arms for run in arm.runs
        ]
        found = [run.metrics for arm in self.arms for run in arm.runs]
        metrics = {title: nullable([each[name] for each in found]) for name, (title, _) in METRICS.items()}
        frame = pd.DataFrame(rows, columns=["run", "arm", "seed", "verdict", "steps"])
        return frame.astype({"seed": "Int64"}).assign(**metrics)

    def differences_table(self) -> pd.DataFrame:
        """The settings that are not the same in all arms, a row each, with a column for each arm."""
        arms = [arm.arm for arm in self.arms]
        rows = [(each.key, *(each.values.get(arm) for arm in arms)) for each in self.differences]
        return pd.DataFrame(rows, columns=["setting", *arms])


def compare(runs: Sequence[Run], *, thresholds: Thresholds | None = None, target: float | None = None) -> Comparison:
    """The effect of each arm against the baseline: the arm of that name, else one without clipping, else the first.

    Runs of one seed and one length make a pair; without seeds, the first run of each arm do. Of several runs of an arm
    with the same seed and length the first that is finished is compared, and the others are named in ``left_out``.
    ``target``: the loss to count steps to; by default one that every arm has reached, or none.

    Source: Thompson (1936) for the intervals of medians, Clopper & Pearson (1934) for those of success rates; what is
    compared is defined in ``analysis.metrics``.
    """
    thresholds = thresholds or Thresholds()
    grouped: dict[str, list[Run]] = {}
    for run in runs:
        grouped.setdefault(source_of(run).arm_label, []).append(run)
    chosen = {arm: one_of_each(members) for arm, members in grouped.items()}
    taken = {arm: members for arm, (members, _) in chosen.items()}
    aim = target_loss(taken, target)
    members = {arm: [_member(run, thresholds, aim.loss) for run in of_arm] for arm, of_arm in taken.items()}
    ordered = sorted(members.items(), key=_arm_order)
    arms = tuple(_arm(*each) for each in ordered)
    against = [_Against(arms[0].arm, arm, tuple(_matched(ordered[0][1], of_arm))) for arm, of_arm in ordered[1:]]
    criterion = criterion_of(list(taken.values()))
    success = {each.arm: found for each in against if criterion and (found := each.success(criterion))}
    return Comparison(
        arms,
        tuple(_pair(*pair) for each in against for pair in each.pairs),
        tuple(effect for each in against for effect in each.effects(aim, criterion, success.get(each.arm))),
        differences([(arm, run.manifest) for arm, of_arm in members.items() for run, _ in of_arm]),
        tuple(first_divergence(one, other) for each in against for (one, _), (other, _) in each.pairs),
        _what_is_missing(arms),
        aim.loss,
        tuple(run.name for _, left in chosen.values() for run in left),
        aim.note,
        criterion,
        tuple(success.values()),
    )


Member = tuple[Run, RunSummary]


@dataclass(frozen=True)
class _Against:
    """An arm against the baseline: their pairs."""

    baseline_arm: str
    arm: str
    pairs: tuple[tuple[Member, Member], ...]

    def outcomes(self, criterion: Criterion) -> list[tuple[bool | None, bool | None]]:
        return [(criterion.success(one), criterion.success(other)) for (one, _), (other, _) in self.pairs]

    def success(self, criterion: Criterion) -> SuccessRates | None:
        return success_rates((self.baseline_arm, self.arm), self.outcomes(criterion), known=not criterion.by_modes)

    def effects(self, target: Target, criterion: Criterion | None, rates: SuccessRates | None) -> list[Effect]:
        """One for each metric, and that on success behind them where it is known."""
        runs = [run for (run, _), _ in self.pairs]
        paired = Paired(
            self.baseline_arm,
            self.arm,
            tuple(run.manifest.seed for run in runs),
            tuple(run.length for run in runs),
        )
        found = [self._effect(name, paired, target) for name in METRICS]
        if criterion is None or rates is None:
            return found
        return [*found, success_effect(criterion, paired, self.outcomes(criterion), rates)]

    def _effect(self, name: str, paired: Paired, target: Target) -> Effect:
        before = [one.metrics[name] for (_, one), _ in self.pairs]
        after = [other.metrics[name] for _, (_, other) in self.pairs]
        return effect_of(name, paired, before, after, target)


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


def _is_broken(run: RunSummary) -> bool:
    loss = run.metrics[FINAL_LOSS]
    return loss is not None and not math.isfinite(loss)


def _what_is_missing(arms: Sequence[ArmSummary]) -> str | None:
    if not arms:
        return "There is no run to compare."
    if len(arms) == 1:
        return f"All runs are of one arm ({arms[0].arm}): there is nothing to compare it with."
    return None
