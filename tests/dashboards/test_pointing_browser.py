"""A real mouse in the heatmaps: a click moves the step, a drag looks closer, and there is a way back."""

import contextlib
import re
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Locator, expect

from tests.dashboards.serving import Served, serve
from tests.dashboards.synthetic import Made, pair, write, write_all
from tests.dashboards.watched import SETTLE_MS, STILL_MS, Watched

pytestmark = pytest.mark.browser

STEPS, TIMESTEPS = 60, 20
TRIES = 8
LONG, MANY = 620, 100  # more numbers than a heatmap has cells
COMPARE = "/compare?" + urlencode([("run", "pair/lstm-off"), ("run", "pair/lstm-on")])

Place = tuple[float, float]  # step and timestep, or pixels


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("root") / "runs"
    write_all(root, pair(steps=STEPS, timesteps=TIMESTEPS))
    write(root, Made("long", steps=LONG, timesteps=MANY))
    with serve(root, tmp_path_factory.mktemp("elsewhere")) as one:
        yield one


def plot_area(seen: Watched, panel: int) -> Locator:
    """The inside of the axes of a panel, counted over the page, in sight: where the mouse meets the heatmap itself."""
    area = seen.plots().locator(".nsewdrag").nth(panel)
    area.evaluate("area => area.scrollIntoView({block: 'center'})")  # at once: it may be one that is to go
    return area


def point(seen: Watched, panel: int, at: Place, within: tuple[int, int]) -> Place:
    """Pixels of the middle of a cell of a panel that shows ``within`` steps and timesteps, the first of them 0."""
    box = seen.box(plot_area(seen, panel))
    right, up = ((place + 0.5) / count for place, count in zip(at, within, strict=True))
    return box["x"] + right * box["width"], box["y"] + (1 - up) * box["height"]


def hover(seen: Watched, panel: int, at: Place, within: tuple[int, int] = (STEPS, TIMESTEPS)) -> Place:
    """Moves the mouse to a cell until the picture tells what is there, as one that has just been drawn does not yet:
    it would take no click and no drag either."""
    told = seen.page.locator(".hoverlayer .hovertext").filter(has_text=re.compile(rf"step {at[0]}\b"))
    for _ in range(SETTLE_MS // STILL_MS):
        x, y = point(seen, panel, at, within)
        seen.page.mouse.move(x, y - 2)
        seen.page.mouse.move(x, y)
        seen.page.wait_for_timeout(STILL_MS)
        if told.count():
            return x, y
    raise AssertionError(f"the picture never told of {at}")


def click(seen: Watched, panel: int, at: Place) -> None:
    seen.page.mouse.click(*hover(seen, panel, at))


def drag(seen: Watched, panel: int, start: Place, end: Place, within: tuple[int, int] = (STEPS, TIMESTEPS)) -> None:
    mouse = seen.page.mouse
    hover(seen, panel, start, within)
    mouse.down()
    mouse.move(*point(seen, panel, end, within), steps=8)
    mouse.up()


def until_address(seen: Watched, says: str, act: Callable[[], None]) -> None:
    """Acts until the address says so: a picture that is drawn anew under the mouse takes no press, and people press
    again."""
    for _ in range(TRIES):
        act()
        with contextlib.suppress(AssertionError):
            expect(seen.page).to_have_url(re.compile(says), timeout=SETTLE_MS / TRIES)
            return
    raise AssertionError(f"{says} never stood in the address, {seen.page.url}")


def asked(seen: Watched) -> dict[str, list[str]]:
    """The query of the address."""
    return parse_qs(urlsplit(seen.page.url).query)


@pytest.mark.parametrize(
    ("address", "panel"),
    [("/run?run=pair/lstm-on", 0), (COMPARE, 1), (COMPARE, 2)],
    ids=["of a run", "of the second run", "the ratio"],
)
def test_a_click_in_a_heatmap_moves_the_step(seen: Watched, address: str, panel: int) -> None:
    seen.go(address)
    for step in (20, 41):
        until_address(seen, rf"[?&]step={step}(&|$)", partial(click, seen, panel, (step, 12)))
        heading = seen.page.get_by_role("heading", name=f"Through the sequence, at step {step}", exact=True)
        expect(heading).to_be_visible()
        expect(seen.page.get_by_role("slider", name="Step")).to_have_value(str(step))
        seen.settle()
    assert "steps" not in asked(seen)


def test_a_box_in_a_heatmap_looks_closer_and_there_is_a_way_back(seen: Watched) -> None:
    seen.go("/run?run=long")
    seen.page.get_by_text("a box looks closer", exact=True).click()
    seen.settle()
    until_address(seen, "[?&]steps=", partial(drag, seen, 0, (200, 20), (300, 60), (LONG, MANY)))
    seen.settle()
    (first, last), (low, high) = ([int(end) for end in asked(seen)[name]] for name in ("steps", "timesteps"))
    assert [first, last] == pytest.approx([200, 300], abs=2)
    assert [low, high] == pytest.approx([20, 60], abs=2)
    again = seen.page.get_by_role("button", name="Look at all of it again").first
    until_address(seen, r"^(?!.*steps=).*$", again.click)
    assert not {"steps", "timesteps"} & set(asked(seen))


def test_a_box_in_the_ratio_reaches_both_heatmaps(seen: Watched) -> None:
    seen.go(f"{COMPARE}&pointing=a+box+looks+closer")
    until_address(seen, "[?&]steps=", partial(drag, seen, 2, (10, 5), (30, 15)))
    seen.settle()
    first, last = (int(end) for end in asked(seen)["steps"])
    assert [first, last] == pytest.approx([10, 30], abs=1)
