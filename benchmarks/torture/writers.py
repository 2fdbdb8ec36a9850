"""Many processes that write runs into one root while another lists them."""

import multiprocessing
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import graddiag
from benchmarks._long_run import manifest
from graddiag import schema
from graddiag.store import RunWriter

STEPS = 200


@dataclass(frozen=True)
class Written:
    """runs: that were to be written. complete: with every row. listings: made meanwhile. wrong: what went amiss."""

    runs: int
    complete: int
    listings: int
    wrong: tuple[str, ...]


def written_side_by_side(root: Path, processes: int = 8, runs: int = 100) -> Written:
    """``runs`` runs of one name by ``processes`` processes, and a listing of all of them again and again."""
    context = multiprocessing.get_context("spawn")
    wrong: list[str] = []
    listings = 0
    with context.Pool(processes) as pool:
        done = pool.map_async(_write, [(root, number) for number in range(runs)], chunksize=1)
        while not done.ready():
            try:
                graddiag.list_runs(root)
            except Exception as error:
                wrong.append(f"listing {listings}: {type(error).__name__}: {error}")
            listings += 1
            time.sleep(0.05)
        done.get()
    listed = graddiag.list_runs(root)
    complete = sum(_is_complete(root / run) for run in listed[schema.RUN])
    if len(listed) != runs or set(listed[schema.STATUS]) != {"finished"}:
        wrong.append(f"{len(listed)} runs are listed, with status {sorted(set(listed[schema.STATUS]))}")
    return Written(runs, complete, listings, tuple(wrong))


def _write(asked: tuple[Path, int]) -> None:
    root, number = asked
    random = np.random.default_rng(number)
    with RunWriter(root, manifest("one name", number), part_steps=10, part_seconds=0.2) as writer:
        for step in range(STEPS):
            writer.append(schema.TABLE_STEPS, {schema.STEP: step, schema.LOSS: float(random.random())})


def _is_complete(folder: Path) -> bool:
    return graddiag.load_run(folder).steps[schema.STEP].tolist() == list(range(STEPS))
