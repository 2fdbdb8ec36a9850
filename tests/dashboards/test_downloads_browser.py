"""Under a run that grows and pages that follow it no download fails, whichever link of whichever moment is followed."""

import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.dashboards.serving import Served, serve
from tests.dashboards.synthetic import Growing, Made
from tests.dashboards.watched import watched

pytestmark = pytest.mark.browser

PAGES, ROUNDS = 3, 4


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, threading.Event]]:
    root = tmp_path_factory.mktemp("root") / "runs"
    run, stop = Growing(root, Made("grows", status="running", steps=10_000)), threading.Event()

    def grow() -> None:
        while not stop.wait(0.5):
            run.grow(run.steps + 2)

    run.grow(12)
    writer = threading.Thread(target=grow, daemon=True)
    with serve(root, tmp_path_factory.mktemp("elsewhere")) as one:
        writer.start()
        yield one, stop
        stop.set()
        writer.join()


def addresses(page: Page) -> list[str]:
    found: list[str] = page.get_by_role("link", name="CSV", exact=True).evaluate_all("links => links.map(a => a.href)")
    return found


def test_no_download_fails_while_pages_are_drawn_again(
    chromium: Browser, growing: tuple[Served, threading.Event]
) -> None:
    served, _ = growing
    with watched(chromium, served) as one, watched(chromium, served) as two, watched(chromium, served) as three:
        several = (one, two, three)
        for seen in several:
            seen.page.goto(f"{served.url}/run?run=grows")
            seen.page.get_by_role("link", name="CSV", exact=True).nth(4).wait_for()
        before = [address for seen in several for address in addresses(seen.page)]
        answers = []
        for _ in range(ROUNDS):
            for seen in several:
                for address in {*before, *addresses(seen.page)}:
                    answers.append(seen.page.request.get(address, fail_on_status_code=False))
            one.page.wait_for_timeout(1000)
        assert len(answers) > ROUNDS * PAGES * 5
        assert {answer.status for answer in answers} == {200}
        lengths = [len(answer.text().splitlines()) for answer in answers if "glance-course.csv" in answer.url]
        assert max(lengths) > min(lengths)  # the run grew meanwhile, and what was fetched with it
