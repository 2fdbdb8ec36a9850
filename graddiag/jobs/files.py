"""The folders of the jobs under a root: read without trust, for anybody may have written there."""

import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from graddiag import processes
from graddiag.errors import InputError
from graddiag.jobs.supervise import ENDED
from graddiag.jobs.values import Job, Started, State

FOLDER: Final = ".jobs"
JOB: Final = "job.json"
LOG: Final = "said.log"
REPORT: Final = "report"  # a folder in that of the job
ASKED: Final = "asked.json"
_ID: Final = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")
_LARGEST: Final = 100_000  # bytes: what graddiag writes is far below
_TAIL: Final = 20_000


class _Ended(BaseModel):
    code: int
    ended: datetime


def folder_of(root: Path, job_id: str) -> Path:
    """The folder of a job, there or not.

    Raises:
        InputError: ``job_id`` is not one that graddiag gives, so it could name something else.
    """
    if not _ID.fullmatch(job_id):
        raise InputError(f"job {job_id!r}: that is no name of a job. The Lab page lists those there are.")
    return root / FOLDER / job_id


def read_job(root: Path, job_id: str) -> Job:
    """The present state of a job.

    Raises:
        InputError: there is none of this name, or its folder is damaged or that of another user.
    """
    folder = folder_of(root, job_id)
    if not _is_own(folder):
        raise InputError(f"job {job_id}: {folder} belongs to another user, who may have written anything there.")
    try:
        started = Started.model_validate_json(_content(folder / JOB))
    except (OSError, ValidationError) as error:
        raise InputError(
            f"job {job_id}: {folder / JOB} is missing or damaged. If its runs are there, the Runs page shows them."
        ) from error
    ended = _ended(folder)
    if ended is None and processes.since(started.process) != started.since:
        ended = _ended(folder)  # it may have ended between the two looks
        if ended is None:
            return Job(job_id, started, "lost")
    state = _state(ended, (folder / ASKED).exists())
    return Job(job_id, started, state, ended.code if ended else None, ended.ended if ended else None)


def read_jobs(root: Path) -> list[Job]:
    """All jobs under ``root``, the newest first; damaged ones are left out."""
    return list(_each(root))[::-1]


def log_of(root: Path, job_id: str, lines: int) -> list[str]:
    """The last ``lines`` lines that are not empty of what a job has printed."""
    try:
        with (folder_of(root, job_id) / LOG).open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(0, size - _TAIL))
            text = log.read().decode(errors="replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]


def report_of(root: Path, job: Job) -> bytes | None:
    """The report that a job has left, HTML; None where there is none, or none yet."""
    try:
        return (folder_of(root, job.id) / REPORT / "report.html").read_bytes() if job.started.reports else None
    except OSError:
        return None


def _is_own(folder: Path) -> bool:
    """Whether a folder is this user's, or is not there."""
    try:
        return os.name == "nt" or folder.lstat().st_uid == os.geteuid()
    except OSError:
        return True


def _each(root: Path) -> Iterator[Job]:
    parent = root / FOLDER
    names = sorted(path.name for path in parent.iterdir()) if parent.is_dir() else []
    for name in names:
        if _ID.fullmatch(name):
            try:
                yield read_job(root, name)
            except InputError:
                continue


def _state(ended: _Ended | None, asked: bool) -> State:
    if ended is None:
        return "stopping" if asked else "running"
    if ended.code == 0:
        return "finished"
    return "stopped" if asked else "failed"


def _ended(folder: Path) -> _Ended | None:
    try:
        return _Ended.model_validate_json(_content(folder / ENDED))
    except (OSError, ValidationError):
        return None


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LARGEST)
