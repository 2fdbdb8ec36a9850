"""What it costs that a run is synced to the disk: the time of a training step, and of what the writer's thread does.

One training is recorded at every step. Blocks of 100 steps with and without syncing take turns in one process; each
ends with a flush, which waits for the disk as no training does. The files lie in ``--root``, by default under the
present folder: a temporary folder may be in memory, where a sync costs nothing. ``python -m benchmarks.syncing``.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import torch
from torch import nn

import graddiag
from graddiag.store import files

T, N, H = 50, 8, 32
STEPS: Final = 100  # of a block: what a part of a table holds


@dataclass
class Cost:
    """Seconds of each step, of each flush, and CPU seconds of a step in each block. syncs: of all blocks."""

    steps: list[float] = field(default_factory=list)
    flushes: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    syncs: int = 0

    def __str__(self) -> str:
        slow = statistics.quantiles(self.steps, n=100)[98]
        step, cpu, flush = (1e3 * statistics.median(each) for each in (self.steps, self.cpu, self.flushes))
        return (
            f"step {step:.2f} ms in the median, {1e3 * slow:.2f} ms in the slowest hundredth, {cpu:.2f} ms CPU; flush "
            f"{flush:.0f} ms; {self.syncs} syncs"
        )


@contextmanager
def counted_syncs(cost: Cost, sync: Callable[[int], None]) -> Iterator[None]:
    """Syncs by ``sync`` for a while, and counts them."""
    original = files.os.fsync

    def counted(handle: int) -> None:
        cost.syncs += 1
        sync(handle)

    files.os.fsync = counted
    try:
        yield
    finally:
        files.os.fsync = original


def measured(root: Path, rounds: int, steps: int = STEPS) -> tuple[Cost, Cost]:
    """The cost with and without syncing, of ``rounds`` blocks each, interleaved; the first of each is left out."""
    torch.manual_seed(0)
    model = nn.LSTM(H, H)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(T, N, H)
    synced, plain = Cost(), Cost()
    with graddiag.watch(model, optimizer, run="syncing", root=root) as recorder:
        for round_ in range(rounds + 1):
            for cost, sync in ((synced, os.fsync), (plain, lambda handle: None)):
                kept = cost if round_ else Cost()
                with counted_syncs(kept, sync):
                    block(model, optimizer, x, recorder, kept, steps)
    return synced, plain


def block(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, recorder: graddiag.Recorder, cost: Cost, n: int
) -> None:
    """``n`` steps, then a flush."""
    cpu = time.process_time()
    for _ in range(n):
        start = time.perf_counter()
        optimizer.zero_grad()
        model(x)[0].square().mean().backward()
        optimizer.step()
        cost.steps.append(time.perf_counter() - start)
    start = time.perf_counter()
    recorder.state_dict()
    cost.flushes.append(time.perf_counter() - start)
    cost.cpu.append((time.process_time() - cpu) / n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--root", default=".", help="a folder on the disk that is measured")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=chosen.root) as root:
        synced, plain = measured(Path(root), chosen.rounds)
    print(f"synced:     {synced}")
    print(f"not synced: {plain}")
    ratio = statistics.median(synced.steps) / statistics.median(plain.steps)
    print(f"a step takes {ratio:.3f} times as long with syncing as without")


if __name__ == "__main__":
    main()
