"""One signal of two runs against each other: their ratio over training and sequence."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.frames import cells
from graddiag.analysis.selection import Selection, recorded_steps
from graddiag.analysis.timesteps.grid import NO_STEP, Grid, ends_of, read_grid
from graddiag.analysis.timesteps.heat import Reduce, binned, bins, counted, longest
from graddiag.analysis.values import CellState, Floats, Ints, Result, Source, States, source_of
from graddiag.analysis.words import SIGNED, before_clipping, number, signal_title
from graddiag.errors import SettingError
from graddiag.run import Run


@dataclass(frozen=True)
class HeatRatio(Result):
    """log10 of a signal of ``treated`` over that of ``baseline``, on a grid of bins [S, T] of the recorded steps and
    timesteps that both have.

    values: float32, NaN unless the state is value. states: CellState; zero where the signal of ``treated`` is exactly 0
    and that of ``baseline`` is not; missing where either was not measured or that of ``baseline`` is 0; NaN where
    either is, else inf where either is. median: of the ratio over all cells with a value; counts: cells of each state
    before binning.
    """

    baseline: Source
    treated: Source
    selection: Selection
    signal: str
    steps: Ints
    timesteps: Ints
    step_bin: int
    timestep_bin: int
    values: NDArray[np.float32]
    states: States
    counts: Mapping[str, int]
    median: float | None
    missing: str | None = None

    @property
    def title(self) -> str:
        return f"{signal_title(self.signal)}: {self.treated.label} over {self.baseline.label}"

    @property
    def caption(self) -> str:
        if self.missing or self.median is None:
            return self.missing or "There is no cell in which both runs have a number above 0."
        when = ", both before clipping" if before_clipping(self.signal) else ""
        return (
            f"{signal_title(self.signal)} of {self.treated.label} over that of {self.baseline.label}, at the same step "
            f"and timestep{when}: {number(self.median)} in the median. At 1 they are equal."
        )

    def to_frame(self) -> pd.DataFrame:
        """A row a cell: the ratio itself, by the first step and timestep in it."""
        ratio = np.power(10.0, self.values, dtype=np.float64)
        return cells((schema.STEP, self.steps), (schema.TIMESTEP, self.timesteps), "ratio", ratio, self.states)


def heat_ratio(
    runs: Sequence[Run],
    signal: str,
    selection: Selection,
    *,
    max_cells: int = 60_000,
    reduce: Reduce = "max",
    steps: tuple[int, int] | None = None,
    timesteps: tuple[int, int] | None = None,
) -> HeatRatio:
    """The ratio of the second run to the first; arguments as for ``heat``.

    Args:
        reduce: of the logarithms of a bin's cells ``max`` takes the one farthest from 0, ``geomean`` their mean.

    Raises:
        SettingError: not two runs.
    """
    if len(runs) != 2:
        raise SettingError(f"a ratio needs two runs, the baseline and the other; {len(runs)} were given.")
    looked = [recorded_steps(run, selection, within=steps) for run in runs]
    shared = np.intersect1d(looked[0], looked[1])
    length = min(longest(run, selection, each) for run, each in zip(runs, looked, strict=True))
    first, last = timesteps or (0, length)
    times = np.arange(max(0, first), min(last + 1, length))
    step_bin, timestep_bin = bins((len(shared), len(times)), max_cells)
    parts, known = [], [np.zeros(0, np.float32)]
    for values, states in _stretches(runs, signal, selection, (shared, times), step_bin):
        known.append(values[states == CellState.VALUE].astype(np.float32))
        parts.append((_binned(values, states, step_bin, timestep_bin, reduce), counted(states)))
    ratios = np.concatenate(known)
    return HeatRatio(
        source_of(runs[0]),
        source_of(runs[1]),
        selection,
        signal,
        shared[::step_bin],
        times[::timestep_bin],
        step_bin,
        timestep_bin,
        np.concatenate([shown for (shown, _), _ in parts]),
        np.concatenate([kinds for (_, kinds), _ in parts]),
        {state: sum(counts[state] for _, counts in parts) for state in parts[0][1]},
        float(10.0 ** np.median(ratios)) if len(ratios) else None,
        _what_is_missing(len(shared) * len(times), ratios, signal),
    )


def _stretches(
    runs: Sequence[Run], signal: str, selection: Selection, where: tuple[Ints, Ints], multiple: int
) -> Iterator[tuple[Floats, States]]:
    """log10 of the ratio at some steps and timesteps, a chunk of steps at a time, with what each cell is."""
    steps, times = where
    for ends in ends_of(steps, multiple) if len(steps) else [NO_STEP]:
        a, b = (read_grid(run, selection, [signal], steps=ends) for run in runs)
        _, rows_a, rows_b = np.intersect1d(a.steps, b.steps, return_indices=True)
        yield _ratio(_cells(a, signal, rows_a, times), _cells(b, signal, rows_b, times))


Cells = tuple[Floats, NDArray[np.bool_]]


def _cells(grid: Grid, signal: str, rows: Ints, times: Ints) -> Cells:
    """The cells of a grid at some rows and ``times``, [S, T]; missing beyond its longest sequence."""
    values, missing = np.full((len(rows), len(times)), np.nan), np.ones((len(rows), len(times)), dtype=bool)
    there = times[times < len(grid.timesteps)]
    at = np.ix_(rows, there)
    values[:, : len(there)], missing[:, : len(there)] = grid.values[signal][at], grid.missing[signal][at]
    return values, missing


def _ratio(a: Cells, b: Cells) -> tuple[Floats, States]:
    """log10 of b / a, [S, T], and what each cell is."""
    (x, no_x), (y, no_y) = a, b
    states = np.full(x.shape, CellState.VALUE, dtype=np.int8)
    states[y == 0] = CellState.ZERO
    states[no_x | no_y | (x == 0)] = CellState.MISSING
    both = ~(no_x | no_y)
    states[both & (np.isinf(x) | np.isinf(y))] = CellState.INF
    states[both & (np.isnan(x) | np.isnan(y))] = CellState.NAN
    usable = (states == CellState.VALUE) & (x > 0) & (y > 0)
    logs = np.log10(y, where=usable, out=np.full(x.shape, np.nan))
    return logs - np.log10(x, where=usable, out=np.full(x.shape, np.nan)), states


def _binned(
    values: Floats, states: States, step_bin: int, timestep_bin: int, reduce: Reduce
) -> tuple[NDArray[np.float32], States]:
    if reduce == "max":
        shown, kinds = binned(values, states, step_bin, timestep_bin, "max", True)
        return np.where(kinds == CellState.VALUE, shown, np.float32(np.nan)), kinds
    usual, kinds = binned(10.0**values, states, step_bin, timestep_bin, "geomean", False)
    logs = np.log10(usual, where=usual > 0, out=np.full(usual.shape, np.nan, dtype=np.float32))
    return np.where(kinds == CellState.VALUE, logs, np.float32(np.nan)), kinds


def _what_is_missing(cells: int, known: NDArray[np.float32], signal: str) -> str | None:
    if signal in SIGNED:
        return f"{signal_title(signal)} has a sign: there is no ratio to draw."
    if not cells:
        return "The two runs have no recorded step and timestep in common."
    if not len(known):
        return "There is no cell in which both runs have a number above 0."
    return None
