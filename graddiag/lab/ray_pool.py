"""Several trainings at once on a Ray cluster, or on this machine by Ray: the same plans, the same numbers.

A cluster is found as Ray finds it, by ``RAY_ADDRESS``; without it Ray is started here, for as long as the trainings
last. Each training is a task, of one CPU where nothing else is asked for, and writes its own run, so the root must be a
folder that every node shares, or a URL. Ray listens on all interfaces of a machine, whatever address it is given: do
not start it where strangers can reach it.
"""

import math
import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from graddiag.errors import MissingLibraryError
from graddiag.lab.asha import Asha, AtRung, earlier_rungs
from graddiag.lab.outcome import TrainingOutcome
from graddiag.lab.training import Plan, Trained, train
from graddiag.store import resolved_root

_GRACE: Final = 30.0  # seconds in which a cancelled training closes its run


class RayOptions(BaseModel):
    """What each training asks Ray for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpus: float = Field(1.0, gt=0, description="CPUs of a training.")
    memory_gb: float | None = Field(None, gt=0, description="Memory of a training, GB; Ray places it by that.")

    def check_installed(self) -> None:
        """Checks that Ray can be imported, before anything is done.

        Raises:
            MissingLibraryError: it is not installed.
        """
        if find_spec("ray") is None:
            raise MissingLibraryError(
                "engine ray: Ray is not installed. Install it with `pip install 'graddiag[ray]'`."
            )


def outcomes(
    plans: Sequence[Plan], root: Path | str, *, workers: int, options: RayOptions
) -> Iterator[TrainingOutcome]:
    """As ``graddiag.lab.pool.outcomes``, by Ray. No more is handed out than ``workers``; Ctrl-C reaches the tasks at
    work, which close their runs as interrupted.
    """
    ray = _started(max(1, math.ceil(workers * options.cpus)))
    memory = {} if options.memory_gb is None else {"memory": int(options.memory_gb * 2**30)}
    task = ray.remote(num_cpus=options.cpus, max_retries=0, **memory)(_train)
    judge = _judge(ray, plans, Path(root).resolve())
    waiting = list(plans)
    running: dict[Any, Plan] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                plan = waiting.pop(0)
                running[task.remote(plan, resolved_root(root), judge)] = plan
            (done,), _ = ray.wait(list(running))
            yield _outcome(ray, running.pop(done), done)
    finally:
        for left in running:
            ray.cancel(left)
        if running:
            ray.wait(list(running), num_returns=len(running), timeout=_GRACE)
        ray.shutdown()


def _judge(ray: Any, plans: Sequence[Plan], root: Path) -> Any:
    """The actor that compares the trainings of a search by ASHA; None where there is none. One that is lost is started
    again with what the runs before this sweep had at their rungs."""
    search = plans[0].search
    if search is None or search.scheduler is None:
        return None
    actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Asha)
    return actor.remote(search, max(plan.spec.steps for plan in plans), earlier_rungs(plans, root))


def _train(plan: Plan, root: Path, judge: Any) -> Trained:
    """A training as a task of Ray; ``judge`` is the actor that is asked at the rungs."""
    if judge is None:
        return train(plan, root)
    import ray

    def may_continue(rung: int, value: float) -> bool:
        return bool(ray.get(judge.may_continue.remote(AtRung(plan.spec.length, plan.name, rung, value))))

    return train(plan, root, judge=may_continue)


def _started(cpus: int) -> Any:
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    cluster = "RAY_ADDRESS" in os.environ
    here = {} if cluster else {"address": "local", "num_cpus": cpus, "include_dashboard": False}
    ray.init(log_to_driver=False, logging_level="warning", ignore_reinit_error=True, **here)
    return ray


def _outcome(ray: Any, plan: Plan, done: Any) -> TrainingOutcome:
    try:
        return TrainingOutcome(plan, trained=ray.get(done))
    except ray.exceptions.RayTaskError as error:
        return TrainingOutcome(plan, error=error.cause if isinstance(error.cause, Exception) else error)
    except ray.exceptions.RayError as error:  # of the worker: killed, out of memory, or its node was lost
        return TrainingOutcome(plan, error=error, lost=True)
