"""The training loop of the lab, from top to bottom; graddiag watches it as it would watch yours."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import graddiag
from graddiag import clipping
from graddiag.lab.answers import loss_of, wrong_of
from graddiag.lab.models import SequenceModel
from graddiag.lab.remedies import detach_h
from graddiag.lab.repeat import repeat_command
from graddiag.lab.spec import TrainingSpec
from graddiag.lab.task import Task
from graddiag.lab.tasks import make_task


@dataclass(frozen=True)
class Plan:
    """One training and where its run belongs: a name and, in an experiment, the arm it stands for."""

    spec: TrainingSpec
    name: str
    experiment: str | None = None
    arm: str | None = None


@dataclass(frozen=True)
class StepSeen:
    """What a step has come to: its loss, the norm of its gradient before clipping, and how many steps there will be."""

    step: int
    steps: int
    loss: float
    grad_norm: float


@dataclass(frozen=True)
class Trained:
    """A run that has been recorded. ``stopped`` says why it ended early, where it did."""

    plan: Plan
    path: Path
    final_loss: float
    stopped: str | None = None


def train(plan: Plan, root: Path | str = "runs", on_step: Callable[[StepSeen], None] = lambda seen: None) -> Trained:
    """Trains once and records it; everything random comes from the seed of the spec.

    Raises:
        InputError: a text that cannot be used, or a root that cannot be written.
        SettingError: a length the task cannot have.
        KeyboardInterrupt: passed on, after the run was closed as interrupted.
    """
    spec, stopped = plan.spec, None
    task = make_task(spec)
    with seeded(spec):
        model = SequenceModel(spec, task.shape)
        batches = torch.Generator().manual_seed(spec.seed)
        clip = clipping.parse(spec.clip)
        clipping.attach(clip, model)
        if spec.h_detach is not None:
            detach_h(model.recurrent, spec.h_detach)
        optimizer = torch.optim.SGD(model.parameters(), lr=spec.lr)

        with graddiag.watch(model, optimizer, root=root, **about(plan, task)) as recorder:
            for step in range(spec.steps):
                inputs, targets = task.batch(batches)
                outputs = model(inputs)
                loss = loss_of(task.shape, outputs, targets)

                optimizer.zero_grad()
                loss.backward()
                clipped = clip(model.parameters())

                recorder.log(loss=loss.item(), error=wrong_of(task.shape, outputs, targets).item())
                if clipped.cosine is not None:
                    recorder.log(clip_cosine=clipped.cosine)
                optimizer.step()

                on_step(StepSeen(step, spec.steps, loss.item(), clipped.norm_before.item()))
                if spec.on_nonfinite == "stop" and (clipped.nonfinite or not math.isfinite(loss.item())):
                    stopped = (
                        f"step {step}: loss {loss.item():g}, {clipped.nonfinite:d} entries of the gradient not finite"
                    )
                    recorder.close(status="failed", error=stopped)
                    break
    return Trained(plan, recorder.path, loss.item(), stopped)


def about(plan: Plan, task: Task) -> dict[str, Any]:
    """What ``graddiag.watch`` is told of a training, so that its run can be filtered, judged and repeated."""
    spec = plan.spec
    return {
        "run": plan.name,
        "experiment": plan.experiment,
        "arm": plan.arm,
        "seed": spec.seed,
        "task": spec.task,
        "model": spec.model,
        "clip": spec.clip,
        "every": spec.every,
        "snapshot_every": spec.snapshot_every,
        "loss_reduction": task.loss_reduction,
        "config": {**spec.model_dump(mode="json"), **task.config, "command": repeat_command(spec)},
    }


@contextmanager
def seeded(spec: TrainingSpec) -> Iterator[None]:
    """Within it torch draws from the seed of the spec and runs on its threads; afterwards both are as they were."""
    threads = torch.get_num_threads()
    torch.set_num_threads(spec.threads)
    try:
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(spec.seed)
            yield
    finally:
        torch.set_num_threads(threads)
