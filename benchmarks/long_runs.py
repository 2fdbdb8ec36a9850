"""Whether a long run stays as cheap as a short one: time of a step, memory and files, tenth by tenth of the run.

recorded: a small LSTM, every step recorded. scalars: the same network, step 0 alone recorded. rows: the rows of a layer
of 100 timesteps at every step, with no training between them. ``step`` is CPU time of the process, ``thread`` that of
the training's thread alone; memory is the resident size of the process. At the end the run is read back in a fresh
process, 1,000 steps at a time.

python -m benchmarks.long_runs --steps recorded=100000 scalars=200000 rows=100000
"""

import argparse
import multiprocessing
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import graddiag
from benchmarks._long_run import manifest
from graddiag import schema
from graddiag.recording.step_buffer import StepBuffer
from graddiag.recording.step_measures import StepMeasures
from graddiag.store import RunWriter
from graddiag.tracing.signals import signals

T, N, H = 5, 2, 8
ROWS_T: Final = 100
PARTS: Final = 10
DEFAULT: Final = {"recorded": 100_000, "scalars": 200_000, "rows": 100_000}
MEANING: Final = {
    "recorded": f"LSTM, T={T}, batch {N}, hidden {H}, every step recorded",
    "scalars": "the same, step 0 alone recorded: two norms, the loss and the rate of every step",
    "rows": f"rows of one layer of {ROWS_T} timesteps at every step, no training",
}


@dataclass(frozen=True)
class Reading:
    """What one part of a run cost: seconds of CPU of the process and of the training's thread; then MB and files."""

    steps: int
    process: float
    thread: float
    resident: float
    files: int
    on_disk: float


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(H, H)
        self.head = nn.Linear(H, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0])


def training(root: Path, every: int) -> Iterator[None]:
    """Makes a step of a watched training each time that it is asked for one."""
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    x, y = torch.randn(T, N, H), torch.randint(4, (T * N,))
    with graddiag.watch(model, optimizer, run="run", root=root, every=every, cells=()) as recorder:
        while True:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x).flatten(0, 1), y)
            loss.backward()
            recorder.log(loss=loss)
            optimizer.step()
            yield


def rows(root: Path) -> Iterator[None]:
    """Hands over the same measures as those of another step, each time that it is asked for one."""
    layer, x = nn.LSTM(H, H), torch.randn(ROWS_T, N, H)
    with graddiag.capture(layer) as cap:
        layer(x)[0].square().sum().backward()
    found = [signals(trace) for trace in cap.traces]
    with RunWriter(root, manifest("run")) as writer:
        buffer = StepBuffer(writer, on_host=True)
        for step in range(10**9):
            buffer.add(StepMeasures(step, {schema.STEP: step, schema.LOSS: 1.0}, signals=found))
            try:
                yield
            except GeneratorExit:
                buffer.finish()
                raise


def run_of(name: str, root: Path) -> Iterator[None]:
    return rows(root) if name == "rows" else training(root, 1 if name == "recorded" else 10**9)


def readings(name: str, steps: int, root: Path) -> Iterator[Reading]:
    """A reading after each tenth of the run, which is closed at the end."""
    run = run_of(name, root)
    for _ in range(PARTS):
        process, thread = time.process_time(), time.thread_time()
        for _ in range(steps // PARTS):
            next(run)
        spent = time.process_time() - process, time.thread_time() - thread
        files = [file for file in root.rglob("*") if file.is_file()]
        yield Reading(steps // PARTS, *spent, memory("VmRSS"), len(files), sum(map(size, files)) / 1e6)
    run.close()


def size(file: Path) -> int:
    """Bytes of a file; 0 of one that was joined with others meanwhile."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def memory(what: str) -> float:
    """MB of this process (Linux): VmRSS now, VmHWM at most."""
    return int(re.search(rf"{what}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1000


def read_back(folder: Path) -> tuple[int, float, float]:
    """Rows of the table ``timesteps`` read 1,000 steps at a time, CPU seconds, and MB that the peak grows by."""
    run = graddiag.load_run(folder)
    steps = len(run.steps)
    run.read(schema.TABLE_TIMESTEPS, columns=[schema.GRAD_H], where={schema.STEP: range(10)})
    before, start, found = memory("VmHWM"), time.process_time(), 0
    for first in range(0, steps, 1000):
        where = {schema.STEP: range(first, first + 1000)}
        found += len(run.read(schema.TABLE_TIMESTEPS, columns=[schema.TIMESTEP, schema.GRAD_H], where=where))
    return found, time.process_time() - start, memory("VmHWM") - before


def table(name: str, steps: int, each: list[Reading]) -> Table:
    shown = Table(title=f"{name}, {steps:,} steps: {MEANING[name]}", title_justify="left")
    for heading in ("steps so far", "step, ms", "thread, ms", "resident MB", "files", "MB on the disk"):
        shown.add_column(heading, justify="right")
    for number, one in enumerate(each, 1):
        times = [f"{1000 * seconds / one.steps:.3f}" for seconds in (one.process, one.thread)]
        shown.add_row(f"{number * one.steps:,}", *times, f"{one.resident:.0f}", str(one.files), f"{one.on_disk:.1f}")
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", nargs="+", default=[f"{name}={steps}" for name, steps in DEFAULT.items()])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name, steps in ((name, int(steps)) for name, _, steps in (each.partition("=") for each in arguments.steps)):
        with tempfile.TemporaryDirectory() as folder:
            Console(width=110).print(table(name, steps, list(readings(name, steps, Path(folder)))))
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                found, seconds, grown = pool.apply(read_back, (Path(folder) / "run",))
        print(f"read back: {found:,} rows of timesteps in {seconds:.1f} s of CPU, memory grew by {grown:.0f} MB\n")


if __name__ == "__main__":
    main()
