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
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.dataset as ds
from rich.console import Console
from rich.table import Table

import graddiag
from benchmarks._long_run import Size, make_run
from graddiag import analysis, schema
from graddiag.analysis import Goal, Selection
from graddiag.run import Run
from graddiag.views import VIEWS, View, ViewContext

LAYER = Selection("lstm", 1, "forward")
MIDDLE = 10_000
BOUND, WORTH = 3.0, 0.1  # times the bare read; seconds below which a row is not marked
FEW = 1_000  # steps that are named one by one in a bare read; of more it takes the range


def of_views() -> dict[str, Callable[[Run], object]]:
    """The analyses of all views, each once."""
    context = ViewContext(LAYER, MIDDLE, goal=Goal(schema.LOSS, 1.0))
    found: dict[str, Callable[[Run], object]] = {}
    for view in VIEWS:
        what = ", two such runs" if view.of_several else ", a layer" if view.scope == "layer" else ""
        found.setdefault(f"{view.analysis.__name__}{what}", partial(_of_view, view, context))
        for analyse, arguments in view.support:
            found.setdefault(f"{analyse.__name__}{what}", partial(_supporting, analyse, arguments(context)))
    return found


def _of_view(view: View, context: ViewContext, run: Run) -> object:
    return view.analysis([run, run] if view.of_several else run, **view.arguments_of(context))


def _supporting(analyse: Callable[..., object], arguments: Mapping[str, Any], run: Run) -> object:
    return analyse(run, **arguments)


ANALYSES: dict[str, Callable[[Run], object]] = of_views() | {
    "first_divergence, two such runs": lambda run: analysis.first_divergence(run, run),
    "heat, a layer, 100 steps": lambda run: analysis.heat(run, schema.GRAD_H, LAYER, steps=(MIDDLE, MIDDLE + 99)),
    "profile, all steps": lambda run: analysis.profile(run, (0, 10**9), LAYER),
    "gate_profile, all steps": lambda run: analysis.gate_profile(run, (0, 10**9), LAYER),
    "nonfinite_origin": analysis.nonfinite_origin,
    "key_figures": analysis.key_figures,
    "layer_status, a layer": lambda run: analysis.layer_status(run, LAYER),
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
