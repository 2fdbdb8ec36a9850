"""Roots with runs, pages run in this process (AppTest), and a page in a browser."""

import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from tests.dashboards.serving import APP, Served
from tests.dashboards.watched import Watched, watched
from tests.waiting import SECONDS

sys.path.insert(0, str(APP.parent))  # what `streamlit run` does for the pages' own helpers

from ui import runs as listing

Open = Callable[..., AppTest]


@pytest.fixture(scope="session", autouse=True)
def _components_are_looked_for_once() -> Iterator[None]:
    """Each AppTest reads the metadata of every library installed to find components: two thirds of its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The runs folder of the pages in this process; empty until a test writes into it."""
    from ui.root import runs_root

    folder = tmp_path / "runs"
    monkeypatch.setenv("GRADDIAG_ROOT", str(folder))
    runs_root.cache_clear()
    yield folder
    runs_root.cache_clear()


@pytest.fixture(autouse=True)
def _every_run_is_judged_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may not judge four runs in the second that a listing waits for; the rest come with later ones."""
    monkeypatch.setattr(listing, "JUDGING_SECONDS", float(SECONDS))


@pytest.fixture
def open_page(root: Path) -> Open:
    """Runs a page with the query string given: ``open_page("compare", run=["a", "b"])``."""

    def opened(name: str, **query: str | list[str]) -> AppTest:
        page = AppTest.from_file(str(APP.parent / "pages" / f"{name}.py"), default_timeout=SECONDS)
        for key, value in query.items():
            page.query_params[key] = value
        return page.run()

    return opened


@pytest.fixture
def seen(chromium: Browser, served: Served) -> Iterator[Watched]:
    """A page of the dashboard that the test's module has ``served``; in the end nothing may have gone wrong on it."""
    with watched(chromium, served) as one:
        yield one
        assert one.trouble() == []
