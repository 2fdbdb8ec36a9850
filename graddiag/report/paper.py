"""A document as a PDF for A4: contents and outline with links, page numbers, figures as vectors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from graddiag.chromium import Chromium, chromium
from graddiag.report.content import Document
from graddiag.report.html import NO_PAGES, footer, page
from graddiag.report.paging import pages_of
from graddiag.report.plots import printable, script_json
from graddiag.report.request import OnProgress
from graddiag.store import replace_file

WIDTH: Final = 672  # CSS pixels, 96 an inch, between the margins of 16 mm
LOWER: Final = 0.78  # of its height on the screen: so most pages hold two figures


def write_pdf(document: Document, target: Path, on_progress: OnProgress) -> None:
    """Writes ``document`` to ``target``.

    Raises:
        MissingLibraryError: kaleido or Chromium is not installed.
        BrowserError: Chromium failed.
        OSError: it cannot be written.
    """
    printed = print_pdf(document, on_progress)
    replace_file(target, lambda aside: aside.write_bytes(printed))


def print_pdf(document: Document, on_progress: OnProgress) -> bytes:
    """``document`` as Chromium prints it: twice, the second time with the pages of the first in the contents, for
    Chromium knows no ``target-counter``.

    Raises:
        MissingLibraryError: kaleido or Chromium is not installed.
        BrowserError: Chromium failed.
    """
    on_progress("printing")
    figures = script_json([{"id": each.id, **printable(each, WIDTH, LOWER)} for each in document.pictures])

    def printed(browser: Chromium, pages: Mapping[str, int]) -> bytes:
        html = page("paper", document, figures, scripts=["paper.js"], unfolded=True, pages=pages)
        return browser.pdf(html, ready="window.drawn", footer=footer(document))

    with chromium("a report as PDF") as browser:
        return printed(browser, pages_of(printed(browser, NO_PAGES)))
