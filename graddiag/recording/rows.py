"""Measurements on the host as column blocks of the tables of a run; what has no value is masked."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from graddiag import schema
from graddiag.cells.lyapunov import LogGrowth, exponents
from graddiag.cells.spectra import BlockSpectrum
from graddiag.recording.norms import ByParameter
from graddiag.recording.parameters import Spectrum
from graddiag.schema import TraceKey
from graddiag.tracing.norms import FLOAT32_MAX, FLOAT32_TINY, within_float32
from graddiag.tracing.signals import Signals
from graddiag.tracing.snapshots import Snapshot
from graddiag.tracing.spectra import Spectra

Columns = dict[str, Any]


def timestep_columns(steps: Sequence[int], signals: Sequence[Signals]) -> Columns:
    """One row per step and timestep. ``signals``: of each step, all of one layout."""
    T = len(signals[0].timesteps[schema.H_RMS])
    columns = _repeated(steps, signals[0].key, T) | {schema.TIMESTEP: np.tile(np.arange(T), len(steps))}
    for name in signals[0].timesteps:
        values = _fitted([each.timesteps[name] for each in signals])
        if name in signals[0].missing:
            values = np.ma.masked_array(values, np.concatenate([each.missing[name].numpy() for each in signals]))
        columns[name] = values
    return columns


def gate_columns(steps: Sequence[int], signals: Sequence[Signals]) -> Columns:
    """One row per step, timestep and gate, gates in torch's order; a statistic the gate does not have is masked.
    ``signals`` as in ``timestep_columns``."""
    T, gates = len(signals[0].timesteps[schema.H_RMS]), list(signals[0].gates)
    columns = _repeated(steps, signals[0].key, T * len(gates)) | {
        schema.TIMESTEP: np.tile(np.repeat(np.arange(T), len(gates)), len(steps)),
        schema.GATE: gates * (T * len(steps)),
    }
    for name in (schema.MEAN, schema.STD, schema.SATURATED_LOW, schema.SATURATED_HIGH):
        own = [gate for gate in gates if name in signals[0].gates[gate]]
        column = np.ma.masked_all((T * len(steps), len(gates)))
        for gate in own:
            column[:, gates.index(gate)] = _fitted([each.gates[gate][name] for each in signals])
        columns[name] = column.ravel()
    return columns


def layout(signals: Signals) -> tuple[Hashable, ...]:
    """What two steps must have in common for their rows to be made together."""
    gates = tuple((gate, *statistics) for gate, statistics in signals.gates.items())
    timesteps = (len(signals.timesteps[schema.H_RMS]), *signals.timesteps)
    return signals.key, timesteps, gates, tuple(signals.missing)


def scalar_columns(rows: Sequence[Mapping[str, Any]]) -> Columns:
    """One row per step, of the scalars of each; what no step has a value of is left out."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    return {name: values for name, values in columns.items() if any(value is not None for value in values)}


def parameter_columns(
    steps: Sequence[int], norms: Sequence[Mapping[str, ByParameter]], spectra: Sequence[Mapping[str, Spectrum]]
) -> Columns:
    """One row per step and parameter. ``norms``: of each step, columns of the same parameters, as
    ``UpdateSizes.columns`` gives them."""
    names = norms[0][schema.WEIGHT_NORM].names
    columns: Columns = {
        schema.STEP: np.repeat(np.array(steps, dtype=np.int32), len(names)),
        schema.PARAMETER: list(names) * len(steps),
    }
    columns |= {column: _placed([each[column] for each in norms], names) for column in norms[0]}
    found = [each.get(name) for each in spectra for name in names]
    columns[schema.SPECTRAL_RADIUS] = [None if each is None else each.radius for each in found]
    columns[schema.SPECTRAL_NORM] = [None if each is None else each.norm for each in found]
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
        schema.GRAD_H: _fitted([taken.credit]).ravel()[reached],
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


def _placed(found: Sequence[ByParameter], names: Sequence[str]) -> Any:
    """One number for each step and name; masked where ``found``, of the same parameters at each step, has none."""
    own, values = found[0].names, _fitted([each.vector for each in found])
    if own == names:
        return values
    places = {name: place for place, name in enumerate(names)}
    column = np.ma.masked_all((len(found), len(names)))
    there = [name in places for name in own]
    column[:, [places[name] for name in own if name in places]] = values.reshape(len(found), -1)[:, there]
    return column.ravel()


def keys(step: int, of: TraceKey) -> Columns:
    """The key columns that every row of one layer shares."""
    return {schema.STEP: step, **of.where}


def _repeated(steps: Sequence[int], of: TraceKey, rows: int) -> Columns:
    """The key columns of ``rows`` rows for each step."""
    return {schema.STEP: np.repeat(np.array(steps, dtype=np.int32), rows), **of.where}


def _fitted(parts: Sequence[Tensor]) -> Any:
    """Tensors on the host one after another, float64: what is neither 0 nor infinite does not become so in float32."""
    values = np.concatenate([part.numpy() for part in parts]).astype(np.float64, copy=False)
    size = np.abs(values)
    held = np.copysign(np.clip(size, FLOAT32_TINY, FLOAT32_MAX), values)
    return np.where((size > 0) & np.isfinite(values), held, values)


def _widened(block: Tensor, units: int) -> Any:
    values = np.ma.masked_array(_fitted([block]), False)
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
