"""The formats of a report: each declared once. A new one is an entry of ``FORMATS`` and the function that it names."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from graddiag.report.content import Document
from graddiag.report.request import OnProgress

Writer = Callable[[Document, Path, OnProgress], None]


@dataclass(frozen=True)
class ReportFormat:
    """A format in which a report is written.

    Attributes:
        name: its suffix without the dot.
        title: how it is called.
        help: what is in it, in a sentence.
        implementation: module of ``graddiag.report`` and function, called with the document, the path and
            ``on_progress``.
        mime: the media type of its file; of its ZIP, where there are ``several`` files.
        several: whether the figures are files beside it.
    """

    name: str
    title: str
    help: str
    implementation: str
    mime: str
    several: bool = False

    @property
    def suffix(self) -> str:
        return f".{self.name}"

    def load(self) -> Writer:
        """The function itself."""
        module, _, name = self.implementation.partition(":")
        found: Writer = getattr(import_module(f"graddiag.report.{module}"), name)
        return found


FORMATS: Final = (
    ReportFormat(
        "html",
        "HTML",
        "One file with interactive figures.",
        "html:write_html",
        "text/html",
    ),
    ReportFormat(
        "md",
        "Markdown",
        "A ZIP with the text and its figures as PNG.",
        "markdown:write_markdown",
        "application/zip",
        several=True,
    ),
    ReportFormat("pdf", "PDF", "One file to print or send.", "paper:write_pdf", "application/pdf"),
)
FORMS: Final = {each.name: each.title for each in FORMATS}
SUFFIXES: Final = tuple(each.suffix for each in FORMATS)


def format_of(path: Path) -> ReportFormat | None:
    """The format that the suffix of ``path`` says; None where it says none of them."""
    return next((each for each in FORMATS if each.suffix == path.suffix.lower()), None)
