"""The Learn pages as people see them: drawn without trouble, moved by the keyboard, the same again from a link."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.dashboards.serving import Served, serve
from tests.dashboards.watched import Watched

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("elsewhere")) as one:
        yield one


BESIDE = {"learn_vanishing", "learn_clipping", "learn_cliff"}  # lessons with sliders beside the picture
FORMULAS = {"learn_vanishing", "learn_gates", "learn_saturation", "learn_cliff"}
CHOICES = {"learn_vanishing", "learn_clipping"}


@pytest.mark.parametrize("name", sorted(BESIDE | FORMULAS | CHOICES))
def test_a_lesson_has_room_for_all_of_it(seen: Watched, name: str) -> None:
    seen.go(f"/{name}")
    if name in BESIDE:
        sliders_and_picture_are_seen_together(seen)
    if name in FORMULAS:
        formulas_have_no_scroll_bar(seen)
    if name == "learn_vanishing":
        the_foot_stands_where_the_lesson_does(seen)
    if name in CHOICES:
        seen.page.set_viewport_size({"width": 1024, "height": 900})
        every_choice_is_seen(seen)


def sliders_and_picture_are_seen_together(seen: Watched) -> None:
    first = seen.box(seen.page.get_by_test_id("stSlider").first)
    picture = seen.box(seen.plots().first)
    assert picture["x"] > first["x"] + first["width"]
    assert picture["y"] + picture["height"] - first["y"] < 800


def formulas_have_no_scroll_bar(seen: Watched) -> None:
    formulas = seen.page.locator(".katex-display")
    expect(formulas).to_have_count(2)
    assert formulas.evaluate_all("boxes => boxes.every(box => box.scrollWidth <= box.clientWidth)")


def the_foot_stands_where_the_lesson_does(seen: Watched) -> None:
    title = seen.box(seen.page.get_by_role("heading", name="What vanishes, and why", exact=True))
    foot = seen.box(seen.page.get_by_text(re.compile("^Runs folder: ")))
    assert foot["x"] == pytest.approx(title["x"], abs=1)


def every_choice_is_seen(seen: Watched) -> None:
    """As on a tablet."""
    group = seen.page.get_by_test_id("stButtonGroup")
    right = seen.box(group)["x"] + seen.box(group)["width"]
    for button in group.get_by_role("radio").all():
        box = seen.box(button)
        assert box["x"] + box["width"] <= right + 1


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
