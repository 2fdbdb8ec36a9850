"""The training loop of the lab, from top to bottom; graddiag watches it as it would watch yours."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import graddiag
from graddiag import clipping, schema
from graddiag.alerts import READY_MADE
from graddiag.cells import Instrumented
from graddiag.errors import StopTraining
from graddiag.lab import optimizers, schedules
from graddiag.lab.answers import asked_of
from graddiag.lab.held_out import held_out_losses, keep_vocabulary
from graddiag.lab.models import SequenceModel, cut
from graddiag.lab.omega import OmegaRegularizer
from graddiag.lab.remedies import detach_h
from graddiag.lab.repeat import repeat_command
from graddiag.lab.search import EarlyStop, Judge, Rungs, SearchSpec, stop_at
from graddiag.lab.spec import TrainingSpec
from graddiag.lab.task import Batch, Reads, Task, batches
from graddiag.lab.tasks import make_task
from graddiag.lab.validation import Validation


@dataclass(frozen=True)
class Plan:
    """One training and where its run belongs: a name and, in an experiment, the arm it belongs to. search: what may
    stop it early."""

    spec: TrainingSpec
    name: str
    experiment: str | None = None
    arm: str | None = None
    search: SearchSpec | None = None


@dataclass(frozen=True)
class StepSeen:
    """What a step has come to: its loss, the norm of its gradient before clipping, and how many steps there will be."""

    step: int
    steps: int
    loss: float
    grad_norm: float


@dataclass(frozen=True)
class Trained:
    """A run that has been recorded. ``stopped`` says why it ended early, where it did; ``by_search`` that a search
    stopped it, which is no failure."""

    plan: Plan
    path: Path
    final_loss: float
    stopped: str | None = None
    by_search: bool = False


def train(
    plan: Plan,
    root: Path | str = "runs",
    on_step: Callable[[StepSeen], None] = lambda seen: None,
    on_end: Callable[[SequenceModel, Task], None] = lambda model, task: None,
    judge: Judge = lambda rung, value: True,
) -> Trained:
    """Trains once and records it; everything random comes from the seed of the spec.

    Args:
        on_step: called after each step; on_end: with the trained network, in this process, before the run is closed.
        judge: asked at each rung of the plan's search whether the training may continue.

    Raises:
        InputError: a text that cannot be used, or a root that cannot be written.
        SettingError: a length the task cannot have.
        KeyboardInterrupt: passed on, after the run was closed as interrupted.
    """
    spec, stopped, by_search, state = plan.spec, None, False, None
    task = make_task(spec)
    summed = is_summed(spec, task)
    with seeded(spec.seed, spec.threads):
        model = SequenceModel(spec, task.shape, task.counts if isinstance(task, Reads) else None)
        chance = torch.Generator().manual_seed(spec.seed)
        clip = clipping.parse(spec.clip)
        clipping.attach(clip, model)
        if spec.h_detach is not None and isinstance(model.recurrent, Instrumented):
            detach_h(model.recurrent, spec.h_detach)
        optimizer = optimizers.parse_optimizer(spec.optimizer).make(model.parameters(), spec.lr, spec.weight_decay)
        schedule = schedules.parse_schedule(spec.schedule)
        validation = Validation(task, spec)
        rungs = None if plan.search is None else Rungs(plan.search, spec.steps, judge)

        with (
            graddiag.watch(
                model, optimizer, root=root, cells=model.followed, resume=False, **about(plan, task)
            ) as recorder,
            omega_of(spec, model) as omega,
        ):
            keep_vocabulary(task, recorder.path)
            stops: list[StopTraining] = []
            recorder.stop_by(stops.append)
            for step, batch in zip(range(spec.steps), batches(task, chance), strict=False):
                start = cut(state) if batch.goes_on else None
                outputs, state = model(batch.inputs, start)
                loss = model.head.loss(outputs, batch.targets) * (asked_of(batch.targets) if summed else 1)
                set_lr(optimizer, spec.lr * schedule.rate(step))

                optimizer.zero_grad()
                loss.backward()
                if omega is not None:
                    recorder.log(omega=omega())
                if spec.try_thresholds_every is not None and step % spec.try_thresholds_every == 0:
                    recorder.try_thresholds(loss_again(model, batch, start, summed=summed))
                clipped = clip(model.parameters())

                scores = {**model.head.scores(outputs, batch.targets), **validation(model, step)}
                last = validation.solved(scores) or step + 1 == spec.steps
                recorder.log(loss=loss.item(), **scores)
                if clipped.cosine is not None:
                    recorder.log(clip_cosine=clipped.cosine)
                held_out = held_out_losses(model, task, spec, step, last=last)
                recorder.log(**held_out)
                optimizer.step()

                on_step(StepSeen(step, spec.steps, loss.item(), clipped.norm_before.item()))
                if spec.on_nonfinite == "stop" and (clipped.nonfinite or not math.isfinite(loss.item())):
                    stopped = (
                        f"step {step}: loss {loss.item():g}, {clipped.nonfinite:d} entries of the gradient not finite"
                    )
                elif stops:
                    stopped, by_search = str(stops[0]), isinstance(stops[0], EarlyStop)
                elif rungs is not None and not last:
                    stopped = rungs(step, {schema.LOSS: loss.item(), **scores, **held_out})
                    by_search = stopped is not None
                if stopped is not None:
                    recorder.close(status=schema.STOPPED if by_search else "failed", error=stopped)
                    break
                if last:
                    break
            on_end(model, task)
    return Trained(plan, recorder.path, loss.item(), stopped, by_search)


def about(plan: Plan, task: Task) -> dict[str, Any]:
    """What ``graddiag.watch`` is given about a training, so that its run can be filtered, judged and repeated."""
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
        "on_nonfinite": spec.on_nonfinite,
        **_checks(plan),
        "loss_reduction": "sum over timesteps, mean over batch" if is_summed(spec, task) else task.loss_reduction,
        "config": {**spec.model_dump(mode="json"), **_known(spec, task), "command": repeat_command(spec)},
    }


def _checks(plan: Plan) -> dict[str, Any]:
    """Who is called by the diagnosis of the running training, and how often it is made: as the search asks, where one
    stops the training by it."""
    spec, search = plan.spec, plan.search
    called = [] if spec.on_finding is None else [READY_MADE[spec.on_finding]]
    if search is not None and search.stop_on:
        return {"on_finding": [*called, stop_at(search.stop_on)], "check_every": search.grace}
    return {"on_finding": called or None, "check_every": spec.check_every}


def _known(spec: TrainingSpec, task: Task) -> dict[str, Any]:
    """What the task keeps; the loss of guessing is that of a mean, and says nothing of a sum."""
    return {name: value for name, value in task.config.items() if not is_summed(spec, task) or name != "chance_loss"}


def is_summed(spec: TrainingSpec, task: Task) -> bool:
    """Whether the loss is a sum over timesteps: asked for, of a task that answers at each of them."""
    return spec.loss == "sum" and task.shape.answers == "each"


@contextmanager
def seeded(seed: int, threads: int) -> Iterator[None]:
    """Within it torch draws from ``seed`` and runs on so many threads; afterwards both are as they were."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)


def omega_of(spec: TrainingSpec, model: SequenceModel) -> AbstractContextManager[OmegaRegularizer | None]:
    """Omega on the model's recurrent layers, None where the spec has none."""
    return nullcontext() if spec.omega is None else OmegaRegularizer(model, spec.omega, spec.omega_form or "squared")


def loss_again(model: SequenceModel, batch: Batch, start: Any, *, summed: bool) -> Callable[[], Tensor]:
    """The loss of a batch from the state that it started with, whatever the parameters are by then."""

    def loss() -> Tensor:
        outputs, _ = model(batch.inputs, start)
        return model.head.loss(outputs, batch.targets) * (asked_of(batch.targets) if summed else 1)

    return loss


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr
