"""Whether clipping saved a step or slowed it: the loss after the update with several thresholds, as it was tried."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.captions import Caption
from graddiag.analysis.optimization.norms import norm_threshold
from graddiag.analysis.values import Floats, Result, Source, source_of
from graddiag.analysis.words import number, plural
from graddiag.run import Run, numbers

Outcome = Literal["saved", "helped", "slowed", "untouched", "unknown"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("saved", "helped", "slowed", "untouched", "unknown")

NO_THRESHOLDS_TRIED: Final = (
    "No threshold was tried: recorder.try_thresholds(lambda: loss_fn(model(x), y)) tries several at a step."
)


@dataclass(frozen=True)
class SweepStep:
    """One step: norm before clipping and loss before the update; by threshold [K], ascending, inf without clipping
    last: the coefficient it gives and the loss on the same batch after the update (NaN and inf kept).

    judged: the threshold held against no clipping: the run's own, or the best of those tried where it has none. None
    where nothing was tried beside no clipping. best: the threshold of the lowest finite loss, the largest of equal
    ones; None where none is finite. outcome: what the judged threshold did to this step, or would have done:

    - saved: without clipping the loss would have risen or be NaN, and with it the loss is lower than that;
    - helped: without clipping the loss falls as well, and with it further;
    - slowed: without clipping the loss is lower;
    - untouched: the norm is below the threshold, or the loss is the same;
    - unknown: the loss is NaN or inf either way, or nothing was tried.
    """

    step: int
    norm: float
    loss_before: float
    thresholds: Floats
    coefficients: Floats
    losses: Floats
    judged: float | None
    best: float | None
    outcome: Outcome

    @property
    def free(self) -> float:
        """The loss after the update without clipping."""
        return float(self.losses[-1])

    @property
    def with_clipping(self) -> float:
        """The loss after the update with the judged threshold; NaN where there is none."""
        return float("nan") if self.judged is None else float(self.losses[self.thresholds == self.judged][0])

    @property
    def gap(self) -> float:
        """How far the loss without clipping lies from that with it, inf where it is not finite without."""
        if not np.isfinite(self.free):
            return float("inf")
        return -1.0 if np.isnan(self.with_clipping) else abs(self.free - self.with_clipping)


@dataclass(frozen=True)
class Counterfactuals(Result):
    """All steps at which thresholds were tried, ascending. threshold: C of the run's policy norm:C, else None.

    It is about single updates: the loss on the batch of the step just after it. What a training under another threshold
    would come to is not known.
    """

    source: Source
    threshold: float | None
    steps: tuple[SweepStep, ...]
    missing: str | None = None

    @property
    def counts(self) -> Mapping[Outcome, int]:
        """How many steps had each outcome."""
        found = Counter(each.outcome for each in self.steps)
        return {outcome: found[outcome] for outcome in OUTCOMES}

    @property
    def cliff(self) -> SweepStep | None:
        """The step at which clipping made the largest difference; one that is NaN or inf without it comes first."""
        judged = [each for each in self.steps if each.judged is not None and np.isfinite(each.with_clipping)]
        return max(judged, key=lambda each: each.gap, default=self.steps[-1] if self.steps else None)

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        counts = self.counts
        who = "the best of the thresholds tried" if self.threshold is None else f"norm:{number(self.threshold)}"
        found = {"by": who}
        found |= {f"{{}} {outcome}": str(count) for outcome, count in counts.items() if outcome != "unknown"}
        if counts["unknown"]:
            found["{} NaN or inf either way"] = str(counts["unknown"])
        found["of"] = plural(len(self.steps), "step")
        return Caption("What clipping did at single steps", found, "By the loss on the same batch after one update.")

    def to_frame(self) -> pd.DataFrame:
        """A row a step and threshold, inf for none: the loss on the same batch after the update."""
        rows = [
            (each.step, each.norm, each.loss_before, threshold, coefficient, loss, each.outcome)
            for each in self.steps
            for threshold, coefficient, loss in zip(each.thresholds, each.coefficients, each.losses, strict=True)
        ]
        columns = [schema.STEP, schema.GRAD_NORM, "loss_before", "threshold", "coefficient", "loss_after", "outcome"]
        return pd.DataFrame(rows, columns=columns)


def counterfactual(run: Run) -> Counterfactuals:
    """The steps of ``run`` at which thresholds were tried, each judged.

    Source: Pascanu, Mikolov & Bengio (2013), section 2.3: a step off the cliff of the error surface, with and without
    clipping.
    """
    frame = run.read(schema.TABLE_COUNTERFACTUALS)
    frame = frame[~numbers(frame[schema.LOSS_AFTER])[1]]
    own = norm_threshold(run.manifest.clip)
    looked = frame[schema.STEP].to_numpy(dtype=np.int64)
    steps = tuple(_looked(int(step), frame[looked == step], own) for step in np.unique(looked))
    return Counterfactuals(source_of(run), own, steps, None if steps else NO_THRESHOLDS_TRIED)


def _looked(step: int, rows: pd.DataFrame, own: float | None) -> SweepStep:
    rows = rows.sort_values(schema.INDEX, kind="stable")
    (thresholds, free), (coefficients, _) = numbers(rows[schema.THRESHOLD]), numbers(rows[schema.CLIP_COEFFICIENT])
    (losses, _), (norms, _) = numbers(rows[schema.LOSS_AFTER]), numbers(rows[schema.GRAD_NORM])
    before = float(numbers(rows[schema.LOSS_BEFORE])[0][0])
    thresholds = np.where(free | np.isnan(thresholds), np.inf, thresholds)
    judged = _judged(thresholds, losses, own)
    place = None if judged is None else int(np.flatnonzero(thresholds == judged)[0])
    outcome = "unknown" if place is None else _outcome(before, losses[place], losses[-1], coefficients[place])
    best = _lowest(thresholds, losses)
    return SweepStep(step, float(norms[0]), before, thresholds, coefficients, losses, judged, best, outcome)


def _judged(thresholds: Floats, losses: Floats, own: float | None) -> float | None:
    if own is not None and own in thresholds:
        return own
    tried = np.isfinite(thresholds)
    found = _lowest(thresholds[tried], losses[tried])
    return float(thresholds[tried][-1]) if found is None and tried.any() else found


def _lowest(thresholds: Floats, losses: Floats) -> float | None:
    """The threshold of the lowest finite loss; of equals the largest, which clips least."""
    finite = np.isfinite(losses)
    if not finite.any():
        return None
    return float(thresholds[finite][losses[finite] == losses[finite].min()][-1])


def _outcome(before: float, clipped: float, free: float, coefficient: float) -> Outcome:
    if not np.isfinite(clipped) and not np.isfinite(free):
        return "unknown"
    if coefficient >= 1 or clipped == free:
        return "untouched"
    if not np.isfinite(clipped):
        return "slowed"
    if not np.isfinite(free):
        return "saved"
    if clipped > free:
        return "slowed"
    return "saved" if free > before else "helped"
