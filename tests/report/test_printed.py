"""What ``graddiag compare`` prints and ``graddiag report`` takes: the content of a report, in a terminal."""

import io
import json
import sys
from pathlib import Path

import pytest

from graddiag.cli import main
from tests.dashboards.synthetic import Made, pair, write_all


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    write_all(root, [*pair(), Made("[red]a[/red]\x1b[2J", "hostile", "[bold]on[/bold]", clip="norm:1.0")])
    return root


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def test_a_pair_is_compared_in_words_and_tables(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(["compare", str(root / "pair")], capsys)
    assert out.startswith("Against clip off, clip on does not change the final loss in 1 pair.")
    assert "lstm-off and lstm-on part at their first step; lstm-on was first clipped at step 0." in out
    rows = [" ".join(line.split()) for line in out.splitlines()]
    assert "Quantity clip off clip on Difference Interval Pairs Unit" in rows
    assert "Final loss 0.25 0.25 0 1 pair: no interval 1 mean of the last 5% of the steps" in rows
    assert "clip none norm:1.0" in rows
    assert any(row.startswith("lstm-off clip off 0 ") and row.endswith(" 12 0.25") for row in rows)


def test_one_arm_is_a_sentence_and_its_runs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(["compare", str(root / "hostile")], capsys)
    assert out.startswith("All runs are of one arm ([bold]on[/bold]): there is nothing to compare it with.")
    assert "[red]a[/red]\\x1b[2J" in out
    assert "\x1b" not in out


def test_programs_get_json(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(printed(["compare", str(root / "pair"), "--json"], capsys), parse_constant=pytest.fail)
    assert [arm["arm"] for arm in told["arms"]] == ["clip off", "clip on"]
    assert told["effects"][0]["interval"] is None


def test_in_a_terminal_a_table_is_folded_to_its_width(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = printed(["compare", str(root / "pair")], capsys)
    assert "\x1b[1m" in out
    table = out[out.index("Quantity") :]
    plain = [line for line in table.splitlines() if "\x1b" not in line]
    assert max(map(len, plain)) <= 90


def test_a_report_of_some_sections_under_a_title(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.html"
    more = ["--sections", "verdict, methods", "--title", "<b>Mine</b>"]
    assert printed(["report", str(root / "pair"), "--out", str(out), *more], capsys) == f"wrote {out}\n"
    text = out.read_text()
    assert "<title>&lt;b&gt;Mine&lt;/b&gt;</title>" in text
    assert 'id="methods"' in text
    assert 'id="configuration"' not in text


def test_an_unknown_section_is_one_sentence(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(root / "pair"), "--out", str(tmp_path / "report.html"), "--sections", "all"]) == 2
    assert capsys.readouterr().err.startswith("graddiag: sections of a report: there is no 'all'; name some of verdict")
    assert not list(tmp_path.iterdir())


def test_a_report_without_kaleido_is_one_sentence(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    assert main(["report", str(root / "pair"), "--out", str(tmp_path / "report.pdf")]) == 2
    assert "`pip install 'graddiag[figures]'`" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_terminal_is_told_what_is_being_done(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    seen = Terminal()
    monkeypatch.setattr(sys, "stderr", seen)
    monkeypatch.setenv("TERM", "xterm")
    assert main(["report", str(root / "pair"), "--out", str(tmp_path / "report.html"), "--sections", "verdict"]) == 0
    assert "diagnosing lstm-on" in seen.getvalue()
