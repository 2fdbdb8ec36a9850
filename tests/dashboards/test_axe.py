"""Every page as it is drawn: no trouble, within its window, and nothing serious of our own found by axe-core.

axe-core is the accessibility checker. By day at a desk, then by night on a phone. It looks at the page itself; the
report in the frame of a preview has a test of its own (tests/report/test_axe.py).
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from tests.dashboards.serving import Served, serve
from tests.dashboards.synthetic import awkward, grid, pair, write_all
from tests.dashboards.test_learn import FIGURES
from tests.dashboards.watched import Watched, watched
from tests.needs import needs

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SERIOUS = ("serious", "critical")
SECTIONS = ("through time", "training", "gates", "weights", "clipping", "health")
RUN, PAIR = {"run": "pair/lstm-on"}, [("run", "pair/lstm-off"), ("run", "pair/lstm-on")]
SEEDS = [("run", f"grid/lstm-{arm}-10-{seed}") for arm in ("off", "on") for seed in (0, 1)]
IN_SECTIONS = {"run": "/run?" + urlencode(RUN), "compare": "/compare?" + urlencode(PAIR)}
PAGES = {
    "runs": "/",
    "run, NaN": "/run?run=nan",
    "compare, seeds": "/compare?" + urlencode(SEEDS),
    "experiment": "/experiment?experiment=pair",
    "experiment, lengths and seeds": "/experiment?experiment=grid",
    "report": "/report?" + urlencode([*PAIR, ("preview", "true")]),
    "lab, pair": "/lab",
    "lab, preset": "/lab?kind=preset",
    **{name: f"/{name}" for name in FIGURES},
}
WITHOUT_RUNS = ("/", "/run", "/compare", "/experiment", "/report", "/lab")
PHONE: ViewportSize = {"width": 390, "height": 900}
OURS = {"exclude": [["[data-testid='stSidebar']"]]}  # Streamlit's own menu on a phone: a list of divs
STREAMLITS = {  # by rule, what is Streamlit's own in the markup of a node
    "scrollable-region-focusable": ("katex-display",),  # its box of a formula is 2 pixels too small, and scrolls
    "color-contrast": ("<p>Layer</p>",),  # the label of a disabled picker, which WCAG 1.4.3 exempts
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("root") / "runs"
    write_all(root, (*pair(), *grid(), awkward()["nan"]))
    with serve(root, tmp_path_factory.mktemp("elsewhere")) as one:
        yield one


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("elsewhere")) as one:
        yield one


@pytest.mark.parametrize("address", PAGES.values(), ids=PAGES)
def test_axe_finds_nothing_serious(chromium: Browser, served: Served, address: str) -> None:
    with watched(chromium, served) as seen:
        seen.go(address)
        if address[1:] in FIGURES:
            expect(seen.plots()).to_have_count(FIGURES[address[1:]])
        check(seen)
        go_out_at_night(seen)
        check(seen)


@pytest.mark.parametrize("address", IN_SECTIONS.values(), ids=IN_SECTIONS)
def test_nor_in_any_section(chromium: Browser, served: Served, address: str) -> None:
    with watched(chromium, served) as seen:
        seen.go(address)
        for section in SECTIONS:
            seen.look_at(section)
            check(seen)
        go_out_at_night(seen)
        for section in SECTIONS:
            seen.look_at(section)
            check(seen)


@pytest.mark.parametrize("address", WITHOUT_RUNS)
def test_nor_where_there_are_no_runs(chromium: Browser, empty: Served, address: str) -> None:
    """Opened on a phone at night: its pages too are drawn so, not only changed to it."""
    with watched(chromium, empty, **PHONE, scheme="dark") as seen:
        seen.go(address)
        if address == "/lab":
            expect(seen.page.get_by_text("No jobs yet")).to_be_visible()
        check(seen)


@pytest.mark.parametrize("address", ["/", *IN_SECTIONS.values()], ids=["runs", *IN_SECTIONS])
def test_what_is_opened_on_a_phone_is_drawn_without_trouble(chromium: Browser, served: Served, address: str) -> None:
    with watched(chromium, served, **PHONE, scheme="dark") as seen:
        seen.go(address)
        assert seen.too_wide() == 0
        assert seen.trouble() == []


def go_out_at_night(seen: Watched) -> None:
    seen.page.set_viewport_size(PHONE)
    seen.looks("dark")
    expect(seen.page.get_by_test_id("stApp")).to_have_css("color-scheme", "dark")
    seen.settle()


def check(seen: Watched) -> None:
    if "preview" in seen.page.url:
        expect(seen.page.frame_locator("iframe").get_by_role("heading", level=1)).to_be_visible()
        assert seen.page.frames[-1].evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    found = needs("axe_playwright_python.sync_playwright", "dev").Axe().run(seen.page, context=OURS).response
    assert len(found["passes"]) > 15
    assert [one for each in found["violations"] if each["impact"] in SERIOUS for one in ours(each)] == []
    assert seen.too_wide() == 0
    assert seen.trouble() == []


def ours(violation: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The nodes of a violation that are not Streamlit's own making."""
    nodes = [(violation["id"], node["html"], node.get("failureSummary", "")) for node in violation["nodes"]]
    return [node for node in nodes if not any(part in node[1] for part in STREAMLITS.get(node[0], ()))]
