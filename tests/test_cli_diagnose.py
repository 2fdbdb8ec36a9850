"""``graddiag diagnose``: what it prints, to whom, and the status that a CI job sees."""

import json
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from graddiag.analysis import FINDING_NAMES, OUTCOME_NAMES, diagnose
from graddiag.cli import main
from graddiag.cli.diagnose import MORE, matches
from graddiag.store import load_run
from tests.analysis.runs import net, run_of
from tests.dashboards.synthetic import HOSTILE, Made, write


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose gradient vanishes, one that holds a NaN, a healthy one, and one with a hostile name."""
    root = tmp_path_factory.mktemp("diagnose")
    for made in (
        Made("gone", ratio=1e-3),
        Made("nan", broken_from=5),
        Made("well", clip="norm:9"),
        Made("red", module="\x1b[31m[bold]" + HOSTILE[0]),
    ):
        write(root, made)
    return root


@pytest.mark.parametrize(
    ("names", "status"),
    [
        ([], 0),
        (["--fail-on", "vanishing"], 1),
        (["--fail-on", "exploding,vanishing"], 1),
        (["--fail-on", "exploding"], 0),
        (["--fail-on", "warning"], 1),
        (["--fail-on", "unknown"], 1),
        (["--fail-on", "stuck,diverged,broken,overfits"], 0),
        (["--fail-on", "non-finite"], 0),
    ],
)
def test_the_status_for_a_ci_job(root: Path, names: list[str], status: int) -> None:
    assert main(["diagnose", str(root / "gone"), *names]) == status


def test_of_several_runs_one_is_enough_and_it_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", str(root / "well"), str(root / "nan"), "--fail-on", "non-finite,severe"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "graddiag: nan: failed on non-finite",
        "graddiag: nan: failed on severe",
    ]
    assert main(["diagnose", str(root / "well"), "--fail-on", "severe, warning"]) == 0


@pytest.mark.parametrize(
    "names", ["explode", "vanishing,", "info", "vanishing:severe", "vanishing:", "stuck:info", "severe:info"]
)
def test_names_that_cannot_be_asked_for(root: Path, names: str, capsys: pytest.CaptureFixture[str]) -> None:
    if names == "vanishing,":
        assert main(["diagnose", str(root / "well"), "--fail-on", names]) == 0
        return
    assert main(["diagnose", str(root / "well"), "--fail-on", names]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"graddiag: --fail-on '{names}': write some of learned, learning, overfits, stuck,")
    assert captured.out == "", "nothing is judged before the question is understood"


def test_a_folder_that_is_no_run_is_bad_input(tmp_path: Path) -> None:
    assert main(["diagnose", str(tmp_path / "nothing"), "--fail-on", "severe"]) == 2


def test_information_fails_only_where_it_is_asked_for() -> None:
    idle = diagnose(run_of([3 * 0.98**step for step in range(300)], [1.0, 2.0] * 150, clip="norm:5"))
    assert idle.outcome.fine
    assert not matches(idle, "clipping-never")
    assert matches(idle, "clipping-never:info")
    assert not matches(idle, "warning")
    assert matches(idle, "healthy")
    assert matches(diagnose(net(0.9, timesteps=1)), "not-measured")
    assert not any(matches(idle, name) for name in FINDING_NAMES if name != "healthy")


def test_severities_include_what_is_worse() -> None:
    severe = diagnose(run_of([], [float("nan")] * 40))
    assert matches(severe, "severe")
    assert matches(severe, "warning")


def test_json_is_that_of_the_diagnosis(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", str(root / "gone"), "--json", "--fail-on", "vanishing"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    diagnosis = diagnose(load_run(root / "gone"))
    assert found == json.loads(diagnosis.to_json())
    assert found["outcome"]["name"] == diagnosis.outcome.name
    assert found["cause"] == diagnosis.cause
    assert [each["name"] for each in found["causes"]] == [each.name for each in diagnosis.causes]
    assert diagnosis.do_first is not None
    assert found["do_first"]["action"] == diagnosis.do_first.action


def test_the_outcome_is_what_it_fails_on_and_the_verdict_of_earlier_versions_too(root: Path) -> None:
    broken = diagnose(load_run(root / "nan"))
    assert broken.outcome.name == "broken"
    assert matches(broken, "broken")
    assert matches(broken, "non-finite")
    assert not any(matches(broken, name) for name in OUTCOME_NAMES if name != "broken")


def test_piped_it_is_the_plain_text(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", str(root / "well")]) == 0
    found = diagnose(load_run(root / "well"))
    assert capsys.readouterr().out == f"{found.short()}\n\n{MORE}\n"
    assert main(["diagnose", str(root / "well"), "--all"]) == 0
    assert capsys.readouterr().out == f"{found.full()}\n"


def test_the_short_form_is_no_wider_than_80_columns(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", *(str(root / name) for name in ("gone", "nan", "well"))]) == 0
    out = capsys.readouterr().out
    assert out.count("Outcome   ") == 3
    assert max(map(len, out.splitlines())) <= 80


def test_in_a_terminal_the_outcome_has_the_colour_of_its_tone(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Console, "is_terminal", property(lambda self: True))
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert main(["diagnose", str(root / "nan")]) == 0
    found = diagnose(load_run(root / "nan"))
    assert found.tone == "bad"
    assert f"\x1b[1;31m{found.outcome.headline}\x1b[0m" in capsys.readouterr().out


def test_in_a_terminal_there_are_panels(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Console, "is_terminal", property(lambda self: True))
    monkeypatch.setenv("COLUMNS", "90")
    assert main(["diagnose", str(root / "gone"), "--all"]) == 0
    out = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    found = diagnose(load_run(root / "gone"))
    assert f"─ vanishing ({found.lead.severity}, {found.lead.strength} evidence) ─" in out
    assert "What was not measured" in out
    words = " ".join(out.replace("│", " ").split())
    assert words.count(found.lead.first_sentence) >= 1
    assert words.count(found.lead.advice[0].text) >= 1


@pytest.mark.parametrize("terminal", [True, False])
def test_what_a_run_is_named_steers_no_terminal(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr(Console, "is_terminal", property(lambda self: terminal))
    monkeypatch.setenv("COLUMNS", str(shutil.get_terminal_size().columns * 4))
    assert main(["diagnose", str(root / "red"), "--all"]) == 0
    out = capsys.readouterr().out
    assert "\x1b[31m" not in out
    assert "[bold]" in out
