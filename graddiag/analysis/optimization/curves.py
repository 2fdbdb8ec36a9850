"""The loss, and whatever other scalar was logged, over steps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.frames import indexed
from graddiag.analysis.values import CellState, Ints, Result, Series, Source, series, source_of
from graddiag.analysis.words import number, scalar_title, scalar_unit
from graddiag.run import Run, numbers


@dataclass(frozen=True)
class Curves(Result):
    """Scalars over training: a series over steps [S] each."""

    source: Source
    steps: Ints
    series: tuple[Series, ...]
    missing: str | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        line = next(each for each in self.series if (each.states != CellState.MISSING).any())
        at = np.flatnonzero(np.isfinite(line.values))
        if not len(at):
            return Caption(line.title, {"": "NaN or inf throughout"})
        first, last, best = at[0], at[-1], at[line.values[at].argmin()]
        course = f"{number(float(line.values[first]))} to {number(float(line.values[last]))}"
        return Caption(
            line.title, {"from": course, "lowest": f"{number(float(line.values[best]))} at step {self.steps[best]}"}
        )

    def to_frame(self) -> pd.DataFrame:
        """A row a step."""
        return indexed({schema.STEP: self.steps}, *self.series)


def logged_scalars(run: Run) -> tuple[str, ...]:
    """The numeric columns of ``steps`` that hold anything, the declared ones first; NaN and inf count."""
    frame = run.steps
    names = [name for name in frame.columns if name != schema.STEP and pd.api.types.is_numeric_dtype(frame[name].dtype)]
    return tuple(name for name in names if not numbers(frame[name])[1].all())


def loss_curve(run: Run, names: Sequence[str] | None = None) -> Curves:
    """The loss over steps, or the scalars ``names``; a name that the run has not is left out and said to be missing."""
    wanted = list(names) if names is not None else [schema.LOSS]
    frame = run.steps
    steps = frame[schema.STEP].to_numpy(dtype=np.int64)
    found = [name for name in wanted if name in frame.columns]
    lines = tuple(series(name, scalar_title(name), scalar_unit(name), *numbers(frame[name])) for name in found)
    return Curves(source_of(run), steps, lines, _what_is_missing(lines, wanted))


def _what_is_missing(lines: Sequence[Series], wanted: Sequence[str]) -> str | None:
    if any((line.states != CellState.MISSING).any() for line in lines):
        return None
    names = ", ".join(scalar_title(name).lower() for name in wanted)
    return (
        f"No {names} was logged: call recorder.log({wanted[0]}=...) in the loop."
        if wanted
        else "No scalar was asked for."
    )
