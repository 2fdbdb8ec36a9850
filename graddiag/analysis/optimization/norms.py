"""The norm of the gradient over training, before and after clipping, and the steps at which it jumps."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.frames import indexed
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import CellState, Floats, Ints, Result, Series, Source, is_nonfinite, series, source_of
from graddiag.analysis.words import number, plural, scalar_title, scalar_unit
from graddiag.clipping.registry import read
from graddiag.run import Run, numbers


@dataclass(frozen=True)
class NormHistory(Result):
    """Norms at every step: L2 over all parameters.

    steps [S]; before and after clipping, and the coefficient after / before, each a Series over steps; nonfinite [S]:
    NaN or inf entries of the gradient before clipping (0 where that was not counted). threshold: C of the clip policy
    norm:C, None under any other.
    """

    source: Source
    steps: Ints
    before: Series
    after: Series
    coefficient: Series
    nonfinite: Ints
    threshold: float | None
    missing: str | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        of = "Gradient norm before clipping"
        if not self.before.measured:
            return Caption(of, {"": "NaN or inf at every step"})
        values = self.before.values
        top = int(np.nanargmax(values))
        found = {
            "median": number(float(np.nanmedian(values))),
            "largest": f"{number(float(values[top]))} at step {self.steps[top]}",
        }
        if self.threshold is not None:
            above = int((values > self.threshold).sum())
            found[f"above the threshold {number(self.threshold)} at"] = plural(above, "step")
        if bad := int(is_nonfinite(self.before.states).sum()):
            found["NaN or inf at"] = plural(bad, "step")
        return Caption(of, found)

    def to_frame(self) -> pd.DataFrame:
        """A row a step."""
        return indexed({schema.STEP: self.steps}, self.before, self.after, self.coefficient)


def norm_history(run: Run) -> NormHistory:
    """The norms of every step, with the threshold where the clip policy has one."""
    names = (schema.GRAD_NORM, schema.GRAD_NORM_CLIPPED, schema.CLIP_COEFFICIENT)
    frame = run.read(schema.TABLE_STEPS, columns=[schema.STEP, *names, schema.NONFINITE])
    before, after, coefficient = (
        series(name, scalar_title(name), scalar_unit(name), *numbers(frame[name])) for name in names
    )
    counted, uncounted = numbers(frame[schema.NONFINITE])
    entries = np.where(uncounted, 0, np.nan_to_num(counted)).astype(np.int64)
    steps = frame[schema.STEP].to_numpy(dtype=np.int64)
    lacking = not len(steps) or bool((before.states == CellState.MISSING).all())
    missing = "No gradient norm was recorded." if lacking else None
    return NormHistory(
        source_of(run), steps, before, after, coefficient, entries, norm_threshold(run.manifest.clip), missing
    )


def norm_threshold(policy: str | None) -> float | None:
    """C of the policy ``norm:C``; None for any other policy."""
    found = read(policy)
    return None if found is None else found.norm_threshold


def finite_norms(history: NormHistory) -> tuple[Floats, Ints]:
    """The finite norms before clipping and their steps."""
    finite = np.isfinite(history.before.values)
    return history.before.values[finite], history.steps[finite]


# so many steps in a row rise once in 120 times by chance
_LED_UP: Final = 5


@dataclass(frozen=True)
class Spikes:
    """The spikes among the norms of a run.

    steps and norms [k]: those of the spikes; ratios [k]: how many times the typical norm each was. counted: finite
    norms that were compared; usual: the typical norm at the largest ratio, or at the end where there is no spike
    (None: too few norms).
    """

    steps: Ints
    norms: Floats
    ratios: Floats
    counted: int
    usual: float | None

    @property
    def share(self) -> float:
        return len(self.steps) / self.counted if self.counted else 0.0

    @property
    def largest(self) -> int:
        """The index of the largest ratio; only where there is a spike."""
        return int(self.ratios.argmax())


def find_spikes(steps: Ints, norms: Floats, thresholds: Thresholds) -> Spikes:
    """The steps whose norm is ``thresholds.spike`` times the usual one; NaN and inf norms are passed over.

    The typical norm at a step is the largest of: the median of all norms before it, the highest that median has been,
    and the median of the ``recent`` ones before it. So a norm that climbs step by step makes no spike.
    """
    finite = np.isfinite(norms)
    recent = pd.Series(norms[finite]).rolling(max(thresholds.recent, thresholds.history), thresholds.history).median()
    usual = np.fmax(_usual(norms[finite], thresholds.history), recent.shift(1).to_numpy())
    return _above(steps, norms, finite, usual, thresholds)


def find_high(steps: Ints, norms: Floats, thresholds: Thresholds) -> Spikes:
    """The steps whose norm is ``thresholds.spike`` times what was usual in all the training before, by a spike or by
    growing step by step."""
    finite = np.isfinite(norms)
    return _above(steps, norms, finite, _usual(norms[finite], thresholds.history), thresholds)


def climbs_from(steps: Ints, norms: Floats, high: Spikes) -> int:
    """The first step from which on the norm stays above the lowest median that it had, until the first ``high`` one."""
    before = np.isfinite(norms) & (steps < high.steps[0])
    median = pd.Series(norms[before]).expanding().median().min()
    low = steps[before & (norms <= median)]
    return int(steps[steps > low[-1]][0]) if len(low) else int(high.steps[0])


def leads_up_from(steps: Ints, norms: Floats, spikes: Spikes) -> int:
    """The step of the first spike; or, if the norm rose at each of at least five steps up to it, the first of these."""
    finite = np.isfinite(norms) & (steps <= spikes.steps[0])
    falls = np.flatnonzero(np.diff(norms[finite]) <= 0)
    first = int(falls[-1]) + 2 if len(falls) else 1
    rises = int(finite.sum()) - first
    return int(steps[finite][first]) if rises >= _LED_UP else int(spikes.steps[0])


def _above(steps: Ints, norms: Floats, finite: NDArray[np.bool_], usual: Floats, thresholds: Thresholds) -> Spikes:
    known = usual > 0
    ratios = np.where(known, norms[finite] / np.where(known, usual, 1.0), 0.0)
    spikes = ratios >= thresholds.spike
    at = (int(ratios.argmax()) if spikes.any() else len(usual) - 1) if known.any() else None
    return Spikes(
        steps[finite][spikes],
        norms[finite][spikes],
        ratios[spikes],
        int(finite.sum()),
        None if at is None else float(usual[at]),
    )


def _usual(norms: Floats, history: int) -> Floats:
    """For each norm the usual one before it, NaN for the first ``history``."""
    median = pd.Series(norms).expanding(min_periods=history).median().shift(1)
    return np.asarray(median.cummax(), dtype=np.float64)
