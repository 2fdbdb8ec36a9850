"""Signals over the timesteps of a sequence, at one step or over a range of steps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.grid import read_grid
from graddiag.analysis.selection import Selection, recorded_steps
from graddiag.analysis.values import CellState, Floats, Ints, Result, Series, Source, series, source_of
from graddiag.analysis.words import SIGNED, number, signal_title, signal_unit, span
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
        if self.missing:
            return self.missing
        line = self.series[0]
        ends = np.flatnonzero(np.isfinite(line.values))
        when = span(int(self.steps[0]), int(self.steps[-1]))
        if not len(ends):
            return f"{line.title} of {self.source.label} at {when}: no finite value."
        first, last = (f"{number(float(line.values[t]))} at timestep {t}" for t in (ends[0], ends[-1]))
        return f"{line.title} of {self.source.label} at {when}: {first}, {last}."


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
    grid = read_grid(run, selection, signals, steps=(int(found[0]), int(found[-1])))
    lines = tuple(_line(name, grid.values[name], grid.missing[name]) for name in signals)
    lacking = [line.title for line in lines if (line.states == CellState.MISSING).all()]
    missing = f"Not recorded for {selection.label}: {', '.join(lacking)}." if len(lacking) == len(lines) else None
    return Profile(source_of(run), selection, step, found, grid.timesteps, lines, missing)


def steps_asked_for(recorded: Ints, step: Asked) -> Ints:
    """Of the ``recorded`` steps the nearest to a step, or all within a range (first, last)."""
    if not len(recorded):
        return recorded
    if isinstance(step, tuple):
        return recorded[(recorded >= step[0]) & (recorded <= step[1])]
    return recorded[[np.abs(recorded - step).argmin()]]


def _line(name: str, values: Floats, missing: NDArray[np.bool_]) -> Series:
    title, unit = signal_title(name), signal_unit(name)
    if len(values) == 1:
        return series(name, title, unit, values[0], missing[0])
    return series(name, title, unit, *mean_over_steps(values, missing, signed=name in SIGNED))


def mean_over_steps(values: Floats, missing: NDArray[np.bool_], *, signed: bool) -> tuple[Floats, NDArray[np.bool_]]:
    """The mean of each column over steps, [S, T] to [T], and where none was measured, [T]."""
    usable = np.isfinite(values) & (signed | (values > 0))
    terms = np.where(usable, values, 1.0)
    total = terms if signed else np.log(terms)
    mean = np.where(usable, total, 0.0).sum(axis=0) / np.maximum(usable.sum(axis=0), 1)
    mean = mean if signed else np.exp(mean)
    some, zero = usable.any(axis=0), (values == 0).any(axis=0)
    return np.where(some, mean, np.where(zero, 0.0, np.nan)), np.asarray(missing.all(axis=0))


def _none_recorded(selection: Selection, step: Asked) -> str:
    if isinstance(step, tuple):
        return f"No timestep of {selection.label} was recorded in {span(*step)}."
    return f"No timestep was recorded for {selection.label}."
