"""The course of a layer's leading Lyapunov exponents over the snapshots of a run."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.frames import indexed, stacked
from graddiag.analysis.selection import Selection
from graddiag.analysis.timesteps.snapshots import NO_SNAPSHOTS, snapshot_steps
from graddiag.analysis.values import Ints, Result, Series, Source, is_nonfinite, known, series, source_of
from graddiag.analysis.words import number, plural, span
from graddiag.run import Run, numbers

UNIT: Final = "1/timestep"


@dataclass(frozen=True)
class ExponentCourse:
    """One exponent over the snapshots, its place by size counted from 0: the mean over the measured samples, and the
    smallest and the largest of them, [S] each."""

    index: int
    mean: Series
    low: Series
    high: Series


@dataclass(frozen=True)
class LyapunovHistory(Result):
    """The leading finite-time Lyapunov exponents of one layer's state at the steps [S] of its snapshots.

    In units of the natural logarithm per timestep, of the step's own data and the weights before its update. A positive
    one stretches, a negative one contracts. NaN and -inf (a direction that one timestep takes to 0) are NONFINITE.

    Attributes:
        exponents: the largest first; all of the state's where it has few entries.
        samples: [S], of how many samples; timesteps: [S], how many counted, in the longest of them.
        growing: snapshots whose largest exponent is above 0.

    Source: Benettin et al. (1980); for trained recurrent nets Engelken, Wolf & Abbott (2023).
    """

    source: Source
    selection: Selection
    steps: Ints
    exponents: tuple[ExponentCourse, ...]
    samples: Ints
    timesteps: Ints
    missing: str | None = None

    @property
    def growing(self) -> int:
        return int((self.exponents[0].mean.values > 0).sum()) if self.exponents else 0

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        of = f"Largest Lyapunov exponent of {self.selection.short}, {span(int(self.steps[0]), int(self.steps[-1]))}"
        largest = self.exponents[0]
        shown = np.flatnonzero(np.isfinite(largest.mean.values))
        if not len(shown):
            return Caption(of, {"": "nowhere finite"})
        first, last = (number(float(largest.mean.values[at])) for at in shown[[0, -1]])
        low, high = (number(known(each.values[shown[-1]])) for each in (largest.low, largest.high))
        found = {
            "": first if len(shown) == 1 else f"{first} at first, {last} at last",
            f"at last over {plural(int(self.samples[shown[-1]]), 'sample')}": f"{low} to {high}",
            "above 0 at": f"{self.growing or 'none'} of {plural(len(self.steps), 'snapshot')}",
        }
        if lost := int(is_nonfinite(largest.mean.states).sum()):
            found["NaN or inf at"] = str(lost)
        return Caption(of, found, "In nats per timestep.")

    def to_frame(self) -> pd.DataFrame:
        """A row a step of an exponent, the largest first."""
        parts = [
            indexed(
                {schema.STEP: self.steps, "exponent": np.repeat(each.index, len(self.steps))},
                replace(each.mean, name="mean"),
                replace(each.low, name="low"),
                replace(each.high, name="high"),
            )
            for each in self.exponents
        ]
        return stacked(*parts) if parts else pd.DataFrame()


def lyapunov_history(run: Run, selection: Selection) -> LyapunovHistory:
    """The course of the leading exponents of one layer's state."""
    rows = run.read(schema.TABLE_LYAPUNOV, where=selection.where)
    rows = rows[~numbers(rows[schema.EXPONENT])[1]]
    steps, at = np.unique(rows[schema.STEP].to_numpy(dtype=np.int64), return_inverse=True)
    places = np.unique(rows[schema.INDEX].to_numpy(dtype=np.int64))
    courses = tuple(_course(rows, int(place), at, len(steps)) for place in places)
    samples, timesteps = (_of_each_step(rows[name], at, len(steps)) for name in (schema.SAMPLES, schema.TIMESTEPS))
    missing = _missing(run, selection, len(steps))
    return LyapunovHistory(source_of(run), selection, steps, courses, samples, timesteps, missing)


def _missing(run: Run, selection: Selection, count: int) -> str | None:
    if count:
        return None
    if not len(snapshot_steps(run, selection)):
        return f"No Lyapunov exponent of {selection.label}. {NO_SNAPSHOTS}"
    return (
        f"The snapshots of {selection.label} hold no Lyapunov exponent: an earlier graddiag took them, or the layer's "
        "weights were changed before the update."
    )


def _course(rows: pd.DataFrame, place: int, at: Ints, count: int) -> ExponentCourse:
    mine = (rows[schema.INDEX] == place).to_numpy()
    names = {
        schema.EXPONENT: f"exponent {place + 1}",
        schema.EXPONENT_LOW: "smallest sample",
        schema.EXPONENT_HIGH: "largest sample",
    }
    lines = []
    for name, title in names.items():
        values, absent = np.full(count, np.nan), np.ones(count, dtype=bool)
        values[at[mine]], absent[at[mine]] = numbers(rows[name][mine])
        lines.append(series(name, title, UNIT, values, absent))
    return ExponentCourse(place, *lines)


def _of_each_step(column: "pd.Series[int]", at: Ints, count: int) -> Ints:
    """One number a step, [S], of rows that all say the same; 0 where it is missing."""
    values, absent = numbers(column)
    found = np.zeros(count, dtype=np.int64)
    found[at] = np.where(absent | ~np.isfinite(values), 0, values).astype(np.int64)
    return found
