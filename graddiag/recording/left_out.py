"""Updates that ``on_nonfinite="skip"`` leaves out: how many since the last one that was made, and where it began."""

from collections.abc import Mapping
from typing import Any, Final

from graddiag import schema
from graddiag.recording.events import Event, left_out_event
from graddiag.recording.layers import LayerMeter
from graddiag.recording.nonfinite import origin

_UNKNOWN: Final = "No recorded timestep shows where it began."


class LeftOutUpdates:
    """Counts the updates that were left out; the first one of a run is a warning too."""

    def __init__(self) -> None:
        self._count = 0
        self._began = _UNKNOWN
        self._warned = False

    def state(self) -> dict[str, Any]:
        """What has been counted, for ``restore`` in another process."""
        return {"count": self._count, "began": self._began, "warned": self._warned}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._count, self._began, self._warned = int(state["count"]), str(state["began"]), bool(state["warned"])

    def add(self, step: int, layers: LayerMeter | None) -> list[Event]:
        """An update before the end of ``step`` is left out; an event to warn of. layers: they hold the traces that led
        to it, where they are recorded; the traces are taken."""
        self._count += 1
        if self._count == 1:
            self._began = _UNKNOWN if layers is None else _where_it_began(layers)
        first, self._warned = not self._warned, True
        return [left_out_event(step, 1, self._began)] if first else []

    def column(self, row: Mapping[str, Any]) -> dict[str, int]:
        """The column of the steps table; ``row`` has those that a GradScaler skipped."""
        return {schema.UPDATES_SKIPPED: row.get(schema.UPDATES_SKIPPED, 0) + self._count} if self._count else {}

    def events(self, step: int) -> list[Event]:
        """The event of what was left out before ``step``, which has made its update."""
        count, self._count = self._count, 0
        return [left_out_event(step, count, self._began)] if count else []


def _where_it_began(layers: LayerMeter) -> str:
    layers.stop()
    found = origin(layers.signals(layers.take(), None))
    return _UNKNOWN if found is None else f"{found.message} Where: {found.where}."
