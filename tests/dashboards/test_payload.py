"""What comes over the network for a page of long runs: under 2 MB, whatever section is looked at; a report too."""

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, expect

from benchmarks._long_run import Size, make_run
from tests.dashboards.serving import Served, serve
from tests.dashboards.watched import watched

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MOST = 2_500_000  # a preview brings the tables of its pictures too
LONG = Size(steps=2000, timesteps=200, layers=1)
SECTIONS = ("through time", "training", "gates", "weights", "clipping", "health")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two copies of a run with more steps, timesteps and norms than a picture has pixels."""
    root = tmp_path_factory.mktemp("root") / "runs"
    make_run(root / "a", LONG, "big")
    make_run(root / "b", LONG, "big")
    with serve(root, tmp_path_factory.mktemp("elsewhere")) as one:
        yield one


@pytest.mark.parametrize("runs", [["a/big"], ["a/big", "b/big"]], ids=["run", "compare"])
def test_a_page_of_a_long_run_is_small(chromium: Browser, served: Served, runs: list[str]) -> None:
    with watched(chromium, served) as seen:
        received: list[int] = []
        seen.page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
        seen.go(f"/{'run' if len(runs) == 1 else 'compare'}?" + urlencode([("run", run) for run in runs]))
        for section in SECTIONS:  # the first stands there already: what came with the page is counted with it
            seen.look_at(section)
            expect(seen.plots().first).to_be_visible()
            assert 20_000 < sum(received) < MOST, section
            received.clear()
        assert seen.trouble() == []


def test_a_preview_brings_the_report_and_not_what_draws_it(chromium: Browser, served: Served) -> None:
    with watched(chromium, served) as seen:
        received: list[int] = []
        seen.page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
        seen.go("/report?" + urlencode([("run", "a/big"), ("run", "b/big"), ("preview", "true")]))
        report = seen.page.frame_locator("iframe")
        expect(report.get_by_role("heading", level=1)).to_be_visible()
        report.locator(".plot").first.scroll_into_view_if_needed()
        expect(report.locator(".js-plotly-plot .main-svg").first).to_be_visible()
        seen.settle()
        assert 100_000 < sum(received) < MOST
        assert seen.trouble() == []
