"""What a step costs that is not recorded: small networks under ``watch``, beside the same networks without it.

CPU time of whole training steps of one process on one thread. The variants take turns, 50 steps each; given are the
least of the turns, their median, and the median of what a turn takes over the bare one before it. ``nothing recorded``
is a run in which step 0 alone is recorded, and is past.

python -m benchmarks.unrecorded
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import graddiag

BLOCK: Final = 50  # steps of one turn
CLASSES: Final = 10
VOCABULARY: Final = 200
NEVER: Final = 10**9
VARIANTS: Final = {"bare": None, "nothing recorded": NEVER, "every=50": 50, "every=10": 10}


@dataclass(frozen=True)
class Network:
    """A layer of torch with a linear head, or a language model with an embedding (``words``)."""

    name: str
    timesteps: int
    batch: int
    hidden: int
    layers: int = 1
    words: bool = False


NETWORKS: Final = (
    Network("LSTM, T=5, batch 2, hidden 8", 5, 2, 8),
    Network("LSTM, T=50, batch 20, hidden 64", 50, 20, 64),
    Network("language model, 2 LSTM layers, T=35, batch 20, hidden 32", 35, 20, 32, layers=2, words=True),
)


class Model(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.encoder = nn.Embedding(VOCABULARY, network.hidden) if network.words else nn.Identity()
        self.rnn = nn.LSTM(network.hidden, network.hidden, network.layers)
        self.decoder = nn.Linear(network.hidden, VOCABULARY if network.words else CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.rnn(self.encoder(x))[0])


def training(network: Network, every: int | None, stack: ExitStack) -> Callable[[], None]:
    """A function that makes one training step, with clipping and a logged loss; watched where ``every`` is given."""
    torch.manual_seed(0)
    model, of = Model(network), (network.timesteps, network.batch)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randint(VOCABULARY, of) if network.words else torch.randn(*of, network.hidden)
    y = torch.randint(VOCABULARY if network.words else CLASSES, (network.timesteps * network.batch,))
    recorder = None
    if every is not None:
        root = stack.enter_context(tempfile.TemporaryDirectory())
        recorder = stack.enter_context(graddiag.watch(model, optimizer, run="bench", root=root, every=every))

    def step() -> None:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x).flatten(0, 1), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if recorder is not None:
            recorder.log(loss=loss)
        optimizer.step()

    return step


def cpu_milliseconds(network: Network, rounds: int) -> dict[str, list[float]]:
    """CPU milliseconds of a step by variant, one entry a turn."""
    with ExitStack() as stack:
        steps = {name: training(network, every, stack) for name, every in VARIANTS.items()}
        found: dict[str, list[float]] = {name: [] for name in VARIANTS}
        for turn in range(rounds + 1):
            for name, step in steps.items():
                start = time.process_time()
                for _ in range(BLOCK):
                    step()
                if turn:
                    found[name].append(1000 * (time.process_time() - start) / BLOCK)
    return found


def table(network: Network, found: dict[str, list[float]]) -> Table:
    bare = found["bare"]
    shown = Table(title=f"{network.name}: CPU time of a step, one thread", title_justify="left")
    for heading in ("variant", "least ms", "median ms", "x bare"):
        shown.add_column(heading, justify="left" if heading == "variant" else "right")
    for name, own in found.items():
        ratio = statistics.median(mine / other for mine, other in zip(own, bare, strict=True))
        shown.add_row(name, f"{min(own):.3f}", f"{statistics.median(own):.3f}", f"{ratio:.3f}")
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for network in NETWORKS:
        Console(width=100).print(table(network, cpu_milliseconds(network, arguments.rounds)))


if __name__ == "__main__":
    main()
