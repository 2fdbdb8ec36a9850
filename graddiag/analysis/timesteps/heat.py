"""One signal over training and sequence: step x timestep, binned to what a picture can show."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.frames import cells
from graddiag.analysis.selection import Selection, recorded_steps
from graddiag.analysis.timesteps.grid import Grid, chunks, ends_of
from graddiag.analysis.values import CellState, Floats, Ints, Result, Source, States, known, source_of, states_of
from graddiag.analysis.words import SIGNED, number, plural, recorded_span, signal_title, signal_unit
from graddiag.errors import SettingError
from graddiag.run import Run

Reduce = Literal["max", "geomean"]

_PEAK: Final = 10.0  # a cell so many times over the log-mean of its bin stands for the bin: no mean hides an explosion


@dataclass(frozen=True)
class Heat(Result):
    """A signal on a grid of bins [S, T], each of ``step_bin`` recorded steps by ``timestep_bin`` timesteps.

    values: float32, NaN unless the state is value or zero. states: CellState; a bin is inf if any of its cells is
    (inf comes first as a rule, and NaN after it by the thousand), else NaN if any is, else a value if any is not zero,
    else zero if any was measured, else missing. steps and timesteps: the first of
    each bin; ``counts``: recorded cells of each state before binning; low and high: the smallest and the largest
    positive value shown, in ``unit``.
    """

    source: Source
    selection: Selection
    signal: str
    unit: str
    steps: Ints
    timesteps: Ints
    step_bin: int
    timestep_bin: int
    values: NDArray[np.float32]
    states: States
    counts: Mapping[str, int]
    low: float | None
    high: float | None
    reduce: Reduce
    missing: str | None = None

    @property
    def title(self) -> str:
        return signal_title(self.signal)

    @property
    def signed(self) -> bool:
        """Whether the signal has negative values, and so no log scale."""
        return self.signal in SIGNED

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        of = f"{self.title}, {recorded_span(int(self.steps[0]), int(self.steps[-1]))}"
        if self.low is None or self.high is None or self.signed:
            return Caption(of, {"": self._signed}, self._bins)
        found = {"{} decades": f"{math.log10(self.high) - math.log10(self.low):.1f}"}
        for state in (CellState.ZERO, CellState.NAN, CellState.INF):
            if count := self.counts[state.name.lower()]:
                found[f"{{}} {state.words}"] = plural(count, "cell")
        scale = "Purple below 1, green above." if self.signal == schema.TRANSPORT_GAIN else "The darker, the smaller."
        return Caption(of, found, " ".join(filter(None, (scale, self._bins))))

    @property
    def _signed(self) -> str:
        """From where to where the numbers go, of a signal that has no decades."""
        shown = self.values[np.isfinite(self.values)]
        return f"from {number(float(shown.min()))} to {number(float(shown.max()))}" if len(shown) else "no finite value"

    @property
    def _bins(self) -> str:
        """What a cell of the picture stands for, where that is more than one number."""
        if self.step_bin == self.timestep_bin == 1:
            return ""
        of = " by ".join(
            plural(*each) for each in ((self.step_bin, "step"), (self.timestep_bin, "timestep")) if each[0] > 1
        )
        return f"Each cell is the {'largest' if self.reduce == 'max' else 'log-mean'} of {of}."

    def to_frame(self) -> pd.DataFrame:
        """A row a cell, by the first step and timestep in it."""
        return cells(
            (schema.STEP, self.steps), (schema.TIMESTEP, self.timesteps), self.signal, self.values, self.states
        )


def heat(
    run: Run,
    signal: str,
    selection: Selection,
    *,
    max_cells: int = 60_000,
    reduce: Reduce = "max",
    steps: tuple[int, int] | None = None,
    timesteps: tuple[int, int] | None = None,
) -> Heat:
    """``signal`` of one layer by step and timestep, in at most ``max_cells`` bins.

    Args:
        reduce: ``max`` keeps every peak at any zoom (of a signal with a sign: the largest in size); ``geomean`` is the
            mean on a log scale, over the positive cells of a bin, but the largest where that is over 10 times as much.
        steps, timesteps: the first and the last to look at, for a closer look; nothing else is read of ``steps``.

    Raises:
        SettingError: max_cells below 1.
    """
    if max_cells < 1:
        raise SettingError(f"max_cells {max_cells}: a heatmap needs at least one cell; give 60000, for example.")
    looked = recorded_steps(run, selection, within=steps)
    times = np.arange(longest(run, selection, looked))
    if timesteps is not None:
        times = times[max(0, timesteps[0]) : timesteps[1] + 1]
    step_bin, timestep_bin = bins((len(looked), len(times)), max_cells)
    parts = []
    for grid in chunks(run, selection, [signal], steps=looked, multiple=step_bin):
        states, values = _cells(grid, signal, times)
        part = binned(values, states, step_bin, timestep_bin, reduce, signal in SIGNED)
        parts.append((grid.steps[::step_bin], counted(states), *part))
    shown, shown_states = (np.concatenate([part[at] for part in parts]) for at in (2, 3))
    counts = {state: sum(part[1][state] for part in parts) for state in parts[0][1]}
    positive = shown[shown > 0]
    return Heat(
        source_of(run),
        selection,
        signal,
        signal_unit(signal),
        np.concatenate([part[0] for part in parts]),
        times[::timestep_bin],
        step_bin,
        timestep_bin,
        shown,
        shown_states,
        counts,
        known(float(positive.min(initial=np.inf))) if len(positive) else None,
        float(positive.max()) if len(positive) else None,
        reduce,
        _what_is_missing(counts, signal, selection),
    )


def counted(states: States) -> dict[str, int]:
    """How many cells are of each state, by its name."""
    return {state.name.lower(): int((states == state).sum()) for state in CellState}


def longest(run: Run, selection: Selection, steps: Ints) -> int:
    """Timesteps of the longest sequence at any of ``steps``."""
    found = 0
    for first, last in ends_of(steps):
        where = {**selection.where, schema.STEP: range(first, last + 1)}
        times = run.read(schema.TABLE_TIMESTEPS, columns=[schema.TIMESTEP], where=where)[schema.TIMESTEP]
        found = max(found, int(times.max()) + 1)
    return found


def _cells(grid: Grid, signal: str, times: Ints) -> tuple[States, Floats]:
    """What the cells of ``times`` are and hold, [S, T]; missing beyond the longest sequence of the grid."""
    states = np.full((len(grid.steps), len(times)), CellState.MISSING, dtype=np.int8)
    values = np.full(states.shape, np.nan)
    there = times[times < len(grid.timesteps)]
    values[:, : len(there)] = grid.values[signal][:, there]
    states[:, : len(there)] = states_of(values[:, : len(there)], grid.missing[signal][:, there])
    return states, values


def bins(shape: tuple[int, ...], max_cells: int) -> tuple[int, int]:
    """Recorded steps and timesteps a bin: timesteps stay single until they alone would take most of the cells."""
    steps, timesteps = shape
    most_timesteps = max(1, min(math.isqrt(max_cells) * 2, max_cells))
    timestep_bin = max(1, math.ceil(timesteps / most_timesteps))
    columns = max(1, math.ceil(timesteps / timestep_bin))
    return max(1, math.ceil(steps / max(1, max_cells // columns))), timestep_bin


def binned(
    values: Floats, states: States, step_bin: int, timestep_bin: int, reduce: Reduce, signed: bool
) -> tuple[NDArray[np.float32], States]:
    """The values and states [S, T] of the bins, a value float32 and NaN where its bin has none."""
    if not values.size:
        return values.astype(np.float32), states
    blocks = _blocks(values, step_bin, timestep_bin, np.nan)
    kinds = _blocks(states, step_bin, timestep_bin, CellState.MISSING)
    states = _state_of_bins(kinds)
    usable = np.where(kinds <= int(CellState.ZERO), blocks, np.nan)
    shown = _largest(usable)
    if reduce == "geomean" and not signed:
        usual = _geometric(usable)
        shown = np.where(shown > _PEAK * usual, shown, usual)
    shown[states > CellState.ZERO] = np.nan
    return _as_float32(shown), states


def _blocks(values: NDArray[Any], step_bin: int, timestep_bin: int, fill: float) -> NDArray[Any]:
    """[S, T] to [bins of S, bins of T, cells of a bin], padded with ``fill``."""
    steps, timesteps = -(-values.shape[0] // step_bin), -(-values.shape[1] // timestep_bin)
    pad = ((0, steps * step_bin - values.shape[0]), (0, timesteps * timestep_bin - values.shape[1]))
    padded = np.pad(values, pad, constant_values=fill) if any(after for _, after in pad) else values
    blocks = padded.reshape(steps, step_bin, timesteps, timestep_bin).swapaxes(1, 2)
    return blocks.reshape(steps, timesteps, step_bin * timestep_bin)


def _state_of_bins(kinds: NDArray[Any]) -> States:
    states = np.full(kinds.shape[:2], CellState.MISSING, dtype=np.int8)
    for state in (CellState.ZERO, CellState.VALUE, CellState.NAN, CellState.INF):
        states[(kinds == state).any(axis=2)] = state
    return states


def _largest(blocks: NDArray[np.float64]) -> Floats:
    """The entry of largest size of each bin, with its sign; NaN where the bin has none. [S, T, cells] to [S, T]."""
    size = np.where(np.isnan(blocks), -1.0, np.abs(blocks))
    found = np.take_along_axis(blocks, size.argmax(axis=2)[..., None], axis=2)
    return np.array(found[..., 0])


def _geometric(blocks: NDArray[np.float64]) -> Floats:
    """exp of the mean of ln over the positive entries of each bin; 0 where all measured entries are 0."""
    positive = blocks > 0
    total = np.log(np.where(positive, blocks, 1.0)).sum(axis=2)
    return np.where(positive.any(axis=2), np.exp(total / np.maximum(positive.sum(axis=2), 1)), 0.0)


def _as_float32(values: Floats) -> NDArray[np.float32]:
    """float32, where what float32 cannot hold becomes the nearest number it can: never 0, never inf."""
    limits = np.finfo(np.float32)
    size = np.clip(np.abs(values), float(limits.smallest_subnormal), float(limits.max))
    return np.asarray(np.where(values == 0, 0.0, np.copysign(size, values)), dtype=np.float32)


def _what_is_missing(counts: Mapping[str, int], signal: str, selection: Selection) -> str | None:
    cells = sum(counts.values())
    if not cells:
        return f"No timestep was recorded for {selection.label}."
    if counts[CellState.MISSING.name.lower()] == cells:
        return f"{signal_title(signal)} was not recorded for {selection.label}."
    return None
