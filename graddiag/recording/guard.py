"""The parts of a recording that can fail by themselves, and the handling of an error in one."""

import contextlib
import warnings
from collections.abc import Callable
from enum import StrEnum

from graddiag import schema
from graddiag.recording.events import stopped_event
from graddiag.store import RunWriter


class Part(StrEnum):
    """The parts beside the recurrent modules, which go by their names."""

    PARAMETERS = "the parameters"
    SIGNALS = "the timesteps"
    STEPS = "the steps"
    GRADIENT_COSINE = "the cosine between successive gradients"
    SNAPSHOTS = "the snapshots"
    SPECTRA = "the spectra"
    FOLLOWING = "what is followed"
    OUTPUTS = "the loss of a constant prediction"
    NONFINITE = "the updates that are left out"
    COUNTS = "what had been counted before the training was resumed"
    END = "the end"


class PartGuard:
    """Runs graddiag's own work; an error in it stops that part of the recording, never the training.

    step: the step that is being recorded. mute: called with a part that has stopped.
    """

    def __init__(self, writer: RunWriter, step: Callable[[], int], mute: Callable[[str], None]) -> None:
        self._writer = writer
        self._step = step
        self._mute = mute
        self._stopped: set[str] = set()

    def __call__(self, part: str, task: Callable[[], None]) -> None:
        """Runs ``task`` unless ``part`` has stopped."""
        if self._stopped and part in self._stopped:
            return
        try:
            task()
        except Exception as error:  # the user's training continues, whatever went wrong in here
            self._stopped.add(part)
            if self._writer.is_closed:  # by another thread, in the middle of a step
                return
            self._mute(part)
            message = f"{type(error).__name__}: {error}"
            where = part or "(model)"
            with contextlib.suppress(Exception):  # the last line of defence: the event may be lost, the training not
                self._writer.append(schema.TABLE_EVENTS, stopped_event(self._step(), where, message))
            warnings.warn(
                f"graddiag stopped recording {where} of run {self._writer.path} at step {self._step()}: {message} "
                "The training continues unchanged.",
                RuntimeWarning,
                stacklevel=2,
            )
