"""What a diagnosis consists of: findings, each with its evidence, the rule behind it and what to try."""

import textwrap
from dataclasses import dataclass
from typing import Final, Literal

from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Result, Source
from graddiag.analysis.words import number

Name = Literal["non-finite", "exploding", "vanishing", "healthy", "not measured"]
Severity = Literal["severe", "warning", "info"]

_SEVERITIES: Final[tuple[Severity, ...]] = ("severe", "warning", "info")
_NAMES: Final[tuple[Name, ...]] = ("non-finite", "exploding", "vanishing", "not measured", "healthy")
_WIDTH: Final = 100


@dataclass(frozen=True)
class Evidence:
    """One measured number and where in the run it stands."""

    name: str
    value: float
    unit: str
    where: str

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.name}: {number(self.value)}{unit} ({self.where})"


@dataclass(frozen=True)
class Finding:
    """One thing that was found: in a plain sentence, with the numbers it rests on, the rule, and what to try."""

    name: Name
    severity: Severity
    sentence: str
    evidence: tuple[Evidence, ...] = ()
    rule: str = ""
    advice: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.name} ({self.severity})", *_wrapped(self.sentence)]
        lines += [line for each in self.evidence for line in _wrapped(f"- {each}", hang=2)]
        lines += _wrapped(f"Rule: {self.rule}", hang=6) if self.rule else []
        lines += [line for each in self.advice for line in _wrapped(f"Try: {each}", hang=5)]
        return "\n".join(lines)


@dataclass(frozen=True)
class Diagnosis(Result):
    """What is wrong with a run, the worst first. ``verdict``: the worst finding that is more than information."""

    source: Source
    verdict: Name
    findings: tuple[Finding, ...]
    thresholds: Thresholds

    @property
    def summary(self) -> str:
        """The first finding's sentence, how many more there are, and the first thing to do."""
        first = self.findings[0]
        others = [each.name for each in self.findings[1:]]
        more = f" Also: {', '.join(others)}." if others else ""
        do = next((each for finding in self.findings for each in finding.advice), None)
        return f"{first.sentence}{more}" + (f" First thing to try: {do}" if do else "")

    @property
    def caption(self) -> str:
        return f"{self.source.label}: {self.verdict}. {self.findings[0].sentence}"

    @property
    def missing(self) -> str | None:
        return self.findings[0].sentence if self.verdict == "not measured" else None

    def __str__(self) -> str:
        return "\n\n".join([f"{self.source.run}: {self.verdict}", *(str(finding) for finding in self.findings)])


def diagnosis(source: Source, findings: list[Finding], thresholds: Thresholds) -> Diagnosis:
    """The findings in order, and the verdict that follows from them: at least one finding must be given."""
    ordered = tuple(sorted(findings, key=lambda each: (_SEVERITIES.index(each.severity), _NAMES.index(each.name))))
    alarming = [each.name for each in ordered if each.severity != "info"]
    calm = [each.name for each in ordered if each.name in ("not measured", "healthy")]
    return Diagnosis(source, (alarming or calm)[0], ordered, thresholds)


def _wrapped(text: str, hang: int = 0) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent=" " * (2 + hang))
