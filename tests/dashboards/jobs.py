"""Folders of jobs as they were left behind, in any state, without a process; and a job at work that stands still."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from graddiag import processes
from graddiag.jobs.files import read_jobs
from tests.waiting import until

GONE = 2**22 + 1
ENDED = "2025-01-01T00:10:00Z"


def leave(root: Path, number: int = 0, *, process: int = GONE, **more: object) -> str:
    """A job's folder, as it was left behind."""
    name = f"20250101-00000{number}-abcdef"
    folder = root / ".jobs" / name
    folder.mkdir(parents=True)
    job = {"title": f"pair {number}", "arguments": ["pair"], "experiment": "pair", "steps": 24, "process": process}
    created = datetime(2024, 12, 31, tzinfo=UTC).isoformat()
    since = processes.since(process) or "some boot 1"
    (folder / "job.json").write_text(json.dumps({**job, "since": since, "created": created, **more}))
    return name


def end(root: Path, name: str, code: int, log: str = "") -> None:
    (root / ".jobs" / name / "ended.json").write_text(json.dumps({"code": code, "ended": ENDED}))
    (root / ".jobs" / name / "said.log").write_text(log)


@contextlib.contextmanager
def held(root: Path) -> Iterator[None]:
    """The one job of a root stands still within, before it has done anything: it loads torch first, for seconds.

    However short it is and however busy the machine, a page can show it at work.
    """
    until(lambda: bool(read_jobs(root)))
    (job,) = read_jobs(root)
    os.killpg(job.started.process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(job.started.process, signal.SIGCONT)
