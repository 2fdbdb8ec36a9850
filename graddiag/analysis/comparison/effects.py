"""What an arm changes in one metric against the baseline, pair by pair; and in the final loss, in a sentence."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from graddiag.analysis.comparison.metrics import (
    CLIPPED_SHARE,
    FINAL_LOSS,
    METRICS,
    SATURATION,
    STEPS_TO_TARGET,
    Target,
)
from graddiag.analysis.comparison.success import NO_INTERVAL, Criterion, SuccessRates
from graddiag.analysis.intervals import FEWEST_PAIRS, LEVEL, Interval, highest_level, median, median_interval
from graddiag.analysis.words import listed, number, percent, plural

SUCCESS: Final = "success"
SHARES: Final = (SUCCESS, CLIPPED_SHARE, SATURATION)


@dataclass(frozen=True)
class Effect:
    """What an arm changes in one metric, arm less baseline, pair by pair.

    seeds and lengths: of each pair, None where its runs name none. values and baseline_values: one a pair, None where
    not known. differences: one a pair, None where either value is not known; a final loss that is NaN or inf and a
    target that is never reached count as worse than every number, so the difference is -inf or inf, and 0 where it is
    so in both arms. difference: their median, None where it is not finite; interval: of the median (see
    ``medians.median_interval``) at ``level``, None for fewer than five pairs; n: pairs with a difference; note: what
    the numbers do not show.
    For the metric "success" the values are 1 and 0, difference is that of the two rates, with its 95% interval.
    never: of the steps to the target loss, how many runs of the pairs never reached it, baseline and arm.
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
    level: float | None = None
    differences: tuple[float | None, ...] = ()

    @property
    def baseline_center(self) -> float | None:
        """The median of the baseline over the pairs, the rate of success; None where it is not finite."""
        return self._center(self.baseline_values)

    @property
    def center(self) -> float | None:
        """The same of the arm."""
        return self._center(self.values)

    @property
    def holds_zero(self) -> bool:
        """Whether the difference is not significantly different from 0."""
        return self.interval is not None and self.interval[0] <= 0 <= self.interval[1]

    @property
    def broken(self) -> tuple[int, int]:
        """How many values are NaN or inf, baseline and arm."""
        return _nonfinite(self.baseline_values), _nonfinite(self.values)

    @property
    def range(self) -> str:
        """The interval in words: ``[-2.3, -1.2] (94%, n=5)``; ``(n=3)`` where there is none."""
        if self.interval is None or self.level is None:
            return f"(n={self.n})"
        low, high = self.interval
        return f"[{number(low)}, {number(high)}] ({self.level:.0%}, n={self.n})"

    @property
    def estimate(self) -> str:
        """The difference and its interval: ``-1.84 [-2.3, -1.2] (94%, n=5)``; "not known" for no difference."""
        if self.difference is None and not self.n:
            return "not known"
        return f"{'not finite' if self.difference is None else number(self.difference)} {self.range}"

    @property
    def is_share(self) -> bool:
        """Whether the values are shares of 1."""
        return self.metric in SHARES

    def text(self, value: float | None) -> str:
        """One of the values in words: a share in percent."""
        return percent(value) if self.is_share and value is not None and math.isfinite(value) else number(value)

    @property
    def estimate_text(self) -> str:
        """``estimate``, of shares in percentage points: ``21.5 points [10.2, 33] (94%, n=5)``."""
        if not self.is_share or self.difference is None:
            return self.estimate
        points = None if self.interval is None else (100 * self.interval[0], 100 * self.interval[1])
        return f"{number(100 * self.difference)} points {replace(self, interval=points).range}"

    def _center(self, values: Sequence[float | None]) -> float | None:
        ranked = [value for each in values if (value := _ranked(self.metric, each, True)) is not None]
        if self.metric == SUCCESS:
            return float(np.mean(ranked)) if ranked else None
        return median(np.array(ranked, dtype=np.float64))


@dataclass(frozen=True)
class Paired:
    """The pairs of two arms: their seeds and lengths, [pairs] each."""

    baseline_arm: str
    arm: str
    seeds: tuple[int | None, ...]
    lengths: tuple[int | None, ...]


def effect_of(
    metric: str,
    paired: Paired,
    before: Sequence[float | None],
    after: Sequence[float | None],
    target: Target,
) -> Effect:
    """The effect on ``metric`` from its values ``before`` (baseline) and ``after`` (arm), [pairs] each."""
    timed = metric == STEPS_TO_TARGET and target.loss is not None
    gaps = tuple(
        _less(_ranked(metric, a, timed), _ranked(metric, b, timed)) for b, a in zip(before, after, strict=True)
    )
    known = np.array([gap for gap in gaps if gap is not None], dtype=np.float64)
    found = median_interval(known)
    title, unit = METRICS[metric]
    never = (before.count(None), after.count(None)) if timed else (0, 0)
    effect = Effect(
        metric,
        title,
        f"steps to a smoothed loss of {number(target.loss)}" if timed else unit,
        paired.baseline_arm,
        paired.arm,
        paired.seeds,
        tuple(before),
        tuple(after),
        median(known),
        found.ends if found else None,
        len(known),
        "",
        never,
        paired.lengths,
        found.level if found else None,
        gaps,
    )
    why = f"no target: {target.note}" if metric == STEPS_TO_TARGET and target.loss is None else _note(effect)
    return replace(effect, note=why)


