"""On a machine that four other processes keep busy every page is drawn, and every download is given."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, expect

from tests.dashboards.serving import Served, serve
from tests.dashboards.synthetic import pair, write_all
from tests.dashboards.test_downloads_browser import addresses
from tests.dashboards.watched import watched

pytestmark = [pytest.mark.browser, pytest.mark.slow]

BUSY: Final = 4
ARMS: Final = urlencode([("run", "pair/lstm-off"), ("run", "pair/lstm-on")])
PAGES: Final = {  # with the heading that a page has once it is drawn, and how many of its files are fetched at least
    "/": ("Runs", 1),
    "/run?run=pair/lstm-on&section=training": ("pair / lstm-on", 4),
    f"/compare?{ARMS}": ("Compare", 4),
    "/experiment?experiment=pair": ("Experiment", 3),
    f"/report?{ARMS}": ("Report", 0),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("root") / "runs"
    write_all(root, pair())
    with serve(root, tmp_path_factory.mktemp("elsewhere")) as one:
        yield one


@pytest.fixture(scope="module", autouse=True)
def _busy(served: Served) -> Iterator[None]:
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY)]
    yield
    for each in others:
        each.kill()
        each.wait()


@pytest.mark.parametrize("address", PAGES)
def test_no_page_stays_blank_and_no_download_fails(chromium: Browser, served: Served, address: str) -> None:
    title, files = PAGES[address]
    with watched(chromium, served) as seen:
        seen.go(address)
        expect(seen.page.get_by_role("heading", level=1)).to_contain_text(title)
        found = addresses(seen.page)
        assert len(found) >= files
        answers = [seen.page.request.get(each, fail_on_status_code=False) for each in found]
        assert [answer.status for answer in answers] == [200] * len(found)
        assert all(answer.text() for answer in answers)
        assert seen.trouble() == []
