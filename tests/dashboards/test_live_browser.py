"""What happens while a page is open: runs that start later, grow, end; a pair recorded from the page."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Locator, expect

from graddiag import schema
from graddiag.overview import list_runs
from tests.dashboards.jobs import held
from tests.dashboards.serving import Served, serve
from tests.dashboards.synthetic import Growing, Made, awkward, pair, write
from tests.dashboards.watched import Watched, watched
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


@pytest.fixture
def growing(tmp_path: Path) -> Growing:
    """A run of ten steps so far."""
    run = Growing(tmp_path / "runs", awkward()["running"])
    run.grow(to=10)
    return run


@pytest.fixture
def served(tmp_path: Path, growing: Growing) -> Iterator[Served]:
    with serve(tmp_path / "runs", tmp_path) as one:
        yield one


def test_a_run_grows_before_ones_eyes(growing: Growing, seen: Watched) -> None:
    seen.go(f"/run?run={growing.link}")
    expect(seen.page.get_by_test_id("stMarkdownContainer").filter(has_text="running").first).to_be_visible()
    growing.grow(to=30)
    expect(seen.page.get_by_role("slider", name="Step")).to_have_attribute("max", "29")
    growing.writer.close()
    expect(seen.page.get_by_text("finished").first).to_be_visible()


LAST_STEP: Final = "plots => Math.min(...plots.map(plot => plot._fullLayout.xaxis.range[1]))"
WATCH_EVERY_FRAME: Final = """() => {
    const pictures = [...document.querySelectorAll(".graddiag-chart")];
    const place = each => Object.values(each.getBoundingClientRect().toJSON()).join();
    const line = each => each.querySelector(".main-svg .trace path.js-line, .main-svg .hm image");
    const before = pictures.map(place).join();
    window.away = [];
    const look = () => {
        if (!pictures.every(each => each.isConnected && line(each)?.checkVisibility())) window.away.push("a line");
        if (pictures.map(place).join() !== before) window.away.push("a place");
        requestAnimationFrame(look);
    };
    look();
}"""


def test_pictures_grow_without_a_flicker(growing: Growing, seen: Watched) -> None:
    """They are changed where they stand: none is made anew, and in no frame is one of them empty or elsewhere."""
    seen.go(f"/run?run={growing.link}&section=training")
    expect(seen.plots()).to_have_count(4)
    seen.page.evaluate(WATCH_EVERY_FRAME)
    for steps in (30, 60):
        growing.grow(to=steps)
        until(lambda steps=steps: seen.plots().evaluate_all(LAST_STEP) >= steps - 1)  # type: ignore[misc]
        seen.settle()
    assert seen.page.evaluate("window.away") == []


RANGE: Final = "plot => plot._fullLayout.xaxis.range.map(Math.round)"


def zoomed_out(plot: Locator) -> bool:
    """Whether a double click shows all 60 steps; on a busy machine its clicks may come too far apart to be one."""
    plot.locator(".nsewdrag").first.dblclick()
    return bool(plot.evaluate(RANGE)[1] >= 59)


def test_what_was_zoomed_into_stays_while_a_run_grows(growing: Growing, seen: Watched) -> None:
    """And while the step moves, until the address asks for something else."""
    growing.grow(to=20)
    seen.go(f"/run?run={growing.link}&section=training")
    plot, mouse, slider = seen.section_plots().first, seen.page.mouse, seen.page.get_by_role("slider", name="Step")
    plot.scroll_into_view_if_needed()
    box = seen.box(plot.locator(".nsewdrag").first)
    left, right, middle = box["x"] + box["width"] / 4, box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse.move(left, middle)
    mouse.down()
    mouse.move(right, middle, steps=8)
    mouse.up()
    zoomed = plot.evaluate(RANGE)
    assert 0 < zoomed[0] < zoomed[1] < 15
    growing.grow(to=60)
    expect(slider).to_have_attribute("max", "59")
    slider.press("ArrowLeft")
    expect(seen.page).to_have_url(re.compile("[?&]step="))
    seen.settle()
    assert plot.evaluate(RANGE) == zoomed
    assert plot.evaluate("plot => plot._fullData[0].x.length") == 60
    until(lambda: zoomed_out(plot))  # and not to where it ended when the page was opened
    seen.page.get_by_role("slider", name="Zoom, training").first.press("ArrowRight")
    expect(seen.page).to_have_url(re.compile("[?&]steps="))
    seen.settle()
    assert plot.evaluate(RANGE)[1] >= 59


def quiet(seen: Watched, received: list[int]) -> bool:
    """Whether less than 20 kB come in 5 seconds: the last picture may take its time."""
    before = len(received)
    seen.page.wait_for_timeout(5000)
    return sum(received[before:]) < 20_000


def test_a_page_at_rest_sends_nothing(chromium: Browser, tmp_path: Path) -> None:
    """A pulse a second that says that nothing has changed, and no picture again."""
    root = tmp_path / "runs"
    write(root, OFF)
    with serve(root, tmp_path) as served, watched(chromium, served) as seen:
        received: list[int] = []
        seen.page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
        seen.go(f"/run?run={OFF.experiment}/{OFF.name}")
        until(lambda: quiet(seen, received))
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
        at_work = seen.page.get_by_role("progressbar").first
        with held(root):
            expect(at_work).to_be_visible()
            seen.page.reload()  # the job is found again
            expect(at_work).to_be_visible()
        expect(seen.page.get_by_text("2 runs in 1 experiment.")).to_be_visible()
        expect(seen.page.get_by_role("progressbar")).to_have_count(0)
        assert [row[schema.STATUS] for row in list_runs(root).to_dict("records")] == ["finished", "finished"]
        assert seen.trouble() == []
