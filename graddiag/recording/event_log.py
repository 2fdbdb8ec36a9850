"""Events of a run, and warnings of those that a user should know of at once."""

from collections.abc import Iterable

from graddiag import schema
from graddiag.recording.events import Event
from graddiag.recording.following import warn_of
from graddiag.recording.step_buffer import StepBuffer
from graddiag.store import RunWriter


class EventLog:
    """Events wait for the rows of their step, and warnings for a moment in which an error made of one does no harm."""

    def __init__(self, writer: RunWriter, buffer: StepBuffer) -> None:
        self._writer = writer
        self._buffer = buffer
        self._warnings: list[Event] = []

    def add(self, events: Iterable[Event], *, warn: bool = False) -> None:
        """Logs ``events``; with ``warn`` each is a warning too."""
        for event in events:
            self._buffer.log_event(event)
            if warn:
                self._warnings.append(event)

    def add_at_once(self, events: Iterable[Event]) -> None:
        """Logs and warns of what is known before the first step; a run may never make one, and one that continues has
        these events."""
        for event in events:
            self._warnings.append(event)
            if not self._writer.origin.continues:
                self._writer.append(schema.TABLE_EVENTS, event)

    def warn_later(self, events: Iterable[Event]) -> None:
        """Warns of ``events``, which are logged elsewhere."""
        self._warnings.extend(events)

    def warn(self) -> None:
        """Warns of what waits for it."""
        waiting, self._warnings = self._warnings, []
        for event in waiting:
            warn_of(event)
