"""A diagnosis: the outcome of a training, its causes ranked by evidence, what to do first, and what is not known."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from graddiag.analysis.diagnosis.findings import (
    FINDING_NAMES,
    MEASUREMENTS,
    NEUTRAL_FINDINGS,
    OUTCOME_FINDINGS,
    STRENGTHS,
    WIDTH,
    Advice,
    Finding,
    Measurement,
    Note,
    in_order,
)
from graddiag.analysis.diagnosis.outcome import Outcome
from graddiag.analysis.diagnosis.timeline import Timeline
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Result, Source
from graddiag.analysis.words import plural
from graddiag.deprecation import renamed_attribute
from graddiag.representation import notebook_html, one_line

# faults of the training loop come before anything that they may lead to; what large steps or inputs made of the
# activations comes before the gradient that fades in them
RANK: Final = (
    *("no-gradient", "parameters-not-updated", "gradients-not-zeroed", "clip-before-unscale", "clip-misplaced"),
    *("changed-during-training", "truncated-reach", "non-finite", "exploding", "learning-rate-high", "clipping-always"),
    *("dead-units", "saturated-gates", "vanishing", "learning-rate-low"),
)
FAULTS: Final = RANK[:5]

# names of causes that older versions gave as a verdict
_VERDICTS: Final = (
    *("non-finite", "exploding", "vanishing", "truncated-reach", "dead-units", "saturated-gates", "clipping-always"),
)
_BY_OUTCOME: Final = {
    "learned": "healthy",
    "learning": "healthy",
    "overfits": "overfitting",
    "stuck": "plateau",
    "diverged": "diverging",
    "broken": "non-finite",
    "unknown": "not-measured",
}
_COLUMN: Final = 10  # of the terminal, from which the texts begin
_TERMINAL: Final = 80


@dataclass(frozen=True)
class Basis:
    """What a diagnosis is based on: steps recorded, steps of them with timesteps, layers; and what ended a step, where
    that is not plain."""

    steps: int
    recorded: int
    layers: int
    ended_by: str | None = None

    @property
    def sentence(self) -> str:
        if not self.steps and not self.recorded:
            return "Based on no step."
        layers = f"timesteps of {plural(self.layers, 'layer')}"
        if not self.steps:
            return f"Based on {layers} at {plural(self.recorded, 'step')}; losses and norms were not recorded."
        if not self.recorded:
            return f"Based on {plural(self.steps, 'step')}, none with timesteps."
        return f"Based on {plural(self.steps, 'step')} ({self.recorded:,} recorded, {layers})."


@dataclass(frozen=True)
class Diagnosis(Result):
    """What became of a training, why, and what to do first.

    outcome: whether it learned. causes: the findings that explain an outcome which is not fine, or faults that are
    certain whatever the outcome, the best evidence first; cause: the name of the first, None where nothing in the
    gradient explains it. do_first: one advice, None where there is nothing to do. findings: all, the worst first.
    verdict: one word for lists, in the names of earlier versions: that of the cause where it has one, else by the
    outcome (healthy, plateau, diverging, overfitting, non-finite; of an unknown one not-judged where the gradient's way
    through time was measured, else not-measured), or the name of a rule of the user's.
    summary: outcome, cause and first advice in sentences. notes: what could not be known. timeline: the findings that
    may explain each other, in the order in which they began.
    """

    source: Source
    outcome: Outcome
    cause: str | None
    causes: tuple[Finding, ...]
    do_first: Advice | None
    then: tuple[Advice, ...]
    verdict: str
    summary: str
    findings: tuple[Finding, ...]
    notes: tuple[Note, ...]
    timeline: Timeline
    basis: Basis
    thresholds: Thresholds

    story = renamed_attribute("story", "timeline")
    told = renamed_attribute("told", "worded_findings")

    @property
    def lead(self) -> Finding:
        """The first cause; without one the finding that the verdict is named after."""
        if self.causes:
            return self.causes[0]
        return next((each for each in self.findings if each.name == self.verdict), self.findings[0])

    @property
    def headline(self) -> str:
        """Outcome and cause in one line."""
        if not self.causes:
            return self.outcome.headline
        return f"{self.outcome.headline} · cause: {self.causes[0].title} ({self.causes[0].strength} evidence)"

    @property
    def tone(self) -> str:
        """good, bad, neutral or warning: the colour of the outcome."""
        if self.outcome.fine:
            return "warning" if self.causes else "good"
        return (
            "neutral"
            if self.outcome.name == "unknown" and not self.causes
            else "warning"
            if self.outcome.name in ("overfits", "unknown")
            else "bad"
        )

    @property
    def first_label(self) -> str:
        """The label of the first advice: Next where nothing has to be repaired."""
        return "Next" if self.tone == "good" else "Do first"

    @property
    def account(self) -> str:
        """Outcome and cause in sentences, without the advice."""
        lead = [] if not self.causes else [self.causes[0].sentence]
        return " ".join([self.outcome.sentence, *lead])

    @property
    def others(self) -> tuple[Finding, ...]:
        """The findings beside the leading one and those that repeat the outcome."""
        return tuple(
            each
            for each in self.findings
            if each is not self.lead and each.name not in (*OUTCOME_FINDINGS, *NEUTRAL_FINDINGS)
        )

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """What was measured and what was not: everything that a run may hold, then what else limits the diagnosis."""
        lacking = {note.name: note.sentence for note in self.notes}
        if "no-timesteps" in lacking:
            lacking.setdefault("no-immediate-gradient", lacking["no-timesteps"])
        if not self.basis.steps:
            lacking.setdefault("no-optimizer", "No step was recorded.")
        held = [Measurement(what, name not in lacking, lacking.get(name, "")) for name, what in MEASUREMENTS.items()]
        rest = [Measurement("", False, note.sentence) for note in self.notes if note.name not in MEASUREMENTS]
        return (*held, *rest)

    @property
    def worded_findings(self) -> list[tuple[Finding, str]]:
        """The findings, each with its words; of the one that the account ends with those that it leaves out."""
        return [(each, "" if self.causes and each is self.lead else each.sentence) for each in self.findings]

    @property
    def caption(self) -> str:
        return f"{self.source.label}: {self.headline}. {self.account}"

    @property
    def missing(self) -> str | None:
        return self.lead.sentence if self.verdict in ("not-measured", "not-judged") else None

    def finding(self, name: str) -> Finding | None:
        """The finding of that name, or None."""
        return next((each for each in self.findings if each.name == name), None)

    def to_json(self, indent: int | None = 2) -> str:
        """The diagnosis as JSON: its fields by name, NaN and inf as the strings nan, inf and -inf, unknown as null."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def short(self, width: int = _TERMINAL) -> str:
        """Outcome, cause and what to do first: ten lines of a terminal, ``width`` wide, are enough to act on."""
        o = self.outcome
        rows = [("Outcome", f"{o.headline}: {o.sentence}")]
        if self.basis.ended_by is not None:
            rows.insert(0, ("Steps", f"each ended by {self.basis.ended_by}"))
        if self.causes:
            first = self.causes[0]
            rows.append(("Cause", f"{first.title} ({first.strength}): {first.sentence}"))
        elif o.failed:
            rows.append(
                ("Cause", "none found in the gradient; that leaves data, targets, learning rate, capacity or optimizer")
            )
        if self.do_first is not None:
            rows.append((self.first_label, self.do_first.text))
        rows += [("Then", each.text) for each in self.then[:1]]
        head = f"{self.source.run}   {self.basis.steps:,} steps, {self.basis.recorded:,} recorded"
        head += "" if self.source.seed is None else f", seed {self.source.seed}"
        return "\n".join([*textwrap.wrap(head, width), "", *(line for row in rows for line in _row(*row, width))])

    def full(self, width: int | None = None) -> str:
        """``short``, then every finding with its evidence and rule, the timeline, and what was not measured.

        ``width``: of the lines; by default 80 for the short part and 100 for the rest.
        """
        rest = WIDTH if width is None else width
        parts = [self.short(width or _TERMINAL), *(each.in_full(words, rest) for each, words in self.worded_findings)]
        if self.timeline.missing is None:
            parts.append(self.timeline.in_full(rest))
        if self.notes:
            parts.append("\n".join(["What was not measured", *(note.in_full(rest) for note in self.notes)]))
        return "\n\n".join(parts)

    def __str__(self) -> str:
        return self.short()

    def __repr__(self) -> str:
        return one_line(self, f"{self.source.path}: {self.headline}")

    def _repr_html_(self) -> str:
        return notebook_html(self)


