"""The Lab end to end in a real Chromium: a pair recorded from the page, watched, stopped, found again, compared."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, expect

from graddiag import schema
from graddiag.jobs.control import stop
from graddiag.jobs.files import read_job, read_jobs
from graddiag.overview import list_runs
from tests.dashboards.jobs import held
from tests.dashboards.serving import serve
from tests.dashboards.watched import Watched, watched
from tests.waiting import until

pytestmark = pytest.mark.browser


def fill(seen: Watched, name: str, value: str) -> None:
    box = seen.page.get_by_role("spinbutton", name=name)
    box.fill(value)
    box.press("Tab")
    seen.settle()


def begin(seen: Watched, root: Path, steps: int) -> None:
    """A small pair on temporal order, started from the page."""
    seen.go("/lab?task=temporal-order&length=10&hidden=8")
    fill(seen, "Steps of each run", str(steps))
    seen.page.get_by_role("button", name="Start").click()
    with held(root):
        expect(seen.page.get_by_role("progressbar").first).to_be_visible()


@pytest.mark.slow
def test_a_pair_is_recorded_watched_and_compared(chromium: Browser, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    with serve(root, tmp_path) as served, watched(chromium, served) as seen:
        begin(seen, root, steps=30)
        expect(seen.page.get_by_text("finished").first).to_be_visible()
        expect(seen.page.get_by_role("progressbar")).to_have_count(0)
        expect(seen.plots()).to_have_count(2)
        compare = seen.page.get_by_role("link", name="Compare its runs")
        expect(compare).to_have_count(1)
        compare.last.click()  # for a moment the page may hold what it had before, with the same address
        expect(seen.page.get_by_role("heading", name="Effects")).to_be_visible()
        seen.settle()
        expect(seen.page).to_have_url(re.compile("run=temporal-order-rnn-norm-0.5"))
        assert [row[schema.STATUS] for row in list_runs(root).to_dict("records")] == ["finished", "finished"]
        assert seen.trouble() == []


LONGEST: Final = "plots => Math.max(0, ...plots.map(plot => plot._fullLayout?.xaxis.range?.[1] ?? 0))"


@pytest.mark.slow
def test_curves_grow_while_a_job_is_at_work(chromium: Browser, root: Path, tmp_path: Path) -> None:
    with serve(root, tmp_path) as served, watched(chromium, served) as seen:
        begin(seen, root, steps=100_000)
        curves = seen.plots()
        expect(curves.first).to_be_visible()
        before = curves.evaluate_all(LONGEST)
        until(lambda: curves.evaluate_all(LONGEST) > before)
        between = curves.evaluate_all(LONGEST)
        until(lambda: curves.evaluate_all(LONGEST) > between)
        assert seen.trouble() == []


@pytest.mark.slow
def test_a_preset_is_started_and_what_it_found_is_shown(chromium: Browser, root: Path, tmp_path: Path) -> None:
    with serve(root, tmp_path) as served, watched(chromium, served) as seen:
        seen.go("/lab?kind=preset&preset=saturation&quick=true")
        seen.page.get_by_role("button", name="Start").click()
        with held(root):
            expect(seen.page.get_by_text("running").first).to_be_visible()
        expect(seen.page.get_by_text("finished").first).to_be_visible()
        assert list_runs(root)[schema.STATUS].eq("finished").all()
        assert seen.trouble() == []


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A runs folder whose jobs are ended with the test, however that ends."""
    root = tmp_path / "runs"
    yield root
    for job in read_jobs(root):
        while read_job(root, job.id).at_work and stop(root, job.id):  # asked first, then ended at once
            time.sleep(1)


@pytest.mark.slow
def test_a_job_outlives_its_tab_and_its_dashboard_and_can_then_be_stopped(
    chromium: Browser, root: Path, tmp_path: Path
) -> None:
    with serve(root, tmp_path) as served:
        with watched(chromium, served) as seen:
            begin(seen, root, steps=100_000)
            expect(seen.page.get_by_text(re.compile(r"Step [1-9][\d,]* of 200,000"))).to_be_visible()
            assert seen.trouble() == []
        with watched(chromium, served) as another:
            another.go("/lab")
            expect(another.page.get_by_text("running").first).to_be_visible()
    (job,) = read_jobs(root)
    assert job.state == "running"
    with serve(root, tmp_path) as served, watched(chromium, served) as seen:
        seen.go("/lab")
        expect(seen.plots()).to_have_count(2)
        seen.page.get_by_test_id("stMain").get_by_role("button", name="Stop").click()
        expect(seen.page.get_by_text("stopped").first).to_be_visible()
        assert [row[schema.STATUS] for row in list_runs(root).to_dict("records")] == ["interrupted"]
        assert seen.trouble() == []
