"""What the demonstration shows on other machines: its trainings over seeds, instruction sets and numbers of threads.

    python -m benchmarks.demonstration                                       # five seeds, six settings, all chapters
    python -m benchmarks.demonstration --chapter demo-text-rnn --set lr=6    # a candidate: one chapter, other settings

Each instruction set (``ATEN_CPU_CAPABILITY``) has a process of its own, since torch reads it once. A training on two
threads is made in full if one of its first losses differs from that on one thread; if all are the same bits, so is
the rest, for every step does the same operations on the same shapes. Results are kept in a file as they come, and what
is in there is not trained again.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import pandas as pd
import typer

from graddiag import Run, load_run, schema
from graddiag.lab.demonstration import CHAPTERS
from graddiag.lab.experiments import with_settings
from graddiag.lab.training import Plan, train

CAPABILITIES: Final = ("default", "avx2", "native")  # native: what torch chooses on this processor
THREADS: Final = (1, 2)
SEEDS: Final = "0,1,2,3,4"
SAME: Final = 30  # first steps that are compared between numbers of threads
LAST: Final = 50  # steps at the end over which loss and error are means
SOLVED: Final = 0.05  # share of wrong answers up to which a task counts as solved


@dataclass(frozen=True)
class Trial:
    """One training under one setting of the machine.

    loss, error: means over the last ``LAST`` steps; error is the share of wrong answers. norm: the largest gradient
    norm before clipping. reaches: ||dL/dh|| at the first timestep over that at the last one, at step 0. identical: the
    training on two threads has the same bits as on one.
    """

    candidate: str
    chapter: str
    arm: str
    seed: int
    capability: str
    threads: int
    loss: float
    error: float
    norm: float
    reaches: float
    identical: bool = False

    @property
    def key(self) -> tuple[Any, ...]:
        return self.candidate, self.chapter, self.arm, self.seed, self.capability, self.threads


class Measured(NamedTuple):
    """The losses of all steps, and error, norm and reaches as ``Trial`` has them."""

    losses: tuple[float, ...]
    error: float
    norm: float
    reaches: float


def main(
    chapter: Annotated[list[str] | None, typer.Option(help="A chapter of the demonstration; by default all.")] = None,
    arm: Annotated[str | None, typer.Option(help="One arm, 'clip off' or 'clip on'; by default both.")] = None,
    seeds: Annotated[str, typer.Option(help="Seeds, with commas between.")] = SEEDS,
    setting: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE, instead of the chapter's.")] = None,
    results: Annotated[Path, typer.Option(help="Where results are kept.")] = Path("runs/demonstration.jsonl"),
    markdown: Annotated[bool, typer.Option(help="Print the table as Markdown.")] = False,
    child: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Trains what is missing and prints a table."""
    names, changed = chapter or [each.experiment for each in CHAPTERS], list(setting or ())
    if child is not None:
        for name in names:
            for trial in trials(_plans(name, seeds, arm, changed), changed, child, kept(results)):
                with results.open("a") as file:
                    print(json.dumps(asdict(trial)), file=file)
        return
    results.parent.mkdir(parents=True, exist_ok=True)
    for capability in CAPABILITIES:
        options = ["--seeds", seeds, "--results", str(results), "--child", capability]
        options += [] if arm is None else ["--arm", arm]
        _start(capability, [*options, *(f"--chapter={each}" for each in names), *(f"--set={each}" for each in changed)])
    candidate = " ".join(sorted(changed))
    found = [each for each in kept(results) if each.candidate == candidate and each.chapter in names]
    summary = table(found)
    print(_markdown(summary) if markdown else summary.to_string(index=False))


def kept(results: Path) -> list[Trial]:
    """The trials that a file holds."""
    if not results.exists():
        return []
    return [Trial(**json.loads(line)) for line in results.read_text().splitlines()]


def _start(capability: str, options: Sequence[str]) -> None:
    """This module in a process of its own, under an instruction set."""
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}  # two threads on a busy machine do not wait in a loop
    environment.pop("ATEN_CPU_CAPABILITY", None)
    if capability != "native":
        environment["ATEN_CPU_CAPABILITY"] = capability
    subprocess.run([sys.executable, "-m", "benchmarks.demonstration", *options], env=environment, check=True)


