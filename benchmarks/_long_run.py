"""A long run as the benchmarks take it: an LSTM of any number of steps, timesteps and layers, every table filled."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from graddiag import schema
from graddiag.run import RunManifest
from graddiag.store import RunWriter, load_run

AT_ONCE = 50  # steps that are made at once
GATES = schema.GATES["lstm"]
PARAMETERS = tuple(f"lstm.{kind}_l{layer}" for layer in (0, 1) for kind in ("weight_ih", "weight_hh", "bias_ih"))
THRESHOLDS = (None, 0.1, 0.3, 1.0, 3.0)  # tried at every step with a snapshot
UNITS = 64
EXPONENTS = 8
SNAPSHOT_EVERY = 1_000


@dataclass(frozen=True)
class Size:
    """What the run is made of."""

    steps: int = 20_000
    timesteps: int = 200
    layers: int = 2


def make_run(root: Path, size: Size, name: str | None = None, **fields: Any) -> Path:
    """A finished run of that size, the one of an earlier time where there is one; returns its folder. ``fields`` are
    of its manifest."""
    about = manifest(name or f"{size.steps}-steps", **fields)
    folder = root / (about.experiment or "") / about.name
    if folder.exists():
        if load_run(folder).manifest.status == "finished":
            return folder
        shutil.rmtree(folder)
    random = np.random.default_rng(about.seed)
    with RunWriter(root, about) as writer:
        for first in range(0, size.steps, AT_ONCE):
            append(writer, np.arange(first, min(first + AT_ONCE, size.steps), dtype=np.int32), size, random)
    return writer.path


def manifest(name: str, place: int = 0, **fields: Any) -> RunManifest:
    """Of a run made ``place`` minutes after the first one."""
    created = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=place)
    about = {"clip": "norm:1.0", "arm": "clip on", "seed": 0, "model": "lstm", "task": "text"}
    about |= {"loss_reduction": "mean over batch and timesteps", "created": created}
    return RunManifest(graddiag_version="0.1.0", id=name, name=name, **(about | fields))


def append(writer: RunWriter, steps: np.ndarray, size: Size, random: np.random.Generator) -> None:
    """Steps whose gradients fade backwards, with noise, one in 1,000 that explodes; a snapshot where one is due."""
    spike = steps % 1000 == 617
    scale = np.exp(0.3 * random.standard_normal(len(steps))) * np.where(spike, 1e4, 1)
    writer.append(schema.TABLE_STEPS, scalars(steps, scale, random))
    writer.append(schema.TABLE_TIMESTEPS, signals(steps, scale, size, random))
    writer.append(schema.TABLE_GATES, gates(steps, size, random))
    writer.append(schema.TABLE_PARAMETERS, parameters(steps, random))
    writer.append(schema.TABLE_EVENTS, spikes(steps[spike]))
    for step in steps[steps % SNAPSHOT_EVERY == 0]:
        for name, rows in snapshot(int(step), size, random).items():
            writer.append(name, rows)


def scalars(steps: np.ndarray, scale: np.ndarray, random: np.random.Generator) -> dict[str, Any]:
    after = np.minimum(scale, 1.0)
    return {
        schema.STEP: steps,
        schema.LOSS: 4 * np.exp(-steps / 5000) + 0.05 * random.random(len(steps)),
        schema.GRAD_NORM: scale,
        schema.GRAD_NORM_CLIPPED: after,
        schema.CLIP_COEFFICIENT: after / scale,
        schema.GRAD_COSINE: 0.3 + 0.1 * random.standard_normal(len(steps)),
        schema.NONFINITE: np.zeros(len(steps), np.int64),
        schema.LR: np.full(len(steps), 0.5),
        schema.UPDATE_RATIO: np.full(len(steps), 1e-3),
        schema.WALL_TIME: steps * 0.01,
    }


def keys(steps: np.ndarray, size: Size, times: int = 1) -> dict[str, Any]:
    layers = np.repeat(np.arange(size.layers, dtype=np.int32), size.timesteps * times)
    timesteps = np.tile(np.repeat(np.arange(size.timesteps, dtype=np.int32), times), size.layers)
    return {
        schema.STEP: np.repeat(steps, len(timesteps)),
        schema.MODULE: "lstm",
        schema.LAYER: np.tile(layers, len(steps)),
        schema.DIRECTION: "forward",
        schema.CALL: 0,
        schema.TIMESTEP: np.tile(timesteps, len(steps)),
    }


def signals(steps: np.ndarray, scale: np.ndarray, size: Size, random: np.random.Generator) -> dict[str, Any]:
    rows = (len(steps), size.layers, size.timesteps)
    fading = np.float32(0.97) ** np.arange(size.timesteps - 1, -1, -1, dtype=np.float32)
    floats = [c.name for c in schema.TABLES[schema.TABLE_TIMESTEPS].columns if c.dtype == "float32"]
    found = {name: np.exp(0.2 * random.standard_normal(rows, dtype=np.float32)) for name in floats}
    for name in (schema.GRAD_H, schema.GRAD_H_MAX, schema.GRAD_C, schema.GRAD_C_PATH, schema.GRAD_A, schema.GRAD_W_HH):
        found[name] *= fading * scale.astype(np.float32)[:, None, None]
    found[schema.GRAD_W_HH_COSINE] = np.tanh(random.standard_normal(rows, dtype=np.float32))
    return keys(steps, size) | {name: values.ravel() for name, values in found.items()}


def gates(steps: np.ndarray, size: Size, random: np.random.Generator) -> dict[str, Any]:
    count = len(steps) * size.layers * size.timesteps * len(GATES)
    floats = [c.name for c in schema.TABLES[schema.TABLE_GATES].columns if c.dtype == "float32"]
    values = {name: random.random(count, dtype=np.float32) for name in floats}
    gate = np.tile(np.array(GATES), count // len(GATES))
    return keys(steps, size, len(GATES)) | {schema.GATE: gate, **values}


def parameters(steps: np.ndarray, random: np.random.Generator) -> dict[str, Any]:
    floats = [c.name for c in schema.TABLES[schema.TABLE_PARAMETERS].columns if c.dtype == "float32"]
    rows = len(steps) * len(PARAMETERS)
    values = {name: np.exp(0.2 * random.standard_normal(rows)) for name in floats}
    names = np.tile(np.array(PARAMETERS), len(steps))
    return {schema.STEP: np.repeat(steps, len(PARAMETERS)), schema.PARAMETER: names, **values}


def spikes(steps: np.ndarray) -> dict[str, Any]:
    told = {schema.KIND: schema.EVENT_SPIKE, schema.WHERE: "", schema.VALUE: 1e4, schema.MESSAGE: "A spike."}
    return {schema.STEP: steps} | {name: np.full(len(steps), value) for name, value in told.items()}


def snapshot(step: int, size: Size, random: np.random.Generator) -> dict[str, dict[str, Any]]:
    """The rows of one snapshot, by table: unit by timestep, loss timestep by timestep, singular and eigenvalues."""
    T, steps = size.timesteps, np.array([step], dtype=np.int32)
    floats = [schema.gate_column(schema.ACTIVATION, gate) for gate in GATES]
    floats += [
        schema.gate_column(side, gate) for side in (schema.SATURATED_LOW, schema.SATURATED_HIGH) for gate in GATES
    ]
    units = keys(steps, size, UNITS)
    count = len(units[schema.STEP])
    units |= {schema.UNIT: np.tile(np.arange(UNITS, dtype=np.int32), count // UNITS)}
    units |= {name: random.random(count, dtype=np.float32) for name in (schema.GRAD_H, *floats)}
    at = np.linspace(T / schema.CREDIT_ROWS - 1, T - 1, schema.CREDIT_ROWS).astype(np.int32)
    pairs = [(layer, s, t) for layer in range(size.layers) for s in at for t in range(s + 1)]
    layer, s, t = np.array(pairs, dtype=np.int32).T
    credit = {schema.STEP: np.full(len(s), step), schema.MODULE: "lstm", schema.LAYER: layer}
    credit |= {schema.DIRECTION: "forward", schema.CALL: 0, schema.LOSS_TIMESTEP: s, schema.TIMESTEP: t}
    names = np.array([f"lstm.weight_hh_l{layer}" for layer in range(size.layers)]).repeat(UNITS * len(GATES))
    tried = len(THRESHOLDS)
    looked = {schema.STEP: np.full(tried, step), schema.INDEX: np.arange(tried), schema.THRESHOLD: list(THRESHOLDS)}
    looked |= {schema.GRAD_NORM: np.full(tried, 2.0), schema.LOSS_BEFORE: np.full(tried, 1.0)}
    looked |= {schema.CLIP_COEFFICIENT: random.random(tried), schema.LOSS_AFTER: 0.8 + 0.4 * random.random(tried)}
    spectra = {schema.STEP: np.full(len(names), step), schema.PARAMETER: names}
    spectra |= {schema.GATE: np.tile(np.array(GATES).repeat(UNITS), size.layers)}
    spectra |= {schema.INDEX: np.tile(np.arange(UNITS), size.layers * len(GATES))}
    values = (schema.SINGULAR_VALUE, schema.EIGENVALUE_REAL, schema.EIGENVALUE_IMAG)
    spectra |= {name: random.random(len(names), dtype=np.float32) for name in values}
    return {
        schema.TABLE_SNAPSHOTS: units,
        schema.TABLE_LYAPUNOV: exponents(step, size),
        schema.TABLE_CREDIT: credit | {schema.GRAD_H: 0.97 ** (s - t).astype(np.float32)},
        schema.TABLE_SPECTRA: spectra,
        schema.TABLE_COUNTERFACTUALS: looked,
    }


def exponents(step: int, size: Size) -> dict[str, Any]:
    """The rows of eight Lyapunov exponents of each layer."""
    count = size.layers * EXPONENTS
    where = {schema.STEP: np.full(count, step), schema.MODULE: "lstm", schema.DIRECTION: "forward", schema.CALL: 0}
    where |= {schema.LAYER: np.arange(size.layers, dtype=np.int32).repeat(EXPONENTS)}
    where |= {schema.INDEX: np.tile(np.arange(EXPONENTS, dtype=np.int32), size.layers)}
    found = -0.1 * (1.0 + where[schema.INDEX])
    spread = {schema.EXPONENT: found, schema.EXPONENT_LOW: found - 0.05, schema.EXPONENT_HIGH: found + 0.05}
    return where | spread | {schema.SAMPLES: np.full(count, 4), schema.TIMESTEPS: np.full(count, size.timesteps)}
