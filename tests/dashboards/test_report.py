"""The Report page: what is chosen is what is made, of plain runs and of awkward ones, and what cannot be is told."""

import io
import re
import zipfile
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from graddiag.errors import MissingLibraryError
from graddiag.report import packed
from graddiag.report.paging import pages_of
from tests.dashboards.conftest import Open
from tests.dashboards.synthetic import HOSTILE, Made, awkward, pair, write, write_all
from tests.dashboards.test_pages import words
from tests.needs import needs, needs_chromium
from tests.waiting import SECONDS

AWKWARD = awkward()
SETTLE = 240  # seconds: Chromium draws every figure, on a busy machine with two cores


def make(page: AppTest, seconds: float = SECONDS) -> AppTest:
    next(button for button in page.button if button.label == "Make the report").click().run(timeout=seconds)
    assert not page.exception
    return page


def made(page: AppTest) -> packed.Packed:
    _, found = page.session_state["report made"]
    assert isinstance(found, packed.Packed)
    return found


def test_without_a_choice_it_says_what_to_do(open_page: Open, root: Path) -> None:
    write_all(root, pair())
    page = open_page("report")
    assert not page.exception
    assert "Choose the runs above" in words(page)
    assert not page.button


def test_a_run_that_is_not_there_is_refused(open_page: Open, root: object) -> None:
    page = open_page("report", run="../secret")
    assert not page.exception
    assert "Could not open" in words(page)


@pytest.mark.parametrize("name", AWKWARD)
def test_every_awkward_run_can_be_reported(open_page: Open, root, name: str) -> None:  # type: ignore[no-untyped-def]
    each: Made = AWKWARD[name]
    page = make(open_page("report", run=write(root, each)))
    content = made(page).content.decode()
    assert "<h1>" in content
    assert HOSTILE[0] not in content


def test_sections_and_title_are_those_that_were_chosen(open_page: Open, root) -> None:  # type: ignore[no-untyped-def]
    page = open_page("report", run=write_all(root, pair()), sections=["methods"], title="On <b>clipping</b>")
    content = made(make(page)).content.decode()
    assert "On &lt;b&gt;clipping&lt;/b&gt;" in content
    assert 'id="methods"' in content
    assert "Verdict and advice" not in content
    assert "MB. It opens offline" in words(page)


def test_what_changed_since_is_told(open_page: Open, root) -> None:  # type: ignore[no-untyped-def]
    page = make(open_page("report", run=write_all(root, pair())))
    page.text_input(key="title").set_value("Another").run()
    assert "has changed since the report was made" in words(page)
    assert not page.get("download_button")


@pytest.mark.browser
def test_markdown_is_handed_over_with_the_pictures_that_it_shows(open_page: Open, root: Path) -> None:
    needs("kaleido", "figures")
    needs_chromium()
    page = make(open_page("report", run=write_all(root, pair()), format="Markdown", sections=["evidence"]), SETTLE)
    with zipfile.ZipFile(io.BytesIO(made(page).content)) as archive:
        assert archive.testzip() is None
        shown = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", archive.read("report.md").decode())
        assert len(shown) > 3
        assert all(archive.read(name).startswith(b"\x89PNG") for name in shown)
    (button,) = page.get("download_button")
    assert button.proto.label == "Download pair-report.zip"


@pytest.mark.browser
def test_a_pdf_is_handed_over_whole(open_page: Open, root: Path) -> None:
    needs("kaleido", "figures")
    needs_chromium()
    page = make(open_page("report", run=write_all(root, pair()), format="PDF", sections=["comparison"]), SETTLE)
    content = made(page).content
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")
    assert pages_of(content)["chapter-1-comparison"] >= 1
    (button,) = page.get("download_button")
    assert button.proto.label == "Download pair-report.pdf"


def test_what_is_not_installed_is_told(open_page: Open, root, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    def missing(runs: object, path: Path, **how: object) -> packed.Packed:
        assert path.suffix == ".pdf"
        raise MissingLibraryError("a report as PDF needs kaleido: pip install 'graddiag[figures]'.")

    monkeypatch.setattr(packed, "write_report", missing)
    page = make(open_page("report", run=write_all(root, pair()), format="PDF"))
    assert "Not made" in words(page)
    assert "pip install" in words(page)


def test_the_preview_is_the_report(open_page: Open, root) -> None:  # type: ignore[no-untyped-def]
    page = make(open_page("report", run=write_all(root, pair())))
    assert not page.get("iframe")
    page.toggle(key="preview").set_value(True).run()
    (frame,) = page.get("iframe")
    assert "<h1>" in str(frame.proto)