def _plans(chapter: str, seeds: str, arm: str | None, changed: Sequence[str]) -> tuple[Plan, ...]:
    settings = {name: json.loads(value) for name, value in (each.split("=", 1) for each in changed)}
    found = next(each for each in CHAPTERS if each.experiment == chapter)
    plans = found.plans([int(each) for each in seeds.split(",")], **settings)
    return tuple(plan for plan in plans if arm in (None, plan.arm))


def trials(plans: Sequence[Plan], changed: Sequence[str], capability: str, known: Sequence[Trial]) -> Iterator[Trial]:
    """The trainings that are not known yet, in this process."""
    done = {trial.key for trial in known}
    for plan in plans:
        about = (" ".join(sorted(changed)), str(plan.experiment), str(plan.arm), plan.spec.seed, capability)
        if any((*about, threads) not in done for threads in THREADS):
            yield from _on_all_threads(plan, about)


def _on_all_threads(plan: Plan, about: tuple[str, str, str, int, str]) -> Iterator[Trial]:
    one = measured(plan, THREADS[0])
    yield Trial(*about, THREADS[0], *_figures(one))
    for threads in THREADS[1:]:
        first = measured(plan, threads, steps=min(SAME, plan.spec.steps))
        same = first.losses == one.losses[: len(first.losses)]
        yield Trial(*about, threads, *_figures(one if same else measured(plan, threads)), identical=same)


def measured(plan: Plan, threads: int, **settings: Any) -> Measured:
    """Trains; recorded at ten steps so that little time goes into that; the scalars are of all steps."""
    every = max(1, settings.get("steps", plan.spec.steps) // 10)
    spec = with_settings(plan.spec, threads=threads, every=every, **settings)
    with tempfile.TemporaryDirectory() as folder:
        run = load_run(train(Plan(spec, plan.name), folder).path)
        steps = run.steps
        norm = float(steps[schema.GRAD_NORM].max())
        return Measured(tuple(steps[schema.LOSS]), float(steps["error"].tail(LAST).mean()), norm, reaches(run))


def _figures(run: Measured) -> tuple[float, float, float, float]:
    return math.fsum(run.losses[-LAST:]) / len(run.losses[-LAST:]), run.error, run.norm, run.reaches


def reaches(run: Run) -> float:
    """||dL/dh|| at the first timestep over that at the last one, at step 0."""
    frame = run.timesteps
    at = frame[frame[schema.STEP] == 0].sort_values(schema.TIMESTEP)[schema.GRAD_H]
    return float(at.iloc[0]) / float(at.iloc[-1])


def table(found: Sequence[Trial]) -> pd.DataFrame:
    """A row for each chapter, arm and instruction set: ranges over the seeds, and how many were solved.

    Two threads have a row of their own where a training differs from that on one.
    """
    rows = pd.DataFrame([asdict(trial) for trial in found])
    keys = ["chapter", "arm", "capability", "threads"]
    parts = {key: part for key, part in rows.groupby(keys) if not part["identical"].all()}
    alone = {key[:3] for key in parts if key[3] != THREADS[0]}
    named = {key: (*key[:3], str(key[3]) if key[:3] in alone else "1, 2") for key in parts}
    return pd.DataFrame([{**dict(zip(keys, named[key], strict=True)), **_row(part)} for key, part in parts.items()])


def _row(part: pd.DataFrame) -> dict[str, str]:
    solved = int((part["error"] <= SOLVED).sum())
    return {
        "seeds": str(len(part)),
        "final loss": _range(part["loss"]),
        "wrong": f"{part['error'].min():.0%} to {part['error'].max():.0%}",
        "solved": f"{solved} of {len(part)}",
        "largest norm": _range(part["norm"]),
        "reaches timestep 0": _range(part["reaches"]),
    }


def _range(values: pd.Series) -> str:
    return f"{values.min():.3g} to {values.max():.3g}"


def _markdown(summary: pd.DataFrame) -> str:
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in summary.itertuples(index=False)]
    return "\n".join(["| " + " | ".join(summary.columns) + " |", "|---" * len(summary.columns) + "|", *lines])


if __name__ == "__main__":
    typer.run(main)
