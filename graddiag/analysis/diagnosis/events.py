"""What happened in a run, and when: its events by kind."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.captions import Told
from graddiag.analysis.frames import indexed, stacked
from graddiag.analysis.values import Floats, Ints, Result, Source, source_of
from graddiag.analysis.words import plural
from graddiag.run import Run, numbers

MOST_KEPT: Final = 300  # of one kind; of more, evenly spread over training, with the first and the last

_TITLES: Final = {
    schema.EVENT_NONFINITE: "NaN or inf",
    schema.EVENT_SPIKE: "spike of the norm",
    schema.EVENT_FIRST_CLIP: "first clipped step",
    schema.EVENT_GATE_SATURATED: "gate saturated",
    schema.EVENT_RECORDING_STOPPED: "recording stopped",
    schema.EVENT_CLIP_MISPLACED: "clipping in the wrong place",
    schema.EVENT_CLIP_BEFORE_UNSCALE: "clipping before the gradients are unscaled",
    schema.EVENT_UPDATE_SKIPPED: "update skipped by the gradient scaler",
    schema.EVENT_GRADIENTS_NOT_ZEROED: "gradients not zeroed",
    schema.EVENT_NO_GRADIENT: "no gradient reaches the layer",
    schema.EVENT_STATE_DETACHED: "hidden state detached",
    schema.EVENT_STATE_NOT_FOLLOWED: "state not followed between calls",
    schema.EVENT_GRADIENT_CHANGED: "gradient changed between backward passes",
}


@dataclass(frozen=True)
class EventKind:
    """Events of one kind: steps, values (NaN where there is none), messages [n]; ``total`` of them there were."""

    kind: str
    title: str
    steps: Ints
    values: Floats
    messages: tuple[str, ...]
    total: int


@dataclass(frozen=True)
class Events(Result):
    """The events of a run, a kind each, and the steps that it has (first, last)."""

    source: Source
    kinds: tuple[EventKind, ...]
    span: tuple[int, int]
    missing: str | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.told.caption(self.source)

    @property
    def told(self) -> Told:
        return Told("Events", {each.title: _when(each) for each in self.kinds})

    def to_frame(self) -> pd.DataFrame:
        """A row an event."""
        parts = [
            indexed(
                {schema.STEP: each.steps, schema.KIND: np.repeat(each.kind, len(each.steps))},
                **{schema.VALUE: each.values, schema.MESSAGE: each.messages},
            )
            for each in self.kinds
        ]
        return stacked(*parts) if parts else pd.DataFrame()


def events(run: Run) -> Events:
    """The events of ``run`` in the order in which their kinds are declared, unknown kinds behind them."""
    frame = run.read(schema.TABLE_EVENTS)
    steps = run.read(schema.TABLE_STEPS, columns=[schema.STEP])[schema.STEP].to_numpy(dtype=np.int64)
    found = [str(kind) for kind in frame[schema.KIND].unique()]
    kinds = sorted(found, key=lambda kind: schema.EVENT_KINDS.index(kind) if kind in _TITLES else len(_TITLES))
    ends = (int(steps.min()), int(steps.max())) if len(steps) else (0, 0)
    missing = None if found else f"No event was recorded in {source_of(run).label}."
    return Events(
        source_of(run), tuple(_kind(frame[frame[schema.KIND] == kind], kind) for kind in kinds), ends, missing
    )


def _kind(rows: pd.DataFrame, kind: str) -> EventKind:
    kept = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_KEPT)).astype(int))]
    values, _ = numbers(kept[schema.VALUE])
    steps = kept[schema.STEP].to_numpy(dtype=np.int64)
    messages = tuple("" if text is None or text != text else str(text) for text in kept[schema.MESSAGE])
    return EventKind(kind, _TITLES.get(kind, kind), steps, values, messages, len(rows))


def _when(kind: EventKind) -> str:
    times = "" if kind.total == 1 else f"{plural(kind.total, 'time')}, first "
    return f"{times}at step {kind.steps[0]}"
