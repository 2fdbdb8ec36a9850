"""Runs typed by hand: frames in memory, as plain or as awkward as a test wants them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from graddiag import schema
from graddiag.analysis import Selection
from graddiag.run import Run, RunManifest

LAYER = Selection("lstm", 0, "forward")
NAN, INF = float("nan"), float("inf")

_MEASURED = (schema.MEAN, schema.STD, schema.SATURATED_LOW, schema.SATURATED_HIGH)


def manifest(name: str = "run", **fields: Any) -> RunManifest:
    fields = {"clip": "none", "arm": "clip off", "seed": 0, **fields}
    return RunManifest(graddiag_version="0.1.0", id=name, name=name, created=datetime(2025, 1, 1, tzinfo=UTC), **fields)


def steps_frame(norm: Sequence[float | None], **columns: Sequence[float | None]) -> pd.DataFrame:
    """The table of steps 0, 1, ... with these norms before clipping, and other columns; None is missing."""
    frame = {schema.STEP: np.arange(len(norm)), schema.GRAD_NORM: _column(norm)}
    return pd.DataFrame(frame | {name: _column(values) for name, values in columns.items()})


def timesteps_frame(
    signals: Mapping[str, Any], layer: Selection = LAYER, steps: Sequence[int] | None = None
) -> pd.DataFrame:
    """Rows of one layer from arrays [S, T] by column; None in an object array is missing."""
    arrays = {name: np.asarray(values) for name, values in signals.items()}
    S, T = next(iter(arrays.values())).shape
    recorded = np.arange(S) if steps is None else np.asarray(steps)
    keys = {schema.STEP: np.repeat(recorded, T), **layer.where, schema.TIMESTEP: np.tile(np.arange(T), S)}
    return pd.DataFrame(keys | {name: _column(values.ravel().tolist()) for name, values in arrays.items()})


def gates_frame(gates: Mapping[str, Mapping[str, Any]], layer: Selection = LAYER) -> pd.DataFrame:
    """Rows of one layer from arrays [S, T] by gate and column."""
    parts = [timesteps_frame(columns, layer).assign(**{schema.GATE: gate}) for gate, columns in gates.items()]
    keys = [name for name in parts[0] if name not in next(iter(gates.values()))]
    measured = {name: np.concatenate([np.ravel(columns[name]) for columns in gates.values()]) for name in _MEASURED}
    values = {name: _column(column.tolist()) for name, column in measured.items()}
    return pd.concat([part[keys] for part in parts], ignore_index=True).assign(**values)


def snapshots_frame(columns: Mapping[str, Any], layer: Selection = LAYER) -> pd.DataFrame:
    """Rows of one layer from arrays [S, T, U] by column; None in an object array is missing."""
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    S, T, U = next(iter(arrays.values())).shape
    keys = {schema.STEP: np.repeat(np.arange(S), T * U), **layer.where}
    keys |= {schema.TIMESTEP: np.tile(np.repeat(np.arange(T), U), S), schema.UNIT: np.tile(np.arange(U), S * T)}
    return pd.DataFrame(keys | {name: _column(values.ravel().tolist()) for name, values in arrays.items()})


def travelled(gains: Any, direct: Any) -> dict[str, np.ndarray]:
    """The gradient columns of a net that multiplies by ``gains`` [S, T] from t to t-1, with ``direct`` [S, T] injected
    at right angles to what arrives: ||dh_t||^2 = ||l_t||^2 + (gain_{t+1} ||dh_{t+1}||)^2."""
    gains, direct = np.asarray(gains, dtype=float), np.asarray(direct, dtype=float)
    total = direct.copy()
    for t in range(direct.shape[1] - 2, -1, -1):
        total[:, t] = np.hypot(direct[:, t], gains[:, t + 1] * total[:, t + 1])
    return {schema.TRANSPORT_GAIN: gains, schema.GRAD_H: total, schema.GRAD_H_DIRECT: direct}


def net(gain: float, *, steps: int = 4, timesteps: int = 100, dense: bool = False, **fields: Any) -> Run:
    """A run whose every transport gain is ``gain``, its loss on the last timestep or (``dense``) on each."""
    direct = np.ones((steps, timesteps)) if dense else np.eye(1, timesteps, timesteps - 1).repeat(steps, axis=0)
    frame = timesteps_frame(travelled(np.full((steps, timesteps), gain), direct))
    norms = steps_frame([1.0] * steps, **{schema.LOSS: list(np.linspace(2, 1, steps))})
    return Run.from_frames(manifest(**fields), timesteps=frame, steps=norms)


NOISE = np.random.default_rng(0).normal(0, 0.02, 300)
FLAT = list(np.log(4) + NOISE)
FALLING = list(1.3 * np.exp(-np.arange(300) / 40) + 0.08 + NOISE / 4)
TURNED = [*np.linspace(3, 1, 150), *np.linspace(1, 2.5, 150)]
CHANCE = {"chance_loss": "ln 4"}


def run_of(
    loss: Sequence[float | None] = (),
    norm: Sequence[float | None] = (),
    gain: float = 1.0,
    *,
    after: Sequence[float] = (),
    timesteps: pd.DataFrame | None = None,
    columns: Mapping[str, Sequence[float | None]] | None = None,
    tables: Mapping[str, pd.DataFrame | None] | None = None,
    **fields: Any,
) -> Run:
    """A net of ``gain`` with these losses and norms; ``after`` are the norms after clipping."""
    count = max(len(loss), len(norm), 12)
    norms = list(norm) or [1.0] * count
    left = list(after) or norms
    found = {
        schema.LOSS: list(loss) or [None] * count,
        schema.GRAD_NORM_CLIPPED: left,
        schema.CLIP_COEFFICIENT: [None if not a else b / a for a, b in zip(norms, left, strict=True)],
        **(columns or {}),
    }
    frames = {
        "timesteps": net(gain).timesteps if timesteps is None else timesteps,
        "steps": steps_frame(norms, **found),
    }
    frames |= {name: table for name, table in (tables or {}).items() if table is not None}
    return Run.from_frames(manifest(**fields), **frames)


def saturation(low: float, high: float | None, gate: str = "o", steps: int = 4, mean: float = 0.5) -> pd.DataFrame:
    """Gates of which these shares are at their ends, at each of 5 timesteps."""
    block = np.full((steps, 5), mean)
    shares = np.full((steps, 5), high, dtype=object if high is None else float)
    lows = {schema.SATURATED_LOW: np.full((steps, 5), low), schema.SATURATED_HIGH: shares}
    return gates_frame({gate: {schema.MEAN: block, schema.STD: block, **lows}})


def event(kind: str, step: int = 3, where: str = "all parameters", value: float = 1.0) -> pd.DataFrame:
    names = [schema.STEP, schema.KIND, schema.WHERE, schema.VALUE, schema.MESSAGE]
    return pd.DataFrame([(step, kind, where, value, f"What {kind} says.")], columns=names)


_BY_UNIT = [schema.GRAD_H] + [
    schema.gate_column(measure, gate)
    for measure in (schema.ACTIVATION, schema.SATURATED_LOW, schema.SATURATED_HIGH)
    for gate in "if"
]


@cache
def awkward() -> dict[str, Run]:
    """One run for each way in which a run can be awkward."""
    return {
        "empty": Run.from_frames(manifest()),
        "one step": net(0.9, steps=1, timesteps=5),
        "one timestep": net(0.9, timesteps=1),
        "no timesteps": Run.from_frames(manifest(), steps=steps_frame([1.0, 2.0])),
        "no steps": Run.from_frames(manifest(), timesteps=net(0.9, timesteps=5).timesteps),
        "all NaN": _filled(NAN),
        "all inf": _filled(INF),
        "all zero": _filled(0.0),
        "all missing": _filled(None),
        "unequal lengths": _unequal(),
        "no seed, no clip": net(0.9, timesteps=5, seed=None, clip=None, arm=None),
        "markup": net(0.9, timesteps=5, name="<b>run</b>", arm="<img src=x onerror=alert(1)> $x$ %{x}"),
    }


def _filled(value: float | None) -> Run:
    """Two steps, three timesteps, every measured number ``value``."""
    block = np.full((2, 3), value, dtype=object if value is None else float)
    measured = [c.name for c in schema.TABLES[schema.TABLE_TIMESTEPS].columns if not c.key]
    gate = dict.fromkeys(_MEASURED, block)
    scalars = {name: [value, value] for name in (schema.LOSS, schema.GRAD_NORM_CLIPPED, schema.CLIP_COEFFICIENT)}
    return Run.from_frames(
        manifest(),
        steps=steps_frame([value, value], **scalars),
        timesteps=timesteps_frame(dict.fromkeys(measured, block)),
        gates=gates_frame({"i": gate, "f": gate}),
        snapshots=snapshots_frame(dict.fromkeys(_BY_UNIT, np.full((2, 3, 2), value, dtype=block.dtype))),
    )


def _unequal() -> Run:
    """Sequences of 3 and of 5 timesteps, and a null within the longer one."""
    frame = net(0.5, steps=2, timesteps=5).timesteps
    frame[schema.GRAD_H] = _column([*frame[schema.GRAD_H][:7], None, *frame[schema.GRAD_H][8:]])
    short = (frame[schema.STEP] == 0) & (frame[schema.TIMESTEP] > 2)
    return Run.from_frames(manifest(), steps=steps_frame([1.0, 1.0]), timesteps=frame[~short])


def _column(values: Sequence[float | None]) -> Any:
    """A float column; where it holds None, one in which null and NaN stay apart."""
    if not any(value is None for value in values):
        return np.array(values, dtype=float)
    return pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(values, type=pa.float64())]))
