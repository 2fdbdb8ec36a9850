"""Where a preset works: the root of its runs, how many trainings at a time, and who is shown the progress."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import graddiag
from graddiag.errors import GraddiagError
from graddiag.lab.models import SequenceModel
from graddiag.lab.pool import outcomes
from graddiag.lab.sweeps import SweepSpec, clear, plan_sweep, standing
from graddiag.lab.task import Task
from graddiag.lab.training import Plan, StepSeen, train
from graddiag.run import Run
from graddiag.store import read_manifests, remote_url, slug, trash_run

OnEnd = Callable[[SequenceModel, Task], None]


@dataclass(frozen=True)
class Progress:
    """How far a stretch of work is: what it is, ``done`` of ``total``, and what was seen last, in a few words."""

    what: str
    done: int
    total: int
    seen: str = ""


def ignore_progress(progress: Progress) -> None: ...


@dataclass(frozen=True)
class Bench:
    """Where a preset works.

    Attributes:
        root: folder of the runs.
        experiment: what its runs belong to; ``named`` gives one for each of several.
        workers: trainings at a time, each a process with one torch thread.
        report_progress: called after each part of the work.
    """

    root: Path
    experiment: str
    workers: int = 1
    report_progress: Callable[[Progress], None] = ignore_progress

    def named(self, part: str) -> str:
        """The experiment of a part of the preset."""
        return f"{self.experiment}-{part}"

    def steps(self, what: str, total: int) -> Iterator[int]:
        """0 ... total - 1, reporting the progress after each."""
        for step in range(total):
            yield step
            self.report_progress(Progress(what, step + 1, total))

    def sweep(self, specs: Sequence[SweepSpec]) -> tuple[Run, ...]:
        """The runs of all ``specs``, in the order of their plans; what is finished already is not trained again.

        Raises:
            GraddiagError: a training failed; what was recorded stays, and the same command continues from there.
        """
        plans = [plan_sweep(spec) for spec in specs]
        self._train([plan for each in plans for plan in self._waiting(each)])
        found = [path for each in plans for path in standing(each, self.root).finished]
        return tuple(graddiag.load_run(path) for path in found)

    def _waiting(self, plans: Sequence[Plan]) -> Sequence[Plan]:
        """What of ``plans`` is not finished; what is there of it goes to the trash of the root."""
        waiting = standing(plans, self.root, retry=True).waiting
        if waiting:
            clear(waiting, self.root)
        return waiting

    def _train(self, plans: Sequence[Plan]) -> None:
        if plans:
            self.report_progress(Progress(f"recording {plans[0].experiment}", 0, len(plans)))
        for done, outcome in enumerate(outcomes(plans, self.root, workers=self.workers), start=1):
            if outcome.trained is None:
                assert outcome.error is not None
                raise GraddiagError(f"{outcome.plan.name} of {outcome.plan.experiment} failed: {outcome.error}")
            seen = f"loss {outcome.trained.final_loss:.4g}"
            self.report_progress(Progress(f"recording {outcome.plan.experiment}", done, len(plans), seen))

    def train(self, plan: Plan, on_end: OnEnd) -> Run:
        """The run of one training in this process; ``on_end`` is called with the trained network and its task.

        What is there from before goes where ``watched`` says.
        """
        self.watched(plan.name, plan.experiment)

        def on_step(seen: StepSeen) -> None:
            self.report_progress(Progress(f"training {plan.name}", seen.step + 1, seen.steps, f"loss {seen.loss:.4g}"))

        return graddiag.load_run(train(plan, self.root, on_step, on_end).path)

    def watched(self, name: str, experiment: str | None = None) -> dict[str, Any]:
        """What ``graddiag.watch`` is given for a training of the preset: root, run and experiment; no
        further cells.

        A run of that name that is there from before goes to the trash of the root, unless it says running: another
        process may be writing it, and the new one then lies beside it.
        """
        experiment = experiment or self.experiment
        folder = self.root / slug(experiment, fallback="experiment")
        for path, manifest in [] if remote_url(self.root) is not None else read_manifests(folder):
            if manifest.name == name and manifest.status != "running":
                trash_run(self.root, path.relative_to(self.root).as_posix())
        return {"root": self.root, "run": name, "experiment": experiment, "cells": (), "resume": False}
