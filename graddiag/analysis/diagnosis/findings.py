"""What a diagnosis consists of: findings, each with its evidence, the rule behind it and what to try; and notes."""

import re
import textwrap
from dataclasses import dataclass
from typing import Final, Literal, get_args

from graddiag.analysis.selection import Selection
from graddiag.analysis.words import number

FindingName = Literal[
    "no-gradient",
    "parameters-not-updated",
    "gradients-not-zeroed",
    "clip-before-unscale",
    "clip-misplaced",
    "changed-during-training",
    "truncated-reach",
    "non-finite",
    "exploding",
    "learning-rate-high",
    "clipping-always",
    "learning-rate-low",
    "vanishing",
    "dead-units",
    "saturated-gates",
    "overfitting",
    "diverging",
    "plateau",
    "threshold-above-all",
    "clipping-never",
    "not-measured",
    "not-judged",
    "healthy",
]
Strength = Literal["strong", "moderate", "weak"]
NoteName = Literal[
    "still-running",
    "few-steps",
    "one-seed",
    "recording-stopped",
    "resumed",
    "rows-missing",
    "no-timesteps",
    "part-not-followed",
    "gain-missing",
    "no-immediate-gradient",
    "no-gates",
    "no-snapshots",
    "no-loss",
    "no-norms",
    "no-optimizer",
    "no-clip-policy",
    "no-loss-reduction",
]
Severity = Literal["severe", "warning", "info"]

# what a run may hold, and the note that says it does not
MEASUREMENTS: Final[dict[NoteName, str]] = {
    "no-loss": "Loss",
    "no-norms": "Gradient norm",
    "no-timesteps": "Gradient at each timestep",
    "no-immediate-gradient": "Immediate gradient",
    "no-gates": "Gates and activations",
    "no-snapshots": "Snapshots of units",
    "no-optimizer": "Learning rate",
}

# in the order in which findings of one severity stand: the nearer to the cause, the earlier
FINDING_NAMES: Final[tuple[FindingName, ...]] = get_args(FindingName)
NOTE_NAMES: Final[tuple[NoteName, ...]] = get_args(NoteName)
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
STRENGTHS: Final[tuple[Strength, ...]] = get_args(Strength)
NEUTRAL_FINDINGS: Final = ("not-measured", "not-judged", "healthy")
# what the outcome is called in lists and by older programs, where no cause of an older name is found
OUTCOME_FINDINGS: Final = ("overfitting", "diverging", "plateau")

# findings in words, for a sentence; an RNN has activations and no gates
TITLES: Final = {
    "no-gradient": "no gradient reaches the recurrent layer",
    "parameters-not-updated": "parameters get a gradient and no update",
    "gradients-not-zeroed": "gradients are not zeroed between updates",
    "clip-before-unscale": "clipping before the gradients are unscaled",
    "clip-misplaced": "clipping in the wrong place",
    "changed-during-training": "something changed during training",
    "truncated-reach": "truncated back-propagation",
    "non-finite": "NaN or inf",
    "exploding": "exploding gradient",
    "learning-rate-high": "learning rate too high",
    "clipping-always": "clip threshold too low",
    "learning-rate-low": "learning rate too low",
    "vanishing": "vanishing gradient",
    "dead-units": "dead units",
    "saturated-gates": "saturated gates",
    "overfitting": "overfitting",
}

# the source of advice that is no paper's; docs/verdicts.md gives the reason
PRACTICE: Final = "practical advice"

WIDTH: Final = 100
_END: Final = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")  # of a sentence


@dataclass(frozen=True)
class Place:
    """Where in a run a number was measured. None: at all of them, or it has no such place.
    ``last_step``: of a range."""

    step: int | None = None
    last_step: int | None = None
    module: str | None = None
    layer: int | None = None
    direction: str | None = None
    call: int | None = None
    timestep: int | None = None
    gate: str | None = None
    parameter: str | None = None


def place_in(selection: Selection, step: int | None = None, last_step: int | None = None) -> Place:
    """The place of a number about one layer, at a step or over a range of steps."""
    module, layer, direction, call = selection.module, selection.layer, selection.direction, selection.call
    return Place(step, last_step, module=module, layer=layer, direction=direction, call=call)


