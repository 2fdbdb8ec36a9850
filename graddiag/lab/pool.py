"""Several trainings at once on this machine, each in a separate process."""

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from graddiag.errors import GraddiagError
from graddiag.lab.outcome import TrainingOutcome
from graddiag.lab.training import Plan, Trained, train
from graddiag.lab.workers import context


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
    with ProcessPoolExecutor(workers, mp_context=context()) as pool:
        while waiting or running:
            while waiting and len(running) < workers:
                plan = waiting.pop(0)
                running[pool.submit(train, plan, root)] = plan
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield _outcome(running.pop(future), future, [plan.name for plan in running.values()])


def _outcome(plan: Plan, future: "Future[Trained]", others: Sequence[str]) -> TrainingOutcome:
    error = future.exception()
    if isinstance(error, BrokenProcessPool):
        names = " or ".join([plan.name, *others])
        raise GraddiagError(
            f"a process that trained {names} was killed, for want of memory perhaps; it ended the others with it. What "
            "was recorded is readable; the same command continues from there."
        ) from error
    return TrainingOutcome(plan, error=error) if error is not None else TrainingOutcome(plan, trained=future.result())
