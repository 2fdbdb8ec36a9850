"""The rows of many steps at once, made of what was measured and is on the host."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from graddiag import schema
from graddiag.recording.constant_prediction import Constants
from graddiag.recording.events import Event, Reported, step_events
from graddiag.recording.nonfinite import origin
from graddiag.recording.rows import (
    Columns,
    credit_columns,
    gate_columns,
    layout,
    lyapunov_columns,
    parameter_columns,
    scalar_columns,
    snapshot_columns,
    timestep_columns,
)
from graddiag.recording.scaling import BEFORE_UNSCALE
from graddiag.recording.step_measures import PARTIAL, StepMeasures
from graddiag.tracing.signals import Signals
from graddiag.tracing.snapshots import Snapshot

Item = TypeVar("Item")
Rows = Iterator[tuple[str, Columns]]
"""Columns of rows, each with the table that they belong to."""


class StepRows:
    """Makes rows of the steps of a run, which come in their order; remembers which events have been reported.

    policy: the clip policy that the run declares.
    """

    def __init__(self, policy: Callable[[], str | None]) -> None:
        self._policy = policy
        self._reported = Reported()
        self._constants = Constants()

    def state(self) -> dict[str, Any]:
        return {"reported": asdict(self._reported), "constants": self._constants.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._reported = Reported(**state["reported"])
        self._constants.restore(state["constants"])

    def made(self, steps: Sequence[StepMeasures]) -> Rows:
        """The rows of ``steps``, those of one table together where they have the same columns."""
        rows = [self._scalars(step) for step in steps]
        kept = [{name: value for name, value in row.items() if name not in (BEFORE_UNSCALE, PARTIAL)} for row in rows]
        yield schema.TABLE_STEPS, scalar_columns(kept)
        if events := list(self._events(steps, rows)):
            yield schema.TABLE_EVENTS, {name: [event[name] for event in events] for name in events[0]}
        yield from _layers(steps)
        for step in steps:
            for taken in step.snapshots:
                yield from _snapshot(step.step, taken)
        yield from _parameters(steps)

    def _scalars(self, step: StepMeasures) -> dict[str, Any]:
        row: dict[str, Any] = {n: float(value) if isinstance(value, Tensor) else value for n, value in step.row.items()}
        nonfinite = row.get(schema.NONFINITE)
        row[schema.NONFINITE] = None if nonfinite is None else int(nonfinite)
        if step.outputs:
            loss = row.get(schema.LOSS)
            row |= self._constants.read(step.outputs, None if loss is None else float(loss))
        before, after = row.get(schema.GRAD_NORM), row.get(schema.GRAD_NORM_CLIPPED)
        if before is not None and after is not None and PARTIAL not in row:
            row[schema.CLIP_COEFFICIENT] = after / before if before else 1.0
        return row

    def _events(self, steps: Sequence[StepMeasures], rows: Sequence[Mapping[str, Any]]) -> Iterator[Event]:
        finite = _are_finite([each for step in steps for each in step.signals])
        for step, row in zip(steps, rows, strict=True):
            began = None if finite else origin(step.signals)
            found, self._reported = step_events(_own_of(row), began, self._reported, self._policy())
            yield from (*step.events, *found)


def _own_of(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without the norms, where they are those of shares: events tell of the norms of the whole."""
    norms = (schema.GRAD_NORM, schema.GRAD_NORM_CLIPPED, BEFORE_UNSCALE)
    return {name: value for name, value in row.items() if name not in norms} if PARTIAL in row else row


def _are_finite(signals: Sequence[Signals]) -> bool:
    columns = [each.timesteps[n] for each in signals for n in (schema.H_RMS, schema.GRAD_H) if n in each.timesteps]
    return all(np.isfinite(column.numpy()).all() for column in columns)


def _layers(steps: Sequence[StepMeasures]) -> Rows:
    pairs = [(step.step, each) for step in steps for each in step.signals]
    for alike in _grouped(pairs, lambda pair: layout(pair[1])):
        numbers, signals = zip(*alike, strict=True)
        yield schema.TABLE_TIMESTEPS, timestep_columns(numbers, signals)
        if signals[0].gates:
            yield schema.TABLE_GATES, gate_columns(numbers, signals)


def _snapshot(step: int, taken: Snapshot) -> Rows:
    yield schema.TABLE_SNAPSHOTS, snapshot_columns(step, taken)
    if taken.credit is not None:
        yield schema.TABLE_CREDIT, credit_columns(step, taken)
    if taken.growth is not None:
        yield schema.TABLE_LYAPUNOV, lyapunov_columns(step, taken.key, taken.growth)


def _parameters(steps: Sequence[StepMeasures]) -> Rows:
    measured = [step for step in steps if step.parameters]
    for alike in _grouped(measured, lambda step: tuple(each.names for each in step.parameters.values())):
        numbers, norms = [step.step for step in alike], [step.parameters for step in alike]
        yield schema.TABLE_PARAMETERS, parameter_columns(numbers, norms, [step.spectra for step in alike])


def _grouped(items: Iterable[Item], key: Callable[[Item], Hashable]) -> Iterable[list[Item]]:
    groups: dict[Hashable, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups.values()
