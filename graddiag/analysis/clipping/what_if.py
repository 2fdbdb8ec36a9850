"""What other thresholds would have done: to the norms that a run recorded, and to the loss, where they were tried.

Legend: n_i the norm before clipping of step i, lr_i its learning rate, k_i(c) = min(1, c / (n_i + 1e-6)), torch's
factor.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.frames import indexed
from graddiag.analysis.optimization.norms import norm_threshold
from graddiag.analysis.values import Floats, Result, Source, source_of
from graddiag.analysis.words import number, percent, plural
from graddiag.run import Run, numbers

# what clip_grad_norm_ adds to the norm it divides by
EPSILON: Final = 1e-6

_DRAWN: Final = 240
_MARGIN: Final = 2.0
_TOLD: Final = (0.01, 0.1, 0.5)


@dataclass(frozen=True)
class WhatIfCurves:
    """By threshold [K]: share of the steps that it clips, mean and median of k over all steps, mean of lr k (NaN where
    no learning rate was recorded)."""

    thresholds: Floats
    clipped_share: Floats
    mean_coefficient: Floats
    median_coefficient: Floats
    mean_lr: Floats


@dataclass(frozen=True)
class WhatIf(Result):
    """The finite norms of a run, ascending [N], and the learning rates of their steps [N] (NaN where not recorded).

    ``at(c)`` is exact for these norms. It is no forecast: had a step been clipped, the weights after it, and so every
    later norm, would have been others; and the norms of a run that was clipped are those that its own policy led to.
    drawn: the curves on thresholds spaced evenly in the logarithm, from half the smallest norm above 0 to twice the
    largest. nonfinite_steps: steps whose norm is NaN or inf, which no threshold helps; they are left out.
    """

    source: Source
    norms: Floats
    lrs: Floats
    threshold: float | None
    nonfinite_steps: int
    drawn: WhatIfCurves
    missing: str | None = None

    def at(self, thresholds: ArrayLike) -> WhatIfCurves:
        """What each of ``thresholds`` [K], above 0, would have done; in O((N + K) log N), not N K."""
        return _curves(self.norms, self.lrs, np.atleast_1d(np.asarray(thresholds, dtype=np.float64)))

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        told = np.array([_as_written(float(np.quantile(self.norms, 1 - p))) for p in _TOLD])
        told = np.array(list(dict.fromkeys(told[told > 0])))
        clips = [f"{number(c)} clips {percent(s)}" for c, s in zip(told, self.at(told).clipped_share, strict=True)]
        found = {"": ", ".join(clips), "of": plural(len(self.norms), "step")}
        if self.nonfinite_steps:
            found["{} with NaN or inf left out"] = plural(self.nonfinite_steps, "step")
        note = "A run under another threshold would have gone another way."
        return Caption("Thresholds on the norms as recorded", found, note)

    def to_frame(self) -> pd.DataFrame:
        """A row a threshold."""
        found = self.drawn
        return indexed(
            {"threshold": found.thresholds},
            clipped_share=found.clipped_share,
            mean_coefficient=found.mean_coefficient,
            median_coefficient=found.median_coefficient,
            mean_lr=found.mean_lr,
        )


def _as_written(value: float) -> float:
    """The number that ``number`` shows."""
    return float(number(value).replace(",", ""))


def what_if(run: Run) -> WhatIf:
    """The what-if of ``run``: its norms before clipping, sorted once.

    Source: the factor is that of torch's ``clip_grad_norm_``; Pascanu, Mikolov & Bengio (2013), algorithm 1.
    """
    frame = run.read(schema.TABLE_STEPS, columns=[schema.GRAD_NORM, schema.LR])
    (norms, missing), (lrs, _) = numbers(frame[schema.GRAD_NORM]), numbers(frame[schema.LR])
    finite = np.isfinite(norms)
    order = np.argsort(norms[finite], kind="stable")
    kept, rates = norms[finite][order], lrs[finite][order]
    bad = int((~finite & ~missing).sum())
    drawn = _curves(kept, rates, _spaced(kept))
    why = _what_is_missing(kept, bad, len(norms))
    return WhatIf(source_of(run), kept, rates, norm_threshold(run.manifest.clip), bad, drawn, why)


def _curves(norms: Floats, lrs: Floats, thresholds: Floats) -> WhatIfCurves:
    if not len(norms):
        unknown = np.full(len(thresholds), np.nan)
        return WhatIfCurves(thresholds, unknown, unknown, unknown, unknown)
    sizes, known = norms + EPSILON, np.isfinite(lrs)
    rates = np.where(known, lrs, 0.0)
    whole = np.searchsorted(sizes, thresholds, side="right")
    mean = (whole + thresholds * _sums_from(1 / sizes)[whole]) / len(norms)
    lr = (_sums_to(rates)[whole] + thresholds * _sums_from(rates / sizes)[whole]) / max(int(known.sum()), 1)
    median = np.mean(
        [np.minimum(1.0, thresholds / sizes[at]) for at in ((len(norms) - 1) // 2, len(norms) // 2)], axis=0
    )
    share = 1 - whole / len(norms)
    return WhatIfCurves(thresholds, share, mean, median, lr if known.any() else np.full(len(thresholds), np.nan))


def _sums_from(values: Floats) -> Floats:
    """The sum of ``values`` from each place on, [N + 1]; small ones last, so that none is lost in a large one."""
    return np.concatenate([np.cumsum(values[::-1])[::-1], [0.0]])


def _sums_to(values: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(values)])


def _spaced(norms: Floats) -> Floats:
    positive = norms[norms > 0]
    if not len(positive):
        return np.zeros(0)
    return np.geomspace(positive[0] / _MARGIN, positive[-1] * _MARGIN, _DRAWN)


def _what_is_missing(norms: Floats, nonfinite: int, steps: int) -> str | None:
    if not steps:
        return "No step was recorded: there is no norm to set a threshold against."
    if not len(norms):
        return "Every recorded gradient norm is NaN or inf." if nonfinite else "No gradient norm was recorded."
    return "Every recorded gradient norm is exactly 0: no threshold would clip." if norms[-1] == 0 else None


Outcome = Literal["saved", "helped", "slowed", "untouched", "unknown"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("saved", "helped", "slowed", "untouched", "unknown")

NO_LOOKS: Final = "No threshold was tried: recorder.look(lambda: loss_fn(model(x), y)) tries several at a step."


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
    return Counterfactuals(source_of(run), own, steps, None if steps else NO_LOOKS)


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
