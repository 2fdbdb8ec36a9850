"""A document as a PDF for A4: contents and outline with links, page numbers, figures as vectors."""

from typing import Final

from graddiag.chromium import chromium
from graddiag.report.content import Document
from graddiag.report.html import footer, page
from graddiag.report.plots import printable, script_json
from graddiag.report.request import Tell

WIDTH: Final = 672  # CSS pixels, 96 an inch, between the margins of 16 mm


def print_pdf(document: Document, tell: Tell) -> bytes:
    """``document`` as Chromium prints it.

    Raises:
        MissingLibraryError: kaleido or Chromium is not installed.
        BrowserError: Chromium failed.
    """
    tell("printing")
    html = page(
        "paper",
        document,
        script_json([{"id": each.id, **printable(each, WIDTH)} for each in document.pictures]),
        scripts=["paper.js"],
        unfolded=True,
    )
    with chromium("a report as PDF") as browser:
        return browser.pdf(html, ready="window.drawn", footer=footer(document))
