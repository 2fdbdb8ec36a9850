"""How far the gradient travels back through time: transport gain, exponent, memory horizon, and what is left.

exponent = mean ln gain over timesteps and steps; horizon = -1/exponent, the timesteps after which 1/e is left.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.captioning import Caption, joint_captions
from graddiag.analysis.flow import transport
from graddiag.analysis.flow.distance import Coverage, coverage, task_distance
from graddiag.analysis.flow.gains import Gains, gains, type_of, window_of
from graddiag.analysis.flow.inside_backward import InsideClipping, PolicyShares, inside_clipping, policy_shares
from graddiag.analysis.frames import indexed, stacked
from graddiag.analysis.intervals import Interval, over_steps, why_none_over_steps
from graddiag.analysis.selection import Selection
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.timesteps.grid import StepMeans, StepReservoir
from graddiag.analysis.values import Floats, Ints, Result, Source, source_of
from graddiag.analysis.words import number, percent, plural
from graddiag.run import Run, remembered


@dataclass(frozen=True)
class Reach(Result):
    """The gradient's way back through time in one layer, over S recorded steps and sequences of up to T timesteps.

    The gains counted are those between timesteps; the first one of a sequence leads to the initial state and is left
    out. Missing gains (no gradient, padding) and NaN or inf ones are left out of every mean and counted; gains
    of exactly 0 have no logarithm: they are left out of the exponent and counted too.

    exponent_by_step [S]: mean of ln gain over timesteps. exponent: mean of those over steps, each step alike, with a
    95% interval for steps that depend on one another (``intervals.over_steps``; None for fewer than 200 steps or where
    the exponent drifts over the run, and then no_interval says why). horizon: -1/exponent in timesteps, inf where the
    exponent is not below 0; its interval is that of the exponent, turned the same way. over_sequence: whether it covers
    the way from the last timestep to the first; over_task: whether it covers the task's ``distance``, as the run's
    configuration says it.
    With one loss at the end, exponent x (length - 1) is ln of ||lambda|| at the first timestep over the last, exactly;
    with a loss at every timestep each gain is taken of a gradient part of which is immediate, so the horizon
    says how fast a fresh gradient fades and is a lower bound of how far some of it goes.
    ratio_by_step [S]: ||dL/dh|| at the first timestep over the last; ratio: their median. A run stores norms as
    float32: where one of the two is at its bounds and the loss enters at the last timestep alone, the product of the
    gains replaces it (in an LSTM that of (h, c)); otherwise such a ratio is a bound.
    arriving_by_step [S]: smallest share of the loss's gradient that reaches a timestep. growth_by_step [S]:
    the largest product of gains over any part of the sequence or, if that is less, the largest ||dL/dh|| over the
    largest immediate one: a gradient that dips and recovers has not grown, nor has one that only adds up.
    touched_share: share of the timesteps that the loss touches at once, None where the immediate gradient was not
    recorded (then all is measured from the last timestep). dense: whether it touches most of them, at least
    ``Thresholds.dense_share``.
    Gains of a gradient below the smallest normal number of its type are no measurement and left out:
    underflowed_gains of them, from underflow_timestep back (the one nearest to the loss, the median over the steps that
    have one). inside: what bptt:C, tbptt:K or h-detach did; the gains here are those of what was sent back, after it,
    and cuts of tbptt:K are left out of the exponent. gain_by_timestep [T]: geometric mean over steps, in the order of
    the data, with 10 and 90 % quantiles, which of very many steps are taken over evenly spaced ones
    (``means.SomeSteps``).
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
    distance: int | None = None
    over_sequence: Coverage | None = None
    over_task: Coverage | None = None
    dense: bool = False
    no_interval: str = ""
    underflowed_gains: int = 0
    underflow_timestep: int | None = None
    dtype: str | None = None
    inside: InsideClipping | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        assert self.exponent is not None
        length = plural(self.length, "timestep")
        found = {"mean": number(math.exp(self.exponent))}
        note = ""
        if self.horizon is None or math.isinf(self.horizon):
            found[""] = f"does not fade over the {length}"
        else:
            found[f"falls to 1/e in {{}} of {length}"] = number(self.horizon)
            if self.over_task is not None:
                found[f"this {{}} the task's distance of {self.over_task.timesteps}"] = self.over_task.verb
            note = "A fresh gradient joins it at every timestep, so part of it may go farther." if self.dense else ""
        limits = (note, self.underflow, "" if self.inside is None else self.inside.sentence)
        note = " ".join(filter(None, limits))
        return Caption(f"Gain of the gradient per timestep back through time, {self.selection.short}", found, note)

    @property
    def underflow(self) -> str:
        """Which gains are left out since the gradient underflows; empty where none is."""
        if not self.underflowed_gains:
            return ""
        share = self.underflowed_gains / (self.underflowed_gains + self.n_gains)
        return (
            f"The gradient underflows in {self.dtype or 'its type'} at timestep {self.underflow_timestep} and farther "
            f"from the loss: {percent(share)} of the gains are left out."
        )

    @property
    def coverages(self) -> tuple[Caption, ...]:
        """In the caption of the horizon: whether it covers the sequence, and the task where its distance is known."""
        return tuple(one.caption_parts for one in (self.over_sequence, self.over_task) if one is not None)

    def to_frame(self) -> pd.DataFrame:
        """One row per step, then one row per timestep."""
        over = indexed(
            {schema.STEP: self.steps},
            exponent=self.exponent_by_step,
            horizon=self.horizon_by_step,
            first_over_last=self.ratio_by_step,
            reaching_first=self.arriving_by_step,
            growth=self.growth_by_step,
        )
        along = indexed(
            {schema.TIMESTEP: self.timesteps},
            gain=self.gain_by_timestep,
            gain_low=self.gain_low,
            gain_high=self.gain_high,
        )
        return stacked(over, along, names=(schema.STEP, schema.TIMESTEP))


