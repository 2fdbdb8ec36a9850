"""Measurements on the host as column blocks of the tables of a run; what has no value is masked."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from graddiag import schema
from graddiag.cells.lyapunov import LogGrowth, exponents
from graddiag.cells.spectra import BlockSpectrum
from graddiag.recording.norms import ByParameter
from graddiag.recording.parameters import Spectrum
from graddiag.schema import TraceKey
from graddiag.tracing.norms import within_float32
from graddiag.tracing.signals import Signals
from graddiag.tracing.snapshots import Snapshot
from graddiag.tracing.spectra import Spectra

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


def parameter_columns(step: int, norms: Mapping[str, ByParameter], spectra: Mapping[str, Spectrum]) -> Columns:
    """One row per parameter. ``norms``: columns by parameter, on the host, from ``UpdateSizes.columns``."""
    names = norms[schema.WEIGHT_NORM].names
    columns: Columns = {schema.STEP: step, schema.PARAMETER: list(names)}
    columns |= {column: _placed(found, names) for column, found in norms.items()}
    columns[schema.SPECTRAL_RADIUS] = [spectra[name].radius if name in spectra else None for name in names]
    columns[schema.SPECTRAL_NORM] = [spectra[name].norm if name in spectra else None for name in names]
    return columns


def snapshot_columns(step: int, taken: Snapshot) -> Columns:
    """One row per timestep and unit. With a projection ``grad_h`` is of its P units and the gates of the H cells;
    what the smaller of the two does not have is masked."""
    blocks = {schema.GRAD_H: taken.grad_h, **taken.gates}
    T, units = len(taken.grad_h), max(block.shape[1] for block in blocks.values())
    columns = keys(step, taken.key) | {
        schema.TIMESTEP: np.repeat(np.arange(T), units),
        schema.UNIT: np.tile(np.arange(units), T),
    }
    return columns | {name: _widened(block, units).ravel() for name, block in blocks.items()}


def credit_columns(step: int, taken: Snapshot) -> Columns:
    """One row per loss timestep and timestep that it can reach."""
    assert taken.credit is not None
    at, T = np.array(taken.at), taken.credit.shape[1]
    s, t = np.repeat(at, T), np.tile(np.arange(T), len(at))
    reached = s >= t if taken.key.direction == "forward" else s <= t
    return keys(step, taken.key) | {
        schema.LOSS_TIMESTEP: s[reached],
        schema.TIMESTEP: t[reached],
        schema.GRAD_H: taken.credit.numpy().ravel()[reached],
    }


def lyapunov_columns(step: int, of: TraceKey, growth: LogGrowth) -> Columns:
    """One row per exponent, of what is on the host; none where every sample ended within the transient."""
    total, counted = growth.total.sum(0), growth.counted.sum(0)
    by_sample = within_float32(exponents(total, counted)).numpy()
    samples, k = by_sample.shape
    columns = keys(step, of) | {schema.INDEX: np.arange(k if samples else 0)}
    if not samples:
        return columns
    return columns | {
        schema.EXPONENT: by_sample.mean(0),
        schema.EXPONENT_LOW: by_sample.min(0),
        schema.EXPONENT_HIGH: by_sample.max(0),
        schema.SAMPLES: samples,
        schema.TIMESTEPS: int(counted.max()),
    }


def spectra_columns(step: int, spectra: Spectra) -> Columns:
    """One row per weight, gate and index."""
    sizes = [len(each.singular) for each in spectra.values()]
    where = [key for key, size in zip(spectra, sizes, strict=True) for _ in range(size)]
    real, imag = zip(*(_parts(each) for each in spectra.values()), strict=True)
    return {
        schema.STEP: step,
        schema.PARAMETER: [name for name, _ in where],
        schema.GATE: [gate for _, gate in where],
        schema.INDEX: np.concatenate([np.arange(size) for size in sizes]),
        schema.SINGULAR_VALUE: np.concatenate([each.singular.cpu().numpy() for each in spectra.values()]),
        schema.EIGENVALUE_REAL: np.ma.concatenate(real),
        schema.EIGENVALUE_IMAG: np.ma.concatenate(imag),
    }


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


def _placed(found: ByParameter, names: Sequence[str]) -> Any:
    """[P] in the order of ``names``, masked where ``found`` has none."""
    values = within_float32(found.vector).numpy()
    if found.names == names:
        return values
    places = {name: place for place, name in enumerate(names)}
    at = [places[name] for name in found.names if name in places]
    column = np.ma.masked_all(len(names))
    column[at] = values[[name in places for name in found.names]]
    return column


def keys(step: int, of: TraceKey) -> Columns:
    """The key columns that every row of one layer shares."""
    return {schema.STEP: step, **of.where}


def _widened(block: Tensor, units: int) -> Any:
    values = np.ma.masked_array(block.numpy(), False)
    if block.shape[1] == units:
        return values
    wide = np.ma.masked_all((len(block), units))
    wide[:, : block.shape[1]] = values
    return wide


def _parts(spectrum: BlockSpectrum) -> "tuple[np.ma.MaskedArray, np.ma.MaskedArray]":
    if spectrum.eigenvalues is None:
        nothing = np.ma.masked_all(len(spectrum.singular))
        return nothing, nothing
    values = spectrum.eigenvalues.cpu().numpy()
    return np.ma.masked_array(values.real, False), np.ma.masked_array(values.imag, False)
