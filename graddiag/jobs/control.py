"""Starts jobs, asks them to stop, and forgets those that have ended."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Final

from graddiag import processes
from graddiag.errors import InputError
from graddiag.jobs.files import ASKED, FOLDER, JOB, LOG, REPORT, folder_of, read_job, read_jobs
from graddiag.jobs.values import Job, JobRequest, Started
from graddiag.store import replace_text

AT_ONCE: Final = 2
PRIVATE_FOLDER: Final = 0o700  # what a job prints and was asked for is its owner's
PRIVATE_FILE: Final = 0o600
_LOCK: Final = "lock"


def start(root: Path, request: JobRequest) -> Job:
    """Starts ``graddiag`` with the arguments of ``request`` in a separate process, which outlives this one.

    Raises:
        InputError: as many jobs as may be are at work, the root cannot be written, the arguments hold what no argument
            can, or the system knows no groups of processes (Windows).
    """
    if os.name != "posix":
        raise InputError("Jobs need Linux or macOS. On the command line every preset can be run: graddiag lab --help.")
    if any("\0" in argument for argument in request.arguments):
        raise InputError("An argument holds a null character, which no command can be given. Leave it out.")
    try:
        root.mkdir(parents=True, exist_ok=True)
        (root / FOLDER).mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        (root / FOLDER).chmod(PRIVATE_FOLDER)  # one that an older version made, or a umask narrowed
        with _locked(root):
            _check_room(root)
            return _start(root, request)
    except OSError as error:
        raise InputError(
            f"The job was not started: {error.strerror} ({error.filename}). Is {root} writable?"
        ) from error


def stop(root: Path, job_id: str) -> bool:
    """Asks a job to stop, as Ctrl-C does: the run at work is closed as interrupted. Asked again, it is ended at once.

    Only a process that has the number and the moment of starting that were written down is signalled.

    Returns:
        Whether there was anything to stop.

    Raises:
        InputError: there is no such job.
    """
    job = read_job(root, job_id)
    if not job.at_work:
        return False
    number = signal.SIGTERM if job.state == "stopping" else signal.SIGINT
    _write_private(folder_of(root, job_id) / ASKED, '{"asked": true}\n')
    return processes.signal_group(job.started.process, job.started.since, number)


def forget(root: Path, job_id: str) -> None:
    """Takes a job that has ended off the list, with what it printed; its runs stay.

    Raises:
        InputError: there is no such job, or it is at work.
    """
    if read_job(root, job_id).at_work:
        raise InputError(f"job {job_id} is at work. Stop it first.")
    shutil.rmtree(folder_of(root, job_id), ignore_errors=True)


def _check_room(root: Path) -> None:
    busy = [job for job in read_jobs(root) if job.at_work]
    if len(busy) >= AT_ONCE:
        titles = ", ".join(job.started.title for job in busy)
        raise InputError(f"{len(busy)} jobs are at work already ({titles}). Wait for one of them, or stop it.")


def _start(root: Path, request: JobRequest) -> Job:
    created = datetime.now(UTC)
    folder = folder_of(root, f"{created:%Y%m%d-%H%M%S}-{token_hex(3)}")
    folder.mkdir(mode=PRIVATE_FOLDER)
    where = ("--out", str(folder / REPORT)) if request.reports else ()
    supervise = [sys.executable, "-P", "-m", "graddiag.jobs.supervise"]  # -P: imports nothing of the folder it is in
    command = [*supervise, str(folder), *request.arguments, *where]
    with open(folder / LOG, "wb", opener=_open_private) as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
    moment = processes.since(process.pid)
    threading.Thread(target=process.wait, daemon=True).start()  # so that it does not stay behind as a zombie
    started = Started(**request.model_dump(), process=process.pid, since=moment or "ended", created=created)
    _write_private(folder / JOB, started.model_dump_json(indent=2) + "\n")
    return read_job(root, folder.name)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE_FILE)


def _write_private(path: Path, text: str) -> None:
    """Replaces a file of a job, whose folder nobody else may enter meanwhile."""
    replace_text(path, text)
    path.chmod(PRIVATE_FILE)


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """One start at a time, whichever process asks for it."""
    import fcntl

    with open(root / FOLDER / _LOCK, "a", opener=_open_private) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
