"""The process that workers are forked from: what it has imported, and that it is started once and early."""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import forkserver, get_all_start_methods

import pytest

from graddiag.lab import workers
from graddiag.presets import ENTRIES, load

forked = pytest.mark.skipif("forkserver" not in get_all_start_methods(), reason="this system has no forkserver")


def modules_of_a_worker() -> tuple[int, list[str]]:
    return os.getppid(), [name for name in workers.IMPORTED if name in sys.modules]


@pytest.mark.slow
@forked
def test_a_worker_is_forked_from_the_process_that_was_started_and_has_its_modules() -> None:
    workers.start()
    first = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    workers.start()
    with ProcessPoolExecutor(1, mp_context=workers.context()) as pool:
        parent, there = pool.submit(modules_of_a_worker).result()
    assert parent == first == forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    assert there == list(workers.IMPORTED)


def test_where_there_is_no_fork_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "get_all_start_methods", lambda: ["spawn"])
    monkeypatch.setattr(workers.forkserver, "ensure_running", lambda: pytest.fail("started"))
    workers.start()
    assert workers.context().get_start_method() == "spawn"


def test_the_catalogue_knows_which_presets_have_workers() -> None:
    assert [each.name for each in ENTRIES if each.in_workers] == [
        each.name for each in ENTRIES if load(each.name).sweeps is not None
    ]
