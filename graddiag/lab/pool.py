"""Several trainings at once on this machine, each in a process of its own."""

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

from graddiag.lab.training import Plan, Trained, train


def train_all(plans: Sequence[Plan], root: Path | str, *, workers: int) -> Iterator[Trained]:
    """Trains all plans, ``workers`` at a time, and gives each as it is done.

    No more is handed out than is being worked on, so that Ctrl-C, which reaches the workers too, closes the runs at
    work as interrupted and starts no others.

    Raises:
        GraddiagError: what the first failing training raised.
    """
    waiting = list(plans)
    running: set[Future[Trained]] = set()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        while waiting or running:
            while waiting and len(running) < workers:
                running.add(pool.submit(train, waiting.pop(0), root))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
