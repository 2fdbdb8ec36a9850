"""Success rates of arms that are compared, for outcomes with two modes: solved or not."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis.comparison.experiment import Goal, final_value, known_goal
from graddiag.analysis.intervals import Interval, difference_interval, exact_interval, fisher_test
from graddiag.analysis.values import Floats
from graddiag.analysis.words import number, percent, plural
from graddiag.run import Run

_GAP: Final = 4.0  # between the modes, in widths of the wider one
_FEWEST: Final = 2  # runs of a mode: a single one is an outlier


def mode_boundary(arms: Sequence[Floats]) -> float | None:
    """The middle of the gap between two modes of the values of all ``arms``, [runs] each; None where there are not two.

    There are two if a gap between neighbouring values is four times as wide as the values on either side of it, at
    least two runs lie on each, and the runs of at least one arm lie on both. The last rule tells two modes from two
    arms that differ by a constant. Values that are not finite are left out.
    """
    finite = [values[np.isfinite(values)] for values in arms]
    ordered = np.sort(np.concatenate(finite)) if finite else np.zeros(0)
    at = _widest(ordered)
    if at is None:
        return None
    boundary = float((ordered[at] + ordered[at + 1]) / 2)
    mixed = any(len(np.unique(values <= boundary)) == 2 for values in finite)
    return boundary if mixed else None


def _widest(ordered: Floats) -> int | None:
    """The index of the last value below the gap between two modes."""
    if len(ordered) < 2 * _FEWEST:
        return None
    last = np.arange(_FEWEST - 1, len(ordered) - _FEWEST)
    gaps = ordered[last + 1] - ordered[last]
    widths = np.maximum(ordered[last] - ordered[0], ordered[-1] - ordered[last + 1])
    best = int(np.argmax(gaps - _GAP * widths))
    return int(last[best]) if gaps[best] > 0 and gaps[best] >= _GAP * widths[best] else None


NO_INTERVAL: Final = "no interval, as the modes were found in these runs"
_NOT_SIGNIFICANT: Final = ", not significantly different from 0"
_SIGNIFICANT: Final = 0.05


@dataclass(frozen=True)
class Criterion:
    """What counts as a success in a comparison, and how that is known: by the configuration or by two modes."""

    goal: Goal
    by_modes: bool

    @property
    def words(self) -> str:
        if self.by_modes:
            return f"final loss below {number(self.goal.below)}, between its two modes"
        return self.goal.words

    def success(self, run: Run) -> bool | None:
        """Whether ``run`` succeeded: not if it ended in NaN or inf; None where the scalar was not logged."""
        value = final_value(run, self.goal.name)
        return None if value is None else self.goal.reached_by(value)


@dataclass(frozen=True)
class SuccessRates:
    """How many of ``pairs`` runs succeeded in the baseline arm and in another.

    baseline_interval, interval: 95% of each rate, exact (Clopper & Pearson). difference_interval: 95% of the rate of
    the arm less that of the baseline (see ``proportions.difference_interval``). All are None unless ``known``, what
    counts as a success, was known before: samples in which two modes are found are selected by their rates, and
    intervals hold less often there (down to 84% of them). p_value: of Fisher's exact test, which holds all the same,
    since it takes the number of successes for given.
    """

    baseline_arm: str
    arm: str
    baseline: int
    treated: int
    pairs: int
    known: bool = True

    @property
    def difference(self) -> float:
        return (self.treated - self.baseline) / self.pairs

    @property
    def baseline_interval(self) -> Interval | None:
        return exact_interval(self.baseline, self.pairs) if self.known else None

    @property
    def interval(self) -> Interval | None:
        return exact_interval(self.treated, self.pairs) if self.known else None

    @property
    def difference_interval(self) -> Interval | None:
        return difference_interval(self.baseline, self.treated, self.pairs) if self.known else None

    @property
    def p_value(self) -> float:
        return fisher_test(self.baseline, self.treated, self.pairs)

    @property
    def differs(self) -> bool:
        """Whether any run ended otherwise than the others."""
        return 0 < self.baseline + self.treated < 2 * self.pairs

    def sentence(self, criterion: Criterion) -> str:
        """The rates and their difference, or that all runs ended alike."""
        if not self.differs:
            whose = f"{self.baseline_arm} and {self.arm}"
            count = "All" if self.treated else "None of the"
            return f"{count} {plural(2 * self.pairs, 'run')} of {whose} {_succeed(self.treated)} ({criterion.words})."
        rates = f"{self._rate(self.arm, self.treated, self.interval)}, "
        rates += self._rate(self.baseline_arm, self.baseline, self.baseline_interval)
        return f"Success rate ({criterion.words}): {rates}; {self._difference}."

    @property
    def _difference(self) -> str:
        points = _points(self.difference)
        if (interval := self.difference_interval) is None:
            told = f"{points} points (n={self.pairs}, Fisher's exact test p={number(self.p_value)}; {NO_INTERVAL})"
            return f"difference {told}{'' if self.p_value < _SIGNIFICANT else _NOT_SIGNIFICANT}"
        low, high = interval
        told = f"{points} [{_points(low)}, {_points(high)}] points (95%, n={self.pairs})"
        return f"difference {told}{_NOT_SIGNIFICANT if low <= 0 <= high else ''}"

    def _rate(self, arm: str, successes: int, interval: Interval | None) -> str:
        told = f"{arm} {successes} of {self.pairs}"
        if interval is None:
            return told
        return f"{told}, {percent(successes / self.pairs)} [{percent(interval[0])}, {percent(interval[1])}]"


def criterion_of(arms: Sequence[Sequence[Run]]) -> Criterion | None:
    """How to tell which runs of ``arms`` succeeded; None where that is not known and final losses have not two modes.

    By the configurations where they say it (``experiment.known_goal``), else by two modes of the final loss
    (``modes.mode_boundary``), of which the lower one is success.
    """
    goal = known_goal([run for runs in arms for run in runs])
    if goal is not None:
        return Criterion(goal, by_modes=False)
    finals = [[final_value(run, schema.LOSS) for run in runs] for runs in arms]
    boundary = mode_boundary([np.array([math.nan if v is None else v for v in each], dtype=float) for each in finals])
    return None if boundary is None else Criterion(Goal(schema.LOSS, boundary), by_modes=True)


def success_rates(
    arms: tuple[str, str], outcomes: Sequence[tuple[bool | None, bool | None]], *, known: bool
) -> SuccessRates | None:
    """The rates over the pairs of ``outcomes``, baseline and arm, of which both are known; None where there is none."""
    both = [(before, after) for before, after in outcomes if before is not None and after is not None]
    if not both:
        return None
    return SuccessRates(*arms, sum(before for before, _ in both), sum(after for _, after in both), len(both), known)


def _succeed(successes: int) -> str:
    return "succeed" if successes else "succeeds"


def _points(share: float) -> str:
    """A difference of two rates, in percentage points."""
    return number(float(f"{100 * share:.3g}"))
