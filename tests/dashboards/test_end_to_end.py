"""The whole way in a real Chromium: record from the Lab, compare, look closer, follow a link, take the report along."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.dashboards.jobs import held
from tests.dashboards.serving import serve
from tests.dashboards.watched import watched

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_from_the_lab_to_a_report_in_the_hand(chromium: Browser, tmp_path: Path) -> None:
    saved = tmp_path / "report.html"
    with serve(tmp_path / "runs", tmp_path) as served, watched(chromium, served) as seen:
        page = seen.page
        seen.go("/lab?task=temporal-order&model=lstm&length=10&hidden=8&layers=2&steps=30&clip=norm:0.1")
        page.get_by_role("button", name="Start").click()
        with held(tmp_path / "runs"):
            expect(page.get_by_role("progressbar").first).to_be_visible()
        expect(page.get_by_text("finished").first).to_be_visible()
        compare = page.get_by_role("link", name="Compare its runs")
        expect(compare).to_have_count(1)  # what the page had before it finished is gone

        compare.last.click()  # for a moment the page may hold what it had before, with the same address
        expect(page.get_by_role("heading", name="Effects")).to_be_visible()
        seen.settle()
        layer = page.get_by_role("combobox", name="Layer")
        layer.click()
        layer.press("ArrowDown")
        layer.press("Enter")
        told = page.get_by_text("per timestep back through time, recurrent layer 1 (", exact=False)
        expect(told.first).to_be_visible()
        expect(page).to_have_url(re.compile(r"layer=recurrent%2C\+layer\+1"))
        seen.settle()
        step = page.get_by_role("slider", name="Step")
        before = step.input_value()
        step.press("ArrowLeft")
        expect(step).not_to_have_value(before)
        seen.settle()
        here = page.url
        assert "step=" in here
        page.goto(here)
        seen.settle()
        expect(page.get_by_role("slider", name="Step")).not_to_have_value(before)

        page.get_by_role("link", name="Report on these runs").click()
        expect(page.get_by_role("heading", name="Report", exact=True)).to_be_visible()
        seen.settle()
        assert page.url.count("run=") == 2
        page.get_by_role("button", name="Make the report").click()
        with page.expect_download() as waiting:
            page.get_by_role("button", name=re.compile(r"Download .*report\.html")).click()
        waiting.value.save_as(saved)
        page.get_by_text("Preview", exact=True).click()
        frame = page.frame_locator("iframe").last
        expect(frame.get_by_role("heading", level=1)).to_be_visible()
        seen.settle()
        assert seen.trouble() == []
    read_offline(chromium, saved)


def read_offline(chromium: Browser, report: Path) -> None:
    """Opens a report without a network and clicks in it: the contents lead on, a legend hides a line."""
    context = chromium.new_context(offline=True)
    trouble: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: trouble.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: trouble.append(request.url) if not request.url.startswith("file:") else None)
    page.goto(report.as_uri())
    page.get_by_role("link", name="Comparison").click()
    expect(page.get_by_role("heading", name="Comparison")).to_be_in_viewport()
    plot = page.locator(".js-plotly-plot").first
    plot.scroll_into_view_if_needed()
    shown = plot.locator(".legend .traces").first
    expect(shown).to_be_visible()
    shown.locator(".legendtoggle").click()
    expect(shown).to_have_css("opacity", "0.5")
    assert trouble == []
    context.close()
