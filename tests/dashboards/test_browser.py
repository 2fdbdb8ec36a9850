"""The dashboard as people see it: a served app in a real Chromium, with nothing wrong on page, console or server."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import Browser, expect

from tests.dashboards.jobs import end, leave
from tests.dashboards.serving import Served, serve
from tests.dashboards.synthetic import HOSTILE, awkward, pair, write, write_all
from tests.dashboards.watched import Watched, watched

pytestmark = pytest.mark.browser

COMPARE = "/compare?" + urlencode([("run", "pair/lstm-off"), ("run", "pair/lstm-on")])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A pair, two runs of hostile text, one in a folder that was given such a name, and a job of such words."""
    root = tmp_path_factory.mktemp("root") / "runs"
    write_all(root, pair())
    hostile = awkward()["hostile"]
    write(root, hostile)
    (root / write(root, replace(hostile, name="twin", arm="**bold** <b>b</b>"))).rename(root / TWIN)
    end(root, leave(root, title=HOSTILE[0], arguments=[*HOSTILE], experiment="pair"), 2, HOSTILE[2])
    with serve(root, tmp_path_factory.mktemp("elsewhere")) as one:
        yield one


def test_from_the_table_to_a_comparison(seen: Watched) -> None:
    seen.go("/")
    seen.find_and_select_all("pair/lstm")
    seen.page.get_by_role("link", name="Compare", exact=True).last.click()
    expect(seen.page.get_by_role("heading", name="Effects")).to_be_visible()
    seen.settle()
    expect(seen.page).to_have_url(re.compile("run=pair"))
    expect(seen.plots().nth(3)).to_be_visible()


def test_a_moved_slider_is_in_the_link_and_the_link_gives_the_view(seen: Watched) -> None:
    seen.go(COMPARE)
    thumb = seen.page.get_by_role("slider", name="Step")
    thumb.press("ArrowLeft")
    thumb.press("ArrowLeft")
    expect(seen.page.get_by_role("heading", name="Signal along the sequence, at step 9", exact=True)).to_be_visible()
    expect(seen.page).to_have_url(re.compile("step=9"))
    seen.page.goto(seen.page.url)
    seen.settle()
    expect(seen.page.get_by_role("heading", name="Signal along the sequence, at step 9", exact=True)).to_be_visible()


ODD, TWIN = "x-javascript-alert-1/img-src-x-onerror-alert-1", "x-javascript-alert-1/$x$ :red[y] **bold** <b>b<b>"
SECTIONS = ("through time", "training", "gates", "weights", "clipping", "health")
HOLDING = {  # the pages on which text of the odd run or job stands
    "runs": "/",
    "runs, selected": "/?" + urlencode({"selected": ODD}),
    "run": "/run?" + urlencode({"run": ODD}),
    "compare": "/compare?" + urlencode([("run", ODD), ("run", TWIN)]),
    "experiment": "/experiment?" + urlencode({"experiment": HOSTILE[1]}),
    "experiment, logged": "/experiment?" + urlencode({"experiment": HOSTILE[1], "goal": HOSTILE[0]}),
    "lab": "/lab",
    "report": "/report?" + urlencode({"run": ODD, "title": HOSTILE[0], "preview": "true"}),
}
MARKUP = "img[src='x'], a[href^='javascript'], [onerror], .katex"
# what **bold**, <b>b</b> and :red[y] are drawn with, in text and in pictures
STYLED = "strong, b, .stMarkdownColoredText, tspan[style*='bold']"


@pytest.mark.parametrize("address", HOLDING.values(), ids=HOLDING)
def test_what_a_user_wrote_is_text(seen: Watched, address: str) -> None:
    seen.go(address)
    if "preview" in address:
        expect(seen.page.frame_locator("iframe").get_by_role("heading", level=1)).to_have_text(HOSTILE[0])
    for section in SECTIONS if address.startswith(("/run?", "/compare?")) else [None]:
        if section:
            seen.look_at(section)
        all_is_text(seen)
    if address.startswith("/run?"):
        expect(seen.page.get_by_role("heading", name=f"{HOSTILE[1]} / {HOSTILE[0]}")).to_be_visible()
        expect(seen.page.get_by_text(f"RuntimeError: {' '.join(HOSTILE)}", exact=True)).to_be_visible()


def all_is_text(seen: Watched) -> None:
    """Whatever can be opened on the page is, and nothing that a user wrote has become markup."""
    closed = seen.page.locator("details:not([open]) > summary")
    for _ in range(closed.count()):
        closed.first.click()
    seen.settle()
    for frame in seen.page.frames:
        assert frame.locator(MARKUP).count() == 0
        assert frame.locator(STYLED).filter(has_text=re.compile(r"^\s*(bold|b|y)\s*$")).count() == 0


