"""docs/verdicts.md against the code: every name and every threshold, in their order."""

import re
from dataclasses import fields
from pathlib import Path

from graddiag.analysis import FINDING_NAMES, NOTE_NAMES, Thresholds

TEXT = (Path(__file__).parent.parent / "docs" / "verdicts.md").read_text()


def names_in(heading: str) -> list[tuple[str, str]]:
    """The first two cells of the rows of the first table under a heading."""
    _, _, section = TEXT.partition(f"\n## {heading}\n")
    return re.findall(r"^\| `([^`]+)` \| ([^|]*) \|", section.partition("\n## ")[0], re.MULTILINE)


def test_every_finding_is_documented() -> None:
    assert [name for name, _ in names_in("The findings")] == list(FINDING_NAMES)


def test_every_note_is_documented() -> None:
    assert sorted(name for name, _ in names_in("What it cannot know")) == sorted(NOTE_NAMES)


def test_the_thresholds_are_those_of_the_code() -> None:
    assert names_in("Thresholds") == [(each.name, str(each.default)) for each in fields(Thresholds)]


def test_every_threshold_has_a_line_in_its_docstring() -> None:
    described = re.findall(r"^        (\w+):", Thresholds.__doc__ or "", re.MULTILINE)
    assert described == [each.name for each in fields(Thresholds)]
