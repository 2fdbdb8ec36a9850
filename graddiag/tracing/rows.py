"""Signals on the host as column blocks of the tables ``timesteps`` and ``gates``; what has no value is masked."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graddiag import schema
from graddiag.tracing.device_transfer import Tree
from graddiag.tracing.norms import within_float32
from graddiag.tracing.parameters import Spectrum
from graddiag.tracing.signals import Signals
from graddiag.tracing.trace import TraceKey

Columns = dict[str, Any]


def timestep_columns(step: int, signals: Signals) -> Columns:
    """One row per timestep."""
    T = len(signals.timesteps[schema.H_RMS])
    columns = keys(step, signals.key) | {schema.TIMESTEP: np.arange(T)}
    for name, column in signals.timesteps.items():
        missing = signals.missing.get(name)
        values = column.numpy()
        columns[name] = values if missing is None else np.ma.masked_array(values, missing.numpy())
    return columns


def gate_columns(step: int, signals: Signals) -> Columns:
    """One row per timestep and gate, gates in torch's order; a statistic the gate does not have is masked."""
    T, gates = len(signals.timesteps[schema.H_RMS]), signals.gates
    columns = keys(step, signals.key) | {
        schema.TIMESTEP: np.repeat(np.arange(T), len(gates)),
        schema.GATE: list(gates) * T,
    }
    for name in (schema.MEAN, schema.STD, schema.SATURATED_LOW, schema.SATURATED_HIGH):
        by_gate = [_column(statistics.get(name), T) for statistics in gates.values()]
        columns[name] = np.ma.stack(by_gate, axis=1).ravel()
    return columns


def parameter_columns(step: int, norms: Tree, spectra: Mapping[str, Spectrum]) -> Columns:
    """One row per parameter. ``norms``: columns by parameter name, on the host, as ``update_sizes`` lays them out."""
    names = list(norms[schema.WEIGHT_NORM])
    columns: Columns = {schema.STEP: step, schema.PARAMETER: names}
    for column, by_name in norms.items():
        columns[column] = [float(within_float32(by_name[name])) if name in by_name else None for name in names]
    columns[schema.SPECTRAL_RADIUS] = [spectra[name].radius if name in spectra else None for name in names]
    columns[schema.SPECTRAL_NORM] = [spectra[name].norm if name in spectra else None for name in names]
    return columns


def counterfactual_columns(
    step: int, norm: float, loss_before: float, tried: Sequence[tuple[float | None, float, float]]
) -> Columns:
    """One row per threshold that was tried: the threshold, its coefficient and the loss after."""
    thresholds, coefficients, losses = zip(*tried, strict=True)
    return {
        schema.STEP: step,
        schema.INDEX: np.arange(len(tried)),
        schema.THRESHOLD: thresholds,
        schema.GRAD_NORM: norm,
        schema.CLIP_COEFFICIENT: coefficients,
        schema.LOSS_BEFORE: loss_before,
        schema.LOSS_AFTER: losses,
    }


def _column(values: Any, T: int) -> Any:
    return np.ma.masked_all(T) if values is None else np.ma.masked_array(values.numpy(), False)


def keys(step: int, of: TraceKey) -> Columns:
    """The key columns that every row of one layer shares."""
    module, layer, direction, call = of
    return {
        schema.STEP: step,
        schema.MODULE: module,
        schema.LAYER: layer,
        schema.DIRECTION: direction,
        schema.CALL: call,
    }
