"""A browser page that keeps every sign of trouble: errors thrown, console errors, requests that leave this machine."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    FloatRect,
    Locator,
    Page,
    TimeoutError,
    expect,
)

from scripts.screenshots import DRAWN
from tests.dashboards.serving import Served
from tests.waiting import SECONDS

SETTLE_MS: Final = 1000 * SECONDS
STILL_MS: Final = 150  # what does not move for so long stands still
# whether no colour or place is on its way to another: half way it is what nobody chose
COLOURED: Final = """() => document.getAnimations().every(
    each => !(each instanceof CSSTransition) || each.playState !== "running")"""
# counts how often the page's program began to run, from the page's first moment on
COUNTED: Final = """window.begun = 0;
new MutationObserver(changes => {
    for (const { target } of changes) window.begun += target.dataset.testScriptState === "running";
}).observe(document, { subtree: true, attributes: true, attributeFilter: ["data-test-script-state"] });"""
expect.set_options(timeout=SETTLE_MS)

_GREETING: Final = re.compile(r"^\s*$|server started|You can now view|URL:|Stopping")  # all a server has to say
# Streamlit's own: it closes a websocket that a browser left while it was being accepted
_DEPARTURE: Final = re.compile(
    r"^.*Exception in ASGI application\n(?:(?!.*Exception in ASGI).*\n)*?"
    r'.*WebSocketDisconnected: Cannot call "send" once a close message has been sent\.\n?',
    re.MULTILINE,
)
_KEPT: Final[dict[str, BrowserContext]] = {}  # of the server that was looked at last
Scheme = Literal["light", "dark"]


@dataclass
class Watched:
    """One open page and what went wrong on it."""

    page: Page
    served: Served
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        self.page.goto(self.served.url + path)
        self.settle()

    def looks(self, scheme: Scheme) -> None:
        """By day or by night."""
        self.page.emulate_media(color_scheme=scheme)

    def settle(self) -> None:
        """Waits until the page and its pictures have been drawn and no script of it runs."""
        try:
            self.page.get_by_text(re.compile("^Runs folder: ")).wait_for(timeout=SETTLE_MS)
        except TimeoutError as error:
            there = self.page.locator("body").inner_text()
            raise AssertionError(f"{self.page.url} was never drawn, but\n{there}\n{self.trouble()}") from error
        at_rest = expect(self.page.get_by_test_id("stApp"))
        at_rest.to_have_attribute("data-test-script-state", "notRunning")
        self.page.wait_for_timeout(400)  # what was just asked for may only now begin
        at_rest.to_have_attribute("data-test-script-state", "notRunning")
        self.page.wait_for_function(DRAWN, timeout=SETTLE_MS)
        self.page.wait_for_function(COLOURED, timeout=SETTLE_MS)

    def look_at(self, section: str) -> None:
        """Takes a section of a run or of a comparison: the page stays, so this is a third of what opening it costs."""
        choice = self.page.get_by_test_id("stButtonGroup").get_by_role("radio", name=section, exact=True)
        if not choice.is_checked():
            before = self.page.evaluate("begun")
            choice.click()
            self.page.wait_for_function("before => begun > before", arg=before, timeout=SETTLE_MS)
        expect(choice).to_be_checked()
        self.page.mouse.move(0, 0)  # what it lies on has Streamlit's own colours
        self.settle()

    def box(self, part: Locator) -> FloatRect:
        """Where a part of the page stands once it stands still: a chart being drawn anew has no place for a moment."""
        before = None
        for _ in range(SETTLE_MS // STILL_MS):
            now = part.bounding_box()
            if now is not None and now == before:
                return now
            before = now
            self.page.wait_for_timeout(STILL_MS)
        raise AssertionError(f"{part} never stood still")

    def plots(self) -> Locator:
        """The charts in sight."""
        return self.page.get_by_role("figure")

    def section_plots(self) -> Locator:
        """The charts of the section, without those above it. Those of the section before may still be there, hidden."""
        return self.page.locator(".graddiag-chart[role=figure]:visible:not([class*='st-key-glance'] *)")

    def find_and_select_all(self, words: str) -> None:
        """Types into Find, then ticks the box in the table's head."""
        find = self.page.get_by_role("textbox", name="Find")
        find.fill(words)
        find.press("Enter")
        self.settle()
        self.page.get_by_test_id("stDataFrame").first.click(position={"x": 16, "y": 18})
        self.settle()

    def too_wide(self) -> int:
        """Pixels of the page beyond its right edge. Streamlit's main part scrolls, the document itself never does."""
        beyond = "parts => Math.max(...parts.map(part => part.scrollWidth - part.clientWidth))"
        found: int = self.page.locator("html, [data-testid='stMain']").evaluate_all(beyond)
        return found

    def dismiss(self, dialog: Dialog) -> None:
        """No page opens one: it is what a script that got in would do."""
        self.errors.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def trouble(self) -> list[str]:
        """Every error on the page, in its console and in the log of the server."""
        boxes = self.page.get_by_test_id("stException").all_inner_texts()
        log = [line for line in _DEPARTURE.sub("", self.served.log()).splitlines() if not _GREETING.search(line)]
        return [*boxes, *self.errors, *log, *self.foreign]


@contextlib.contextmanager
def watched(
    browser: Browser,
    served: Served,
    *,
    width: int = 1440,
    height: int = 900,
    scheme: Scheme = "light",
) -> Iterator[Watched]:
    context = _context(browser, served)
    page = context.new_page()
    page.add_init_script(COUNTED)
    page.set_viewport_size({"width": width, "height": height})
    seen = Watched(page, served)
    seen.looks(scheme)
    page.on("pageerror", lambda error: seen.errors.append(f"page: {error}"))
    page.on("console", lambda log: seen.errors.append(_words(log)) if _is_error(log) else None)
    page.on("dialog", seen.dismiss)
    page.on("request", lambda request: None if _own(request.url, served) else seen.foreign.append(request.url))
    try:
        yield seen
    finally:
        page.close()
        if context is not _KEPT.get(served.url):
            context.close()


def _context(browser: Browser, served: Served) -> BrowserContext:
    """A browser that knows nothing while another page is open; else the one before, which has Streamlit's program."""
    kept = _KEPT.get(served.url)
    if kept and kept.browser is browser:
        return browser.new_context() if kept.pages else kept
    for context in _KEPT.values():
        if context.browser is browser:
            context.close()
    _KEPT.clear()
    _KEPT[served.url] = browser.new_context()
    return _KEPT[served.url]


def _is_error(log: ConsoleMessage) -> bool:
    """Streamlit looks for its server under the page's own path first, and finds it one level up."""
    probe = str(log.location.get("url", "")).endswith(("/_stcore/health", "/_stcore/host-config"))
    return log.type == "error" and not probe


def _words(log: ConsoleMessage) -> str:
    return f"console: {log.text} {log.location.get('url', '')}"


def _own(url: str, served: Served) -> bool:
    return url.startswith((served.url, served.url.replace("http", "ws"), "data:", "blob:"))
