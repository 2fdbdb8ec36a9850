"""Images and pages out of a Chromium that nobody sees, and what is said where there is none."""

import asyncio
import base64
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import plotly.graph_objects as go
import pytest

from graddiag.chromium import BrowserError, Chromium, ImageSize, _file_printed, chromium
from graddiag.errors import MissingLibraryError
from tests.needs import needs, needs_chromium

FIGURE = {"data": [{"type": "scatter", "y": [1, 3, 2]}], "layout": {"title": {"text": "A title"}}}
PAGE = """<!doctype html><style>@page { size: A5; margin: 20mm } h2 { break-before: page }</style>
<h1 id="top">One</h1><a href="#second">to the second</a><h2 id="second">Two</h2><p id="late"></p>
<script>window.late = new Promise((done) => setTimeout(() => {
  document.getElementById("late").textContent = "late"; done(true);
}, 50))</script>"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    needs("kaleido", "figures")
    needs_chromium()
    with chromium("a test") as running:
        yield running


@pytest.mark.browser
def test_a_figure_is_drawn_in_every_format(browser: Chromium) -> None:
    size = ImageSize(300, 200)
    png, svg, pdf = (browser.image(FIGURE, form, size) for form in ("png", "svg", "pdf"))
    assert png.startswith(b"\x89PNG")
    assert (int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")) == (600, 400)
    assert b"A title" in svg
    assert b'width="300" height="200"' in svg
    assert pdf.startswith(b"%PDF")


@pytest.mark.browser
def test_a_figure_as_plotly_writes_it_can_be_drawn(browser: Chromium) -> None:
    assert browser.image(go.Figure(FIGURE).to_plotly_json(), "svg", ImageSize(300, 200)).startswith(b"<svg")


@pytest.mark.browser
def test_a_page_is_printed_when_it_is_ready_on_its_own_paper_with_links_and_outline(browser: Chromium) -> None:
    pdf = browser.pdf(PAGE, ready="window.late", footer='<span class="pageNumber"></span>')
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 2
    (box,) = set(re.findall(rb"/MediaBox \[([^\]]*)\]", pdf))
    assert [round(float(number)) for number in box.split()] == [0, 0, 420, 595]
    assert b"/Subtype /Link" in pdf
    assert b"/Outlines" in pdf


@pytest.mark.browser
def test_a_page_that_cannot_be_made_ready_is_one_sentence(browser: Chromium) -> None:
    with pytest.raises(BrowserError, match=r"Chromium refused Runtime.evaluate: .*please report it\."):
        browser.pdf(PAGE, ready="Promise.reject('no')", footer="<span></span>")


@pytest.mark.browser
def test_nothing_is_asked_of_the_network(browser: Chromium) -> None:
    page = "<script>window.asked = fetch('http://example.com/').then(() => { throw 'it was' }, () => true)</script>"
    assert browser.pdf(page, ready="window.asked", footer="<span></span>").startswith(b"%PDF")


@pytest.mark.browser
def test_it_works_inside_a_running_event_loop() -> None:
    needs("kaleido", "figures")
    needs_chromium()

    async def notebook() -> bytes:
        with chromium("a test") as running:
            return running.image(FIGURE, "svg", ImageSize(300, 200))

    with ThreadPoolExecutor(1) as pool:  # Playwright's loop runs in this one
        assert pool.submit(lambda: asyncio.run(notebook())).result().startswith(b"<svg")


def test_a_missing_library_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with (
        pytest.raises(
            MissingLibraryError, match=r"^a report as PDF needs a library .*`pip install 'graddiag\[figures\]'`"
        ),
        chromium("a report as PDF"),
    ):
        pass


def test_a_missing_chromium_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    needs("kaleido", "figures")
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "none"))
    with (
        pytest.raises(
            MissingLibraryError, match=r"^a report as PDF needs Chromium or Chrome, .*apt-get install chromium"
        ),
        chromium("a report as PDF"),
    ):
        pass


def test_a_chromium_that_does_not_start_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    needs("kaleido", "figures")
    monkeypatch.setenv("BROWSER_PATH", "/bin/false")
    with pytest.raises(BrowserError, match=r"^a test: Chromium failed \(.*\)\. Try it again\.$"), chromium("a test"):
        pass


class Tab:
    """A tab that stands at an empty page, complete, before it goes to the file: as one does on a busy machine."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def send_command(self, command: str, params: dict[str, object]) -> dict[str, object]:
        self.asked.append(f"{command} {params.get('expression', '')}")
        there = len(self.asked) > 2
        value = there if "location.protocol === 'file:'" in self.asked[-1] else True
        return {"result": {"result": {"value": value}, "data": base64.b64encode(b"%PDF").decode()}}

    async def close(self) -> None: ...


def test_the_empty_page_of_a_new_tab_is_not_printed(tmp_path: Path) -> None:
    tab = Tab()

    class Browser:
        async def create_tab(self, address: str) -> Tab:
            return tab

    with ThreadPoolExecutor(1) as pool:  # another test may have left a loop running in this thread
        task = pool.submit(lambda: asyncio.run(_file_printed(Browser(), tmp_path / "page.html", "window.drawn", "")))
        printed = task.result()
    assert printed == b"%PDF"
    assert [asked.partition(" ")[0] for asked in tab.asked] == ["Runtime.evaluate"] * 4 + ["Page.printToPDF"]
    assert "window.drawn" in tab.asked[3]
