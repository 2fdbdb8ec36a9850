"""What an analysis of a long run costs, beside the bare read of the columns that it uses.

Makes one run of 20,000 recorded steps x 200 timesteps x 2 layers with every signal and gate of an LSTM, and a snapshot
of 64 units, with credit matrix and spectra, at every thousandth step. Then it takes each analysis by itself in a fresh
process: CPU and wall time, and the growth of the peak resident size. The bare read is pyarrow's own, straight from the
part files: every column that the analysis asked its run for, of the same rows, once. The files are in the page cache
for both, and both were done once before on a run of a hundred steps, so that what a process does but once (imports,
mostly) is in neither figure. A row above three times the bare CPU time that takes more than a tenth of a second is
marked. Run by ``make bench``.
"""

import argparse
import json
import multiprocessing
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.dataset as ds
from rich.console import Console
from rich.table import Table

import graddiag
from graddiag import analysis, schema
from graddiag.analysis import Selection
from graddiag.run import Run, RunManifest
from graddiag.store import RunWriter

AT_ONCE = 50  # steps that are made at once
GATES = schema.GATES["lstm"]
PARAMETERS = tuple(f"lstm.{kind}_l{layer}" for layer in (0, 1) for kind in ("weight_ih", "weight_hh", "bias_ih"))
LAYER = Selection("lstm", 1, "forward")
MIDDLE = 10_000
THRESHOLDS = (None, 0.1, 0.3, 1.0, 3.0)  # tried at every step with a snapshot
BOUND, WORTH = 3.0, 0.1  # times the bare read; seconds below which a row is not marked
FEW = 1_000  # steps that are named one by one in a bare read; of more it takes the range

UNITS = 64
EXPONENTS = 8
SNAPSHOT_EVERY = 1_000

ANALYSES: dict[str, Callable[[Run], object]] = {
    "diagnose": graddiag.diagnose,
    "compare, two such runs": lambda run: graddiag.compare([run, run]),
    "experiment, two such runs": lambda run: analysis.experiment([run, run], analysis.goals([run])[0]),
    "parting, two such runs": lambda run: analysis.parting(run, run),
    "bands, two such runs": lambda run: analysis.bands([run, run]),
    "heat_ratio, two such runs": lambda run: analysis.heat_ratio([run, run], schema.GRAD_H, LAYER),
    "reach, a layer": lambda run: analysis.reach(run, LAYER),
    "reaches": analysis.reaches,
    "omega, a layer": lambda run: analysis.omega(run, LAYER),
    "heat, a layer": lambda run: analysis.heat(run, schema.GRAD_H, LAYER),
    "heat, a layer, 100 steps": lambda run: analysis.heat(run, schema.GRAD_H, LAYER, steps=(MIDDLE, MIDDLE + 99)),
    "profile, a step": lambda run: analysis.profile(run, MIDDLE, LAYER),
    "profile, all steps": lambda run: analysis.profile(run, (0, 10**9), LAYER),
    "truncation, a layer": lambda run: analysis.truncation(run, LAYER),
    "weights_in_time, a layer": lambda run: analysis.weights_in_time(run, LAYER),
    "cell_path, a layer": lambda run: analysis.cell_path(run, LAYER),
    "gate_history, a layer": lambda run: analysis.gate_history(run, LAYER),
    "gate_profile, all steps": lambda run: analysis.gate_profile(run, (0, 10**9), LAYER),
    "time_constants, a layer": lambda run: analysis.time_constants(run, LAYER),
    "gate_units, a layer": lambda run: analysis.gate_units(run, LAYER),
    "dead_units, a layer": lambda run: analysis.dead_units(run, LAYER),
    "unit_heat, a snapshot": lambda run: analysis.unit_heat(run, MIDDLE, LAYER, schema.GRAD_H),
    "credit_matrix, a snapshot": lambda run: analysis.credit_matrix(run, MIDDLE, LAYER),
    "weight_spectra, a snapshot": lambda run: analysis.weight_spectra(run, MIDDLE),
    "depth": analysis.depth,
    "numerics": analysis.numerics,
    "counterfactual": analysis.counterfactual,
    "updates": analysis.updates,
    "gradient_noise": analysis.gradient_noise,
    "spectrum_history": analysis.spectrum_history,
    "lyapunov_history, a layer": lambda run: analysis.lyapunov_history(run, LAYER),
    "edge_of_stability": analysis.edge_of_stability,
    "norm_history": analysis.norm_history,
    "loss_curve": analysis.loss_curve,
    "events": analysis.events,
    "clip_statistics": analysis.clip_statistics,
    "what_if": analysis.what_if,
    "direction_change": analysis.direction_change,
    "effective_lr": analysis.effective_lr,
    "recommended_thresholds": analysis.recommended_thresholds,
    "loss_dynamics": analysis.loss_dynamics,
    "nonfinite_origin": analysis.nonfinite_origin,
    "selections": analysis.selections,
    "signals": lambda run: analysis.signals(run, LAYER),
    "recorded_steps": analysis.recorded_steps,
    "common_selections, two such runs": lambda run: analysis.common_selections([run, run]),
    "goals, two such runs": lambda run: analysis.goals([run, run]),
    "final_loss": analysis.final_loss,
    "logged_scalars": analysis.logged_scalars,
    "snapshot_steps": analysis.snapshot_steps,
    "snapshot_columns, a layer": lambda run: analysis.snapshot_columns(run, LAYER),
}

