"""Which process a number means: a number is used again, a number with a moment of starting is not."""

import os
import subprocess
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_DIGITS: Final = 10  # of the number of a process, at most
_GONE: Final = ("Z", "X")  # ended, and not yet taken notice of by its parent


def since(process: int) -> str | None:
    """When the process of this number started, in the words of the system; None if there is none or it has ended."""
    return _from_proc(process) if (_PROC / "self" / "stat").exists() else _from_ps(process)


def this_process() -> str | None:
    """A text that names this process among all there ever were: its number, the space that numbers are counted in (a
    container has a separate one), when the machine and when the process started; None on a system without /proc."""
    try:
        return f"{os.getpid()} {_space()} {_stat(os.getpid())[1]}"
    except OSError:
        return None


def has_ended(process: str | None) -> bool:
    """Whether the process that ``this_process`` once named is gone.

    False too where that cannot be known: it ran on another machine, in another container, before the machine was
    started again, or belongs to somebody whose processes cannot be seen.
    """
    number, started = _here(process)
    if number is None:
        return False
    try:
        state, now = _stat(number)
    except OSError:
        return _is_free(number)
    return state in _GONE or now != started


def is_running(process: str | None) -> bool:
    """Whether the process that ``this_process`` once named is known to run: False too where that cannot be known."""
    number, started = _here(process)
    if number is None:
        return False
    try:
        state, now = _stat(number)
    except OSError:
        return False
    return state not in _GONE and now == started


def signal_group(process: int, started: str, number: int) -> bool:
    """Sends a signal to the group that ``process`` leads, if it is still the process that started then.

    Returns:
        Whether it was sent: not to a process that is gone, that only has the number of one that is, or that leads no
        process group.
    """
    try:
        if since(process) != started or os.getpgid(process) != process:
            return False
        os.killpg(process, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _from_proc(process: int) -> str | None:
    try:
        state, started = _stat(process)
    except OSError:
        return None
    return None if state in _GONE else started


def _stat(process: int) -> tuple[str, str]:
    """From /proc/N/stat: the state, and ticks since the machine started (field 22) behind the machine's own start.

    Raises:
        OSError: there is no such process, it cannot be seen, or the system has no /proc.
    """
    content = (_PROC / str(process) / "stat").read_text()
    state, *fields = content.rpartition(")")[2].split()
    return state, f"{_boot()} {fields[18]}"


def _here(process: str | None) -> tuple[int | None, str]:
    """The number of a process named by ``this_process``, None where it is no process of this machine since it was last
    started, and when it started."""
    number, _, rest = (process or "").partition(" ")
    space, _, started = rest.partition(" ")
    known = number.isdecimal() and len(number) <= _DIGITS and _is_here(space, started.partition(" ")[0])
    return (int(number) if known else None), started


def _is_free(number: int) -> bool:
    """Whether no process has this number, seen or unseen."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _is_here(space: str, boot: str) -> bool:
    try:
        return (space, boot) == (_space(), _boot())
    except OSError:
        return False


def _boot() -> str:
    """What this machine drew when it was started."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def _space() -> str:
    """The space of numbers that this process is counted in."""
    return os.readlink(_PROC / "self/ns/pid")


def _from_ps(process: int) -> str | None:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(process)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    state, _, moment = said.partition(" ")
    return None if not said or state.startswith(_GONE) else moment.strip()
