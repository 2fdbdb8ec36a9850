"""Which process a number means: a number is used again, a number with a moment of starting is not."""

import os
import subprocess
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_GONE: Final = ("Z", "X")  # ended, and not yet taken notice of by its parent


def since(process: int) -> str | None:
    """When the process of this number started, in the words of the system; None if there is none or it has ended."""
    return _from_proc(process) if (_PROC / "self" / "stat").exists() else _from_ps(process)


def signal_group(process: int, started: str, number: int) -> bool:
    """Sends a signal to the group that ``process`` leads, if it is still the process that started then.

    Returns:
        Whether it was sent: not to a process that is gone, that only has the number of one that is, or that leads no
        group of its own.
    """
    try:
        if since(process) != started or os.getpgid(process) != process:
            return False
        os.killpg(process, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _from_proc(process: int) -> str | None:
    """Ticks since the machine started, from /proc/N/stat (field 22), with the machine's own start in front."""
    try:
        content = (_PROC / str(process) / "stat").read_text()
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    state, *fields = content.rpartition(")")[2].split()
    return None if state in _GONE else f"{boot} {fields[18]}"


def _from_ps(process: int) -> str | None:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(process)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    state, _, moment = said.partition(" ")
    return None if not said or state.startswith(_GONE) else moment.strip()
