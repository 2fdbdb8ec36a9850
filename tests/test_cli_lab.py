"""``graddiag lab``: the list, what a wrong name or setting is told, and what is written where."""

from pathlib import Path

import pytest

from graddiag import list_runs
from graddiag.cli import main
from graddiag.presets import ENTRIES

SMALL = ["--set", "steps=5", "--set", "unit_steps=5", "--set", "samples=10"]


def test_without_a_name_the_presets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab"]) == 0
    said = capsys.readouterr().out
    assert all(entry.name in said for entry in ENTRIES)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["saturatoin"], "preset 'saturatoin': there is none of that name; saturation was meant, perhaps."),
        (["qqq"], "preset 'qqq': there is none of that name; these are: "),
        (["saturation", "--set", "stepz=3"], "stepz: no setting of this preset; these are: z, "),
        (["saturation", "--set", "steps"], "set 'steps': write KEY=VALUE, for example steps=1000."),
        (["saturation", "--set", "steps=0"], "steps '0' cannot be used: input should be greater than or equal to 1."),
        (["saturation", "--as-sweep"], "preset saturation: it cannot be written as a sweep;"),
        (["saturation", "--sweep", "bias"], "set 'bias': write KEY=VALUE, for example steps=1000."),
        (["saturation", "--sweep", "bias=-3", "--sweep", "bias=x"], "bias 'x' cannot be used: input should be a valid"),
        (["gone.toml"], "preset gone.toml: it cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["lab", *arguments]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_file_has_to_say_which_preset_it_is_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("steps = 3\n")
    assert main(["lab", str(path)]) == 2
    assert "it has to say which one it is of: preset = NAME" in capsys.readouterr().err


def test_root_and_out_are_where_it_was_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = tmp_path / "my runs", tmp_path / "shown"
    assert main(["lab", "saturation", *SMALL, "--root", str(root), "--out", str(out)]) == 0
    assert (out / "report.html").is_file()
    assert list((out / "tables").glob("*.csv"))
    assert set(list_runs(root)["experiment"]) == {"lab-saturation-unit_steps=5-samples=10-steps=5"}
    said = capsys.readouterr().out
    assert f"Next: graddiag dashboard --root '{root}'" in said


def test_run_again_it_puts_its_own_runs_aside(tmp_path: Path) -> None:
    for _ in range(2):
        assert main(["lab", "saturation", *SMALL, "--root", str(tmp_path), "--out", str(tmp_path / "shown")]) == 0
    assert len(list_runs(tmp_path)) == 2


def test_other_settings_have_runs_and_a_report_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for steps in ("steps=2", "steps=3", "steps=2"):
        assert main(["lab", "sum", "--quick", "--set", steps]) == 0
    runs = list_runs("runs")
    assert sorted(runs["experiment"]) == ["lab-sum-quick-steps=2"] * 2 + ["lab-sum-quick-steps=3"] * 2
    assert sorted(path.parent.name for path in Path("reports/lab/sum-quick").rglob("report.html")) == [
        "steps-2",
        "steps-3",
    ]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "shown").write_text("a file")
    assert main(["lab", "saturation", *SMALL, "--root", str(tmp_path / "runs"), "--out", str(tmp_path / "shown")]) == 2
    assert "the report cannot be written to" in capsys.readouterr().err


def test_an_empty_setting_is_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["lab", "ptb-large", "--print"]) == 0
    assert "most_steps = 40" in capsys.readouterr().out
    assert main(["lab", "ptb-large", "--set", "most_steps=", "--print"]) == 0
    printed = capsys.readouterr().out
    assert 'most_steps = ""' in printed
    path = tmp_path / "mine.toml"
    path.write_text(printed)
    assert main(["lab", str(path), "--print"]) == 0
    assert capsys.readouterr().out == printed


def test_it_runs_for_several_values_of_a_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each has its runs, its report and its words; 3 and -3 do not share a folder."""
    root, out = tmp_path / "runs", tmp_path / "shown"
    values = ["--sweep", "bias=-3", "--sweep", "bias=3"]
    assert main(["lab", "saturation", *SMALL, *values, "--root", str(root), "--out", str(out)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if line.endswith(":")] == ["bias = -3:", "bias = 3:"]
    assert sorted(path.name for path in out.iterdir()) == ["bias-3", "bias-minus3"]
    assert all((folder / "report.html").is_file() for folder in out.iterdir())
    small = "lab-saturation-unit_steps=5-samples=10-steps=5"
    assert set(list_runs(root)["experiment"]) == {f"{small}-bias=minus3", f"{small}-bias=3"}


def test_several_settings_are_combined(capsys: pytest.CaptureFixture[str]) -> None:
    values = ["--sweep", "seed=0", "--sweep", "seed=1", "--sweep", "hidden_types=relu,gru"]
    assert main(["lab", "faster-rnnlm", *values, "--print"]) == 0
    printed = capsys.readouterr().out
    assert printed.count('preset = "faster-rnnlm"') == 2
    assert printed.count('hidden_types = ["relu", "gru"]') == 2
    assert [line for line in printed.splitlines() if line.startswith("seed =")] == ["seed = 0", "seed = 1"]
