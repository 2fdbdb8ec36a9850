"""A run as the named curves that a tracker shows: over training, and over the timesteps of a sequence."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis import Selection, gate_history, reach, recorded_steps, scalar_title, selections, signal_title
from graddiag.analysis.values import CellState, Floats, Ints
from graddiag.run import Run, numbers

# signals whose course over the timesteps is exported, and at how many recorded steps
PROFILED: Final = (schema.GRAD_H, schema.GRAD_H_DIRECT, schema.GRAD_W_HH, schema.TRANSPORT_GAIN)
PROFILES: Final = 8


@dataclass(frozen=True)
class ExportedCurve:
    """Numbers under a name like ``lstm/layer0/forward/exponent``; what was not measured is left out, NaN and inf stay.

    x [n]: steps, or timesteps; values [n].
    """

    name: str
    meaning: str
    x: Ints
    values: Floats


def over_training(run: Run) -> tuple[ExportedCurve, ...]:
    """Curves over steps: the table of steps, each layer's reach and gates, each parameter's norms.

    Names: ``grad_norm`` and every other column of the steps table; ``MODULE/layerL/DIRECTION/exponent``, ``/horizon``
    and ``/ratio`` (see ``graddiag.analysis.flow.reach``); ``.../gate_f/mean``, ``/saturated_low`` and
    ``/saturated_high``, means over timesteps; ``parameters/NAME/grad_norm`` and the other columns of the
    parameters table.
    """
    found = [*_steps(run), *_layers(run), *_parameters(run)]
    return tuple(curve for curve in found if len(curve.x))


def over_timesteps(run: Run) -> dict[int, tuple[ExportedCurve, ...]]:
    """By recorded step, ``PROFILES`` of them from the first to the last, the curves of ``PROFILED`` over timesteps."""
    recorded = recorded_steps(run)
    if not len(recorded):
        return {}
    chosen = recorded[np.unique(np.linspace(0, len(recorded) - 1, PROFILES).round().astype(int))]
    layers = selections(run)
    return {int(step): tuple(each for layer in layers for each in _profiles(run, int(step), layer)) for step in chosen}


def wall_times(run: Run) -> Mapping[int, float]:
    """Seconds since the epoch at the end of each step."""
    began = run.manifest.created.timestamp()
    frame = run.read(schema.TABLE_STEPS, columns=[schema.STEP, schema.WALL_TIME])
    times, missing = numbers(frame[schema.WALL_TIME])
    return dict(zip(frame[schema.STEP].tolist(), np.where(missing, began, began + times).tolist(), strict=True))


def by_step(curves: tuple[ExportedCurve, ...]) -> Iterator[tuple[int, dict[str, float]]]:
    """The values of all ``curves`` at each x, by name, in the order of x."""
    rows: dict[int, dict[str, float]] = {}
    for curve in curves:
        for x, value in zip(curve.x.tolist(), curve.values.tolist(), strict=True):
            rows.setdefault(x, {})[curve.name] = value
    yield from sorted(rows.items())


def layer_name(selection: Selection) -> str:
    """``encoder.lstm/layer0/forward``, the beginning of the names of a layer's curves."""
    call = f"/call{selection.call}" if selection.call else ""
    return f"{selection.module or 'model'}/layer{selection.layer}/{selection.direction}{call}"


def _steps(run: Run) -> Iterator[ExportedCurve]:
    frame = run.steps
    for name in frame.columns:
        if name not in (schema.STEP, schema.WALL_TIME):
            yield _curve(name, scalar_title(name), frame[schema.STEP], frame[name])


def _layers(run: Run) -> Iterator[ExportedCurve]:
    for layer in selections(run):
        name, found = layer_name(layer), reach(run, layer)
        for what, meaning, values in (
            ("exponent", "growth rate per timestep: mean of ln gain over timesteps", found.exponent_by_step),
            ("horizon", "memory horizon, -1/exponent, in timesteps; inf where nothing fades", found.horizon_by_step),
            ("ratio", "||dL/dh|| at the first timestep over the last", found.ratio_by_step),
        ):
            known = ~np.isnan(values)
            yield ExportedCurve(f"{name}/{what}", meaning, found.steps[known], values[known])
        history = gate_history(run, layer)
        for gate in history.gates:
            for series in (gate.mean, gate.low, gate.high):
                known = series.states != CellState.MISSING
                meaning = f"{gate.title}: {series.title}, mean over timesteps"
                yield ExportedCurve(
                    f"{name}/gate_{gate.gate}/{series.name}", meaning, history.steps[known], series.values[known]
                )


def _parameters(run: Run) -> Iterator[ExportedCurve]:
    declared = schema.TABLES[schema.TABLE_PARAMETERS]
    for parameter, rows in run.parameters.groupby(schema.PARAMETER, sort=False):
        for column in declared.columns:
            if not column.key:
                name = f"parameters/{parameter}/{column.name}"
                yield _curve(name, column.meaning, rows[schema.STEP], rows[column.name])


def _profiles(run: Run, step: int, layer: Selection) -> Iterator[ExportedCurve]:
    columns = [schema.TIMESTEP, *PROFILED]
    rows = run.read(schema.TABLE_TIMESTEPS, columns=columns, where={schema.STEP: step, **layer.where})
    for signal in PROFILED:
        curve = _curve(f"{layer_name(layer)}/{signal}", signal_title(signal), rows[schema.TIMESTEP], rows[signal])
        if len(curve.x):
            yield curve


def _curve(name: str, meaning: str, x: "pd.Series[Any]", column: "pd.Series[Any]") -> ExportedCurve:
    values, missing = numbers(column)
    return ExportedCurve(name, meaning, x.to_numpy(dtype=np.int64)[~missing], values[~missing])
