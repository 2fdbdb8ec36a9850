"""The Learn pages as people see them: drawn without trouble, moved by the keyboard, the same again from a link."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.dashboards.serving import Served, serve
from tests.dashboards.test_learn import FIGURES
from tests.dashboards.watched import Scheme, Watched, watched

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("elsewhere")) as one:
        yield one


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_every_lesson_is_drawn_without_trouble(
    chromium: Browser, served: Served, name: str, width: int, scheme: Scheme
) -> None:
    with watched(chromium, served, width=width, scheme=scheme) as seen:
        seen.go(f"/{name}")
        expect(seen.plots()).to_have_count(FIGURES[name])
        assert seen.too_wide() == 0
        assert seen.trouble() == []


@pytest.mark.parametrize("name", ["learn_vanishing", "learn_clipping", "learn_cliff"])
def test_sliders_and_picture_are_seen_together_at_a_desk(seen: Watched, name: str) -> None:
    seen.go(f"/{name}")
    first = seen.box(seen.page.get_by_test_id("stSlider").first)
    picture = seen.box(seen.plots().first)
    assert picture["x"] > first["x"] + first["width"]
    assert picture["y"] + picture["height"] - first["y"] < 800


@pytest.mark.parametrize("name", ["learn_vanishing", "learn_gates", "learn_saturation", "learn_cliff"])
def test_a_formula_has_room_and_no_scroll_bar(seen: Watched, name: str) -> None:
    seen.go(f"/{name}")
    formulas = seen.page.locator(".katex-display")
    expect(formulas).to_have_count(2)
    assert formulas.evaluate_all("boxes => boxes.every(box => box.scrollWidth <= box.clientWidth)")


@pytest.mark.parametrize("name", ["learn_vanishing", "learn_clipping"])
def test_every_choice_is_seen_on_a_tablet(chromium: Browser, served: Served, name: str) -> None:
    with watched(chromium, served, width=1024) as seen:
        seen.go(f"/{name}")
        group = seen.page.get_by_test_id("stButtonGroup")
        right = seen.box(group)["x"] + seen.box(group)["width"]
        for button in group.get_by_role("radio").all():
            box = seen.box(button)
            assert box["x"] + box["width"] <= right + 1
        assert seen.trouble() == []


def test_the_foot_of_the_page_stands_where_the_lesson_does(seen: Watched) -> None:
    seen.go("/learn_vanishing")
    title = seen.box(seen.page.get_by_role("heading", name="What vanishes, and why", exact=True))
    foot = seen.box(seen.page.get_by_text(re.compile("^Runs folder: ")))
    assert foot["x"] == pytest.approx(title["x"], abs=1)


def test_the_menu_says_that_one_is_in_a_lesson(seen: Watched) -> None:
    seen.go("/learn_saturation")
    menu = seen.page.get_by_test_id("stTopNavSection")
    expect(menu).not_to_have_css("background-color", "rgba(0, 0, 0, 0)")
    seen.go("/lab")
    expect(menu).to_have_css("background-color", "rgba(0, 0, 0, 0)")


def test_a_slider_moved_by_the_keyboard_is_in_the_link_and_the_link_gives_the_view(seen: Watched) -> None:
    seen.go("/learn_vanishing?phi=identity")
    gain = seen.page.get_by_role("slider", name="Gain g, the spectral radius of W_hh")
    for _ in range(4):
        gain.press("ArrowRight")
    told = seen.page.get_by_text("the gradient grows to 277 times its norm", exact=False)
    expect(told).to_be_visible()
    seen.settle()
    expect(seen.page).to_have_url(re.compile("gain=1.1"))
    seen.page.goto(seen.page.url)
    seen.settle()
    expect(told).to_be_visible()


def test_an_example_sets_the_sliders_and_the_address(seen: Watched) -> None:
    seen.go("/learn_clipping")
    seen.page.get_by_role("button", name="one inf").click()
    expect(seen.page.get_by_text("After: (NaN, 0), norm NaN", exact=False).first).to_be_visible()
    seen.settle()
    expect(seen.page).to_have_url(re.compile("first=inf"))


def test_a_lesson_leads_to_the_lab_and_to_the_next(seen: Watched) -> None:
    seen.go("/learn_saturation")
    seen.page.get_by_role("link", name="Back to lesson 1: What vanishes, and why").click()
    expect(seen.page.get_by_role("heading", name="What vanishes, and why", exact=True)).to_be_visible()
    seen.page.get_by_role("link", name="See it in the Lab").click()
    expect(seen.page.get_by_role("heading", name="Lab", exact=True)).to_be_visible()
    seen.settle()
    expect(seen.page).to_have_url(re.compile("preset=explode-vanish"))
    expect(seen.page.get_by_text("RNNs of four nonlinearities", exact=False)).to_be_visible()
