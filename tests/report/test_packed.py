"""A report as bytes: HTML as it is written, Markdown with its figures in a ZIP."""

import io
import zipfile
from inspect import signature
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from graddiag import write_report
from graddiag.cli.report import report
from graddiag.errors import SettingError
from graddiag.report import FORMATS, pack_report
from graddiag.report.formats import ReportFormat
from graddiag.store import load_run
from tests.dashboards.synthetic import Made, pair, write_all
from tests.needs import needs, needs_chromium


def runs(root: Path) -> list:  # type: ignore[type-arg]
    return [load_run(root / link) for link in write_all(root, pair())]


def test_html_is_what_is_written(tmp_path: Path) -> None:
    both = runs(tmp_path / "runs")
    packed = pack_report(both, "html", title="Mine")
    assert (packed.name, packed.mime) == ("mine.html", "text/html")
    written = write_report(both, tmp_path / "report.html", title="Mine")
    assert packed.content == written.read_bytes()


def test_a_report_is_named_after_what_it_is_on(tmp_path: Path) -> None:
    both = runs(tmp_path / "runs")
    alone = load_run(tmp_path / "runs" / write_all(tmp_path / "runs", [Made("alone")])[0])
    asked = {"pair-report": both, "pair-lstm-off-report": both[:1], "alone-report": [alone]}
    names = [pack_report(each, "html", sections=["methods"]).name for each in asked.values()]
    assert names == [f"{name}.html" for name in asked]
    assert pack_report(both, "html", sections=["methods"], title="../a/<b>?").name == "a-b.html"


def test_a_section_that_is_not_known_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="there is no 'nonsense'"):
        pack_report(runs(tmp_path), "html", sections=["nonsense"])


@pytest.mark.browser
def test_markdown_and_its_figures_are_one_file(tmp_path: Path) -> None:
    needs("kaleido", "figures")
    needs_chromium()
    packed = pack_report(runs(tmp_path), "md", sections=["evidence"])
    assert (packed.name, packed.mime) == ("pair-report.zip", "application/zip")
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    assert "report.md" in names
    assert any(name.startswith("report-figures/") and name.endswith(".png") for name in names)


def test_a_format_that_is_not_known_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="as 'docx', which is no format; use one of html, md, pdf"):
        pack_report(runs(tmp_path), "docx")


@pytest.mark.parametrize("each", FORMATS, ids=lambda each: each.name)
def test_each_format_has_its_writer_and_is_in_the_help_of_the_command(each: ReportFormat) -> None:
    assert list(signature(each.load()).parameters) == ["document", "target", "on_progress"]
    assert each.title in (report.__doc__ or "")
    (option,) = (
        given for given in get_args(get_type_hints(report, include_extras=True)["out"]) if hasattr(given, "help")
    )
    assert f"{each.suffix}:" in option.help
