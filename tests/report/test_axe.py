"""The report as it is drawn, offline, at a desk and on a phone, by day and night: nothing serious found by axe-core."""

from typing import Any, Literal

import pytest
from playwright.sync_api import Browser

from tests.needs import needs
from tests.report.test_browser import opened, report, runs

__all__ = ["report", "runs"]  # fixtures

pytestmark = pytest.mark.browser

SERIOUS = ("serious", "critical")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_it_draws_every_figure_and_axe_finds_nothing_serious(
    chromium: Browser, report: Any, width: int, scheme: Literal["light", "dark"]
) -> None:
    axe = needs("axe_playwright_python.sync_playwright", "dev").Axe()
    with opened(chromium, report, width=width, scheme=scheme) as (page, trouble):
        assert page.locator(".plot.js-plotly-plot").count() == page.locator(".plot").count() > 9
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = axe.run(page).response
    assert len(found["passes"]) > 20
    assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"] if each["impact"] in SERIOUS] == []
    assert trouble == []
