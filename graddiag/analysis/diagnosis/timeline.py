"""What happened in a run, and when: its events by kind, and findings that may explain each other, in their order."""

import textwrap
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.frames import indexed, stacked
from graddiag.analysis.values import Floats, Ints, Result, Source, source_of
from graddiag.analysis.words import plural
from graddiag.deprecation import renamed_attribute
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
    schema.EVENT_UPDATE_SKIPPED: "update skipped: the gradient holds NaN or inf",
    schema.EVENT_GRADIENTS_NOT_ZEROED: "gradients not zeroed",
    schema.EVENT_NO_GRADIENT: "no gradient reaches the layer",
    schema.EVENT_STATE_DETACHED: "hidden state detached",
    schema.EVENT_OPTIMIZER_REPLACED: "optimizer replaced",
    schema.EVENT_NO_UPDATE: "no update followed",
    schema.EVENT_ROWS_LOST: "rows not written",
    schema.EVENT_NOTHING_FOLLOWED: "nothing followed through time",
    schema.EVENT_NOT_FOLLOWED: "module not followed",
    schema.EVENT_LAYER_ADDED: "layer added to the model",
    schema.EVENT_GAIN_MISSING: "transport gain missing",
    schema.EVENT_GRADIENT_CHANGED: "gradient changed between backward passes",
    schema.EVENT_RESUMED: "training resumed",
    schema.EVENT_SETTING_CHANGED: "setting of the optimizer changed",
    schema.EVENT_UPLOAD_RESTORED: "upload works again",
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

    moments = renamed_attribute("moments", "events")

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        return Caption("Events", {each.title: _when(each) for each in self.kinds})

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


# what may cause what, cause first; a pair is shown only where the cause began no later than the effect
LINKS: Final = (
    ("exploding", "saturated-gates"),
    ("exploding", "dead-units"),
    ("exploding", "non-finite"),
    ("exploding", "loss-jump"),
    ("exploding", "loss"),
    ("exploding", "loss-broken"),
    ("loss-jump", "saturated-gates"),
    ("loss-jump", "dead-units"),
    ("loss-jump", "loss"),
    ("loss-jump", "non-finite"),
    ("saturated-gates", "vanishing"),
    ("saturated-gates", "loss"),
    ("dead-units", "vanishing"),
    ("dead-units", "loss"),
    ("vanishing", "loss"),
    ("truncated-reach", "loss"),
    ("loss", "non-finite"),
    ("loss", "loss-broken"),
    ("loss-jump", "loss-broken"),
    ("non-finite", "loss-broken"),
)


@dataclass(frozen=True)
class TimelineEvent:
    """Something that began at a step: a finding by its name; or ``loss``, ``loss-jump`` or ``loss-broken`` for what the
    loss did: fall no more or rise, jump, become NaN or inf."""

    step: int
    name: str
    sentence: str


@dataclass(frozen=True)
class Timeline(Result):
    """Events in the order in which they began, each of which may be a cause or an effect of another one.

    The order in time is measured; that one thing caused another is not: it is the usual explanation.
    """

    source: Source
    events: tuple[TimelineEvent, ...]
    missing: str | None = None

    moments = renamed_attribute("moments", "events")

    @property
    def caption(self) -> str:
        if self.missing:
            return self.missing
        told = ", then ".join(f"{each.sentence} (step {each.step})" for each in self.events)
        return f"In order of time: {told}."

    def __str__(self) -> str:
        return self.in_full()

    def in_full(self, width: int = 100) -> str:
        """The events as a list, in lines of ``width``."""
        lines = ["In order of time"]
        for each in self.events:
            lines += textwrap.wrap(f"- step {each.step}: {each.sentence}", width, initial_indent="  ")
        return "\n".join(lines)


def timeline_of(source: Source, events: list[TimelineEvent]) -> Timeline:
    """The events that are linked to another one, in order of time."""
    began = {each.name: each for each in events}
    linked = {
        name
        for cause, effect in LINKS
        if cause in began and effect in began and began[cause].step <= began[effect].step
        for name in (cause, effect)
    }
    ranks = {name: rank for rank, (name, _) in reversed(list(enumerate(LINKS)))}
    told = sorted((began[name] for name in linked), key=lambda each: (each.step, ranks.get(each.name, len(LINKS))))
    if not told:
        return Timeline(source, (), "No two findings of this run follow one another in time.")
    return Timeline(source, tuple(told))
