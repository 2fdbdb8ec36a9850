"""Folders of jobs as they were left behind, in any state, without a process."""

import json
from datetime import UTC, datetime
from pathlib import Path

from graddiag import processes

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