def horizon_captions(reaches: Sequence[Reach]) -> tuple[str, ...]:
    """The captions of the memory horizons: whether each covers the sequence and the task, as far as these are known."""
    told = [(each.source, one) for each in reaches for one in each.coverages]
    return joint_captions([source for source, _ in told], [one for _, one in told])


def reach(run: Run, selection: Selection, *, thresholds: Thresholds | None = None) -> Reach:
    """How far and how strongly the gradient of one layer travels back through time.

    Source: Pascanu, Mikolov & Bengio (2013), section 2; the Lyapunov view of Engelken et al. (2023).
    """
    return _reach(run, selection, thresholds or Thresholds())


@remembered
def _reach(run: Run, selection: Selection, thresholds: Thresholds) -> Reach:
    parts, means = [], _Gains()
    for found in gains(run, selection, [schema.GRAD_H_DIRECT, schema.MEMORY_ENDED]):
        part, logs = _travels(found, selection, thresholds.touched_floor)
        parts.append(part)
        means.add(logs)
    timesteps = max((part.timesteps for part in parts), key=len)
    steps, exponents, ratios, arriving, growth, touched = _joined(parts)
    exponent, interval = _mean(exponents), over_steps(exponents)
    horizons = _horizon_with_interval(exponent, interval)
    without, window = (_spread(exponents), why_none_over_steps(exponents)), window_of(run.manifest.clip)
    underflow = np.concatenate([part.underflow for part in parts])
    distance, share = task_distance(run.manifest), _median(touched) if any(part.recorded for part in parts) else None
    dense = share is not None and share >= thresholds.dense_share
    return Reach(
        source_of(run),
        selection,
        len(timesteps),
        steps.astype(np.int64),
        exponents,
        _horizons(exponents),
        ratios,
        arriving,
        growth,
        timesteps,
        *means.by_timestep(len(timesteps)),
        exponent,
        interval,
        None if exponent is None else horizons[0],
        horizons[1],
        _median(ratios),
        share,
        int(np.isfinite(exponents).sum()),
        sum(part.n_gains for part in parts),
        sum(part.zero_gains for part in parts),
        sum(part.nonfinite_gains for part in parts),
        _what_is_missing(parts, timesteps, selection, exponent),
        distance,
        coverage("sequence", len(timesteps) - 1, exponent, horizons, least=dense, without=without, window=window),
        coverage("task", distance, exponent, horizons, least=dense, without=without, window=window),
        dense,
        without[1],
        sum(part.underflowed for part in parts),
        int(np.median(underflow)) if len(underflow) else None,
        type_of(run),
        inside_clipping(run, [p.let for p in parts if p.let], arriving, exponent, dense=dense, thresholds=thresholds),
    )


