"""Recording a small pair from the page: a process of its own, its progress, and what it said if it failed."""

import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import streamlit as st

from ui.root import runs_root
from ui.runs import all_runs, links
from ui.text import sentence

ARMS: Final = 2
_KEY: Final = "recording"
_GRADDIAG: Final = "import sys; from graddiag.cli import main; sys.exit(main())"


@dataclass(frozen=True)
class Recording:
    """A ``graddiag pair`` at work: its process, the file of what it says, the runs there were before, its length."""

    process: subprocess.Popen[bytes]
    said: Path
    before: frozenset[str]
    steps: int


def start(task: str, model: str, clip: str, steps: int) -> None:
    """Starts a pair; it goes on if the page is closed, and its runs appear in the table as they grow."""
    command = [sys.executable, "-c", _GRADDIAG, "pair", "--root", str(runs_root())]
    command += ["--task", task, "--model", model, "--clip", clip, "--steps", str(steps)]
    output, said = tempfile.mkstemp(prefix="graddiag-pair-", suffix=".log")
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    os.close(output)
    st.session_state[_KEY] = Recording(process, Path(said), frozenset(links()), steps)


def current() -> Recording | None:
    found: Recording | None = st.session_state.get(_KEY)
    return found


def ended() -> int | None:
    """The exit status of this session's pair; None while it is at work, or where there is none."""
    recording = current()
    return None if recording is None else recording.process.poll()


def show() -> None:
    """How far the pair of this session is; nothing where none was started or it has ended well."""
    recording = current()
    if recording is None:
        return
    status = recording.process.poll()
    if status is None:
        _progress(recording)
    elif status == 0:
        _forget()
        st.toast("The pair is recorded.", icon=":material/check_circle:")
    else:
        with st.container(border=True):
            st.badge("The pair was not recorded", icon=":material/error:", color="red")
            sentence(_last_line(recording.said))
            st.button("Close", on_click=_forget)


def _forget() -> None:
    st.session_state.pop(_KEY).said.unlink(missing_ok=True)


def _progress(recording: Recording) -> None:
    made = [entry for entry in all_runs() if entry.run not in recording.before]
    done, wanted = sum(entry.steps or 0 for entry in made), ARMS * recording.steps
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        words = f"Recording: {done} of {wanted} steps" if made else "Starting: loading torch and the task"
        st.progress(min(done / wanted, 1.0), text=words)
        st.button("Stop", icon=":material/stop:", on_click=recording.process.send_signal, args=(signal.SIGINT,))


def _last_line(said: Path) -> str:
    lines = said.read_text(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "It ended without a word.")
