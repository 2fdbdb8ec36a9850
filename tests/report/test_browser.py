"""A report as people see it: opened from the disk, offline, in a real Chromium."""

import gzip
import json
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from graddiag.report import write_report
from graddiag.report.chapters import document
from graddiag.report.request import ignore_progress, request
from graddiag.run import Run
from graddiag.store import load_run
from tests.dashboards.synthetic import awkward, pair, write_all

pytestmark = pytest.mark.browser

EACH_FIGURE_INTO_VIEW = """async () => {
    for (const plot of document.querySelectorAll(".plot")) {
        plot.scrollIntoView({ behavior: "instant" });
        while (!plot.classList.contains("js-plotly-plot")) await new Promise((done) => setTimeout(done, 20));
    }
}"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """A pair, and a run whose every text is hostile."""
    root = tmp_path_factory.mktemp("root")
    return [load_run(root / link) for link in write_all(root, [*pair(), awkward()["hostile"]])]


@pytest.fixture(scope="module")
def report(runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(runs, tmp_path_factory.mktemp("report") / "report.html")


@contextmanager
def opened(
    browser: Browser, report: Path, *, width: int = 1440, scheme: Literal["light", "dark"] = "light"
) -> Iterator[tuple[Page, list[str]]]:
    """The report with all its figures drawn, and every sign of trouble until it is closed."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    page, trouble = context.new_page(), []
    page.on("pageerror", lambda error: trouble.append(f"page: {error}"))
    page.on("console", lambda said: trouble.append(said.text) if said.type in ("error", "warning") else None)
    page.on("dialog", lambda dialog: (trouble.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: trouble.append(request.url) if request.url.startswith("http") else None)
    page.goto(report.as_uri())
    page.evaluate(EACH_FIGURE_INTO_VIEW)
    try:
        yield page, trouble
    finally:
        context.close()


def test_hostile_text_is_text_in_the_page_and_in_its_figures(chromium: Browser, report: Path) -> None:
    with opened(chromium, report) as (page, trouble):
        assert page.locator("img, main b, .plot b").count() == 0
        assert page.locator("svg a, [onerror]").count() == 0
    assert trouble == []


def test_the_colours_follow_the_system_while_it_is_open(chromium: Browser, report: Path) -> None:
    drawn_text = "getComputedStyle(document.querySelector('#chapter-1-loss .xtick text')).fill"
    with opened(chromium, report) as (page, trouble):
        light = page.evaluate(drawn_text)
        page.emulate_media(color_scheme="dark")
        _until(page, f"{drawn_text} !== '{light}'")
    assert trouble == []


def test_the_numbers_of_every_figure_are_those_of_its_table(chromium: Browser, report: Path, runs: list[Run]) -> None:
    pictures = document(runs, request(None, None, ignore_progress)).pictures
    held = {each.id: each.csv() for each in pictures if each.csv is not None}
    with opened(chromium, report) as (page, trouble):
        asked = [button.get_attribute("data-figure") for button in page.locator("button.numbers").all()]
        assert asked == list(held)
        figures = json.loads(gzip.decompress(b64decode(page.locator("#figures").text_content() or "")))
        packed = {each["id"]: each["csv"] for each in figures}
        for id, table in held.items():
            text = packed[packed[id].removeprefix("#")] if packed[id].startswith("#") else packed[id]
            assert gzip.decompress(b64decode(text)).decode() == table
        for name in ("loss", "0-reach"):  # of its own, and that of an earlier figure
            with page.expect_download() as download:
                page.locator(f"button.numbers[data-figure=chapter-1-{name}]").click()
            assert download.value.path().read_text() == held[f"chapter-1-{name}"]
    assert trouble == []


def test_a_figure_can_be_zoomed(chromium: Browser, report: Path) -> None:
    with opened(chromium, report) as (page, trouble):
        figure = page.locator("#chapter-1-loss")
        figure.scroll_into_view_if_needed()
        box = figure.locator(".nsewdrag").first.bounding_box()
        assert box is not None
        before = page.evaluate("String(document.getElementById('chapter-1-loss').layout.xaxis.range)")
        page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.5)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.5, steps=5)
        page.mouse.up()
        _until(page, f"String(document.getElementById('chapter-1-loss').layout.xaxis.range) !== '{before}'")
    assert trouble == []


def _until(page: Page, condition: str) -> None:
    """Wait for it. Not `page.wait_for_function`: its polling is an eval, which the report's own policy forbids."""
    page.evaluate(
        f"""async () => {{
            for (let left = 6000; !({condition}); left--) {{
                if (left === 0) throw Error("never came true");
                await new Promise((done) => setTimeout(done, 20));
            }}
        }}"""
    )