@dataclass(frozen=True)
class _Travels:
    """What a chunk of steps [S] says, by step as Reach has it."""

    steps: Ints
    timesteps: Ints
    exponents: Floats
    ratios: Floats
    arriving: Floats
    growth: Floats
    touched: Floats
    n_gains: int
    zero_gains: int
    nonfinite_gains: int
    measured: bool
    recorded: bool
    underflowed: int
    underflow: Ints
    let: PolicyShares | None


class _Gains:
    """The gains of all steps by timestep, in bounded memory."""

    def __init__(self) -> None:
        self._means, self._some = StepMeans(), StepReservoir()

    def add(self, logs: Floats) -> None:
        self._means.add(logs, np.isnan(logs))
        self._some.add(logs)

    def by_timestep(self, length: int) -> tuple[Floats, Floats, Floats]:
        """Geometric mean, 10 and 90 % quantiles of the gains over steps, each [T]; NaN where there is none."""
        rows = self._some.rows()
        known = np.flatnonzero(np.isfinite(rows).any(axis=0))
        ends = np.full((2, length), np.nan)
        if len(known):
            ends[:, known] = np.nanquantile(rows[:, known], [0.1, 0.9], axis=0)
        mean, _ = self._means.mean(length)
        return np.exp(mean), np.exp(ends[0]), np.exp(ends[1])


def _travels(found: Gains, selection: Selection, floor: float) -> tuple[_Travels, Floats]:
    """What a stretch says, and ln of its gains [S, T] in the order of the data, NaN where none is above 0."""
    total, direct, present = found.column(schema.GRAD_H), found.column(schema.GRAD_H_DIRECT), found.present
    logs = found.logs(found.sent)
    recorded = bool(np.isfinite(direct).any())
    touched = transport.touched_by_loss(direct, floor) if recorded else transport.only_last(present & (total > 0))
    injected = direct if recorded else np.where(touched, total, 0.0)
    above_zero = np.where(logs > transport.LN_ZERO, logs, np.nan)
    own = found.logs(found.network) if found.limited else logs
    part = _Travels(
        found.grid.steps,
        found.grid.timesteps,
        _row_means(above_zero),
        _ratios(total, present, logs, touched),
        np.exp(transport.arrival(logs, total, touched, found.column(schema.MEMORY_ENDED) >= 1)),
        transport.multiples(_growth(found, logs, transport.max_amplification(total, injected))),
        _touched_shares(touched, present),
        int(np.isfinite(above_zero).sum()),
        int((own == transport.LN_ZERO).sum()),
        _nonfinite(found),
        not found.unmeasured.all(),
        recorded,
        int(found.underflowed.sum()),
        _nearest_underflow(found, selection),
        policy_shares(found, total, touched, own) if found.limited else None,
    )
    return part, above_zero[:, found.order]


def _growth(found: Gains, logs: Floats, max_amplification: Floats) -> Floats:
    """ln of the growth on the way back at each step, [S]: by the gains and against what the loss puts in. Of a tapped
    state no gain is known: there it is what the totals grow by beyond what a loss at each of T timesteps may add, T."""
    if found.unmeasured.all() and len(found.grid.timesteps) > 1:
        return np.asarray(max_amplification - math.log(len(found.grid.timesteps)))
    return np.asarray(np.minimum(transport.stretch(logs), max_amplification))


def _nearest_underflow(found: Gains, selection: Selection) -> Ints:
    """Of each step that has one the underflowed timestep nearest to the loss, in the order of the data."""
    lost = found.underflowed[found.underflowed.any(axis=1)]
    if not len(lost):
        return np.zeros(0, dtype=np.int64)
    nearest = lost.shape[1] - 1 - lost[:, ::-1].argmax(axis=1)
    return np.asarray(lost.shape[1] - 1 - nearest if selection.reverse else nearest)


