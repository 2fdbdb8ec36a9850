"""What the gates do: their mean and saturation over training, and over the timesteps of a sequence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.frames import indexed
from graddiag.analysis.selection import Selection
from graddiag.analysis.timesteps.grid import StepMeans, gate_grids, gates_in_order, recorded_gate_steps
from graddiag.analysis.timesteps.profile import Asked, steps_asked_for
from graddiag.analysis.values import CellState, Floats, Ints, Result, Series, Source, series, source_of
from graddiag.analysis.words import gate_name, gate_title, number, recorded_span
from graddiag.run import Run

_TITLES: Final = {
    schema.MEAN: ("mean activation", "1"),
    schema.STD: ("standard deviation of the activation", "1"),
    schema.SATURATED_LOW: ("saturated low", "share of activations"),
    schema.SATURATED_HIGH: ("saturated high", "share of activations"),
}


@dataclass(frozen=True)
class GateSeries:
    """One gate: mean and std of its activation, share saturated low and high, each a Series over the result's axis."""

    gate: str
    title: str
    mean: Series
    std: Series
    low: Series
    high: Series


@dataclass(frozen=True)
class GateHistory(Result):
    """Gates over training: at each recorded step [S] the mean over timesteps; a NaN or inf makes it non-finite."""

    source: Source
    selection: Selection
    steps: Ints
    gates: tuple[GateSeries, ...]
    missing: str | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        step = recorded_span(int(self.steps[-1]), int(self.steps[-1]))
        return Caption(f"Mean activation at {step}, the last", _last(self.gates))

    def to_frame(self) -> pd.DataFrame:
        """One row per step."""
        return indexed({schema.STEP: self.steps}, *_columns(self.gates))


@dataclass(frozen=True)
class GateProfile(Result):
    """Gates over the timesteps [T] of a sequence: at one recorded step, or the mean over those of a range."""

    source: Source
    selection: Selection
    asked: Asked
    steps: Ints
    timesteps: Ints
    gates: tuple[GateSeries, ...]
    missing: str | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        when = recorded_span(int(self.steps[0]), int(self.steps[-1]))
        return Caption(f"Mean activation at the last timestep, {when}", _last(self.gates))

    def to_frame(self) -> pd.DataFrame:
        """One row per timestep."""
        return indexed({schema.TIMESTEP: self.timesteps}, *_columns(self.gates))


def _columns(gates: tuple[GateSeries, ...]) -> list[Series]:
    """The lines of every gate, each under the name of its column."""
    return [
        replace(line, name=f"{part}_{gate.gate}")
        for gate in gates
        for part, line in (
            (schema.MEAN, gate.mean),
            (schema.STD, gate.std),
            (schema.SATURATED_LOW, gate.low),
            (schema.SATURATED_HIGH, gate.high),
        )
    ]


def gate_history(run: Run, selection: Selection) -> GateHistory:
    """Every gate of one layer over training.

    Source: definitions of the columns; saturation below .1 and above .9 is that of Karpathy, Johnson & Li (2016),
    visualizing and understanding recurrent networks.
    """
    steps = recorded_gate_steps(run, selection)
    means: dict[str, dict[str, Column]] = {}
    for part, grids in gate_grids(run, selection, steps, list(_TITLES)):
        for gate, grid in grids.items():
            lines = means.setdefault(gate, {name: _unmeasured(len(steps)) for name in _TITLES})
            for name, (values, missing) in lines.items():
                values[part], missing[part] = _over_timesteps(grid.values[name], grid.missing[name])
    gates = tuple(_gate(gate, means[gate]) for gate in gates_in_order(list(means)))
    return GateHistory(source_of(run), selection, steps, gates, _what_is_missing(gates, selection))


def gate_profile(run: Run, step: Asked, selection: Selection) -> GateProfile:
    """Every gate of one layer over timesteps, at the recorded step nearest to ``step`` or over a range.

    In a range NaN and inf are left out of the mean unless nothing else was measured.

    Source: as ``gate_history``.
    """
    found = steps_asked_for(recorded_gate_steps(run, selection), step)
    sums: dict[str, dict[str, StepMeans]] = {}
    for _, grids in gate_grids(run, selection, found, list(_TITLES)):
        for gate, grid in grids.items():
            for name, total in sums.setdefault(gate, {name: StepMeans() for name in _TITLES}).items():
                total.add(grid.values[name], grid.missing[name])
    length = max((total.length for each in sums.values() for total in each.values()), default=0)
    means = {gate: {name: total.mean(length) for name, total in each.items()} for gate, each in sums.items()}
    gates = tuple(_gate(gate, means[gate]) for gate in gates_in_order(list(means)))
    missing = _what_is_missing(gates, selection)
    return GateProfile(source_of(run), selection, step, found, np.arange(length), gates, missing)


Column = tuple[Floats, NDArray[np.bool_]]


def _unmeasured(count: int) -> Column:
    return np.full(count, np.nan), np.ones(count, dtype=bool)


def _gate(gate: str, columns: Mapping[str, Column]) -> GateSeries:
    mean, std, low, high = (series(name, title, unit, *columns[name]) for name, (title, unit) in _TITLES.items())
    return GateSeries(gate, gate_title(gate), mean, std, low, high)


def _over_timesteps(values: Floats, missing: NDArray[np.bool_]) -> Column:
    """The mean over timesteps, [S, T] to [S]; NaN where one of them is NaN or inf, missing where none was measured."""
    count = (~missing).sum(axis=1)
    with np.errstate(invalid="ignore"):
        total = np.where(missing, 0.0, values).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), np.asarray(missing.all(axis=1))


def _what_is_missing(gates: Sequence[GateSeries], selection: Selection) -> str | None:
    if not gates:
        return f"No gate was recorded for {selection.label}."
    lines = [line for gate in gates for line in (gate.mean, gate.std, gate.low, gate.high)]
    if all((line.states == CellState.MISSING).all() for line in lines):
        return f"What the gates of {selection.label} do was not recorded."
    return None


def _last(gates: tuple[GateSeries, ...]) -> dict[str, str]:
    """The gates' means at the end, and the one that is saturated most."""
    found = {gate_name(gate.gate): number(_at_end(gate.mean)) for gate in gates}
    ends = {gate.gate: np.array([gate.low.values[-1], gate.high.values[-1]]) for gate in gates}
    shares = {gate: float(np.nansum(each)) for gate, each in ends.items() if np.isfinite(each).any()}
    most = max(shares, key=lambda gate: shares[gate], default=None)
    if most is not None:
        found[f"most saturated {gate_name(most)}, {{}} of its activations"] = f"{shares[most]:.0%}"
    return found


def _at_end(line: Series) -> float | None:
    return None if line.states[-1] == CellState.MISSING else float(line.values[-1])
