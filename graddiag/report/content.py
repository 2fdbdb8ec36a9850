"""What a report says, as values: a template lays them out, and thinks no more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from graddiag.analysis import Diagnosis
from graddiag.report.plots import Picture

Tone = Literal["good", "warn", "bad", "none"]


@dataclass(frozen=True)
class Grid:
    """A table of text; the first cell of a row names the row."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Judged:
    """A run's diagnosis, under the names the run goes by: in legends, and its own."""

    label: str
    run: str
    tone: Tone
    diagnosis: Diagnosis


@dataclass(frozen=True)
class Part:
    """Pictures that belong together, with sentences before them."""

    heading: str
    sentences: tuple[str, ...] = ()
    tables: tuple[Grid, ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Chapter:
    """Runs that were made to be compared (one experiment), or runs of none."""

    id: str
    heading: str
    question: str
    scope: str
    runs: Grid
    verdicts: tuple[Judged, ...]
    comparison: Part | None
    parts: tuple[Part, ...]

    @property
    def pictures(self) -> tuple[Picture, ...]:
        compared = self.comparison.pictures if self.comparison else ()
        return (*compared, *(picture for part in self.parts for picture in part.pictures))


@dataclass(frozen=True)
class Methods:
    """How the numbers were made: definitions with units, the runs' conditions, the commands that repeat them."""

    sentences: tuple[str, ...]
    definitions: tuple[tuple[str, str], ...]
    runs: Grid
    repeat: tuple[str, ...]
    commands: tuple[str, ...]


@dataclass(frozen=True)
class Document:
    """The whole report."""

    title: str
    scope: str
    graddiag_version: str
    chapters: tuple[Chapter, ...]
    methods: Methods
    configuration: tuple[Grid, ...]

    @property
    def pictures(self) -> Sequence[Picture]:
        return [picture for chapter in self.chapters for picture in chapter.pictures]
