"""What a report says, as values: the templates of every format lay them out, and think no more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import pandas as pd

from graddiag.analysis import Diagnosis, number
from graddiag.report.plots import Picture
from graddiag.report.words import UNKNOWN

Section = Literal["verdict", "evidence", "comparison", "methods", "configuration"]
Tone = Literal["good", "warn", "bad", "none"]

# the question and the runs are in every report
SECTIONS: Final[tuple[Section, ...]] = get_args(Section)


@dataclass(frozen=True)
class ReportGrid:
    """A table of text; the first cell of a row names the row."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, caption: str, frame: pd.DataFrame) -> "ReportGrid":
        """``frame`` with numbers as people write them; NaN and inf are said, what is missing is a dash."""
        rows = zip(*(_cells(frame.iloc[:, place]) for place in range(frame.shape[1])), strict=True)
        return cls(caption, tuple(map(str, frame.columns)), tuple(rows))


@dataclass(frozen=True)
class Judged:
    """A run's diagnosis, under the names the run goes by: in legends, and its own."""

    label: str
    run: str
    tone: Tone
    diagnosis: Diagnosis


@dataclass(frozen=True)
class ReportPart:
    """Pictures that belong together, with sentences and tables before them."""

    heading: str
    sentences: tuple[str, ...] = ()
    tables: tuple[ReportGrid, ...] = ()
    pictures: tuple[Picture, ...] = ()

    @property
    def left_off(self) -> str:
        """What is said on paper, where several runs are compared, in place of pictures of detail."""
        titles = list(dict.fromkeys(picture.title for picture in self.pictures if picture.detail))
        return f"In the HTML report, not on paper: {'; '.join(titles)}." if titles else ""


@dataclass(frozen=True)
class ReportEvidence:
    """What the verdicts are based on: the findings of each run with their numbers, and the pictures that show them."""

    findings: tuple[Judged, ...]
    parts: tuple[ReportPart, ...]


@dataclass(frozen=True)
class ReportChapter:
    """Runs that were made to be compared (one experiment), or runs of none. A section that is left out is None.

    scope: empty where the report says it already. answer: the question answered in a sentence or two; empty where it is
    not known.
    """

    id: str
    heading: str
    question: str
    answer: str
    scope: str
    runs: ReportGrid
    verdicts: tuple[Judged, ...] | None
    evidence: ReportEvidence | None
    comparison: ReportPart | None

    @property
    def pictures(self) -> tuple[Picture, ...]:
        parts = [*(self.evidence.parts if self.evidence else ()), *([self.comparison] if self.comparison else ())]
        return tuple(picture for part in parts for picture in part.pictures)

    @property
    def entries(self) -> "tuple[ReportEntry, ...]":
        """Its sections, for the table of contents."""
        held = (
            ("verdict", "Outcome, cause and advice", self.verdicts),
            ("evidence", "Evidence", self.evidence),
            ("comparison", "Comparison", self.comparison),
        )
        return tuple(ReportEntry(f"{self.id}-{name}", words) for name, words, section in held if section is not None)


@dataclass(frozen=True)
class Methods:
    """How the numbers were made: definitions with units, the runs' conditions, the commands that repeat them."""

    sentences: tuple[str, ...]
    definitions: tuple[tuple[str, str], ...]
    runs: ReportGrid
    repeat: tuple[str, ...]
    commands: tuple[str, ...]


@dataclass(frozen=True)
class ReportEntry:
    """A line of the table of contents: the id it leads to, and what is there."""

    id: str
    words: str
    within: "tuple[ReportEntry, ...]" = ()


@dataclass(frozen=True)
class Document:
    """The whole report. A section that is left out is None, or empty."""

    title: str
    scope: str
    graddiag_version: str
    chapters: tuple[ReportChapter, ...]
    methods: Methods | None
    configuration: tuple[ReportGrid, ...]

    @property
    def pictures(self) -> Sequence[Picture]:
        return [picture for chapter in self.chapters for picture in chapter.pictures]

    @property
    def is_of_several(self) -> bool:
        """Whether runs are compared."""
        return any(len(chapter.runs.rows) > 1 for chapter in self.chapters)

    @property
    def is_of_many(self) -> bool:
        """Whether more than a pair is compared: on paper the findings of each run are then left off."""
        return any(len(chapter.runs.rows) > 2 for chapter in self.chapters)

    @property
    def printed(self) -> Sequence[Picture]:
        """The pictures that are on paper."""
        return [picture for picture in self.pictures if not (self.is_of_several and picture.detail)]

    @property
    def contents(self) -> tuple[ReportEntry, ...]:
        chapters = [ReportEntry(chapter.id, chapter.heading, chapter.entries) for chapter in self.chapters]
        if len(chapters) == 1:
            chapters = [ReportEntry(chapters[0].id, chapters[0].words), *chapters[0].within]
        methods = [ReportEntry("methods", "Methods")] if self.methods else []
        configuration = [ReportEntry("configuration", "Appendix: configuration")] if self.configuration else []
        return (*chapters, *methods, *configuration)


def _cells(column: "pd.Series[Any]") -> list[str]:
    """In a column of text NaN is how pandas writes None; elsewhere it is a finding."""
    values = column.astype(object)
    if isinstance(column.dtype, pd.StringDtype):
        values = values.where(column.notna(), None)
    return [UNKNOWN if value is None or value is pd.NA else _cell(value) for value in values]


def _cell(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)
