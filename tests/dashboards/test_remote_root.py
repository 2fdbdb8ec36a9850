"""A root at a URL: its runs are listed, opened and annotated, and what cannot be done there is refused in words."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
import streamlit as st

from graddiag.store import load_run, remote_url, send_copies
from tests.dashboards.conftest import Open
from tests.dashboards.synthetic import pair, write
from tests.dashboards.test_pages import words
from ui.root import named_root, runs_root

ROOT = "memory://bucket/runs"


@pytest.fixture
def link(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A run in the store, and pages over the store."""
    monkeypatch.setenv("GRADDIAG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "store", {})
    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "pseudo_dirs", [""])
    link, url = write(root, pair()[0]), remote_url(ROOT)
    assert url is not None
    assert [each.missing for each in send_copies([root / link], url)] == [None]
    monkeypatch.setenv("GRADDIAG_ROOT", ROOT)
    runs_root.cache_clear()
    st.cache_resource.clear()
    yield link
    st.cache_resource.clear()


def test_the_runs_are_listed_under_their_url(open_page: Open, link: str) -> None:
    page = open_page("runs")
    assert not page.exception
    assert "1 run in 1 experiment" in words(page)
    assert named_root() == ROOT
    assert str(runs_root()) not in words(page)


def test_a_run_is_opened_by_its_link(open_page: Open, link: str) -> None:
    page = open_page("run", run=link)
    assert not page.exception
    assert "Could not open" not in words(page)
    assert load_run(f"{ROOT}/{link}").manifest.name in words(page)


def test_a_store_that_fails_is_reported_and_the_runs_stay(
    open_page: Open, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_page("runs")
    st.cache_resource.clear()

    def fails(*args: object, **kwargs: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "ls", fails)
    page = open_page("runs")
    assert not page.exception
    assert f"{ROOT} cannot be read" in words(page)
    assert "1 run in 1 experiment" in words(page)
