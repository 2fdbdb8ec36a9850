"""What `on_nonfinite` and `on_finding` cost a training: CPU time a step, and the share that diagnoses take of the time.

python -m benchmarks.alerts
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch
from torch import nn

import graddiag

NETS: Final = {"small": (5, 2, 8, 1), "middle": (50, 20, 64, 1), "language model": (35, 20, 200, 2)}
"""Timesteps, batch, units and layers of an LSTM."""


def loop(net: str) -> tuple[nn.Module, torch.optim.Optimizer, Callable[[Any], None]]:
    timesteps, batch, hidden, layers = NETS[net]
    torch.manual_seed(0)
    model = nn.LSTM(hidden, hidden, layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step(recorder: Any) -> None:
        optimizer.zero_grad()
        loss = model(torch.randn(timesteps, batch, hidden))[0].square().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        recorder.log(loss=loss)
        optimizer.step()

    return model, optimizer, step


def checked(net: str, root: Path, turns: int, steps: int) -> tuple[float, float]:
    """CPU milliseconds a step, nothing but norms recorded: with ``continue`` and with ``skip``, medians of turns."""
    found: dict[str, list[float]] = {"continue": [], "skip": []}
    for _ in range(turns):
        for setting, times in found.items():
            model, optimizer, step = loop(net)
            chosen: Any = setting
            with graddiag.watch(
                model, optimizer, run="r", root=root, every=10**9, resume=False, on_nonfinite=chosen
            ) as r:
                step(r)
                began = time.process_time()
                for _ in range(steps):
                    step(r)
                times.append((time.process_time() - began) / steps * 1000)
    return median(found["continue"]), median(found["skip"])


def diagnosed(net: str, root: Path, every: int, seconds: float) -> tuple[int, int, float, float]:
    """Steps, diagnoses, their median seconds, and their share of the wall time of the training."""
    model, optimizer, step = loop(net)
    taken: list[float] = []
    with graddiag.watch(
        model, optimizer, run="r", root=root, every=every, resume=False, on_finding=lambda _: None
    ) as r:
        checks: Any = r._steps.after_step
        diagnose = checks._diagnose

        def timed() -> Any:
            began = time.perf_counter()
            found = diagnose()
            taken.append(time.perf_counter() - began)
            return found

        checks._diagnose = timed
        began, steps = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            step(r)
            steps += 1
        whole = time.perf_counter() - began
    return steps, len(taken), median(taken or [0.0]), sum(taken) / whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each training with diagnoses")
    parser.add_argument("--steps", type=int, default=100, help="steps of a turn")
    parser.add_argument("--turns", type=int, default=9, help="0: the diagnoses alone")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        for net in NETS:
            if not given.turns:
                break
            plain, skip = checked(net, Path(folder), given.turns, given.steps)
            print(f"{net}: {plain:.2f} ms a step, {skip:.2f} with on_nonfinite='skip' ({skip / plain:.3f})")
        for net in NETS:
            for every in (1, 10):
                steps, made, each, share = diagnosed(net, Path(folder), every, given.seconds)
                print(
                    f"{net}, every={every}: {steps:,} steps, {made} diagnoses of {each:.2f} s, {share:.1%} of the time"
                )


if __name__ == "__main__":
    main()
