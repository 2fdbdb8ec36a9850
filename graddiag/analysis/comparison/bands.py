"""An arm over its seeds: the median and the range of a scalar at each step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.frames import indexed, stacked
from graddiag.analysis.values import Floats, Ints, Result, Source, source_of
from graddiag.analysis.words import number, plural, scalar_title, scalar_unit
from graddiag.run import Run, numbers

_POINTS = 500  # steps a band is made of, at most; of longer trainings each stands for a stretch


@dataclass(frozen=True)
class Band:
    """One arm: at each of steps [S] the median, smallest and largest over its runs of their mean within the stretch;
    runs [S]: how many have a finite number there. NaN where none has."""

    source: Source
    seeds: tuple[int | None, ...]
    steps: Ints
    median: Floats
    low: Floats
    high: Floats
    runs: Ints


@dataclass(frozen=True)
class Bands(Result):
    """A scalar of every arm, a band each. ``lost``: runs of which some step is NaN or inf, and so left out there."""

    name: str
    title: str
    unit: str
    bands: tuple[Band, ...]
    lost: int
    missing: str | None = None

    @property
    def caption(self) -> str:
        if self.missing:
            return self.missing
        ends = "; ".join(f"{band.source.arm_label} {_end(band)}" for band in self.bands)
        lost = f" {plural(self.lost, 'run')} had NaN or inf, left out there." if self.lost else ""
        return f"{self.title}, median and range over the runs of each arm. {self._when}: {ends}.{lost}"

    @property
    def _when(self) -> str:
        lasts = {int(band.steps[-1]) for band in self.bands}
        return f"At step {lasts.pop():,}" if len(lasts) == 1 else "At the last step of each"

    def to_frame(self) -> pd.DataFrame:
        """A row a step of an arm: median, smallest and largest run, and how many runs there are."""
        parts = [
            indexed(
                {"arm": np.repeat(band.source.arm_label, len(band.steps)), schema.STEP: band.steps},
                **{f"{self.name}_median": band.median, "low": band.low, "high": band.high, "runs": band.runs},
            )
            for band in self.bands
        ]
        return stacked(*parts) if parts else pd.DataFrame()


def bands(runs: Sequence[Run], name: str = schema.LOSS) -> Bands:
    """The scalar ``name`` of ``steps``, arm by arm. Runs that ended early are in as far as they go."""
    arms: dict[str, list[tuple[Run, Ints, Floats]]] = {}
    lost = 0
    for run in runs:
        steps, values, broken = _course(run, name)
        lost += broken
        if len(steps):
            arms.setdefault(source_of(run).arm_label, []).append((run, steps, values))
    longest = max((int(steps[-1]) for found in arms.values() for _, steps, _ in found), default=0)
    stretch = max(1, -(-(longest + 1) // _POINTS))
    found = tuple(_band(members, stretch, longest) for members in arms.values())
    title = scalar_title(name)
    missing = None if found else f"No {title.lower()} was recorded in any of the runs."
    return Bands(name, title, scalar_unit(name), found, lost, missing)


def _course(run: Run, name: str) -> tuple[Ints, Floats, bool]:
    """The steps at which ``name`` is finite, its values there, and whether it is NaN or inf at another."""
    frame = run.read(schema.TABLE_STEPS)
    if name not in frame.columns:
        return np.zeros(0, np.int64), np.zeros(0), False
    values, missing = numbers(frame[name])
    finite = np.isfinite(values)
    return frame[schema.STEP].to_numpy(dtype=np.int64)[finite], values[finite], bool((~finite & ~missing).any())


def _band(members: Sequence[tuple[Run, Ints, Floats]], stretch: int, longest: int) -> Band:
    count = longest // stretch + 1
    lines = np.stack([_means(steps, values, stretch, count) for _, steps, values in members])
    runs, some = np.isfinite(lines).sum(axis=0), np.isfinite(lines).any(axis=0)
    median, low, high = np.full((3, count), np.nan)
    shown = lines[:, some]
    median[some], low[some], high[some] = (
        np.nanmedian(shown, axis=0),
        np.nanmin(shown, axis=0),
        np.nanmax(shown, axis=0),
    )
    seeds = tuple(run.manifest.seed for run, _, _ in members)
    return Band(source_of(members[0][0]), seeds, np.arange(count) * stretch, median, low, high, runs)


def _means(steps: Ints, values: Floats, stretch: int, count: int) -> NDArray[np.float64]:
    at = steps // stretch
    number_of = np.bincount(at, minlength=count)
    total = np.bincount(at, weights=values, minlength=count)
    return np.where(number_of > 0, total / np.maximum(number_of, 1), np.nan)


def _end(band: Band) -> str:
    last = int(np.flatnonzero(np.isfinite(band.median))[-1])
    if len(band.seeds) == 1:
        return number(float(band.median[last]))
    low, high = number(float(band.low[last])), number(float(band.high[last]))
    return f"{number(float(band.median[last]))} ({low} to {high}, {plural(len(band.seeds), 'run')})"