def _joined(parts: Sequence[_Travels]) -> Iterator[Floats]:
    """Their steps, exponents, ratios, arriving, growth and touched, each [S]."""
    for name in ("steps", "exponents", "ratios", "arriving", "growth", "touched"):
        yield np.concatenate([getattr(part, name) for part in parts])


def _horizon_with_interval(exponent: float | None, interval: Interval | None) -> tuple[float, Interval | None]:
    if exponent is None:
        return math.nan, None
    return _horizon(exponent), None if interval is None else (_horizon(interval[0]), _horizon(interval[1]))


def _spread(exponents: Floats) -> Interval | None:
    """The 10 and 90% quantiles over steps of the horizon of each step; None for fewer than two steps."""
    known = exponents[np.isfinite(exponents)]
    if len(known) < 2:
        return None
    low, high = np.quantile(known, [0.1, 0.9])
    return _horizon(float(low)), _horizon(float(high))


def _row_means(values: Floats) -> Floats:
    finite = np.isfinite(values)
    total = np.where(finite, values, 0.0).sum(axis=1)
    return np.where(finite.any(axis=1), total / np.maximum(finite.sum(axis=1), 1), np.nan)


def _ratios(total: Floats, present: NDArray[np.bool_], logs: Floats, touched: NDArray[np.bool_]) -> Floats:
    """||dL/dh|| at the first timestep of each sequence over that at its last, [S]; NaN where that is 0 or unknown. What
    float32 could not hold is told by the gains where they tell it: of a loss at the last timestep alone."""
    if not total.size:
        return np.full(len(total), np.nan)
    rows = np.arange(len(total))
    start, end = present.argmax(axis=1), total.shape[1] - 1 - present[:, ::-1].argmax(axis=1)
    first, last = total[rows, start], total[rows, end]
    usable = np.isfinite(first) & np.isfinite(last) & (last > 0)
    ratios = np.where(usable, first / np.where(usable, last, 1.0), np.nan)
    alone = touched[rows, end] & (touched.sum(axis=1) == 1)
    known = np.isfinite(logs).sum(axis=1) == end - start
    by_gains = usable & alone & known & (transport.at_bounds(first) | transport.at_bounds(last))
    if not by_gains.any():
        return ratios
    return np.where(by_gains, transport.multiples(np.nansum(logs, axis=1)), ratios)


def _horizon(exponent: float) -> float:
    return -1 / exponent if exponent < 0 else math.inf


def _horizons(exponents: Floats) -> Floats:
    fading = exponents < 0
    faded = -1 / np.where(fading, exponents, -1.0)
    return np.where(fading, faded, np.where(np.isnan(exponents), np.nan, np.inf))


def _touched_shares(touched: NDArray[np.bool_], present: NDArray[np.bool_]) -> Floats:
    """The share of the timesteps of each sequence that the loss touches, [S]; NaN where it touches none."""
    shares = touched.sum(axis=1) / np.maximum(present.sum(axis=1), 1)
    return np.where(touched.any(axis=1), shares, np.nan)


def _nonfinite(found: Gains) -> int:
    counted = ~np.isnan(transport.between_timesteps(np.where(found.unmeasured, np.nan, 0.0), found.present))
    return int((counted & ~np.isfinite(found.network) & ~found.cut).sum())


def _mean(values: Floats) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None


def _median(values: Floats) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else None


def _what_is_missing(
    parts: Sequence[_Travels], timesteps: Ints, selection: Selection, exponent: float | None
) -> str | None:
    if not any(len(part.steps) for part in parts):
        return f"No timestep was recorded for {selection.label}."
    if len(timesteps) < 2:
        return f"The sequences of {selection.label} have one timestep: there is no way back through time to measure."
    if not any(part.measured for part in parts):
        return f"The transport gain was not recorded for {selection.label}."
    if exponent is None:
        return f"No transport gain of {selection.label} between two timesteps is finite and above 0."
    return None
