"""A real mouse in the heatmaps: a click moves the step, a drag looks closer, and there is a way back."""

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Locator, expect

from tests.dashboards.serving import Served, serve
from tests.dashboards.synthetic import Made, pair, write, write_all
from tests.dashboards.watched import SETTLE_MS, STILL_MS, Watched
from tests.waiting import until

pytestmark = pytest.mark.browser

STEPS, TIMESTEPS = 60, 20
LONG, MANY = 620, 100  # more numbers than a heatmap has cells: two steps share one
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
    """The inside of the axes of a panel, counted over the section, in sight: where the mouse meets the heatmap itself;
    -1: that of the heatmap above the sections."""
    at_a_glance = seen.page.locator(".st-key-glance-heat .nsewdrag")
    area = at_a_glance.first if panel < 0 else seen.section_plots().locator(".nsewdrag").nth(panel)
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


def asked(seen: Watched) -> dict[str, list[str]]:
    """The query of the address."""
    return parse_qs(urlsplit(seen.page.url).query)


def columns(seen: Watched) -> list[int]:
    """The steps at which the first heatmap has cells."""
    found: list[int] = seen.section_plots().first.evaluate("plot => Array.from(plot._fullData[0].x)")
    return found


def shown(seen: Watched) -> list[list[float]]:
    """The steps that each panel of the heatmaps and of the ratio shows."""
    ranges = "plots => plots.slice(0, 2).flatMap(({layout}) => [layout.xaxis, layout.xaxis2].map(axis => axis?.range))"
    return [each for each in seen.section_plots().evaluate_all(ranges) if each]


@pytest.mark.parametrize(
    ("address", "panel"),
    [("/run?run=pair/lstm-on", 0), ("/run?run=pair/lstm-on", -1), (COMPARE, 1), (COMPARE, 2)],
    ids=["of a run", "at a glance", "of the second run", "the ratio"],
)
def test_a_click_in_a_heatmap_moves_the_step(seen: Watched, address: str, panel: int) -> None:
    seen.go(address)
    for step in (20, 41):
        click(seen, panel, (step, 12))
        expect(seen.page).to_have_url(re.compile(rf"[?&]step={step}(&|$)"))
        heading = seen.page.get_by_role("heading", name=f"Signal along the sequence, at step {step}", exact=True)
        expect(heading).to_be_visible()
        expect(seen.page.get_by_role("slider", name="Step")).to_have_value(str(step))
        seen.settle()
    assert "steps" not in asked(seen)


def test_a_box_in_a_heatmap_looks_closer_and_there_is_a_way_back(seen: Watched) -> None:
    seen.go("/run?run=long")
    whole = list(range(0, LONG, 2))
    assert columns(seen) == whole
    seen.page.get_by_text("drag to zoom", exact=True).click()
    seen.settle()
    drag(seen, 0, (200, 20), (300, 60), (LONG, MANY))
    expect(seen.page).to_have_url(re.compile("[?&]steps="))
    seen.settle()
    (first, last), (low, high) = ([int(end) for end in asked(seen)[name]] for name in ("steps", "timesteps"))
    assert [first, last] == pytest.approx([200, 300], abs=2)
    assert [low, high] == pytest.approx([20, 60], abs=2)
    assert columns(seen) == list(range(first, last + 1))  # a cell of its own for each step
    assert seen.page.locator(".selectionlayer > *").count() == 0  # what was taken is all that is seen
    seen.page.get_by_role("button", name="Reset zoom").click()
    expect(seen.page).not_to_have_url(re.compile("steps="))
    seen.settle()
    assert not {"steps", "timesteps"} & set(asked(seen))
    assert columns(seen) == whole


def test_a_box_in_the_ratio_reaches_both_heatmaps(seen: Watched) -> None:
    seen.go(f"{COMPARE}&pointing=drag+to+zoom")
    drag(seen, 2, (10, 5), (30, 15))
    expect(seen.page).to_have_url(re.compile("[?&]steps="))
    seen.settle()
    first, last = (int(end) for end in asked(seen)["steps"])
    assert [first, last] == pytest.approx([10, 30], abs=1)
    until(lambda: shown(seen) == [[first - 0.5, last + 0.5]] * 3)
