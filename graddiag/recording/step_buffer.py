"""From the device into the tables of a run: steps wait for each other, and are fetched in one transfer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from torch import Tensor

from graddiag import schema
from graddiag.recording.events import Event, Reported, step_events
from graddiag.recording.nonfinite import Origin, origin
from graddiag.recording.outputs import Constants
from graddiag.recording.parameters import Spectrum
from graddiag.recording.rows import (
    credit_columns,
    gate_columns,
    lyapunov_columns,
    parameter_columns,
    snapshot_columns,
    timestep_columns,
)
from graddiag.recording.scaling import BEFORE_UNSCALE
from graddiag.store import RunWriter
from graddiag.tracing.device_transfer import Tree, to_host
from graddiag.tracing.signals import Signals, as_tree, from_tree
from graddiag.tracing.snapshots import Snapshot, snapshot_from, snapshot_tree

# rows of unrecorded steps that may wait on an accelerator before they are fetched in one transfer
_ROWS_ON_DEVICE: Final = 50

Scalar = Tensor | float | int | None


@dataclass(frozen=True)
class StepMeasures:
    """What was measured of one step beside its scalars, still on its device. parameters: as ``UpdateSizes.columns``
    gives them. outputs: as ``OutputMeter.take`` gives them."""

    step: int | None = None
    signals: Sequence[Signals] = ()
    snapshots: Sequence[Snapshot] = ()
    parameters: Tree = field(default_factory=dict)
    outputs: Tree = field(default_factory=dict)


class StepBuffer:
    """The rows of a run that were not written yet, and the events logged meanwhile."""

    def __init__(self, writer: RunWriter) -> None:
        self._writer = writer
        self._rows: list[dict[str, Scalar]] = []
        self._reported = Reported()
        self._constants = Constants()
        self._events: list[Event] = []

    def state(self) -> dict[str, Any]:
        """What later rows depend on, for ``restore`` in another process."""
        return {"reported": asdict(self._reported), "constants": self._constants.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._reported = Reported(**state["reported"])
        self._constants.restore(state["constants"])

    @property
    def full(self) -> bool:
        return len(self._rows) >= _ROWS_ON_DEVICE

    def add(self, row: dict[str, Scalar]) -> None:
        """Keeps the scalars of a step until the next ``write``."""
        self._rows.append(row)

    def log_event(self, event: Event) -> None:
        """Keeps an event until the next row is written, before those that are read off the row itself."""
        self._events.append(event)

    def write(self, taken: StepMeasures | None = None, spectra: Callable[[], Mapping[str, Spectrum]] = dict) -> None:
        """Writes every row that waits, and what was ``taken`` of the last one. ``spectra``: those of the recurrent
        weights, asked for where there are parameters."""
        taken = taken or StepMeasures()
        rows, self._rows = self._rows, []
        waiting = [[as_tree(each) for each in taken.signals], [snapshot_tree(each) for each in taken.snapshots]]
        host_rows, parameters, (trees, snapshots), outputs = to_host([rows, taken.parameters, waiting, taken.outputs])
        measured = [from_tree(each, tree) for each, tree in zip(taken.signals, trees, strict=True)]
        for row in host_rows:
            last = row[schema.STEP] == taken.step
            if last and outputs:
                row |= self._constants.read(outputs, _number(row.get(schema.LOSS)))
            self._write_row(row, origin(measured) if last else None)
        if taken.step is None:
            return
        self._write_signals(taken.step, measured)
        for snap, tree in zip(taken.snapshots, snapshots, strict=True):
            self._write_snapshot(taken.step, snapshot_from(snap, tree))
        if parameters:
            columns = parameter_columns(taken.step, parameters, spectra())
            self._writer.append(schema.TABLE_PARAMETERS, columns)

    def _write_row(self, row: dict[str, Any], began: Origin | None) -> None:
        scalars = {name: float(value) if isinstance(value, Tensor) else value for name, value in row.items()}
        scalars[schema.NONFINITE] = _whole(scalars.get(schema.NONFINITE))
        before, after = scalars.get(schema.GRAD_NORM), scalars.get(schema.GRAD_NORM_CLIPPED)
        if before is not None and after is not None:
            scalars[schema.CLIP_COEFFICIENT] = after / before if before else 1.0
        stored = {name: value for name, value in scalars.items() if name != BEFORE_UNSCALE}
        self._writer.append(schema.TABLE_STEPS, stored)
        events, self._reported = step_events(scalars, began, self._reported, self._writer.manifest.clip)
        waiting, self._events = self._events, []
        for event in waiting + events:
            self._writer.append(schema.TABLE_EVENTS, event)

    def _write_signals(self, step: int, measured: Sequence[Signals]) -> None:
        for each in measured:
            self._writer.append(schema.TABLE_TIMESTEPS, timestep_columns(step, each))
            if each.gates:
                self._writer.append(schema.TABLE_GATES, gate_columns(step, each))

    def _write_snapshot(self, step: int, taken: Snapshot) -> None:
        self._writer.append(schema.TABLE_SNAPSHOTS, snapshot_columns(step, taken))
        if taken.credit is not None:
            self._writer.append(schema.TABLE_CREDIT, credit_columns(step, taken))
        if taken.growth is not None:
            self._writer.append(schema.TABLE_LYAPUNOV, lyapunov_columns(step, taken.key, taken.growth))


def _whole(count: float | None) -> int | None:
    return None if count is None else int(count)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
