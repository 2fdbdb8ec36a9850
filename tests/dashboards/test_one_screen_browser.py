"""The answer is on the first screen: of a desk sentence, curves and heatmap, of a phone the sentence and the loss."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.dashboards.serving import Served, serve
from tests.dashboards.synthetic import Made, pair, write_all
from tests.dashboards.watched import Scheme, Watched, watched

pytestmark = pytest.mark.browser

DESK, PHONE = (1440, 900), (390, 844)
RUNS = {  # by what makes their pages long
    "vanishes": Made("vanishes", "an-experiment-with-a-long-name", "clip off", steps=300, timesteps=60, ratio=0.5),
    "healthy": Made("healthy", steps=300, clip="norm:9", loss=3.0),
    "broken": Made("broken", broken_from=5, status="failed"),
    "running": Made("running", status="running"),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("root") / "runs"
    write_all(root, [*RUNS.values(), *pair(growth=0.5)])
    with serve(root, tmp_path_factory.mktemp("elsewhere")) as one:
        yield one


def link(name: str) -> str:
    made = RUNS[name]
    return f"{made.experiment}/{made.name}" if made.experiment else made.name


def bottom(seen: Watched, part: Locator) -> float:
    """The lowest pixel of a part, from the top of the screen."""
    box = seen.box(part)
    return box["y"] + box["height"]


def picture(seen: Watched, key: str) -> Locator:
    return seen.page.locator(f".st-key-glance-{key}").get_by_role("figure")


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_desk_shows_the_whole_answer_without_scrolling(
    chromium: Browser, served: Served, name: str, scheme: Scheme
) -> None:
    with watched(chromium, served, width=DESK[0], height=DESK[1], scheme=scheme) as seen:
        seen.go(f"/run?run={link(name)}")
        card = seen.page.get_by_role("region", name="Diagnosis")
        places = [bottom(seen, each) for each in (card, picture(seen, "course"), picture(seen, "heat"))]
        assert places == sorted(places)
        assert places[-1] <= DESK[1]
        expect(seen.page.get_by_text("Memory horizon", exact=True)).to_be_in_viewport()
        assert seen.trouble() == []


@pytest.mark.parametrize("name", RUNS)
def test_a_phone_shows_sentence_and_loss_first_then_the_heatmap_and_the_tiles(
    chromium: Browser, served: Served, name: str
) -> None:
    with watched(chromium, served, width=PHONE[0], height=PHONE[1]) as seen:
        seen.go(f"/run?run={link(name)}")
        card = bottom(seen, seen.page.get_by_role("region", name="Diagnosis"))
        loss = bottom(seen, picture(seen, "course").locator(".xaxislayer-above, .cartesianlayer .xy").first)
        tiles = seen.box(seen.page.get_by_text("Memory horizon", exact=True))["y"]
        assert card < loss <= PHONE[1]
        assert bottom(seen, picture(seen, "heat")) < tiles
        assert not seen.too_wide()
        assert seen.trouble() == []


def test_a_pair_shows_curves_and_heatmaps_of_both_arms_without_scrolling(chromium: Browser, served: Served) -> None:
    with watched(chromium, served, width=DESK[0], height=DESK[1]) as seen:
        seen.go("/compare?run=pair/lstm-off&run=pair/lstm-on")
        effects = seen.box(seen.page.get_by_role("heading", name="Effects", exact=True))["y"]
        for key in ("course", "heat"):
            assert bottom(seen, picture(seen, key)) <= min(effects, DESK[1])