def success_effect(
    criterion: Criterion, paired: Paired, outcomes: Sequence[tuple[bool | None, bool | None]], rates: SuccessRates
) -> Effect:
    """The success of each run as 1 or 0, and the difference of the two rates."""
    before, after = ([None if each is None else float(each) for each in side] for side in zip(*outcomes, strict=True))
    unknown = len(outcomes) - rates.pairs
    lost = f"not known in {unknown} of {len(outcomes)} pairs" if unknown else ""
    return Effect(
        SUCCESS,
        "Success rate",
        criterion.words,
        paired.baseline_arm,
        paired.arm,
        paired.seeds,
        tuple(before),
        tuple(after),
        rates.difference,
        rates.difference_interval,
        rates.pairs,
        "; ".join(filter(None, (NO_INTERVAL if criterion.by_modes else "", lost, lengths_together(paired.lengths)))),
        (0, 0),
        paired.lengths,
        LEVEL if rates.known else None,
        tuple(_less(a, b) for b, a in zip(before, after, strict=True)),
    )


def lengths_together(lengths: Sequence[int | None]) -> str:
    """The lengths of the pairs in words, where there is more than one."""
    different = sorted({length for length in lengths if length is not None})
    return f"lengths {listed([str(length) for length in different])} together" if len(different) > 1 else ""


def no_interval(n: int) -> str:
    """Why ``n`` pairs have no interval; empty where they have one."""
    if n >= FEWEST_PAIRS or not n:
        return ""
    if n == 1:
        return "1 pair: no interval"
    return f"{n} pairs: no interval (their range holds the median in {highest_level(n):.0%} of cases)"


def _ranked(metric: str, value: float | None, timed: bool) -> float | None:
    """``value`` as it is compared: what failed counts as inf, worse than every number."""
    if metric == STEPS_TO_TARGET and timed and value is None:
        return math.inf
    if metric == FINAL_LOSS and value is not None and not math.isfinite(value):
        return math.inf
    return None if value is None or math.isnan(value) else value


def _less(value: float | None, baseline: float | None) -> float | None:
    if value is None or baseline is None:
        return None
    return 0.0 if value == baseline else value - baseline


def _nonfinite(values: Sequence[float | None]) -> int:
    return sum(value is not None and not math.isfinite(value) for value in values)


def _note(effect: Effect) -> str:
    pairs = len(effect.values)
    if not pairs:
        return "no seed that both arms have"
    if not effect.n:
        return f"not known in one arm or both, in {plural(pairs, 'pair')}"
    parts = (
        no_interval(effect.n),
        _of_both("never reached by", effect.never, pairs),
        _of_both("NaN or inf, counted as the highest loss, in", effect.broken, pairs)
        if effect.metric == FINAL_LOSS
        else "",
        f"not known in {pairs - effect.n} of {pairs} pairs" if effect.n < pairs else "",
        lengths_together(effect.lengths),
    )
    return "; ".join(filter(None, parts))


def _of_both(what: str, counts: tuple[int, int], pairs: int) -> str:
    if not any(counts):
        return ""
    return f"{what} {counts[0]} of {pairs} baseline runs and {counts[1]} of {pairs} of the arm"


TWO_MODES: Final = "The outcomes have two modes, so success rates are compared, not mean losses."
_NAMED: Final = 5  # runs of an arm in a sentence


def loss_sentence(loss: Effect) -> str:
    """What the arm does to the final loss, in how many pairs, with the interval or why there is none."""
    if not loss.n:
        return f"{loss.arm} against {loss.baseline_arm}: the final losses cannot be compared ({loss.note})."
    known = [gap for gap in loss.differences if gap is not None]
    if not any(known):
        return _unchanged(loss)
    if loss.holds_zero:
        return (
            f"{loss.arm} against {loss.baseline_arm}: the difference in the final loss is not significantly different "
            f"from 0, {_median(loss)}."
        )
    lower, higher = sum(gap < 0 for gap in known), sum(gap > 0 for gap in known)
    where = "" if loss.interval else f" in {_pairs(max(lower, higher), loss.n)}"
    verb = "lowers" if lower >= higher else "raises"
    return f"Against {loss.baseline_arm}, {loss.arm} {verb} the final loss{where}: {_median(loss)}."


def in_brackets(names: Sequence[str]) -> str:
    """``names`` behind a count, at most five of them; empty for none."""
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f" ({', '.join(names[:_NAMED])}{more})"


def _unchanged(loss: Effect) -> str:
    if all(value is not None and not math.isfinite(value) for value in (*loss.baseline_values, *loss.values)):
        return f"Every run of {loss.baseline_arm} and {loss.arm} ended in NaN or inf: no final loss to compare."
    return f"Against {loss.baseline_arm}, {loss.arm} does not change the final loss in {plural(loss.n, 'pair')}."


def _pairs(count: int, of: int) -> str:
    if count < of:
        return f"{count} of {of} pairs"
    return {1: "1 pair", 2: "both pairs"}.get(of, f"all {of} pairs")


def _median(loss: Effect) -> str:
    """The median difference, its interval or why there is none, and what is counted or taken together."""
    value = "not finite" if loss.difference is None else number(loss.difference)
    named = "difference" if loss.n == 1 else "median difference"
    told = f"{named} {value} {loss.range if loss.interval else ''}".rstrip()
    counted = "NaN or inf counted as the highest loss" if any(loss.broken) else ""
    why = [no_interval(loss.n), counted, lengths_together(loss.lengths)]
    return ", ".join(filter(None, (told, *why)))
