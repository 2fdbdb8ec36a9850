"""Several trainings at once on this machine, each in a separate process."""

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Final

from graddiag.errors import GraddiagError
from graddiag.lab.outcome import TrainingOutcome
from graddiag.lab.training import Plan, Trained, train

# what a worker imports beside graddiag itself; torch imports torch._dynamo when an optimizer is made
LIBRARIES: Final = ("torch", "torch._dynamo", "pandas", "pyarrow.parquet", "pydantic")


def train_all(plans: Sequence[Plan], root: Path | str, *, workers: int) -> Iterator[Trained]:
    """Trains all plans, ``workers`` at a time, and gives each as it is done.

    Raises:
        Exception: what the first failing training raised.
    """
    for outcome in outcomes(plans, root, workers=workers):
        if outcome.trained is None:
            assert outcome.error is not None
            raise outcome.error
        yield outcome.trained


def outcomes(plans: Sequence[Plan], root: Path | str, *, workers: int) -> Iterator[TrainingOutcome]:
    """Trains all plans, ``workers`` at a time, and gives what became of each; one that fails stops no other.

    No more is handed out than is being worked on, so that Ctrl-C, which reaches the workers too, closes the runs at
    work as interrupted and starts no others.

    Raises:
        GraddiagError: a worker process died.
    """
    waiting = list(plans)
    running: dict[Future[Trained], Plan] = {}
    with ProcessPoolExecutor(workers, mp_context=_context()) as pool:
        while waiting or running:
            while waiting and len(running) < workers:
                plan = waiting.pop(0)
                running[pool.submit(train, plan, root)] = plan
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield _outcome(running.pop(future), future, [plan.name for plan in running.values()])


def _context() -> BaseContext:
    """Workers are forked from a process that has imported the large libraries and done nothing else, which saves each
    of them seconds of CPU time. Where there is no fork, each is a new interpreter."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(list(LIBRARIES))
    return context


def _outcome(plan: Plan, future: "Future[Trained]", others: Sequence[str]) -> TrainingOutcome:
    error = future.exception()
    if isinstance(error, BrokenProcessPool):
        names = " or ".join([plan.name, *others])
        raise GraddiagError(
            f"a process that trained {names} was killed, for want of memory perhaps; it ended the others with it. What "
            "was recorded is readable; the same command continues from there."
        ) from error
    return TrainingOutcome(plan, error=error) if error is not None else TrainingOutcome(plan, trained=future.result())
