"""A document as a PDF for A4: contents and outline with links, page numbers, figures as vectors."""

from collections.abc import Mapping
from pathlib import Path

from graddiag.chromium import Chromium, chromium
from graddiag.report.content import Document
from graddiag.report.html import NO_PAGES, footer, page
from graddiag.report.paging import pages_of
from graddiag.report.plots import PAPER_WIDTH, printable, script_json
from graddiag.report.request import OnProgress
from graddiag.store import replace_file


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
    drawn = ((each, printable(each, PAPER_WIDTH, each.paper_height)) for each in document.printed)
    figures = script_json([{"id": each.id, **figure} for each, figure in drawn])

    def printed(browser: Chromium, pages: Mapping[str, int]) -> bytes:
        html = page("paper", document, figures, scripts=["paper.js"], unfolded=True, pages=pages)
        return browser.pdf(html, ready="window.drawn", footer=footer(document))

    with chromium("a report as PDF") as browser:
        return printed(browser, pages_of(printed(browser, NO_PAGES)))
