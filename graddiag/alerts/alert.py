"""One alert: a cause, or an outcome that is a failure, has appeared in a running training or has cleared."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from graddiag.analysis import Diagnosis


@dataclass(frozen=True)
class Alert:
    """What a callback of ``on_finding`` is called with; as text one paragraph.

    run: the run's name; path: its folder. step: the last one that has ended. name: of the cause (``vanishing``) or
    of the outcome (``diverged``), see docs/verdicts.md; kind: which of the two it is. cleared: it was there at an
    earlier check and is not any more. title, sentence: the finding in words, of a cleared one as it was; advice: what
    to do first, None where it has cleared. diagnosis: the whole diagnosis of now.
    """

    run: str
    path: Path
    step: int
    name: str
    kind: Literal["cause", "outcome"]
    cleared: bool
    title: str
    sentence: str
    advice: str | None
    diagnosis: "Diagnosis"

    def __str__(self) -> str:
        where = f"{self.run}, step {self.step:,}"
        if self.cleared:
            return f"{where}: cleared: {self.title}. Now: {self.diagnosis.headline}."
        advice = f" Do first: {self.advice}" if self.advice else ""
        return f"{where}: {self.title}. {self.sentence}{advice}"


_FAILED: Final = ("stuck", "diverged", "broken")


def alert_names() -> tuple[str, ...]:
    """What an alert can be named: the failed outcomes, and the causes of graddiag's rules."""
    from graddiag.analysis import RULES

    return (*_FAILED, *(rule.name for rule in RULES))


Callback = Callable[[Alert], object]
Key = tuple[Literal["cause", "outcome"], str]


@dataclass(frozen=True)
class Problem:
    """A cause or a failed outcome in the words of one diagnosis."""

    title: str
    sentence: str
    advice: str | None


def problems(diagnosis: "Diagnosis") -> Mapping[Key, Problem]:
    """The causes of a diagnosis, and its outcome where that is a failure."""
    found: dict[Key, Problem] = {}
    if diagnosis.outcome.failed:
        first = None if diagnosis.do_first is None else diagnosis.do_first.text
        outcome = diagnosis.outcome
        found["outcome", outcome.name] = Problem(outcome.headline, outcome.sentence, first)
    for each in diagnosis.causes:
        advice = each.advice[0].text if each.advice else None
        found["cause", each.name] = Problem(each.title, each.sentence, advice)
    return found
