"""From the device into the tables of a run: steps wait for each other, are fetched in one transfer and become rows
together, in the writer's thread."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Final

from graddiag.recording.events import Event
from graddiag.recording.norms import ByParameter
from graddiag.recording.step_measures import StepMeasures
from graddiag.recording.step_rows import StepRows
from graddiag.store import RunWriter
from graddiag.tracing.device_transfer import Tree, to_host
from graddiag.tracing.signals import as_tree, from_tree
from graddiag.tracing.snapshots import snapshot_from, snapshot_tree

# what waits at most before it is handed to the writer
_STEPS: Final = 50
_SECONDS: Final = 0.5
_BYTES: Final = 4 << 20


class StepBuffer:
    """The steps of a run that were not handed to its writer yet, and the events logged meanwhile.

    on_host: whether everything is on the CPU; else it is fetched in one transfer, with a recorded step where there is
    one among ``_STEPS``, so that a step that is not recorded waits for nothing.
    """

    def __init__(self, writer: RunWriter, *, on_host: bool) -> None:
        self._writer = writer
        self._on_host = on_host
        self._rows = StepRows(lambda: writer.manifest.clip)
        self._waiting: list[StepMeasures] = []
        self._since = 0.0
        self._bytes = 0
        self._events: list[Event] = []
        self._handed: deque[Future[Exception | None]] = deque()

    def log_event(self, event: Event) -> None:
        """Keeps an event until the next step is added, before those that are read off the step itself."""
        self._events.append(event)

    def state(self) -> dict[str, Any]:
        """What later rows depend on, once all steps are rows (``finish``), for ``restore`` in another process."""
        return self._rows.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        self._rows.restore(state)

    def add(self, taken: StepMeasures) -> None:
        """Keeps a step, and hands over those that wait when it is time.

        Raises:
            Exception: the error that stopped an earlier one from becoming rows.
        """
        now = time.monotonic()
        if not self._waiting:
            self._since = now
        if self._events:
            taken, self._events = taken._replace(events=self._events), []
        self._waiting.append(taken)
        recorded = bool(taken.signals or taken.parameters)
        self._bytes += taken.nbytes if recorded else 0
        old = now - self._since >= _SECONDS and (self._on_host or recorded)
        if old or len(self._waiting) >= _STEPS or self._bytes >= _BYTES:
            self.hand_over()

    def hand_over(self) -> None:
        """Lets the writer make rows of the steps that wait; raises as ``add``."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        if waiting:
            steps = waiting if self._on_host else _fetched(waiting)
            self._handed.append(self._writer.append_later(partial(self._rows.made, steps)))
        while self._handed and self._handed[0].done():
            _raise(self._handed.popleft())

    def finish(self) -> None:
        """Hands over what is left, and waits until all of it is rows; raises as ``add``."""
        self.hand_over()
        while self._handed:
            _raise(self._handed.popleft())


def _raise(handed: "Future[Exception | None]") -> None:
    error = handed.result()
    if error is not None:
        raise error


def _fetched(steps: Sequence[StepMeasures]) -> list[StepMeasures]:
    """The same steps on the host."""
    found = to_host([_as_tree(step) for step in steps])
    return [_from_tree(step, tree) for step, tree in zip(steps, found, strict=True)]


def _as_tree(step: StepMeasures) -> Tree:
    vectors = [each.vector for each in step.parameters.values()]
    layers, units = [as_tree(each) for each in step.signals], [snapshot_tree(each) for each in step.snapshots]
    return [dict(step.row), layers, units, vectors, step.outputs]


def _from_tree(step: StepMeasures, tree: Tree) -> StepMeasures:
    row, layers, units, vectors, outputs = tree
    named = zip(step.parameters.items(), vectors, strict=True)
    return step._replace(
        row=row,
        signals=[from_tree(each, found) for each, found in zip(step.signals, layers, strict=True)],
        snapshots=[snapshot_from(each, found) for each, found in zip(step.snapshots, units, strict=True)],
        parameters={name: ByParameter(each.names, vector) for (name, each), vector in named},
        outputs=outputs,
    )
