"""Findings that may explain each other, joined into one timeline."""

import textwrap
from dataclasses import dataclass
from typing import Final

from graddiag.analysis.values import Result, Source
from graddiag.deprecation import renamed_attribute

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
        lines = ["In order of time"]
        for each in self.events:
            lines += textwrap.wrap(f"- step {each.step}: {each.sentence}", 100, initial_indent="  ")
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
