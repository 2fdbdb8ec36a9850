"""Trainings and commands that are killed at any moment with kill -9, and what of each can be read afterwards."""

import multiprocessing
import os
import signal
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import numpy as np

import graddiag
from graddiag import schema
from graddiag.run import Run
from graddiag.store.files import MANIFEST

START_SECONDS: Final = 120  # that a training may take to its first step on a busy machine


@dataclass(frozen=True)
class Killed:
    """What was left of one training. steps: that had ended when it was killed. readable: in the run, from step 0 on
    without a gap. lost_seconds: since the last step that can be read. wrong: what should not be so, else empty."""

    steps: int
    readable: int
    lost_seconds: float
    wrong: str = ""


def killed_trainings(root: Path, count: int, seed: int = 0) -> list[Killed]:
    """Kills ``count`` trainings one after the other, each 0.1 to 4 seconds after its first step."""
    random = np.random.default_rng(seed)
    import torch  # noqa: F401 - once, for every child that is forked

    return [_killed(root, number, float(random.uniform(0.1, 4.0))) for number in range(count)]


def killed_commands(root: Path, count: int, seed: int = 0) -> list[Killed]:
    """The same of ``graddiag run``, from the moment that its run is there. When its steps ended, the run alone tells:
    what was lost is the time from the last step that can be read."""
    random = np.random.default_rng(seed)
    import graddiag.lab  # noqa: F401 - once, for every child that is forked

    return [_killed_command(root / f"command-{number}", float(random.uniform(0.1, 4.0))) for number in range(count)]


def summary(found: Sequence[Killed], of: str = "trainings") -> str:
    lost = [each.lost_seconds for each in found]
    wrong = sum(bool(each.wrong) for each in found)
    return (
        f"{len(found)} {of} killed, {wrong} wrong; steps that had ended {min(e.steps for e in found)} to "
        f"{max(e.steps for e in found)}; lost: {statistics.median(lost):.1f} s in the median, {max(lost):.1f} s at most"
    )


def _killed(root: Path, number: int, after: float) -> Killed:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_train, args=(root, f"run-{number}", theirs), daemon=True)
    child.start()
    theirs.close()
    ended: list[float] = []
    if ours.poll(START_SECONDS):
        until = time.monotonic() + after
        while time.monotonic() < until:
            if ours.poll(max(0.0, until - time.monotonic())):
                ended.append(ours.recv())
    os.kill(child.pid or 0, signal.SIGKILL)
    killed = time.monotonic()
    child.join()
    try:
        while ours.poll():
            ended.append(ours.recv())
    except EOFError:
        pass
    return _read(root / f"run-{number}", ended, killed)


def _killed_command(root: Path, after: float) -> Killed:
    child = multiprocessing.get_context("fork").Process(target=_command, args=(root,), daemon=True)
    child.start()
    until = time.monotonic() + START_SECONDS
    while not (found := list(root.glob(f"**/{MANIFEST}"))) and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(after)
    os.kill(child.pid or 0, signal.SIGKILL)
    killed = time.time()
    child.join()
    if not found:
        return Killed(0, 0, 0.0, f"no run after {START_SECONDS} seconds")
    try:
        run = graddiag.load_run(found[0].parent)
        ended = [run.manifest.created.timestamp() + passed for passed in run.steps[schema.WALL_TIME]]
    except Exception as error:
        return Killed(0, 0, after, f"{type(error).__name__}: {error}")
    lost = killed - (ended[-1] if ended else run.manifest.created.timestamp())
    return Killed(len(ended), len(ended), lost, "; ".join(_amiss(run)))


def _read(folder: Path, ended: Sequence[float], killed: float) -> Killed:
    try:
        run = graddiag.load_run(folder)
        wrong = list(_amiss(run))
    except Exception as error:
        return Killed(len(ended), 0, killed - ended[0] if ended else 0.0, f"{type(error).__name__}: {error}")
    last = len(run.steps)
    lost = killed - ended[last - 1] if 0 < last <= len(ended) else killed - ended[0] if ended else 0.0
    return Killed(len(ended), last, lost, "; ".join(wrong))


def _amiss(run: Run) -> Iterator[str]:
    steps = run.steps[schema.STEP].tolist()
    timesteps = np.unique(run.timesteps[schema.STEP]).tolist()
    if steps != list(range(len(steps))):
        yield f"gaps in the steps: {steps}"
    if timesteps != list(range(len(timesteps))):
        yield f"gaps in the timesteps: {timesteps}"
    if run.manifest.status != "interrupted":
        yield f"the status is {run.manifest.status}"


def _command(root: Path) -> None:
    from graddiag.cli import main

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    asked = "--task adding --length 12 --model lstm --hidden 6 --batch 4 --steps 1000000 --threads 1"
    main(["run", *asked.split(), "--root", str(root)])


def _train(root: Path, name: str, pipe: Connection) -> None:
    import torch
    from torch import nn

    torch.set_num_threads(1)
    model = nn.LSTM(2, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(6, 3, 2)
    with graddiag.watch(model, optimizer, run=name, root=root) as recorder:
        while True:
            optimizer.zero_grad()
            loss = model(x)[0].square().mean()
            loss.backward()
            recorder.log(loss=loss)
            optimizer.step()
            pipe.send(time.monotonic())
            time.sleep(0.005)
