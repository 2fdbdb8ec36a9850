import gzip
import json
import os
import re
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from plotly.offline import get_plotlyjs

import graddiag
from graddiag.errors import InputError, RunFormatError, SettingError
from graddiag.report import SECTIONS, write_report
from graddiag.report.html import script_hash
from graddiag.run import Run
from graddiag.store import load_run
from tests.dashboards.synthetic import HOSTILE, awkward, pair, write, write_all

PACKED_PLOTLY_MB = 2.0


class Page(HTMLParser):
    """The elements of a page, the text of its scripts, and all the text that a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.seen: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.seen.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.seen).split())

    @property
    def figures(self) -> list[dict[str, object]]:
        return json.loads(self.unpacked(0))

    def unpacked(self, script: int) -> str:
        """The text of a script that is compressed."""
        return gzip.decompress(b64decode(self.scripts[script])).decode()


def runs_of(root: Path, links: list[str]) -> list[Run]:
    return [load_run(root / link) for link in links]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    return write_report(runs_of(root, write_all(root, pair())), root / "report.html")


@pytest.fixture(scope="module")
def page(made: Path) -> Page:
    return Page(made.read_text())


def test_it_says_question_verdicts_comparison_methods_and_configuration(page: Page) -> None:
    for expected in (
        "Does clipping the gradient (norm:1.0) change how lstm on text trains, against no clipping?",
        "Outcome, cause and advice",
        "What to try",
        "Evidence",
        "Rule ",
        "Comparison",
        "clip on against clip off",
        "Through time: lstm, layer 0, forward",
        "Transport gain",
        "mean over batch and timesteps",
        "torch 2.13.0",
        "To repeat it",
        "config.lr",
    ):
        assert expected in page.text


def test_every_figure_has_its_place_and_an_id_that_does_not_change(page: Page) -> None:
    places = [attributes["id"] for tag, attributes in page.elements if attributes.get("class") == "plot"]
    assert places == [figure["id"] for figure in page.figures]
    assert len(set(places)) == len(places) >= 9
    assert {"chapter-1-loss", "chapter-1-norms", "chapter-1-0-heat", "chapter-1-effects"} <= set(places)


def test_every_figure_says_what_to_see_and_has_its_numbers(page: Page) -> None:
    tags = [tag for tag, _ in page.elements]
    assert tags.count("figure") == tags.count("figcaption") == tags.count("button") == len(page.figures)
    asked = [attributes["data-figure"] for tag, attributes in page.elements if tag == "button"]
    assert asked == [figure["id"] for figure in page.figures]


def test_a_caption_is_about_its_own_figure(page: Page) -> None:
    text = page.text
    coefficient = text[text.index("Clip coefficient") :]
    assert "engaged at" in coefficient[: coefficient.index("What each threshold would clip")]
    assert "With clipping, clip off" not in text
    assert "Each point is a pair of runs of one seed" in text


def test_what_is_compared_has_one_colour_scale(page: Page) -> None:
    scales: dict[str, set[tuple[float, float]]] = {}
    for figure in page.figures:
        axis = figure["layout"].get("coloraxis")
        if axis and "ratio" not in figure["id"]:
            kind = str(figure["id"]).rstrip("-12345")
            scales.setdefault(kind, set()).add((axis["cmin"], axis["cmax"]))
    assert scales
    assert all(len(found) == 1 for found in scales.values())


def test_it_holds_plotly_once_and_asks_the_network_for_nothing(made: Path, page: Page) -> None:
    assert len(page.scripts) == 3
    assert [bool(re.search(r"plotly\.js v\d", text)) for text in (page.unpacked(0), page.unpacked(1))] == [False, True]
    assert page.unpacked(1) == get_plotlyjs()
    fetching = [a for tag, a in page.elements for name in ("src", "href") if (a.get(name) or "#")[0] != "#"]
    assert fetching == []
    assert all(tag not in ("link", "iframe", "img", "object") for tag, _ in page.elements)
    assert made.stat().st_size < (PACKED_PLOTLY_MB + 1) * 1e6


def test_only_the_scripts_it_was_written_with_can_run(page: Page) -> None:
    (policy,) = (a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    scripts = re.findall(r"script-src ([^;]*)", policy)[0]
    texts = (page.unpacked(1), page.scripts[2])
    assert re.findall(r"'(sha256-[^']+)'", scripts) == [script_hash(text) for text in texts]
    assert "unsafe" not in scripts


def test_plotlys_buttons_that_lead_elsewhere_are_off(page: Page) -> None:
    assert "displaylogo: false" in page.scripts[2]
    assert "showSendToCloud: false" in page.scripts[2]


def test_the_same_runs_give_the_same_bytes(made: Path, tmp_path: Path) -> None:
    runs = runs_of(made.parent, ["pair/lstm-off", "pair/lstm-on"])
    assert write_report(runs, tmp_path / "again.html").read_bytes() == made.read_bytes()


@pytest.mark.parametrize("kind", ["empty", "one step", "scalars alone", "all nan"])
def test_an_awkward_run_has_a_report_too(tmp_path: Path, kind: str) -> None:
    run = load_run(tmp_path / write(tmp_path, awkward()[kind]))
    page = Page(write_report([run], tmp_path / "report.html").read_text())
    assert "Outcome, cause and advice" in page.text
    assert run.name in page.text


def test_all_awkward_runs_have_a_report_together(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, write_all(tmp_path, list(awkward().values())))
    page = Page(write_report(runs, tmp_path / "report.html").read_text())
    assert all(" ".join(run.name.split()) in page.text for run in runs)


def test_what_users_wrote_is_text_and_nothing_else(tmp_path: Path) -> None:
    run = load_run(tmp_path / write(tmp_path, awkward()["hostile"]))
    page = Page(write_report([run], tmp_path / "report.html").read_text())
    for hostile in (*HOSTILE, f"RuntimeError: {' '.join(HOSTILE)}", f"config.{'.'.join(HOSTILE[:1] * 2)}"):
        assert " ".join(hostile.split()) in page.text
    assert not {"img", "b"} & {tag for tag, _ in page.elements}
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert len(page.scripts) == 3


def test_several_experiments_are_several_chapters(tmp_path: Path) -> None:
    links = write_all(tmp_path, [*pair(), awkward()["nan"]])
    page = Page(write_report(runs_of(tmp_path, links), tmp_path / "report.html").read_text())
    headings = [a["id"] for tag, a in page.elements if tag == "h2" and a]
    assert headings == ["chapter-1-heading", "chapter-2-heading", "methods-heading", "configuration-heading"]


def test_the_contents_lead_to_every_section(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    links = [str(attributes["href"]).removeprefix("#") for tag, attributes in page.elements if tag == "a"]
    sections = [f"chapter-1-{name}" for name in ("verdict", "evidence", "comparison")]
    assert links == ["chapter-1", *sections, "methods", "configuration"]
    assert set(links) <= set(ids)
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_by_itself(section: str, made: Path, tmp_path: Path) -> None:
    runs = runs_of(made.parent, ["pair/lstm-off", "pair/lstm-on"])
    out = write_report(runs, tmp_path / "report.html", sections=[section], title="One <b>section</b>")
    page = Page(out.read_text())
    prefix = "" if section in ("methods", "configuration") else "chapter-1-"
    links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
    assert links == ["#chapter-1", f"#{prefix}{section}"]
    assert "One <b>section</b>" in page.text
    assert "Does clipping the gradient" in page.text
    assert bool(page.figures) == (section in ("evidence", "comparison"))


@pytest.mark.parametrize(("sections", "found"), [(["verdict", "pictures"], "there is no 'pictures'"), ([], "none was")])
def test_sections_that_there_are_not(sections: list[str], found: str, made: Path, tmp_path: Path) -> None:
    run = load_run(made.parent / "pair/lstm-off")
    with pytest.raises(SettingError, match=rf"sections of a report: {found}.*; name some of verdict, evidence, "):
        write_report([run], tmp_path / "report.html", sections=sections)
    assert not list(tmp_path.iterdir())


def test_it_tells_what_it_is_doing(made: Path, tmp_path: Path) -> None:
    told: list[str] = []
    write_report(
        runs_of(made.parent, ["pair/lstm-off", "pair/lstm-on"]), tmp_path / "report.html", on_progress=told.append
    )
    assert told == [
        "diagnosing lstm-off",
        "diagnosing lstm-on",
        "comparing 2 runs",
        "drawing lstm, layer 0, forward",
        "drawing the training of 2 runs",
    ]


def test_many_runs_fold_their_findings_and_show_one_heatmap_an_arm(tmp_path: Path) -> None:
    arms = [("off", "none"), ("on", "norm:1.0")]
    several = [
        type(one)(f"{arm}-{seed}", "sweep", arm, seed=seed, clip=clip)
        for one in pair()[:1]
        for seed in (0, 1, 2)
        for arm, clip in arms
    ]
    page = Page(write_report(runs_of(tmp_path, write_all(tmp_path, several)), tmp_path / "report.html").read_text())
    folded = [tag for tag, attributes in page.elements if tag == "details" and attributes.get("class") == "findings"]
    assert len(folded) == 6
    assert "Heatmaps and gates are of the first run of each arm: off-0, on-0." in page.text


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("report.doc", SettingError, r"as 'report.doc', and its suffix has to be one of \.html, \.md, \.pdf: report"),
        ("report", SettingError, r"its suffix has to be one of \.html"),
        ("nowhere/report.html", InputError, r"it lies in .*nowhere, which is not a folder; name a file"),
        ("folder.html", InputError, r"folder.html: it is a folder"),
        ("file/report.html", InputError, r"which is not a folder"),
    ],
)
def test_a_target_that_cannot_be_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, name: str, error: type[Exception], message: str
) -> None:
    run = load_run(tmp_path / write(tmp_path, awkward()["one step"]))
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "file").touch()
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(error, match=message):
        write_report([run], tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == before


def test_a_disk_that_refuses_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = load_run(tmp_path / write(tmp_path, awkward()["one step"]))
    (tmp_path / "report.html").write_text("the report of yesterday")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("graddiag.store.files.os.replace", full)
    with pytest.raises(InputError, match=r"cannot be written to .*report\.html: No space left on device"):
        write_report([run], tmp_path / "report.html")
    assert sorted(os.listdir(tmp_path)) == ["one-step", "report.html"]
    assert (tmp_path / "report.html").read_text() == "the report of yesterday"


def test_no_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no run was given"):
        write_report([], tmp_path / "report.html")


def test_a_damaged_run_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    run = load_run(tmp_path / write(tmp_path, awkward()["one step"]))
    (tmp_path / "one-step" / "steps" / "000001.parquet").write_bytes(b"")
    with pytest.raises(RunFormatError, match="is not a readable Parquet file"):
        write_report([run], tmp_path / "report.html")
    assert os.listdir(tmp_path) == ["one-step"]


def test_exponents_are_in_it_where_the_snapshots_hold_them(page: Page, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = torch.nn.GRU(3, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="snapped", root=tmp_path, snapshot_every=1):
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(6, 2, 3))[0].square().sum().backward()
            optimizer.step()
    text = Page(write_report([load_run(tmp_path / "snapped")], tmp_path / "report.html").read_text()).text
    assert "Lyapunov exponents over training" in text
    assert "Largest Lyapunov exponent of (model) layer 0, steps 0 to 2" in text
    assert "Lyapunov" not in page.text
