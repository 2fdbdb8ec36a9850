"""A number with its moment of starting names one process, and nothing else is ever signalled."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from graddiag.jobs import processes

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
NO_PROCESS = 2**22 + 1  # above what Linux hands out


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
    while processes.since(sleeper.pid):
        time.sleep(0.01)
    assert sleeper.returncode is None  # still a zombie


def test_the_process_meant_is_signalled(sleeper: subprocess.Popen[bytes]) -> None:
    assert processes.signal_group(sleeper.pid, str(processes.since(sleeper.pid)), signal.SIGTERM)
    assert sleeper.wait(timeout=20) == -signal.SIGTERM


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
