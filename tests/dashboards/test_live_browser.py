"""What happens while a page is open: runs that start later, grow, end; a pair recorded from the page."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, expect

from graddiag import schema
from graddiag.overview import list_runs
from tests.dashboards.serving import serve
from tests.dashboards.synthetic import Growing, Made, awkward, pair, write
from tests.dashboards.watched import watched
from tests.waiting import until

pytestmark = pytest.mark.browser

OFF, ON = pair()
LATER: Final = Made(ON.name, ON.experiment, ON.arm, clip=ON.clip, status="running")


def test_a_page_at_rest_shows_a_run_that_starts_later(chromium: Browser, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    write(root, OFF)
    with serve(root, tmp_path) as served, watched(chromium, served) as runs, watched(chromium, served) as experiment:
        runs.go("/")
        experiment.go("/experiment?experiment=pair")
        expect(runs.page.get_by_text("1 run in 1 experiment.")).to_be_visible()
        run = Growing(root, LATER)
        run.grow(to=10)
        expect(runs.page.get_by_text("2 runs in 1 experiment, 1 being written now")).to_be_visible()
        expect(experiment.page.get_by_role("link", name="Compare the 2 runs")).to_be_visible()
        run.writer.close()
        expect(runs.page.get_by_text("2 runs in 1 experiment.")).to_be_visible()
        assert runs.trouble() == experiment.trouble() == []


WRITES_AND_WAITS: Final = """
import sys
from pathlib import Path
from tests.dashboards.synthetic import Growing, Made

Growing(Path(sys.argv[1]), Made("left")).grow(to=10)
print("written", flush=True)
input()
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="a system without /proc")
def test_a_page_at_rest_sees_that_a_run_was_killed(chromium: Browser, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    command = [sys.executable, "-c", WRITES_AND_WAITS, str(root)]
    with subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        with serve(root, tmp_path) as served, watched(chromium, served) as seen:
            seen.go("/")
            expect(seen.page.get_by_text("1 being written now")).to_be_visible()
            process.kill()
            expect(seen.page.get_by_text("1 being written now")).to_have_count(0)
            assert seen.trouble() == []


def test_a_run_grows_before_ones_eyes(chromium: Browser, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    run = Growing(root, awkward()["running"])
    run.grow(to=10)
    with serve(root, tmp_path) as served, watched(chromium, served) as seen:
        seen.go(f"/run?run={run.link}")
        expect(seen.page.get_by_test_id("stMarkdownContainer").filter(has_text="running").first).to_be_visible()
        run.grow(to=30)
        expect(seen.page.get_by_role("slider", name="Step")).to_have_attribute("max", "29")
        run.writer.close()
        expect(seen.page.get_by_text("finished").first).to_be_visible()
        assert seen.trouble() == []


STEPS_DRAWN: Final = "plots => Math.max(...plots.map(plot => plot._fullLayout?.xaxis.range?.[1] ?? 0))"
WATCH_EVERY_FRAME: Final = """() => {
    const height = () => document.querySelector("[data-testid=stMainBlockContainer]").scrollHeight;
    window.heights = [height()];
    const look = () => { window.heights.push(height()); requestAnimationFrame(look); };
    look();
}"""
JUMPED: Final = "Math.max(...window.heights) - Math.min(...window.heights)"  # no less than a picture if one were gone


def test_pictures_grow_in_their_places(chromium: Browser, tmp_path: Path) -> None:
    """The page is not loaded anew, and what is below a picture does not move while it is drawn again."""
    root = tmp_path / "runs"
    run = Growing(root, awkward()["running"])
    run.grow(to=10)
    with serve(root, tmp_path) as served, watched(chromium, served) as seen:
        seen.go(f"/run?run={run.link}&section=training")
        plots = seen.page.locator(".js-plotly-plot:has(.main-svg)")
        expect(plots.nth(1)).to_be_visible()
        seen.page.evaluate(WATCH_EVERY_FRAME)
        for steps in (30, 60):
            run.grow(to=steps)
            until(lambda steps=steps: plots.evaluate_all(STEPS_DRAWN) >= steps - 1)  # type: ignore[misc]
            seen.settle()
        assert seen.page.evaluate(JUMPED) < 250
        run.writer.close()
        assert seen.trouble() == []


def test_a_page_at_rest_sends_nothing(chromium: Browser, tmp_path: Path) -> None:
    """A pulse a second that says that nothing has changed, and no picture again."""
    root = tmp_path / "runs"
    write(root, OFF)
    with serve(root, tmp_path) as served, watched(chromium, served) as seen:
        received: list[int] = []
        seen.page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
        seen.go(f"/run?run={OFF.experiment}/{OFF.name}")
        before = len(received)
        seen.page.wait_for_timeout(5000)
        assert sum(received[before:]) < 20_000
        assert seen.trouble() == []


def test_a_pair_recorded_from_the_page(chromium: Browser, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    with serve(root, tmp_path) as served, watched(chromium, served) as seen:
        seen.go("/")
        expect(seen.page.get_by_text("No runs yet under")).to_be_visible()
        steps = seen.page.get_by_role("spinbutton", name="Steps")
        steps.fill("12")
        steps.press("Tab")
        seen.page.get_by_role("button", name="Record the pair").click()
        expect(seen.page.get_by_role("progressbar").first).to_be_visible()
        seen.page.reload()  # the job is found again
        expect(seen.page.get_by_text("2 runs in 1 experiment.")).to_be_visible()
        expect(seen.page.get_by_role("progressbar")).to_have_count(0)
        assert [row[schema.STATUS] for row in list_runs(root).to_dict("records")] == ["finished", "finished"]
        assert seen.trouble() == []
