"""How far the gradient travels back through time: transport gain, exponent, memory horizon, and what arrives."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis import transport
from graddiag.analysis.grid import Grid, read_grid
from graddiag.analysis.intervals import Interval, over_steps
from graddiag.analysis.selection import Selection
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Floats, Ints, Result, Source, source_of
from graddiag.analysis.words import number, plural
from graddiag.run import Run

_COLUMNS: Final = (schema.TRANSPORT_GAIN, schema.GRAD_H, schema.GRAD_H_DIRECT)


@dataclass(frozen=True)
class Reach(Result):
    """The gradient's way back through time in one layer, over S recorded steps and sequences of up to T timesteps.

    The gains counted are those between timesteps; the first one of a sequence leads to the initial state and is left
    out. Missing gains (no gradient arrived, padding) and NaN or inf ones are left out of every mean and counted; gains
    of exactly 0 have no logarithm: they are left out of the exponent and counted too.

    exponent_by_step [S]: mean of ln gain over timesteps. exponent: mean of those over steps, each step alike, with a
    95% interval (block bootstrap over steps; None for one step). horizon: -1/exponent in timesteps, inf where the
    exponent is not below 0. With one loss at the end, exponent x (length - 1) is ln of ||lambda|| at the first timestep
    over the last, exactly; with a loss at every timestep each gain is taken of a gradient part of which was injected
    just then, so the horizon tells how fast a fresh gradient fades and is a lower bound of how far some of it goes.
    ratio_by_step [S]: ||dL/dh|| at the first timestep over the last; ratio: their median.
    arriving_by_step [S]: share of the loss's gradient that arrives at the worst-served timestep. growth_by_step [S]:
    the largest product of gains over any part of the sequence or, if that is less, the largest ||dL/dh|| over the
    largest immediate one: a gradient that dips and recovers has not grown, nor has one that only adds up.
    touched_share: share of the timesteps that the loss touches at once, None where the immediate gradient was not
    recorded (then all is measured from the last timestep).
    gain_by_timestep [T]: geometric mean over steps, in the order of the data, with 10 and 90 % quantiles.
    """

    source: Source
    selection: Selection
    length: int
    steps: Ints
    exponent_by_step: Floats
    horizon_by_step: Floats
    ratio_by_step: Floats
    arriving_by_step: Floats
    growth_by_step: Floats
    timesteps: Ints
    gain_by_timestep: Floats
    gain_low: Floats
    gain_high: Floats
    exponent: float | None
    exponent_interval: Interval | None
    horizon: float | None
    horizon_interval: Interval | None
    ratio: float | None
    touched_share: float | None
    n_steps: int
    n_gains: int
    zero_gains: int
    nonfinite_gains: int
    missing: str | None = None

    @property
    def dense(self) -> bool:
        """Whether the loss touches most timesteps at once."""
        return self.touched_share is not None and self.touched_share >= 0.5

    @property
    def caption(self) -> str:
        if self.missing:
            return self.missing
        assert self.exponent is not None
        gain = math.exp(self.exponent)
        layer = f"{self.selection.label} of {self.source.label}"
        where = f"In {layer} one step back through time multiplies the gradient by {number(gain)} on average"
        if self.horizon is None or math.isinf(self.horizon):
            return f"{where}: it does not fade over the {plural(self.length, 'timestep')}."
        fades = f"{where}: it falls to a third in {number(self.horizon)} of {plural(self.length, 'timestep')}"
        return f"{fades}{' (at least: a fresh gradient joins it at every timestep).' if self.dense else '.'}"


def reach(run: Run, selection: Selection, *, thresholds: Thresholds | None = None) -> Reach:
    """How far and how strongly the gradient of one layer travels back through time.

    Source: Pascanu, Mikolov & Bengio (2013), section 2; the Lyapunov view of Engelken et al. (2023).
    """
    grid = read_grid(run, selection, _COLUMNS)
    floor = (thresholds or Thresholds()).touched_floor
    order = slice(None, None, -1) if selection.reverse else slice(None)
    gain, total, direct = (grid.values[name][:, order] for name in _COLUMNS)
    present = ~(grid.missing[schema.GRAD_H] & grid.missing[schema.TRANSPORT_GAIN])[:, order]
    gain = transport.between_timesteps(gain, present)
    logs = transport.log_gains(gain)
    recorded = bool(np.isfinite(direct).any())
    touched = transport.touched_by_loss(direct, floor) if recorded else transport.only_last(present & (total > 0))
    injected = direct if recorded else np.where(touched, total, 0.0)
    exponents = _row_means(np.where(logs > transport.LN_ZERO, logs, np.nan))
    exponent, interval = _mean(exponents), over_steps(exponents)
    by_timestep, low, high = (each[order] for each in _by_timestep(logs))
    ratios = _ratios(total, present)
    return Reach(
        source_of(run),
        selection,
        len(grid.timesteps),
        grid.steps,
        exponents,
        _horizons(exponents),
        ratios,
        np.exp(transport.arrival(logs, total, touched)),
        np.exp(np.minimum(transport.stretch(logs), transport.swell(total, injected))),
        grid.timesteps,
        by_timestep,
        low,
        high,
        exponent,
        interval,
        None if exponent is None else _horizon(exponent),
        None if interval is None else (_horizon(interval[0]), _horizon(interval[1])),
        _median(ratios),
        _touched_share(touched, present) if recorded else None,
        int(np.isfinite(exponents).sum()),
        int((logs > transport.LN_ZERO).sum()),
        int((gain == 0).sum()),
        _nonfinite(grid, order, present, gain),
        _what_is_missing(grid, selection, exponent),
    )


def _row_means(values: Floats) -> Floats:
    finite = np.isfinite(values)
    total = np.where(finite, values, 0.0).sum(axis=1)
    return np.where(finite.any(axis=1), total / np.maximum(finite.sum(axis=1), 1), np.nan)


def _by_timestep(logs: Floats) -> tuple[Floats, Floats, Floats]:
    """Geometric mean, 10 and 90 % quantiles of the gains over steps, each [T]; NaN where there is none."""
    logs = np.where(logs > transport.LN_ZERO, logs, np.nan)
    some = np.isfinite(logs).any(axis=0)
    out = np.full((3, logs.shape[1]), np.nan)
    if some.any():
        out[0, some] = np.nanmean(logs[:, some], axis=0)
        out[1:, some] = np.nanquantile(logs[:, some], [0.1, 0.9], axis=0)
    mean, low, high = np.exp(out)
    return mean, low, high


def _ratios(total: Floats, present: NDArray[np.bool_]) -> Floats:
    """||dL/dh|| at the first timestep of each sequence over that at its last, [S]; NaN where that is 0 or unknown."""
    if not total.size:
        return np.full(len(total), np.nan)
    rows = np.arange(len(total))
    first = total[rows, present.argmax(axis=1)]
    last = total[rows, total.shape[1] - 1 - present[:, ::-1].argmax(axis=1)]
    usable = np.isfinite(first) & np.isfinite(last) & (last > 0)
    return np.where(usable, first / np.where(usable, last, 1.0), np.nan)


def _horizon(exponent: float) -> float:
    return -1 / exponent if exponent < 0 else math.inf


def _horizons(exponents: Floats) -> Floats:
    fading = exponents < 0
    faded = -1 / np.where(fading, exponents, -1.0)
    return np.where(fading, faded, np.where(np.isnan(exponents), np.nan, np.inf))


def _touched_share(touched: NDArray[np.bool_], present: NDArray[np.bool_]) -> float | None:
    shares = touched.sum(axis=1) / np.maximum(present.sum(axis=1), 1)
    return _median(np.where(touched.any(axis=1), shares, np.nan))


def _nonfinite(grid: Grid, order: slice, present: NDArray[np.bool_], gain: Floats) -> int:
    counted = ~transport.between_timesteps(grid.missing[schema.TRANSPORT_GAIN][:, order].astype(float), present).astype(
        bool
    )
    return int((counted & ~np.isfinite(gain)).sum())


def _mean(values: Floats) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None


def _median(values: Floats) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else None


def _what_is_missing(grid: Grid, selection: Selection, exponent: float | None) -> str | None:
    if grid.empty:
        return f"No timestep was recorded for {selection.label}."
    if len(grid.timesteps) < 2:
        return f"The sequences of {selection.label} have one timestep: there is no way back through time to measure."
    if grid.missing[schema.TRANSPORT_GAIN].all():
        return f"The transport gain was not recorded for {selection.label}."
    if exponent is None:
        return f"No transport gain of {selection.label} between two timesteps is finite and above 0."
    return None
