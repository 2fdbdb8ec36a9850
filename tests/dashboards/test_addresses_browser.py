"""An address is a view: what one person sees after some clicks, another one sees in a browser of their own."""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tests.dashboards.serving import Served, serve
from tests.dashboards.synthetic import Made, pair, write_all
from tests.dashboards.watched import Watched, watched
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

RUN = "/run?run=pair/lstm-on-0"
ARMS = "/compare?" + urlencode([("run", f"pair/lstm-{arm}-{seed}") for seed in range(2) for arm in ("off", "on")])

Act = Callable[[Watched], None]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A pair with two seeds, and an older experiment with two lengths."""
    root = tmp_path_factory.mktemp("root") / "runs"
    for seed in range(2):
        off, on = pair(steps=40, timesteps=20, seed=seed, day=2)
        write_all(root, [replace(off, name=f"lstm-off-{seed}"), replace(on, name=f"lstm-on-{seed}")])
    write_all(root, [Made(f"of-{length}", "lengths", "clip off", config={"length": length}) for length in (10, 20)])
    with serve(root, tmp_path_factory.mktemp("elsewhere")) as one:
        yield one


def picks(label: str, presses: int = 1) -> Act:
    """Takes another one of a list."""

    def act(seen: Watched) -> None:
        box = seen.page.get_by_role("combobox", name=label)
        box.click()
        for _ in range(presses):
            box.press("ArrowDown")
        box.press("Enter")

    return act


def slides(label: str, key: str, times: int, thumb: int = 0) -> Act:
    """Moves a slider, one step at a time."""

    def act(seen: Watched) -> None:
        slider = seen.page.get_by_role("slider", name=label).nth(thumb)
        for _ in range(times):
            slider.press(key)
        expect(seen.page).to_have_url(re.compile(f"={slider.input_value()}(&|$)"))

    return act


def presses(label: str) -> Act:
    """Takes one of several that stand side by side."""
    return lambda seen: seen.page.get_by_test_id("stButtonGroup").get_by_text(label, exact=True).click()


def types(label: str, words: str) -> Act:
    def act(seen: Watched) -> None:
        box = seen.page.get_by_label(label, exact=True)
        box.fill(words)
        box.press("Enter")

    return act


VIEWS: dict[str, tuple[str, tuple[Act, ...]]] = {
    "run, through time": (
        RUN,
        (
            picks("Signal"),
            picks("Cell aggregation"),
            picks("Colour scale"),
            slides("Zoom, training", "ArrowRight", 4),
            slides("Zoom, sequence", "ArrowLeft", 3, thumb=1),
            slides("Step", "ArrowLeft", 5),
        ),
    ),
    "run, training": (
        RUN,
        (
            presses("training"),
            slides("Zoom, training", "ArrowLeft", 6, thumb=1),
            slides("Step", "ArrowLeft", 9),
        ),
    ),
    "run, gates": (RUN, (presses("gates"), slides("Step", "ArrowLeft", 7))),
    "compare": (
        ARMS,
        (
            presses("1"),
            presses("clipping"),
            slides("Zoom, training", "ArrowRight", 4),
            slides("Step", "ArrowLeft", 3),
        ),
    ),
    "experiment": ("/experiment", (picks("Experiment"), types("that ends at most at", "0.3"))),
    "lab, a pair": ("/lab", (picks("Task"), picks("Network"), types("Units", "24"), types("Layers", "2"))),
    "lab, a preset": ("/lab", (presses("preset"), picks("Preset", 3))),
    "report": (
        "/report?run=pair/lstm-off-0&run=pair/lstm-on-0",
        (presses("Markdown"), presses("methods"), types("Title", "What clipping did")),
    ),
}


def view(seen: Watched) -> dict[str, object]:
    """What is seen: headings, words, how many pictures, and what stands in every control."""
    page = seen.page
    value = "each => [each.ariaLabel, each.type, each.value, each.checked ?? each.ariaChecked]"
    controls = f"all => all.filter(each => each.checkVisibility()).map({value})"
    return {
        "address": parse_qs(urlsplit(page.url).query),
        "headings": page.get_by_role("heading").all_inner_texts(),
        "words": page.get_by_test_id("stHtml").filter(visible=True).all_inner_texts(),
        "pictures": seen.plots().count(),
        "controls": page.locator("input, textarea, [role=radio], [role=checkbox]").evaluate_all(controls),
        "chosen": page.get_by_role("combobox").all_inner_texts(),
    }


@pytest.mark.parametrize(("address", "acts"), VIEWS.values(), ids=VIEWS)
def test_an_address_is_a_view(chromium: Browser, served: Served, address: str, acts: tuple[Act, ...]) -> None:
    with watched(chromium, served) as one, watched(chromium, served) as other:
        one.go(address)
        at_first = view(one)
        for act in acts:
            before = one.page.url
            act(one)
            expect(one.page).not_to_have_url(before)
            one.settle()
        assert view(one) != at_first
        other.go(one.page.url.removeprefix(served.url))
        with contextlib.suppress(AssertionError):
            until(lambda: view(other) == view(one))
        assert view(other) == view(one)  # again, to be told what differs
        assert one.trouble() == other.trouble() == []
