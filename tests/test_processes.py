"""A number with its moment of starting names one process, and nothing else is ever signalled."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from graddiag import processes
from tests.waiting import SECONDS, until

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
NO_PROCESS = 2**22 + 1  # above what Linux hands out
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="a system without /proc")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(SLEEP, start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_a_process_has_started_once(sleeper: subprocess.Popen[bytes]) -> None:
    moment = processes.since(sleeper.pid)
    assert moment
    assert processes.since(sleeper.pid) == moment
    assert processes.since(os.getpid()) != moment


def test_none_of_that_number() -> None:
    assert processes.since(NO_PROCESS) is None


def test_one_that_has_ended_and_was_not_waited_for_is_gone(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    until(lambda: processes.since(sleeper.pid) is None)
    assert sleeper.returncode is None  # still a zombie


def test_the_process_meant_is_signalled(sleeper: subprocess.Popen[bytes]) -> None:
    assert processes.signal_group(sleeper.pid, str(processes.since(sleeper.pid)), signal.SIGTERM)
    assert sleeper.wait(timeout=SECONDS) == -signal.SIGTERM


def test_another_process_of_the_same_number_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    assert not processes.signal_group(sleeper.pid, "another boot 12345", signal.SIGKILL)
    assert not processes.signal_group(NO_PROCESS, "any", signal.SIGKILL)
    assert sleeper.poll() is None


def test_a_process_that_leads_no_group_is_left_alone() -> None:
    process = subprocess.Popen(SLEEP)
    try:
        assert not processes.signal_group(process.pid, str(processes.since(process.pid)), signal.SIGKILL)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(shutil.which("ps") is None, reason="ps is not installed")
def test_where_there_is_no_proc_ps_is_asked(sleeper: subprocess.Popen[bytes]) -> None:
    assert processes._from_ps(sleeper.pid)
    assert processes._from_ps(NO_PROCESS) is None


SAY_WHO = "from graddiag.processes import this_process; print(this_process(), flush=True); input()"


@pytest.fixture
def named() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that waits, and the name it gives itself."""
    process = subprocess.Popen(
        [sys.executable, "-c", SAY_WHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process, process.stdout.readline().strip()
    process.kill()
    process.communicate()


@needs_proc
def test_a_process_that_was_named_has_ended_once_it_is_gone(named: tuple[subprocess.Popen[str], str]) -> None:
    process, name = named
    assert not processes.has_ended(name)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert processes.has_ended(name)  # as a zombie
    process.wait()
    assert processes.has_ended(name)


@needs_proc
def test_a_number_that_is_used_again_is_another_process() -> None:
    me = str(processes.this_process())
    assert not processes.has_ended(me)
    assert processes.has_ended(me + "0")


@needs_proc
@pytest.mark.parametrize(
    "changed",
    [
        lambda number, space, boot, ticks: None,
        lambda number, space, boot, ticks: "",
        lambda number, space, boot, ticks: "nonsense",
        lambda number, space, boot, ticks: f"{NO_PROCESS}",
        lambda number, space, boot, ticks: f"{NO_PROCESS} pid:[1] {boot} {ticks}",
        lambda number, space, boot, ticks: f"{NO_PROCESS} {space} another-boot {ticks}",
        lambda number, space, boot, ticks: f"../1 {space} {boot} {ticks}",
        lambda number, space, boot, ticks: f"{10**30} {space} {boot} {ticks}",
    ],
)
def test_what_cannot_be_known_has_not_ended(changed: Callable[..., str | None]) -> None:
    assert not processes.has_ended(changed(*str(processes.this_process()).split(" ")))


def test_without_proc_nothing_has_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    me = processes.this_process()
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    assert processes.this_process() is None
    assert not processes.has_ended(me)
    assert not processes.has_ended(f"{NO_PROCESS} pid:[1] boot 3")


@needs_proc
def test_a_process_that_cannot_be_seen_has_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    me = str(processes.this_process())

    def unseen(process: int) -> tuple[str, str]:
        raise FileNotFoundError(process)

    monkeypatch.setattr(processes, "_stat", unseen)
    assert not processes.has_ended(me)
    assert processes.has_ended(f"{NO_PROCESS} {me.partition(' ')[2]}")
