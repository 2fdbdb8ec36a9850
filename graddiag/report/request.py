"""What is asked of a report beside its runs: which sections, under which title, and where progress is reported."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from graddiag.errors import SettingError
from graddiag.report.content import SECTIONS, Section

OnProgress = Callable[[str], None]


def ignore_progress(doing: str) -> None:
    """Takes what is being done and does nothing with it."""


@dataclass(frozen=True)
class ReportRequest:
    """sections: those that are wanted. title: None takes the runs' own. on_progress: called with what is being done."""

    sections: frozenset[Section] = frozenset(SECTIONS)
    title: str | None = None
    on_progress: OnProgress = ignore_progress

    def wants(self, section: Section) -> bool:
        return section in self.sections


def request(sections: Collection[str] | None, title: str | None, on_progress: OnProgress) -> ReportRequest:
    """A Request of what a user gave; ``sections`` None are all of them.

    Raises:
        SettingError: no section, or one that there is not.
    """
    asked = SECTIONS if sections is None else tuple(sections)
    unknown = [name for name in asked if name not in SECTIONS]
    if unknown or not asked:
        found = f"there is no {unknown[0]!r}" if unknown else "none was named"
        raise SettingError(f"sections of a report: {found}; name some of {', '.join(SECTIONS)}.")
    return ReportRequest(frozenset(name for name in SECTIONS if name in asked), title, on_progress)
