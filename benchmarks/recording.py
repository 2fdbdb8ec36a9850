"""What recording every step costs: CPU time and peak memory of a training step, beside bare torch and a cell loop.

Each variant trains the same network (T=100, batch 32, hidden 256, one thread) on the same data. Times are CPU seconds
of one process, variants interleaved; memory is the growth of a process's peak resident size over what it had after its
imports, one process a variant. Run by ``make bench``.
"""

import argparse
import json
import multiprocessing
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import graddiag
import graddiag.nn
from graddiag import kernels

T, N, H, CLASSES = 100, 32, 256, 64
VARIANTS = {
    "torch.nn, bare": "the yardstick",
    "torch.nn, watched": "graddiag.watch, every step recorded",
    "torch.nn, watched, every=10": "graddiag.watch, every tenth step recorded",
    "graddiag.nn, bare": "the drop-in, nothing recorded",
    "graddiag.nn, watched": "the drop-in, every step recorded",
    "cell loop, retain_grad": "what one would write by hand: norms of dL/dh_t alone",
}


class Net(nn.Module):
    """A recurrent layer with a linear head at every timestep."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(H, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0])


class CellLoop(nn.Module):
    """The same network as a loop over a cell, keeping the gradient of every state."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.cell = getattr(nn, f"{kind}Cell")(H, H)
        self.states: list[Tensor] = []

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        state, self.states = None, []
        for x_t in x:
            state = self.cell(x_t, state)
            h = state[0] if isinstance(state, tuple) else state
            h.retain_grad()
            self.states.append(h)
        return torch.stack(self.states), None


def variant(name: str, kind: str, stack: ExitStack) -> Callable[[], None]:
    """A function that makes one training step; what it needs is closed with ``stack``."""
    torch.manual_seed(0)
    loop = name.startswith("cell loop")
    layer = CellLoop(kind) if loop else getattr(graddiag.nn if name.startswith("graddiag") else nn, kind)(H, H)
    model = Net(layer)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(T, N, H), torch.randint(CLASSES, (T * N,))
    if "watched" in name:
        every = 10 if "every=10" in name else 1
        root = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(graddiag.watch(model, optimizer, run="bench", root=root, every=every))

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x).flatten(0, 1), y).backward()
        if loop:
            torch.stack([h.grad.norm() for h in layer.states]).tolist()
        optimizer.step()

    return step


def cpu_times(kind: str, rounds: int) -> dict[str, float]:
    """Median CPU seconds of a step by variant, interleaved round by round."""
    with ExitStack() as stack:
        steps = {name: variant(name, kind, stack) for name in VARIANTS}
        seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
        for _ in range(rounds + 1):
            for name, step in steps.items():
                repeats = 10 if "every=10" in name else 1
                start = time.process_time()
                for _ in range(repeats):
                    step()
                seconds[name].append((time.process_time() - start) / repeats)
    return {name: statistics.median(each[1:]) for name, each in seconds.items()}


def peak_memory(job: tuple[str, str]) -> float:
    """MiB that the peak resident size of this (fresh) process grows by while it trains; one variant a process."""
    name, kind = job
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as root:
        tiny = nn.Linear(1, 1)
        graddiag.watch(tiny, run="warm-up", root=root).close()
    kernels.load(*kernels.ALL)  # numba takes more than 100 MiB once, whatever is recorded
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten (Linux)
    before = peak_kib()
    with ExitStack() as stack:
        step = variant(name, kind, stack)
        for _ in range(12):
            step()
    return (peak_kib() - before) / 1024


def peak_kib() -> int:
    """Peak resident size of this process."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", default=["LSTM", "GRU", "RNN"])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    figures = {}
    for kind in arguments.kinds:
        seconds = cpu_times(kind, arguments.rounds)
        jobs = [(name, kind) for name in VARIANTS]
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            memory = dict(zip(VARIANTS, pool.map(peak_memory, jobs, chunksize=1), strict=True))
        figures[kind] = {name: {"ms": seconds[name] * 1e3, "MiB": memory[name]} for name in VARIANTS}
        Console(width=120).print(table(kind, figures[kind]))
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(figures, file, indent=2)


def table(kind: str, figures: dict[str, dict[str, float]]) -> Table:
    bare = figures["torch.nn, bare"]
    shown = Table(title=f"{kind}: T={T}, batch {N}, hidden {H}, one thread", title_justify="left")
    for heading in ("variant", "CPU ms a step", "x bare", "peak MiB", "x bare", "what it is"):
        shown.add_column(heading, justify="left" if heading in ("variant", "what it is") else "right")
    for name, meaning in VARIANTS.items():
        own = figures[name]
        ratios = [f"{own[unit] / bare[unit]:.2f}" for unit in ("ms", "MiB")]
        shown.add_row(name, f"{own['ms']:.0f}", ratios[0], f"{own['MiB']:.0f}", ratios[1], meaning)
    return shown


if __name__ == "__main__":
    main()