@dataclass(frozen=True)
class Evidence:
    """One measured number and where in the run it was measured, in words and for programs."""

    name: str
    value: float
    unit: str
    where: str
    place: Place = Place()

    def __str__(self) -> str:
        unit = "%" if self.unit == "%" else f" {self.unit}" if self.unit else ""
        return f"{self.name}: {number(self.value)}{unit} ({self.where})"


@dataclass(frozen=True)
class Advice:
    """One thing to try, and who says so: a paper, or practice. action: an identifier that stays what it is, see
    docs/verdicts.md. see: the page and the row of its table that has how often it helped; empty where there is none."""

    text: str
    source: str = ""
    action: str = ""
    see: str = ""

    def __str__(self) -> str:
        about = "; see ".join(filter(None, (self.source, self.see)))
        return f"{self.text} [{about}]" if about else self.text


@dataclass(frozen=True)
class Finding:
    """One thing that was found: in a plain sentence, with the numbers it is based on, the rule, and what to try.

    thresholds: the fields of ``Thresholds`` that the rule uses. advice: the best fit first. onset: the first step at
    which it shows, None where it has no beginning or that is not known. strength: how well the evidence carries that
    this is the cause of the outcome, None where it is no cause. words: the finding in a few words, for a heading.
    """

    name: str
    severity: Severity
    sentence: str
    evidence: tuple[Evidence, ...] = ()
    rule: str = ""
    advice: tuple[Advice, ...] = ()
    thresholds: tuple[str, ...] = ()
    onset: int | None = None
    strength: Strength | None = None
    words: str = ""

    @property
    def title(self) -> str:
        """In words: exploding gradient."""
        return self.words or TITLES.get(self.name, self.name)

    @property
    def first_sentence(self) -> str:
        return _END.split(self.sentence, maxsplit=1)[0]

    @property
    def detail(self) -> str:
        """What is said after the first sentence; empty where that is all."""
        return self.sentence[len(self.first_sentence) :].lstrip()

    @property
    def alarming(self) -> bool:
        """Whether it is more than information."""
        return self.severity != "info"

    def __str__(self) -> str:
        return self.in_full(self.sentence)

    def in_full(self, words: str, width: int = WIDTH) -> str:
        """The finding with the sentence ``words``, its evidence, its rule and what to try, in lines of ``width``."""
        lines = [f"{self.name} ({self.severity})", *wrapped(words, width=width)]
        lines += [line for each in self.evidence for line in wrapped(f"- {each}", hang=2, width=width)]
        lines += wrapped(f"Rule: {self.rule}", hang=6, width=width) if self.rule else []
        lines += [line for each in self.advice for line in wrapped(f"Try: {each}", hang=5, width=width)]
        return "\n".join(lines)


@dataclass(frozen=True)
class Note:
    """Something that could not be known, and what it would take."""

    name: NoteName
    sentence: str

    def __str__(self) -> str:
        return self.in_full()

    def in_full(self, width: int = WIDTH) -> str:
        """The sentence as an item of a list, in lines of ``width``."""
        return "\n".join(wrapped(f"- {self.sentence}", hang=2, width=width))


@dataclass(frozen=True)
class Measurement:
    """Something that a run may hold: whether it does, and where it does not the sentence of its note."""

    what: str
    measured: bool
    sentence: str = ""


def in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    """The findings, the worst first; of one severity in the order of FINDING_NAMES, then those of the user's rules."""
    places: dict[str, int] = {name: place for place, name in enumerate(FINDING_NAMES)}
    return tuple(
        sorted(findings, key=lambda each: (SEVERITIES.index(each.severity), places.get(each.name, len(places))))
    )


def wrapped(text: str, hang: int = 0, width: int = WIDTH) -> list[str]:
    """``text`` in lines of a terminal, indented by two."""
    return textwrap.wrap(text, width, initial_indent="  ", subsequent_indent=" " * (2 + hang))
