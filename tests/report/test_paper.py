"""A report as PDF: pages, contents that lead somewhere, figures as vectors, and text that does nothing."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from graddiag import Run
from graddiag.report import write_report
from graddiag.report.chapters import document
from graddiag.report.html import page
from graddiag.report.paging import pages_of
from graddiag.report.plots import PAPER_WIDTH as WIDTH
from graddiag.report.request import ignore_progress, request
from graddiag.store import load_run
from tests.analysis.runs import manifest
from tests.dashboards.synthetic import Made, awkward, pair, write_all
from tests.needs import needs, needs_chromium

pytestmark = pytest.mark.browser

A4 = [0, 0, 595, 842]


@pytest.fixture(scope="module")
def pdf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Of a pair, and of a run whose every text is hostile."""
    needs("kaleido", "figures")
    needs_chromium()
    root = tmp_path_factory.mktemp("root")
    links = write_all(root, [*pair(), awkward()["hostile"]])
    return write_report([load_run(root / link) for link in links], root / "report.pdf").read_bytes()


def test_it_is_several_pages_of_a4(pdf: bytes) -> None:
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", pdf)) > 8
    (box,) = set(re.findall(rb"/MediaBox \[([^\]]*)\]", pdf))
    assert [round(float(number)) for number in box.split()] == A4


def test_contents_are_links_and_headings_an_outline(pdf: bytes) -> None:
    entries = 2 + 3 + 2 + 2  # chapters; sections of a pair, of a run; methods and configuration
    assert len(re.findall(rb"/Subtype /Link", pdf)) >= entries
    for destination in (b"chapter-1", b"chapter-2", b"chapter-1-evidence", b"methods", b"configuration"):
        assert re.search(rb"/Dest\w* ?/" + destination + rb"\b", pdf)
    outline = re.findall(rb"/Title \((.*?)\)", pdf)
    assert {b"Contents", b"Outcome, cause and advice", b"Methods", b"Appendix: configuration"} <= set(outline)


def test_the_contents_have_the_pages_on_which_sections_begin(pdf: bytes) -> None:
    found = pages_of(pdf)
    assert found["chapter-1"] == 1
    order = ["chapter-1", "chapter-1-verdict", "chapter-1-evidence", "chapter-1-comparison", "chapter-2", "methods"]
    assert [found[name] for name in order] == sorted(found[name] for name in order)
    assert found["methods"] < found["configuration"] <= len(re.findall(rb"/Type /Page\b", pdf))
    if shutil.which("pdftotext"):
        first = subprocess.run(
            ["pdftotext", "-l", "1", "-layout", "-", "-"], input=pdf, capture_output=True, check=True
        )
        assert re.search(rf"Methods\s+{found['methods']}\b", first.stdout.decode())


def test_pages_of_what_is_no_such_pdf_are_not_known() -> None:
    assert pages_of(b"%PDF-1.7 nothing that Chromium wrote") == {}


def test_figures_are_vectors_but_for_the_cells_of_heatmaps(pdf: bytes) -> None:
    images = len(re.findall(rb"/Subtype /Image\b", pdf))
    masks = len(re.findall(rb"/SMask ", pdf))
    assert images - masks <= 12


def test_nothing_in_it_runs_or_leads_out(pdf: bytes) -> None:
    for name in (b"/JavaScript", b"/JS ", b"/URI", b"/Launch", b"/OpenAction", b"/EmbeddedFile"):
        assert name not in pdf


def seeded(made: Made, seed: int) -> Made:
    return replace(made, seed=seed, name=f"{made.name}-seed{seed}")


def test_what_is_left_off_is_said(chromium: Browser, tmp_path: Path) -> None:
    """Of a comparison pictures of detail, of more than a pair the findings of each run too; nothing on a screen."""
    made = [
        load_run(tmp_path / link)
        for link in write_all(tmp_path, [replace(pair()[0], seed=s, name="") for s in range(3)])
    ]
    for runs, of_many in ((made[:1], None), (made[:2], False), (made, True)):
        said = document(runs, request(None, None, ignore_progress))
        held = tmp_path / "report.html"
        held.write_text(page("report", said, "[]", scripts=()), "utf-8")
        sheet = chromium.new_page(viewport={"width": WIDTH, "height": 900})
        sheet.goto(held.as_uri())
        assert sheet.locator(".left-off:visible").count() == 0
        assert sheet.locator("figure:visible").count() == len(said.pictures)
        sheet.emulate_media(media="print")
        assert sheet.locator("figure:visible").count() == len(said.printed)
        assert (sheet.locator(".left-off.of-many:visible").count() == 1) == (of_many is True)
        assert (sheet.locator(".finding:visible").count() == 0) == (of_many is True)
        text = " ".join(sheet.locator(".left-off:visible").all_inner_texts())
        left = [each.title for each in said.pictures if each not in said.printed]
        assert all(title in text for title in left)
        assert bool(left) == (of_many is not None)
        sheet.close()


def test_nothing_is_wider_than_the_page(chromium: Browser, tmp_path: Path) -> None:
    """Chromium makes everything on all pages smaller until the widest thing fits."""
    config = {"text_sha256": "0" * 64, "command": "graddiag run " * 30}
    runs = [Run.from_frames(manifest(name=f"{'long_' * 8}{seed}", seed=seed, config=config)) for seed in range(4)]
    held = tmp_path / "paper.html"
    held.write_text(page("paper", document(runs, request(None, None, ignore_progress)), "[]", unfolded=True), "utf-8")
    sheet = chromium.new_page(viewport={"width": WIDTH, "height": 900})
    sheet.emulate_media(media="print")
    sheet.goto(held.as_uri())
    assert sheet.evaluate("document.documentElement.scrollWidth") <= WIDTH
    sheet.close()
