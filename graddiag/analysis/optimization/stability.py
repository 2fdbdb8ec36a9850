"""The edge of stability: the sharpness times the learning rate over training, where a loop logged the sharpness."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.captions import Caption
from graddiag.analysis.frames import indexed
from graddiag.analysis.optimization.loss import SHARPNESS
from graddiag.analysis.optional import optional_scalars
from graddiag.analysis.values import CellState, Ints, Result, Series, Source, series, source_of
from graddiag.analysis.words import number, percent
from graddiag.run import Run, numbers

EDGE: Final = 2.0  # gradient descent on a quadratic of this sharpness x lr neither falls nor rises


@dataclass(frozen=True)
class EdgeOfStability(Result):
    """The largest eigenvalue of the Hessian of the loss (the scalar ``sharpness`` of the loop) times the learning rate,
    at every step [S] of the run; missing where either was not logged.

    Source: Cohen et al. (2021), Gradient descent on neural networks typically occurs at the edge of stability.
    """

    source: Source
    steps: Ints
    product: Series
    missing: str | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        of = "Sharpness \N{MULTIPLICATION SIGN} learning rate"
        known = self.product.values[np.isfinite(self.product.values)]
        if not len(known):
            return Caption(of, {"": "NaN or inf wherever it was logged"})
        above = percent(float((known >= EDGE).mean()))
        found = {"{} at the end": number(float(known[-1])), "at or above 2 at": f"{above} of the steps"}
        return Caption(of, found, "Below 2 gradient descent on a quadratic descends.")

    def to_frame(self) -> pd.DataFrame:
        """A row a step."""
        return indexed({schema.STEP: self.steps}, self.product)


def edge_of_stability(run: Run) -> EdgeOfStability:
    """Sharpness times learning rate, step by step."""
    steps = run.read(schema.TABLE_STEPS, columns=[schema.STEP])[schema.STEP].to_numpy(dtype=np.int64)
    values, unlogged = np.full(len(steps), np.nan), np.ones(len(steps), dtype=bool)
    if optional_scalars(run, SHARPNESS, schema.LR) is not None:
        frame = run.read(schema.TABLE_STEPS, columns=[SHARPNESS, schema.LR])
        (sharpness, none), (lr, no_lr) = numbers(frame[SHARPNESS]), numbers(frame[schema.LR])
        with np.errstate(over="ignore", invalid="ignore"):
            values, unlogged = sharpness * lr, none | no_lr
    line = series("sharpness_lr", "sharpness \N{MULTIPLICATION SIGN} learning rate", "1", values, unlogged)
    missing = None
    if (line.states == CellState.MISSING).all():
        missing = f"The edge of stability was not measured: no scalar {SHARPNESS!r} was logged with a learning rate."
    return EdgeOfStability(source_of(run), steps, line, missing)
