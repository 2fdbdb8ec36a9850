"""A diagnosis: the findings about a run in order, the verdict that follows, a summary, and what could not be known."""

import json
import textwrap
from dataclasses import dataclass
from typing import Final

from graddiag.analysis.findings import CALM, WIDTH, Finding, Note, in_order
from graddiag.analysis.story import Story
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Result, Source
from graddiag.analysis.words import listed, plural

# information that asks for something though the run is healthy: keep clipping on, or lower a threshold out of reach
_ASKING: Final = ("exploding", "threshold-above-all")

_FIRST: Final = "First thing to do:"


@dataclass(frozen=True)
class Diagnosis(Result):
    """What is wrong with a run, the worst first.

    verdict: the name of the worst finding that is more than information; else "healthy", or "not-measured". summary:
    three to five sentences, the last of which names the first thing to do. notes: what could not be known. story: the
    findings that may explain each other, in the order in which they began.
    """

    source: Source
    verdict: str
    summary: str
    findings: tuple[Finding, ...]
    notes: tuple[Note, ...]
    story: Story
    thresholds: Thresholds

    @property
    def lead(self) -> Finding:
        """The finding that the verdict is named after."""
        return next(each for each in self.findings if each.name == self.verdict)

    @property
    def account(self) -> str:
        """The summary without what a page shows beside it: the story, and what to try."""
        told = self.summary.rpartition(f" {_FIRST}")[0]
        return told if self.story.missing else told.replace(f" {self.story.caption}", "")

    @property
    def told(self) -> list[tuple[Finding, str]]:
        """The findings, each with its words; of the one that the account begins with those that it leaves out."""
        return [(each, each.detail if each is self.lead else each.sentence) for each in self.findings]

    @property
    def caption(self) -> str:
        return f"{self.source.label}: {self.verdict}. {self.lead.sentence}"

    @property
    def missing(self) -> str | None:
        return self.lead.sentence if self.verdict == "not-measured" else None

    def finding(self, name: str) -> Finding | None:
        """The finding of that name, or None."""
        return next((each for each in self.findings if each.name == name), None)

    def to_json(self, indent: int | None = 2) -> str:
        """The diagnosis as JSON: its fields by name, NaN and inf as the strings nan, inf and -inf, unknown as null."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def __str__(self) -> str:
        """The account, the findings, the story and the notes; each sentence once."""
        parts = [f"{self.source.run}: {self.verdict}", "\n".join(textwrap.wrap(self.account, WIDTH))]
        parts += [finding.in_full(words) for finding, words in self.told]
        if self.story.missing is None:
            parts.append(str(self.story))
        if self.notes:
            parts.append("\n".join(["What could not be known", *(str(note) for note in self.notes)]))
        return "\n\n".join(parts)


@dataclass(frozen=True)
class Basis:
    """What a diagnosis rests on: steps recorded, steps of them with timesteps, layers."""

    steps: int
    recorded: int
    layers: int

    @property
    def sentence(self) -> str:
        if not self.steps:
            if not self.recorded:
                return "This rests on no step at all."
            timesteps = f"timesteps of {plural(self.layers, 'layer')} at {plural(self.recorded, 'step')}"
            return f"This rests on {timesteps}, whose losses and norms were not recorded."
        if not self.recorded:
            return f"This rests on {plural(self.steps, 'step')}, none of them with timesteps."
        timesteps = f"at {self.recorded:,} of them with timesteps of {plural(self.layers, 'layer')}"
        return f"This rests on {plural(self.steps, 'step')}, {timesteps}."


def diagnosis(
    source: Source,
    found: list[Finding],
    notes: tuple[Note, ...],
    story: Story,
    basis: Basis,
    thresholds: Thresholds,
) -> Diagnosis:
    """The findings in order, and the verdict and summary that follow from them: at least one must be given."""
    findings = in_order(found)
    alarming = [each.name for each in findings if each.alarming]
    calm = [each.name for each in findings if each.name in CALM]
    verdict = (alarming or calm)[0]
    return Diagnosis(source, verdict, _summary(verdict, findings, story, basis), findings, notes, story, thresholds)


def _summary(verdict: str, findings: tuple[Finding, ...], story: Story, basis: Basis) -> str:
    """The first sentence of what the verdict rests on; the story; what else was found; the basis; what to do first."""
    lead = next(each for each in findings if each.name == verdict)
    told = {lead.name, *(moment.name for moment in story.moments)}
    told |= {"diverging", "plateau"} if "loss" in told else set()
    others = [f"{each.name} ({each.severity})" for each in findings if each.name not in told]
    middle = [story.caption] if story.missing is None else []
    middle += [f"Also found: {listed(others)}."] if others else []
    advising = next((each for each in findings if verdict == "healthy" and _asks(each)), lead)
    do = f"{_FIRST} {advising.advice[0].text if advising.advice else 'see its rule.'}"
    return " ".join([lead.first_sentence, *middle, basis.sentence, do])


def _asks(finding: Finding) -> bool:
    """Whether a finding that is information asks for something all the same."""
    return finding.name in _ASKING and not finding.advice[0].text.startswith("leave")
