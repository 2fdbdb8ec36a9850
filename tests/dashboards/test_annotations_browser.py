"""Tags and notes given in the browser: the button to save is in sight, the change is confirmed, and the run has it."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from graddiag.store import load_run
from tests.dashboards.serving import serve
from tests.dashboards.synthetic import pair, write_all
from tests.dashboards.watched import watched

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize("width", [390, 1440])
def test_tags_and_notes_are_saved_and_confirmed(chromium: Browser, tmp_path: Path, width: int) -> None:
    root = tmp_path / "runs"
    link, _ = write_all(root, pair())
    with serve(root, tmp_path) as served, watched(chromium, served, width=width) as seen:
        seen.go(f"/?selected={link}")
        button = seen.page.get_by_role("button", name="Tags and notes", exact=True)
        button.click()
        seen.page.get_by_role("textbox", name="Tags", exact=True).fill("baseline, keep")
        seen.page.get_by_role("textbox", name="Notes", exact=True).fill("the first one")
        save = seen.page.get_by_role("button", name="Save", exact=True)
        expect(save).to_be_in_viewport()
        save.click()
        expect(seen.page.get_by_text("Tags and notes saved.")).to_be_visible()
        seen.settle()
        expect(button).to_be_visible()
        assert seen.trouble() == []
    found = load_run(root / link).manifest
    assert (found.tags, found.notes) == (("baseline", "keep"), "the first one")
