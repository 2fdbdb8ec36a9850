"""A report as Markdown: the same content, its figures in a folder beside it, and nothing half-written."""

import os
import re
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from html import unescape
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from graddiag.chromium import BrowserError
from graddiag.errors import InputError, MissingLibraryError
from graddiag.report import SECTIONS, markdown, write_report
from graddiag.run import Run
from graddiag.store import load_run
from tests.dashboards.synthetic import HOSTILE, awkward, pair, write, write_all
from tests.needs import needs, needs_chromium

IN_WORDS = [name for name in SECTIONS if name not in ("evidence", "comparison")]  # these have no figures


class Drawn:
    """In the place of Chromium: an image is the name of its format."""

    def image(self, figure: object, form: str, size: object) -> bytes:
        return form.encode()


@pytest.fixture
def without_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "chromium", lambda purpose: nullcontext(Drawn()))


def runs_of(root: Path, links: Sequence[str]) -> list[Run]:
    return [load_run(root / link) for link in links]


def rendered(path: Path) -> str:
    return MarkdownIt("commonmark").enable("table").render(path.read_text(encoding="utf-8"))


@pytest.mark.browser
def test_it_says_all_and_shows_all(tmp_path: Path) -> None:
    needs("kaleido", "figures")
    needs_chromium()
    runs = runs_of(tmp_path, write_all(tmp_path, pair()))
    html = rendered(write_report(runs, tmp_path / "my report (1).md"))
    text = unescape(re.sub(r"<[^>]*>", "", html))
    for expected in ("Does clipping the gradient (norm:1.0) change", "What to try", "clip on against clip off"):
        assert expected in text
    for expected in ("torch 2.13.0", "config.lr", "Transport gain", "mean over batch and timesteps"):
        assert expected in text
    images = re.findall(r'<img src="my%20report%20%281%29-figures/([^"]*)"', html)
    folder = tmp_path / "my report (1)-figures"
    tables = re.findall(r'<a href="my%20report%20%281%29-figures/([^"]*)"', html)
    assert sorted([*images, *tables]) == sorted(path.name for path in folder.iterdir())
    assert [Path(name).stem for name in tables] == [Path(name).stem for name in images]
    assert (folder / "chapter-1-loss.csv").read_text().splitlines()[0] == "run,arm,seed,step,loss"
    assert {"chapter-1-loss.png", "chapter-1-0-heat.png", "chapter-1-effects.png"} <= set(images)
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in images)


@pytest.mark.usefixtures("without_browser")
def test_its_contents_lead_to_its_sections(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, write_all(tmp_path, [*pair(), awkward()["nan"]]))
    text = write_report(runs, tmp_path / "report.md").read_text()
    anchors = re.findall(r'<a id="([^"]*)"></a>', text)
    assert re.findall(r"\]\(#([^)]*)\)", text) == anchors
    assert anchors[:4] == ["chapter-1", "chapter-1-verdict", "chapter-1-evidence", "chapter-1-comparison"]


@pytest.mark.usefixtures("without_browser")
def test_what_users_wrote_is_text_and_nothing_else(tmp_path: Path) -> None:
    command = "echo ```\n<script>alert(1)</script>"
    run = load_run(tmp_path / write(tmp_path, awkward()["hostile"]))
    run = Run(run.manifest.model_copy(update={"config": {**run.manifest.config, "command": command}}), run.read)
    html = rendered(write_report([run], tmp_path / "report.md", title="[t](javascript:alert(1)) `x` <b>b</b>"))
    text = unescape(re.sub(r"<[^>]*>", "", html))
    error = f"RuntimeError: {' '.join(HOSTILE)}"
    for hostile in (*HOSTILE, error, "[t](javascript:alert(1)) `x` <b>b</b>", "<script>alert(1)</script>"):
        assert " ".join(hostile.split()) in text
    assert "<strong>bold" not in html
    own = {"a", "h1", "h2", "h3", "h4", "h5", "p", "ul", "ol", "li", "strong", "img", "code", "pre"}
    assert set(re.findall(r"<(\w+)", html)) <= own | {"table", "thead", "tbody", "tr", "th", "td"}
    links = re.findall(r'(?:href|src)="([^"]*)"', html)
    assert all(link.startswith(("#chapter", "#methods", "#config", "report-figures/chapter-")) for link in links)


@pytest.mark.usefixtures("without_browser")
@pytest.mark.parametrize("kind", ["empty", "one step", "scalars alone", "all nan"])
def test_an_awkward_run_has_a_report_too(tmp_path: Path, kind: str) -> None:
    run = load_run(tmp_path / write(tmp_path, awkward()[kind]))
    assert "### Outcome, cause and advice" in write_report([run], tmp_path / "report.md").read_text()


def test_in_words_alone_it_needs_no_browser_and_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    run = load_run(tmp_path / write(tmp_path, awkward()["one step"]))
    write_report([run], tmp_path / "report.md", sections=IN_WORDS)
    assert sorted(os.listdir(tmp_path)) == ["one-step", "report.md"]


@pytest.mark.usefixtures("without_browser")
def test_a_second_report_takes_the_place_of_the_first(tmp_path: Path) -> None:
    run = load_run(tmp_path / write(tmp_path, awkward()["nan"]))
    write_report([run], tmp_path / "report.md")
    (tmp_path / "report-figures" / "chapter-9-9-old.png").touch()
    write_report([run], tmp_path / "report.md", sections=["evidence"])
    assert not (tmp_path / "report-figures" / "chapter-9-9-old.png").exists()
    write_report([run], tmp_path / "report.md", sections=IN_WORDS)
    assert sorted(os.listdir(tmp_path)) == ["nan", "report.md"]


@pytest.mark.usefixtures("without_browser")
@pytest.mark.parametrize("name", ["report-figures/photo.jpg", "report-figures"])
def test_a_folder_of_something_else_is_left_alone(name: str, tmp_path: Path) -> None:
    run = load_run(tmp_path / write(tmp_path, awkward()["one step"]))
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(
        InputError, match=r"report-figures, and something else is there already \(.*\); give the report"
    ):
        write_report([run], tmp_path / "report.md")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("suffix", [".md", ".pdf"])
def test_without_kaleido_it_is_one_sentence_and_leaves_nothing(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    run = load_run(tmp_path / write(tmp_path, awkward()["one step"]))
    with pytest.raises(MissingLibraryError, match=r"a report as .* needs a library .*graddiag\[figures\]"):
        write_report([run], tmp_path / f"report{suffix}")
    assert os.listdir(tmp_path) == ["one-step"]


@pytest.mark.usefixtures("without_browser")
def test_a_disk_that_refuses_leaves_the_report_of_yesterday(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = load_run(tmp_path / write(tmp_path, awkward()["one step"]))
    write_report([run], tmp_path / "report.md")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("graddiag.store.files.os.replace", full)
    with pytest.raises(InputError, match=r"cannot be written to .*report\.md: No space left on device"):
        write_report([run], tmp_path / "report.md", title="of today")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_browser_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(Drawn):
        def image(self, figure: object, form: str, size: object) -> bytes:
            raise BrowserError("it failed")

    monkeypatch.setattr(markdown, "chromium", lambda purpose: nullcontext(Failing()))
    run = load_run(tmp_path / write(tmp_path, awkward()["one step"]))
    with pytest.raises(BrowserError, match="it failed"):
        write_report([run], tmp_path / "report.md")
    assert os.listdir(tmp_path) == ["one-step"]