def diagnosis(
    source: Source,
    outcome: Outcome,
    found: list[Finding],
    notes: tuple[Note, ...],
    timeline: Timeline,
    basis: Basis,
    thresholds: Thresholds,
) -> Diagnosis:
    """The findings in order, and what follows from them: at least one must be given."""
    findings = in_order(found)
    causes = ranked(findings)
    lead = causes[0] if causes else _lead(findings)
    advice = _advice(causes, findings)
    first, then = (advice[0] if advice else None), tuple(advice[1:3])
    cause = causes[0].name if causes else None
    verdict = _verdict(outcome, causes, findings)
    parts = [outcome.sentence, *([lead.sentence] if causes else []), basis.sentence]
    parts += [f"Do first: {first.text}"] if first is not None else []
    return Diagnosis(
        source,
        outcome,
        cause,
        causes,
        first,
        then,
        verdict,
        " ".join(parts),
        findings,
        notes,
        timeline,
        basis,
        thresholds,
    )


def ranked(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The causes: findings that are more than information and whose evidence is strong or moderate; faults of the loop
    first, then by the strength of the evidence, then in the order of RANK."""
    causes = [each for each in findings if each.alarming and each.strength in STRENGTHS[:2] and each.name in RANK]
    return tuple(
        sorted(
            causes, key=lambda each: (each.name not in FAULTS, STRENGTHS.index(each.strength), RANK.index(each.name))
        )
    )


def _lead(findings: Sequence[Finding]) -> Finding:
    return next((each for each in findings if each.alarming), findings[0])


def _advice(causes: Sequence[Finding], findings: Sequence[Finding]) -> list[Advice]:
    """Of the causes in their order, then of the outcome; each action once."""
    of_outcome = [each for each in findings if each.name in (*OUTCOME_FINDINGS, *NEUTRAL_FINDINGS)]
    own = [each for each in findings if each.alarming and each.name not in FINDING_NAMES]
    weak = [each for each in findings if each.alarming and each.strength is not None and each not in causes]
    order = [*own, *causes, *of_outcome, *weak]
    found: dict[str, Advice] = {}
    for each in order:
        for advice in each.advice:
            found.setdefault(advice.action or advice.text, advice)
    return list(found.values())


def _verdict(outcome: Outcome, causes: Sequence[Finding], findings: Sequence[Finding]) -> str:
    own = next((each.name for each in findings if each.alarming and each.name not in FINDING_NAMES), None)
    if own is not None and outcome.fine:
        return own
    if causes and causes[0].name in _VERDICTS:
        return causes[0].name
    if causes and outcome.fine:
        return "plateau"  # a part of the model is not trained as it should be
    if own is None and any(each.name == "not-judged" for each in findings):
        return "not-judged"
    return own or _BY_OUTCOME[outcome.name]


def _row(name: str, text: str, width: int) -> list[str]:
    """A name in the first column and a text beside it."""
    return textwrap.wrap(text, width, initial_indent=name.ljust(_COLUMN), subsequent_indent=" " * _COLUMN) or [name]


__all__ = ["FAULTS", "RANK", "WIDTH", "Basis", "Diagnosis", "diagnosis", "ranked"]
