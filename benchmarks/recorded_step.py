"""What a recorded step costs by size: CPU time over the bare step, one layer, every step recorded and stored.

Three variants of the same network beside the bare one, interleaved in one process; the median ratio of each. The plain
code runs where the extra ``fast`` is missing, or with ``NUMBA_DISABLE_JIT=1``. Run by ``make bench``.
"""

import argparse
import math
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import graddiag
import graddiag.nn
from graddiag import kernels

SIZES = [(50, 20, 64), (100, 32, 128), (100, 32, 256), (35, 20, 650), (500, 32, 128), (200, 64, 256)]
CLASSES = 64  # as in benchmarks.recording; what is recorded of the model's outputs grows with it
BARE = "torch.nn, bare"
VARIANTS = {
    BARE: (nn, False),
    "torch.nn, watched": (nn, True),
    "graddiag.nn, watched": (graddiag.nn, True),
    "graddiag.nn, bare": (graddiag.nn, False),
}


class Net(nn.Module):
    """A recurrent layer with a linear head at every timestep."""

    def __init__(self, layer: nn.RNNBase, classes: int) -> None:
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(layer.hidden_size, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0])


def step_of(name: str, kind: str, size: tuple[int, int, int], classes: int, stack: ExitStack) -> Callable[[], None]:
    """A function that makes one training step; what it needs is closed with ``stack``."""
    torch.manual_seed(0)
    home, watched = VARIANTS[name]
    T, N, H = size
    model = Net(getattr(home, kind)(H, H), classes)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(T, N, H), torch.randint(classes, (T * N,))
    if watched:
        root = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(graddiag.watch(model, optimizer, run="bench", root=root, every=1))

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x).flatten(0, 1), y).backward()
        optimizer.step()

    return step


def cpu_times(kind: str, size: tuple[int, int, int], classes: int, seconds: float) -> dict[str, list[float]]:
    """CPU seconds of each step by variant, round by round; about ``seconds`` of bare steps."""
    with ExitStack() as stack:
        steps = {name: step_of(name, kind, size, classes, stack) for name in VARIANTS}
        found: dict[str, list[float]] = {name: [] for name in VARIANTS}
        warm_up = 3
        while len(found[BARE]) < warm_up + 5 or sum(found[BARE]) < seconds:
            for name, step in steps.items():
                start = time.process_time()
                step()
                found[name].append(time.process_time() - start)
    return {name: each[warm_up:] for name, each in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", default=["LSTM", "GRU", "RNN"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--classes", type=int, default=CLASSES)
    parser.add_argument("--seconds", type=float, default=1.0, help="of bare steps at each size")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for kind in arguments.kinds:
        times = {size: cpu_times(kind, size, arguments.classes, arguments.seconds) for size in SIZES}
        Console(width=120).print(table(kind, times, arguments.threads))


def table(kind: str, times: dict[tuple[int, int, int], dict[str, list[float]]], threads: int) -> Table:
    path = "compiled" if kernels.compiled("signals") is not None else "plain"
    versions = f"torch {torch.__version__}, {platform.machine()}"
    shown = Table(title=f"{kind}, {threads} thread(s), {path} code, {versions}: CPU time", title_justify="left")
    for heading in ("T, batch, hidden", "bare ms", *list(VARIANTS)[1:]):
        shown.add_column(heading, justify="right")
    ratios: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for size, by_variant in times.items():
        medians = {name: statistics.median(each) for name, each in by_variant.items()}
        cells = []
        for name in list(VARIANTS)[1:]:
            by_round = sorted(a / b for a, b in zip(by_variant[name], by_variant[BARE], strict=True))
            ratios[name].append(medians[name] / medians[BARE])
            low, high = by_round[len(by_round) // 4], by_round[3 * len(by_round) // 4]
            cells.append(f"{ratios[name][-1]:.2f} [{low:.2f}, {high:.2f}]")
        shown.add_row(", ".join(map(str, size)), f"{medians[BARE] * 1e3:.1f}", *cells)
    means = (math.exp(statistics.fmean(map(math.log, ratios[name]))) for name in list(VARIANTS)[1:])
    shown.add_section()
    shown.add_row("geometric mean", "", *(f"{mean:.2f}" for mean in means))
    shown.caption = "[first, third quartile] of the ratio round by round"
    return shown


if __name__ == "__main__":
    main()
