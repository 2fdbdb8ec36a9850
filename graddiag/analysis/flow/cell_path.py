"""How much of dL/dc_t came along the cell, and how much through the gates and h."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.flow import transport
from graddiag.analysis.frames import indexed, stacked
from graddiag.analysis.selection import Selection
from graddiag.analysis.timesteps.grid import Grid, StepMeans, StepReservoir, chunks
from graddiag.analysis.values import Floats, Ints, Result, Series, Source, series, source_of
from graddiag.analysis.words import number
from graddiag.run import Run

_NAMES: Final = (schema.GRAD_C, schema.GRAD_C_PATH)


@dataclass(frozen=True)
class CellPath(Result):
    """Of an LSTM's layer: ||dc_{t+1} f_{t+1}|| / ||dc_t||, the cell path against all of dL/dc_t, norms over batch and
    units, before clipping.

    Norms do not add: the rest, which came through h, is a separate vector, of a norm between |1 - ratio| and
    1 + ratio times ||dc_t||. So a ratio near 1 says that the cell carries the gradient only as far as the rest is not
    large and opposed; a ratio above 1 proves that the rest opposes it.
    Nothing comes along the cell to the last timestep of a sequence in the order of running; it is left out, as are
    timesteps where ||dc_t|| is NaN, inf or below the smallest normal number of float32, in which runs store norms.

    by_timestep [T]: median over the recorded steps; by_step [S]: median over timesteps; ratio: median of those;
    opposed: share of the counted timesteps and steps with a ratio above 1.
    """

    source: Source
    selection: Selection
    steps: Ints
    timesteps: Ints
    by_timestep: Series
    by_step: Series
    ratio: float | None
    opposed: float | None
    missing: str | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        assert self.ratio is not None
        found = {"median": number(self.ratio), "rest": f"{number(abs(1 - self.ratio))} to {number(1 + self.ratio)}"}
        note = "The rest came through the gates and h; norms do not add, so only its bounds are known."
        return Caption(f"Gradient along the cell over ‖dL/dc‖, {self.selection.short}", found, note)

    def to_frame(self) -> pd.DataFrame:
        """One row per step, then one row per timestep."""
        over = indexed({schema.STEP: self.steps}, self.by_step)
        along = indexed({schema.TIMESTEP: self.timesteps}, self.by_timestep)
        return stacked(over, along, names=(schema.STEP, schema.TIMESTEP))


def cell_path(run: Run, selection: Selection) -> CellPath:
    """The cell path of one layer against the whole of dL/dc.

    Source: Hochreiter & Schmidhuber (1997), the constant error carousel; Gers et al. (2000) for the forget gate.
    """
    parts, some, absent = [], StepReservoir(), StepMeans()
    for grid in chunks(run, selection, _NAMES):
        part, ratio, missing = _ratios(grid, selection)
        parts.append(part)
        some.add(ratio)
        absent.add(ratio, missing)
    length = absent.length
    by_timestep = _series(_medians(some.rows(), 0, length), absent.mean(length)[1])
    by_step = _series(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("median", "absent")))
    finite = by_step.values[np.isfinite(by_step.values)]
    counted = sum(part.counted for part in parts)
    return CellPath(
        source_of(run),
        selection,
        np.concatenate([part.steps for part in parts]),
        np.arange(length),
        by_timestep,
        by_step,
        float(np.median(finite)) if len(finite) else None,
        sum(part.opposing for part in parts) / counted if counted else None,
        _what_is_missing(parts, selection, counted > 0),
    )


@dataclass(frozen=True)
class _Ratios:
    """Of a chunk of steps [S]: the median ratio over timesteps, NaN where there is none, and whether none was
    measured; how many ratios there are, and how many of them above 1."""

    steps: Ints
    median: Floats
    absent: NDArray[np.bool_]
    counted: int
    opposing: int
    recorded: bool


def _ratios(grid: Grid, selection: Selection) -> tuple[_Ratios, NDArray[np.float32], NDArray[np.bool_]]:
    """What a stretch says; its ratios [S, T], NaN where there is none; and where none was measured, [S, T]."""
    total, path = (grid.values[name] for name in _NAMES)
    absent = grid.missing[schema.GRAD_C] | grid.missing[schema.GRAD_C_PATH] | _ends(grid, selection)
    usable = np.isfinite(total) & np.isfinite(path) & (total >= transport.FLOAT32_NORMAL) & ~absent
    with np.errstate(over="ignore"):
        ratio = np.where(usable, path / np.where(usable, total, 1.0), np.nan).astype(np.float32)
    counted, opposing = int(np.isfinite(ratio).sum()), int((ratio > 1).sum())
    recorded = not grid.missing[schema.GRAD_C].all()
    nowhere = np.asarray(absent.all(axis=1))
    part = _Ratios(grid.steps, _medians(ratio, 1, len(ratio)), nowhere, counted, opposing, recorded)
    return part, ratio, absent


def _ends(grid: Grid, selection: Selection) -> NDArray[np.bool_]:
    """The timestep at which each sequence ends in the order of running, [S, T]."""
    present = ~grid.missing[schema.GRAD_C]
    ends = np.zeros(present.shape, dtype=bool)
    if present.size:
        last = present.argmax(axis=1) if selection.reverse else present.shape[1] - 1 - present[:, ::-1].argmax(axis=1)
        ends[np.arange(len(ends)), last] = True
    return ends


def _medians(ratio: NDArray[np.float32], axis: int, length: int) -> Floats:
    """Medians of the finite ratios along ``axis``, [length]; NaN where there is none."""
    some = np.asarray(np.isfinite(ratio).any(axis=axis))
    medians = np.full(length, np.nan)
    if some.any():
        medians[: len(some)][some] = np.nanmedian(ratio[:, some] if axis == 0 else ratio[some], axis=axis)
    return medians


def _series(medians: Floats, absent: NDArray[np.bool_]) -> Series:
    """Medians, non-finite where there is none though something was measured."""
    return series("cell_path", "cell path / ‖dL/dc‖", "1", medians, absent)


def _what_is_missing(parts: Sequence[_Ratios], selection: Selection, known: bool) -> str | None:
    if not any(len(part.steps) for part in parts):
        return f"No timestep was recorded for {selection.label}."
    if not any(part.recorded for part in parts):
        return f"No gradient of a cell state was recorded for {selection.label}: it is no LSTM, or none reached it."
    if not known:
        return f"No ‖dL/dc‖ of {selection.label} before the last timestep is finite and above 0."
    return None
