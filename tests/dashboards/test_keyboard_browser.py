"""The keyboard alone reaches every control of every page, and works it."""

import re
from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, expect

from tests.dashboards.serving import Served, serve
from tests.dashboards.synthetic import grid, pair, write_all
from tests.dashboards.test_axe import PAGES
from tests.dashboards.watched import Watched, watched

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MOST: Final = 400  # presses of Tab that no page needs
# what can be worked in the main part, each once: of radios in a row one, as the arrows lead to the others
CONTROLS: Final = """() => {
    const main = document.querySelector("[data-testid=stMain]");
    const found = [...main.querySelectorAll(
        "a[href], button, input, textarea, select, summary, iframe, canvas, [role=slider], [role=combobox]")];
    const worked = found.filter(each => each.checkVisibility() && !each.disabled && each.ariaDisabled !== "true"
        && !each.closest("[aria-hidden=true], [inert], .modebar")
        && !(each.tagName === "CANVAS" && !each.closest("[data-testid=stDataFrame]")));
    worked.forEach((each, place) => { each.dataset.control = place; });
    return worked.length;
}"""
REACH: Final = """() => {
    const at = document.activeElement;
    const group = at.closest("[role=radiogroup], [data-testid=stButtonGroup], [data-testid=stNumberInput],"
        + "[data-testid=stMultiSelect], [data-testid=stDataFrame], [data-testid=stSelectbox]");
    for (const each of group ? [at, ...group.querySelectorAll("[data-control]")] : [at]) each.dataset.reached = "yes";
    return at === document.body;
}"""
LEFT: Final = """() => [...document.querySelectorAll("[data-control]:not([data-reached])")]
    .filter(each => each.isConnected && each.checkVisibility()).map(each => each.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("root") / "runs"
    write_all(root, (*pair(), *grid()))
    with serve(root, tmp_path_factory.mktemp("elsewhere")) as one:
        yield one


@pytest.mark.parametrize("address", [each for name, each in PAGES.items() if name != "run, NaN"])
def test_tab_reaches_every_control(chromium: Browser, served: Served, address: str) -> None:
    with watched(chromium, served) as seen:
        seen.go(address)
        assert seen.page.evaluate(CONTROLS) > 0
        for _ in range(MOST):
            seen.page.keyboard.press("Tab")
            if seen.page.evaluate(REACH):
                break
        assert seen.page.evaluate(LEFT) == []
        assert seen.trouble() == []


def focus_by_tab(seen: Watched, wanted: str) -> None:
    """Presses Tab until the focus is on what the selector names."""
    for _ in range(MOST):
        seen.page.keyboard.press("Tab")
        if seen.page.evaluate("wanted => document.activeElement.matches(wanted)", wanted):
            return
    raise AssertionError(f"Tab never reached {wanted}")


def test_a_popover_is_opened_and_its_slider_moved(chromium: Browser, served: Served) -> None:
    with watched(chromium, served) as seen:
        seen.go("/run?run=pair/lstm-on")
        focus_by_tab(seen, "[data-testid=stPopover] button")
        seen.page.keyboard.press("Enter")
        slider = seen.page.get_by_role("slider", name="Smoothing")
        expect(slider).to_be_visible()
        focus_by_tab(seen, "[aria-label=Smoothing]")
        seen.page.keyboard.press("ArrowRight")
        expect(seen.page).to_have_url(re.compile("smoothing=0.01"))
        assert seen.trouble() == []


def test_a_run_is_selected_in_the_table_and_opened(chromium: Browser, served: Served) -> None:
    with watched(chromium, served) as seen:
        seen.go("/")
        focus_by_tab(seen, "[data-testid=stDataFrame] canvas, [data-testid=stDataFrame] [tabindex]")
        seen.page.keyboard.press("ArrowDown")
        seen.page.keyboard.press("Shift+Space")
        expect(seen.page).to_have_url(re.compile("selected="))
        seen.settle()
        seen.page.get_by_role("link", name="Open", exact=True).focus()
        seen.page.keyboard.press("Enter")
        expect(seen.page).to_have_url(re.compile("/run[?]run="))
        assert seen.trouble() == []
