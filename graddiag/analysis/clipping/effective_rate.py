"""The learning rate that clipping leaves: lr times the clip coefficient, step by step."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.captions import Caption
from graddiag.analysis.frames import indexed
from graddiag.analysis.values import CellState, Ints, Result, Series, Source, series, source_of
from graddiag.analysis.words import number
from graddiag.run import Run, numbers


@dataclass(frozen=True)
class EffectiveLr(Result):
    """Over steps [S]: the learning rate as it was set, and times the clip coefficient.

    It is the rate at which plain SGD moved along the unclipped gradient. Under momentum it weighs what a step adds to
    the momentum; an optimizer that divides by a running size of the gradient (Adam, RMSProp) undoes most of a lasting
    coefficient, and there it says how far a step was held back against its neighbours. mean_lr, mean_effective: over
    the steps where both are known; ratio: their quotient.
    """

    source: Source
    steps: Ints
    lr: Series
    effective: Series
    mean_lr: float | None
    mean_effective: float | None
    ratio: float | None
    missing: str | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        of = "Effective learning rate, mean over steps"
        if self.mean_effective is None:
            return Caption(of, {"": "NaN or inf at every step"})
        if not self.source.clipped:
            return Caption(of, {"": f"{number(self.mean_lr)}, as set"})
        kept = "" if self.ratio is None else f", {self.ratio:.1%} of the {number(self.mean_lr)} that was set"
        return Caption(of, {"": f"{number(self.mean_effective)}{kept}"})

    def to_frame(self) -> pd.DataFrame:
        """A row a step."""
        return indexed({schema.STEP: self.steps}, self.lr, self.effective)


def effective_lr(run: Run) -> EffectiveLr:
    """lr x clip coefficient at every step.

    Source: Zhang, He, Sra & Jadbabaie (2020), equation 5: clipped gradient descent is descent with the step size
    min(lr, lr c / ||g||).
    """
    frame = run.read(schema.TABLE_STEPS, columns=[schema.STEP, schema.LR, schema.CLIP_COEFFICIENT])
    (lr, no_lr), (kept, not_kept) = numbers(frame[schema.LR]), numbers(frame[schema.CLIP_COEFFICIENT])
    with np.errstate(invalid="ignore", over="ignore"):
        product = lr * kept
    nominal = series(schema.LR, "learning rate", "as set", lr, no_lr)
    unit = "lr \N{MULTIPLICATION SIGN} clip coefficient"
    effective = series("effective_lr", "effective learning rate", unit, product, no_lr | not_kept)
    both = np.isfinite(product)
    mean, kept_mean = (float(each[both].mean()) if both.any() else None for each in (lr, product))
    ratio = kept_mean / mean if mean and kept_mean is not None else None
    missing = _what_is_missing(nominal, effective)
    return EffectiveLr(
        source_of(run), frame[schema.STEP].to_numpy(np.int64), nominal, effective, mean, kept_mean, ratio, missing
    )


def _what_is_missing(lr: Series, effective: Series) -> str | None:
    if (lr.states == CellState.MISSING).all():
        return "No learning rate was recorded: call recorder.log(lr=...) in a loop without an optimizer object."
    if (effective.states == CellState.MISSING).all():
        return "No clip coefficient was recorded: what clipping left of the learning rate is not known."
    return None