def test_a_link_that_leads_out_is_refused(seen: Watched) -> None:
    seen.go("/run?run=" + quote("../" + HOSTILE[0]))
    expect(seen.page.get_by_text("Could not open")).to_be_visible()
    expect(seen.page.get_by_text(HOSTILE[0], exact=False)).to_be_visible()


def test_pictures_side_by_side_stand_level(chromium: Browser, served: Served) -> None:
    with watched(chromium, served, width=1024) as seen:
        seen.go(COMPARE)
        rows = seen.page.get_by_test_id("stHorizontalBlock").filter(has=seen.plots())
        rows = rows.filter(has_not=seen.page.locator(".st-key-glance-course"))
        for section in ("training", "weights", "gates"):
            seen.look_at(section)
            expect(rows.first).to_be_visible()
            pairs = 0
            for row in rows.all():
                columns = row.locator("> [data-testid=stColumn]").filter(has=seen.plots())
                if columns.count() == 2:  # a picture of one run alone stands in a row with nothing beside it
                    # by their role: those of the section before may still be there, hidden
                    pictures = (columns.nth(place).get_by_role("figure") for place in range(2))
                    left, right = (seen.box(picture.locator(".xtick").last) for picture in pictures)
                    assert left["x"] < right["x"], section
                    assert left["y"] == pytest.approx(right["y"], abs=1.5), section
                    pairs += 1
            assert pairs, section


def test_an_open_page_follows_the_browser_into_the_night_and_back(seen: Watched) -> None:
    """Its pictures too, which the program draws: dark words on a dark ground cannot be read."""
    seen.go("/run?run=pair/lstm-on&section=training")
    ticks = seen.plots().locator(".xtick text").first
    by_day = ticks.evaluate("tick => getComputedStyle(tick).fill")
    seen.looks("dark")
    expect(ticks).not_to_have_css("fill", by_day)
    seen.looks("light")
    expect(ticks).to_have_css("fill", by_day)


@pytest.mark.parametrize("answer", [{"status": 404}, {"body": "document.title = 'other'"}], ids=["none", "other"])
def test_without_the_very_plotly_a_picture_says_so(chromium: Browser, served: Served, answer: dict[str, Any]) -> None:
    with watched(chromium, served) as seen:
        seen.page.route("**/plotly.min.js", lambda route: route.fulfill(**answer))
        seen.go("/run?run=pair/lstm-on&section=training")
        told = seen.page.get_by_text("This picture could not be drawn").first
        expect(told).to_contain_text("Reload the page; its numbers are under CSV.")
        assert seen.page.title() != "other"
        seen.page.unroute("**/plotly.min.js")
        seen.page.reload()
        seen.settle()
        expect(seen.plots().first).to_be_visible()


def test_a_picture_fills_the_screen_and_comes_back_and_its_numbers_are_had_from_the_keyboard(seen: Watched) -> None:
    seen.go("/run?run=pair/lstm-on&section=training")
    plot = seen.plots().first
    picture = plot.locator(".main-svg").first
    width = seen.box(picture)["width"]
    for wide in (1440, width):
        plot.hover()
        plot.locator("[data-title=Fullscreen]").click()
        expect(picture).to_have_css("width", f"{wide:g}px")
    button = seen.page.get_by_role("link", name="CSV", exact=True).first
    assert seen.box(button)["height"] >= 24  # pixels: WCAG 2.5.8
    with seen.page.expect_download() as waiting:
        button.press("Enter")
    assert waiting.value.suggested_filename == "glance-course.csv"


def test_the_formats_of_a_report_stand_in_one_row(chromium: Browser, served: Served) -> None:
    with watched(chromium, served, width=390) as seen:
        seen.go("/report?run=pair/lstm-on")
        for width in (390, 1024):
            seen.page.set_viewport_size({"width": width, "height": 900})
            boxes = [seen.box(seen.page.get_by_role("radio", name=name)) for name in ("HTML", "Markdown", "PDF")]
            assert len({box["y"] for box in boxes}) == 1, width


@pytest.mark.parametrize("address", ["/lab", "/run?run=pair/lstm-on", "/learn_cliff"], ids=["lab", "run", "lesson"])
def test_no_choice_is_cut_short_on_a_phone(chromium: Browser, served: Served, address: str) -> None:
    with watched(chromium, served, width=390) as seen:
        seen.go(address)
        choices = seen.page.get_by_test_id("stButtonGroup").locator("p")
        expect(choices.first).to_be_visible()
        cut = "words => words.filter(each => each.scrollWidth > each.clientWidth).map(each => each.innerText)"
        assert choices.evaluate_all(cut) == []
