"""What the gates do: their mean and saturation over training, and over the timesteps of a sequence."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.grid import Grid, read_grid
from graddiag.analysis.profile import Asked, mean_over_steps, steps_asked_for
from graddiag.analysis.selection import Selection
from graddiag.analysis.values import Floats, Ints, Result, Series, Source, series, source_of
from graddiag.analysis.words import gate_title, number, span
from graddiag.run import Run

_TITLES: Final = {
    schema.MEAN: ("mean activation", "1"),
    schema.STD: ("standard deviation of the activation", "1"),
    schema.SATURATED_LOW: ("saturated low", "share of activations"),
    schema.SATURATED_HIGH: ("saturated high", "share of activations"),
}

# the gates of every kind of cell, in the order in which they are shown
_ORDER: Final = tuple(dict.fromkeys(gate for gates in schema.GATES.values() for gate in gates))


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
        return self.missing or f"Gates of {self.source.label}, at the last recorded step {_last(self.gates)}"


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
        if self.missing:
            return self.missing
        when = span(int(self.steps[0]), int(self.steps[-1]))
        return f"Gates of {self.source.label} at {when}, at the last timestep {_last(self.gates)}"


def gate_history(run: Run, selection: Selection) -> GateHistory:
    """Every gate of one layer over training."""
    names = _gate_names(run, selection)
    grids = {gate: _read(run, selection, gate) for gate in names}
    steps = grids[names[0]].steps if names else np.zeros(0, dtype=np.int64)
    gates = tuple(_gate(gate, grid, _over_timesteps) for gate, grid in grids.items())
    return GateHistory(source_of(run), selection, steps, gates, None if gates else _nothing(selection))


def gate_profile(run: Run, step: Asked, selection: Selection) -> GateProfile:
    """Every gate of one layer over timesteps, at the recorded step nearest to ``step`` or over a range."""
    found = steps_asked_for(_recorded(run, selection), step)
    names = _gate_names(run, selection) if len(found) else ()
    ends = (int(found[0]), int(found[-1])) if len(found) else None
    grids = {gate: _read(run, selection, gate, ends) for gate in names}
    timesteps = grids[names[0]].timesteps if names else np.zeros(0, dtype=np.int64)
    gates = tuple(_gate(gate, grid, _over_steps) for gate, grid in grids.items())
    return GateProfile(source_of(run), selection, step, found, timesteps, gates, None if gates else _nothing(selection))


def _recorded(run: Run, selection: Selection) -> Ints:
    steps = run.read(schema.TABLE_GATES, columns=[schema.STEP], where=selection.where)[schema.STEP]
    return np.unique(steps.to_numpy(dtype=np.int64))


def _gate_names(run: Run, selection: Selection) -> tuple[str, ...]:
    """The gates of a layer, as its first and last recorded steps have them."""
    steps = _recorded(run, selection)
    if not len(steps):
        return ()
    ends = [int(step) for step in dict.fromkeys((steps[0], steps[-1]))]
    rows = run.read(schema.TABLE_GATES, columns=[schema.GATE], where={**selection.where, schema.STEP: ends})
    found = set(rows[schema.GATE])
    return (*(gate for gate in _ORDER if gate in found), *sorted(found.difference(_ORDER)))


def _read(run: Run, selection: Selection, gate: str, steps: tuple[int, int] | None = None) -> Grid:
    where = {schema.GATE: gate}
    return read_grid(run, selection, list(_TITLES), steps=steps, table=schema.TABLE_GATES, where=where)


Average = Callable[[Floats, NDArray[np.bool_]], tuple[Floats, NDArray[np.bool_]]]


def _gate(gate: str, grid: Grid, average: Average) -> GateSeries:
    mean, std, low, high = (
        series(name, title, unit, *average(grid.values[name], grid.missing[name]))
        for name, (title, unit) in _TITLES.items()
    )
    return GateSeries(gate, gate_title(gate), mean, std, low, high)


def _over_timesteps(values: Floats, missing: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
    """The mean over timesteps, [S, T] to [S]; NaN where one of them is NaN or inf, missing where none was measured."""
    count = (~missing).sum(axis=1)
    with np.errstate(invalid="ignore"):
        total = np.where(missing, 0.0, values).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), np.asarray(missing.all(axis=1))


def _over_steps(values: Floats, missing: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
    return (values[0], missing[0]) if len(values) == 1 else mean_over_steps(values, missing, signed=True)


def _nothing(selection: Selection) -> str:
    return f"No gate was recorded for {selection.label}."


def _last(gates: tuple[GateSeries, ...]) -> str:
    """The gates' means at the end, and the one that is saturated most."""
    means = ", ".join(f"{gate.gate} {number(float(gate.mean.values[-1]))}" for gate in gates)
    shares = {gate.gate: float(np.nansum([gate.low.values[-1], gate.high.values[-1]])) for gate in gates}
    most = max(shares, key=lambda gate: shares[gate])
    return f"the means are {means}; {most} is saturated most, {shares[most]:.0%} of its activations."
