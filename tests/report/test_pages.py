"""A report on paper, looked at page by page: light, nothing cut, no page for nothing, no number broken in two.

As PDF, and as HTML printed from a dark window on a large screen.
"""

from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser

from graddiag.report import write_report
from graddiag.report.chapters import document
from graddiag.report.content import Document
from graddiag.report.plots import PAPER_WIDTH
from graddiag.report.request import ignore_progress, request
from graddiag.store import load_run
from tests.dashboards.synthetic import grid, pair, write_all
from tests.needs import needs, needs_chromium

pytestmark = [pytest.mark.browser, pytest.mark.slow]

RUNS: Final = {"one run": pair()[:1], "a pair": pair(), "six runs": grid()[:6]}
MOST: Final = 10
PRINTED, WRITTEN = "printed", "written"
EDGE_MM: Final = 12  # of the margins of 15 mm and more, which stay white
BROKEN: Final = """() => [...document.querySelectorAll(".short")].filter(cell => {
    const range = document.createRange();
    range.selectNodeContents(cell);
    return new Set([...range.getClientRects()].map(line => Math.round(line.top))).size > 1;
}).map(cell => cell.textContent)"""


class Sheets:
    """The pages of a PDF: their words, without white space, and their pixels."""

    def __init__(self, pdf: bytes) -> None:
        opened = needs("pypdfium2", "dev").PdfDocument(pdf)
        self.words = ["".join(page.get_textpage().get_text_range().split()) for page in opened]
        self.pixels = [page.render(scale=0.5).to_numpy().min(axis=2) for page in opened]


@pytest.fixture(scope="module", params=RUNS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Document]:
    """A report, and what it says."""
    folder = tmp_path_factory.mktemp("report")
    runs = [load_run(folder / "runs" / link) for link in write_all(folder / "runs", RUNS[request.param])]
    write_report(runs, folder / "report.html")
    return folder / "report.html", _document(runs)


@pytest.fixture(scope="module", params=[PRINTED, WRITTEN])
def sheets(request: pytest.FixtureRequest, chromium: Browser, made: tuple[Path, Document]) -> Sheets:
    needs("pypdfium2", "dev")
    report, about = made
    if request.param == WRITTEN:
        needs("kaleido", "figures")
        needs_chromium()
        from graddiag.report.paper import print_pdf

        return Sheets(print_pdf(about, ignore_progress))
    window = chromium.new_page(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    window.goto(report.as_uri())
    window.locator(".plot").first.scroll_into_view_if_needed()
    window.locator(".js-plotly-plot").first.wait_for()
    printed = window.pdf(prefer_css_page_size=True, print_background=True)
    window.close()
    return Sheets(printed)


def test_it_has_few_pages_and_none_is_nearly_empty(sheets: Sheets) -> None:
    assert len(sheets.words) <= MOST
    assert "Question" in sheets.words[0]
    assert "Outcome,causeandadvice" in sheets.words[0]
    assert min(map(len, sheets.words[:-1])) > 150


def test_it_is_light_and_its_margins_are_white(sheets: Sheets) -> None:
    for pixels in sheets.pixels:
        edge = round(EDGE_MM / 210 * pixels.shape[1])
        assert pixels[:, :edge].min() == pixels[:, -edge:].min() == 255
        assert pixels.mean() > 200


def test_every_figure_is_whole_on_its_page(made: tuple[Path, Document], sheets: Sheets) -> None:
    """Its title and its caption, which are above and below it, are on one page."""
    for each in made[1].printed:
        shown = [caption for caption in each.captions if len(caption) <= 400]
        last = "".join(shown[-1].split())[:40] if shown else ""
        title = "".join(each.title.split())
        assert [page for page in sheets.words if title in page and last in page], each.id


def test_no_number_is_broken_in_two(made: tuple[Path, Document], chromium: Browser) -> None:
    window = chromium.new_page(viewport={"width": PAPER_WIDTH, "height": 900})
    window.emulate_media(media="print")
    window.goto(made[0].as_uri())
    assert window.locator(".short").count() > 5
    assert window.evaluate(BROKEN) == []
    assert window.evaluate("document.documentElement.scrollWidth") <= PAPER_WIDTH
    window.close()


def _document(runs: Any) -> Document:
    return document(runs, request(None, None, ignore_progress))
