"""Signals over the timesteps of a sequence, at one step or over a range of steps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.frames import indexed
from graddiag.analysis.selection import Selection, recorded_steps
from graddiag.analysis.timesteps.grid import added, chunks
from graddiag.analysis.values import CellState, Floats, Ints, Result, Series, Source, series, source_of
from graddiag.analysis.words import SIGNED, number, recorded_span, signal_title, signal_unit, span
from graddiag.run import Run

Asked = int | tuple[int, int]


@dataclass(frozen=True)
class Profile(Result):
    """Signals by timestep: series over timesteps [T] at the recorded ``steps`` that answer to what was ``asked``."""

    source: Source
    selection: Selection
    asked: Asked
    steps: Ints
    timesteps: Ints
    series: tuple[Series, ...]
    missing: str | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        line = self.series[0]
        ends = np.flatnonzero(np.isfinite(line.values))
        of = f"{line.title} at {recorded_span(int(self.steps[0]), int(self.steps[-1]))}"
        if not len(ends):
            return Caption(of, {"": "no finite value"})
        return Caption(of, {f"{{}} at timestep {t}": number(float(line.values[t])) for t in ends[[0, -1]]})

    def to_frame(self) -> pd.DataFrame:
        """One row per timestep."""
        return indexed({schema.TIMESTEP: self.timesteps}, *self.series)


def profile(run: Run, step: Asked, selection: Selection, signals: Sequence[str] = (schema.GRAD_H,)) -> Profile:
    """``signals`` of one layer over timesteps.

    Args:
        step: a step, of which the nearest recorded one is taken; or the first and last step of a range, over which
            each timestep's geometric mean is taken (of a signal with a sign: the arithmetic mean). In a range NaN and
            inf are left out of a mean unless nothing else was measured, and so are zeros.
    """
    found = steps_asked_for(recorded_steps(run, selection), step)
    if not len(found):
        return Profile(source_of(run), selection, step, found, found, (), _none_recorded(selection, step))
    means = {name: _Means(signed=name in SIGNED) for name in signals}
    for grid in chunks(run, selection, signals, steps=found):
        for name, mean in means.items():
            mean.add(grid.values[name], grid.missing[name])
    lines = tuple(series(name, signal_title(name), signal_unit(name), *mean.found()) for name, mean in means.items())
    lacking = [line.title for line in lines if (line.states == CellState.MISSING).all()]
    missing = f"Not recorded for {selection.label}: {', '.join(lacking)}." if len(lacking) == len(lines) else None
    timesteps = np.arange(max((len(line.values) for line in lines), default=0))
    return Profile(source_of(run), selection, step, found, timesteps, lines, missing)


def steps_asked_for(recorded: Ints, step: Asked) -> Ints:
    """Of the ``recorded`` steps the nearest to a step, or all within a range (first, last)."""
    if not len(recorded):
        return recorded
    if isinstance(step, tuple):
        return recorded[(recorded >= step[0]) & (recorded <= step[1])]
    return recorded[[np.abs(recorded - step).argmin()]]


class _Means:
    """The mean of each timestep over steps that come chunk by chunk; the only step there is stays as it is."""

    def __init__(self, *, signed: bool) -> None:
        self._signed = signed
        self._total, self._usable, self._zero, self._measured = (np.zeros(0) for _ in range(4))
        self._only: tuple[Floats, NDArray[np.bool_]] | None = None
        self._steps = 0

    def add(self, values: Floats, missing: NDArray[np.bool_]) -> None:
        """Adds the steps of ``values`` [S, T]; where ``missing`` nothing was measured."""
        self._steps += len(values)
        self._only = (values[0], missing[0]) if len(values) else self._only
        usable = np.isfinite(values) & (self._signed | (values > 0))
        terms = np.where(usable, values, 1.0)
        terms = terms if self._signed else np.log(terms)
        self._total = added(self._total, np.where(usable, terms, 0.0).sum(axis=0))
        self._usable = added(self._usable, usable.sum(axis=0))
        self._zero = added(self._zero, (values == 0).sum(axis=0))
        self._measured = added(self._measured, (~missing).sum(axis=0))

    def found(self) -> tuple[Floats, NDArray[np.bool_]]:
        """The mean of each timestep, and where none was measured, [T]."""
        if self._steps == 1 and self._only is not None:
            return self._only
        mean = self._total / np.maximum(self._usable, 1)
        mean = mean if self._signed else np.exp(mean)
        mean = np.where(self._usable > 0, mean, np.where(self._zero > 0, 0.0, np.nan))
        return mean, np.asarray(self._measured == 0)


def _none_recorded(selection: Selection, step: Asked) -> str:
    if isinstance(step, tuple):
        return f"No timestep of {selection.label} was recorded in {span(*step)}."
    return f"No timestep was recorded for {selection.label}."