# functions of graddiag.analysis that take a run and are not measured, with the reason
EXEMPT: dict[str, str] = {}


@dataclass(frozen=True)
class Size:
    """What the run is made of."""

    steps: int = 20_000
    timesteps: int = 200
    layers: int = 2


@dataclass(frozen=True)
class Cost:
    """CPU and wall seconds, and MiB by which the peak resident size grew."""

    cpu: float
    wall: float
    memory: float


@dataclass
class Asked:
    """What was asked for of one table under the same conditions: columns, and steps (None: all)."""

    table: str
    where: dict[str, Any]
    columns: dict[str, None] = field(default_factory=dict)
    steps: set[int] | None = field(default_factory=set)


@dataclass
class Listener:
    """A reader that keeps what it was asked for, by table and conditions, the steps apart."""

    read: Any
    asked: dict[str, Asked] = field(default_factory=dict)

    def __call__(
        self, table: str, *, columns: Sequence[str] | None = None, where: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        found = self.read(table, columns=columns, where=where)
        kept = dict(where or {})
        steps = kept.pop(schema.STEP, None)
        asked = self.asked.setdefault(f"{table} {kept}", Asked(table, kept))
        asked.columns.update(dict.fromkeys(found.columns))
        listed = [steps] if isinstance(steps, int | np.integer) else steps
        asked.steps = None if listed is None or asked.steps is None else asked.steps | set(map(int, listed))
        return found


def make_run(root: Path, size: Size) -> Path:
    """A run whose gradients fade backwards, with noise, and one step in 1,000 that explodes; returns its folder."""
    name = f"{size.steps}-steps"
    if (root / name / "manifest.json").exists():
        return root / name
    about = {"id": name, "name": name, "clip": "norm:1.0", "arm": "clip on", "seed": 0, "model": "lstm"}
    created = datetime(2025, 1, 1, tzinfo=UTC)
    random = np.random.default_rng(0)
    with RunWriter(root, RunManifest(graddiag_version="0.1.0", created=created, **about)) as writer:
        for first in range(0, size.steps, AT_ONCE):
            steps = np.arange(first, min(first + AT_ONCE, size.steps), dtype=np.int32)
            scale = np.exp(0.3 * random.standard_normal(len(steps))) * np.where(steps % 1000 == 617, 1e4, 1)
            writer.append(schema.TABLE_STEPS, scalars(steps, scale, random))
            writer.append(schema.TABLE_TIMESTEPS, signals(steps, scale, size, random))
            writer.append(schema.TABLE_GATES, gates(steps, size, random))
            writer.append(schema.TABLE_PARAMETERS, parameters(steps, random))
            writer.append(schema.TABLE_EVENTS, spikes(steps[steps % 1000 == 617]))
            if first % SNAPSHOT_EVERY == 0:
                for name, rows in snapshot(first, size, random).items():
                    writer.append(name, rows)
    return writer.path


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


def asked_by(job: tuple[str, Path]) -> list[Asked]:
    """What an analysis asks its run for."""
    name, folder = job
    run = graddiag.load_run(folder)
    listener = Listener(run.read)
    ANALYSES[name](Run(run.manifest, listener, run.path))
    return list(listener.asked.values()) * (2 if name.endswith("two such runs") else 1)


def cost(job: tuple[str, Path, Path, list[Asked] | None]) -> Cost:
    """Of one analysis, or of the bare read of what it asks for, where that is given; in this, a fresh process, in which
    the same was done with a short run before."""
    name, folder, short, asked = job
    run = graddiag.load_run(folder)
    do(name, graddiag.load_run(short), asked)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten (Linux)
    before, cpu, wall = peak_kib(), time.process_time(), time.perf_counter()
    do(name, run, asked)
    return Cost(time.process_time() - cpu, time.perf_counter() - wall, (peak_kib() - before) / 1024)


def do(name: str, run: Run, asked: list[Asked] | None) -> None:
    if asked is None:
        ANALYSES[name](run)
    else:
        _ = [read_bare(run.path, each) for each in asked]


def read_bare(folder: Path, asked: Asked) -> object:
    """The columns that were asked for, of the same rows, by pyarrow alone."""
    condition = pc.scalar(True)
    for name, value in asked.where.items():
        condition &= pc.field(name).isin(value) if isinstance(value, list | tuple) else pc.field(name) == value
    if asked.steps and len(asked.steps) > FEW:
        condition &= (pc.field(schema.STEP) >= min(asked.steps)) & (pc.field(schema.STEP) <= max(asked.steps))
    elif asked.steps:
        condition &= pc.field(schema.STEP).isin(sorted(asked.steps))
    files = sorted(str(path) for path in (folder / asked.table).glob("[0-9]*.parquet"))
    return ds.dataset(files).to_table(columns=list(asked.columns), filter=condition) if files else None


def peak_kib() -> int:
    """Peak resident size of this process."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def measured(name: str, folder: Path, short: Path, rounds: int) -> tuple[Cost, Cost]:
    """The medians of the bare read and of the analysis, each round in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        [asked] = pool.map(asked_by, [(name, folder)])
        jobs = [(name, folder, short, each) for each in (asked, None) for _ in range(rounds)]
        found = pool.map(cost, jobs, chunksize=1)
    return median(found[:rounds]), median(found[rounds:])


def median(costs: Sequence[Cost]) -> Cost:
    return Cost(*(statistics.median(getattr(each, name) for each in costs) for name in ("cpu", "wall", "memory")))


def table(figures: Mapping[str, tuple[Cost, Cost]], size: Size) -> Table:
    title = f"{size.steps:,} recorded steps x {size.timesteps} timesteps x {size.layers} layers"
    shown = Table(title=title, title_justify="left")
    for heading in ("analysis", "bare CPU s", "CPU s", "x", "", "bare wall s", "wall s", "x", "bare MiB", "MiB"):
        shown.add_column(heading, justify="left" if heading == "analysis" else "right")
    for name, (bare, own) in figures.items():
        cpu = (f"{bare.cpu:.2f}", f"{own.cpu:.2f}", f"{own.cpu / bare.cpu:.1f}")
        wall = (f"{bare.wall:.2f}", f"{own.wall:.2f}", f"{own.wall / bare.wall:.1f}")
        shown.add_row(name, *cpu, "!" if beyond(bare, own) else "", *wall, f"{bare.memory:.0f}", f"{own.memory:.0f}")
    return shown


def beyond(bare: Cost, own: Cost) -> bool:
    """Whether an analysis takes more than it should."""
    return own.cpu > BOUND * bare.cpu and own.cpu > WORTH


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(ANALYSES), default=list(ANALYSES), metavar="ANALYSIS")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=Size.steps)
    parser.add_argument("--folder", type=Path, help="make the run here, or use the one of an earlier time, and keep it")
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    size = Size(steps=arguments.steps)
    kept = nullcontext(arguments.folder) if arguments.folder else tempfile.TemporaryDirectory()
    with kept as root:
        folder = make_run(Path(root), size)
        short = make_run(Path(root), Size(steps=100))
        figures = {name: measured(name, folder, short, arguments.rounds) for name in arguments.only}
    Console(width=120).print(table(figures, size))
    if arguments.json:
        plain = {name: [vars(bare), vars(own)] for name, (bare, own) in figures.items()}
        Path(arguments.json).write_text(json.dumps(plain, indent=2))
    if marked := [name for name, costs in figures.items() if beyond(*costs)]:
        print(f"Above {BOUND:g} times the bare read: {', '.join(marked)}.")


if __name__ == "__main__":
    main()
