"""A report as bytes: HTML as it is written, Markdown with its figures in a ZIP."""

import io
import zipfile
from pathlib import Path

import pytest

from graddiag import write_report
from graddiag.errors import SettingError
from graddiag.report import pack_report
from graddiag.store import load_run
from tests.dashboards.synthetic import pair, write_all
from tests.needs import needs, needs_chromium


def runs(root: Path) -> list:  # type: ignore[type-arg]
    return [load_run(root / link) for link in write_all(root, pair())]


def test_html_is_what_is_written(tmp_path: Path) -> None:
    both = runs(tmp_path / "runs")
    packed = pack_report(both, "html", title="Mine")
    assert (packed.name, packed.mime) == ("report.html", "text/html")
    written = write_report(both, tmp_path / "report.html", title="Mine")
    assert packed.content == written.read_bytes()


def test_a_section_that_is_not_known_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="there is no 'nonsense'"):
        pack_report(runs(tmp_path), "html", sections=["nonsense"])


@pytest.mark.browser
def test_markdown_and_its_figures_are_one_file(tmp_path: Path) -> None:
    needs("kaleido", "figures")
    needs_chromium()
    packed = pack_report(runs(tmp_path), "md", sections=["evidence"])
    assert (packed.name, packed.mime) == ("report.zip", "application/zip")
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    assert "report.md" in names
    assert any(name.startswith("report-figures/") and name.endswith(".png") for name in names)
