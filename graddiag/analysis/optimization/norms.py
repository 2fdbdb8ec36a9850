"""The norm of the gradient over training, before and after clipping."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.captions import Caption
from graddiag.analysis.frames import indexed
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
