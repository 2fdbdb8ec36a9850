"""The command line: what it records and says, and one sentence with status 2 for whatever a user can get wrong."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from graddiag import compare, list_runs, load_run, schema
from graddiag.cli import main
from graddiag.cli.dashboard import TOKEN_VARIABLE, allowed_hosts, app_script, is_local, streamlit_command, token
from graddiag.errors import SettingError
from tests.dashboards.serving import free_port
from tests.waiting import SECONDS, interruptible, until

SMALL = ["--steps", "6", "--length", "12", "--batch", "4", "--hidden", "8"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with one small pair of two seeds."""
    root = tmp_path_factory.mktemp("cli") / "runs"
    assert main(["pair", "--model", "rnn", "--seeds", "0,1", "--root", str(root), *SMALL]) == 0
    return root


def test_a_pair_is_recorded_and_the_last_lines_say_what_to_type_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "my runs"
    arguments = ["pair", "--model", "gru", "--clip", "norm:1", "--experiment", "mine", "--root", str(root), *SMALL]
    assert main(arguments) == 0
    out = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"{root}/mine/gru-none-seed0  clip off, seed 0: last loss \d\.\d+", out[0])
    assert re.fullmatch(rf"{root}/mine/gru-norm-1\.0-seed0  clip on, seed 0: last loss \d\.\d+", out[1])
    assert out[2:4] == ["Next:", f"  graddiag dashboard --root '{root}'"]
    assert out[4] == f"  graddiag report '{root}/mine' --out report.html"
    run = load_run(root / "mine" / "gru-norm-1.0-seed0")
    assert (run.manifest.status, run.manifest.arm, len(run.steps)) == ("finished", "clip on", 6)


def test_each_seed_has_both_arms_and_a_second_pair_an_experiment_of_its_own(recorded: Path) -> None:
    names = [f"rnn-{clip}-seed{seed}" for clip in ("none", "norm-0.5") for seed in (0, 1)]
    assert sorted(path.name for path in (recorded / "text-rnn-norm-0.5").iterdir()) == sorted(names)
    assert main(["pair", "--model", "rnn", "--root", str(recorded), *SMALL]) == 0
    assert (recorded / "text-rnn-norm-0.5-2" / "rnn-none-seed0").is_dir()


def test_arms_of_any_setting_are_compared(tmp_path: Path) -> None:
    arms = ["--arms", "model=lstm,forget-bias=2", "--arms", "init=orthogonal, clip=bptt:0.1"]
    given = ["pair", "--task", "recall", "--model", "rnn", *arms, "--root", str(tmp_path), "--experiment", "mine"]
    assert main([*given, *SMALL]) == 0
    found = list_runs(tmp_path)
    assert list(found.arm) == ["baseline", "model=lstm,forget-bias=2", "init=orthogonal, clip=bptt:0.1"]
    assert list(found.model) == ["rnn", "lstm", "rnn"]
    assert list(found["clip"]) == ["none", "none", "bptt:0.1"]
    assert compare([load_run(tmp_path / run) for run in found.run]).arms[0].arm == "baseline"


def test_what_an_arm_changes_without_naming_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["pair", "--task", "temporal-order", "--model", "rnn", "--arms", "model=lstm,lr=0.2", "--arms", "steps=4"]
    assert main([*given, "--root", str(tmp_path), *SMALL]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("arm ")]
    assert told == [
        "arm model=lstm,lr=0.2: takes what suits its model, and so differs in init_std none (baseline 0.1), "
        "forget_bias 2.0 (baseline none); name these in the arm to set them."
    ]


@pytest.mark.parametrize(
    ("arm", "said"),
    [
        ("orthogonal", r"arms 'orthogonal': write SETTING=VALUE, with commas between several, .*"),
        ("seed=3", r"arms 'seed=3': 'seed' is no setting of an arm; these are: steps, until_error, criterion, .*"),
        ("lr=fast", r"lr 'fast' cannot be used: input should be a valid number, .*"),
        ("init=chrono", r"init chrono: it sets the biases of gates, and a model 'rnn' has none\."),
        ("nonlinearity=relu,model=gru", r"nonlinearity relu: only a model 'rnn' can choose it; leave it out\."),
    ],
)
def test_arms_that_cannot_be_meant(arm: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pair", "--model", "rnn", "--arms", arm, "--root", str(tmp_path), *SMALL]) == 2
    assert re.fullmatch(f"graddiag: {said}\n", capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


def test_a_single_run_of_ones_own_text(tmp_path: Path) -> None:
    text = tmp_path / "own.txt"
    text.write_text("she sells sea shells by the sea shore")
    assert main(["run", "--text", str(text), "--clip", "value:1", "--root", str(tmp_path / "runs"), *SMALL]) == 0
    run = load_run(tmp_path / "runs" / "lstm-value-1.0-seed0")
    assert json.loads((run.path / "vocabulary.json").read_text()) == sorted(set(text.read_text()))


def test_list_as_a_table_and_as_json(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--root", str(recorded)]) == 0
    assert "text-rnn-norm-0.5/rnn-none-seed0" in capsys.readouterr().out
    assert main(["list", "--root", str(recorded), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert all(tuple(row) == schema.RUN_LIST_COLUMNS for row in rows)
    row = next(row for row in rows if row[schema.RUN] == "text-rnn-norm-0.5/rnn-norm-0.5-seed1")
    assert (row[schema.ARM], row[schema.SEED], row[schema.STATUS], row[schema.STEPS]) == ("clip on", 1, "finished", 6)
    assert row[schema.FINAL_LOSS] == pytest.approx(
        float(load_run(recorded / row[schema.RUN]).steps[schema.LOSS].iloc[-1])
    )


def test_a_run_of_no_experiment_has_none_in_the_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--model", "rnn", "--root", str(tmp_path), *SMALL]) == 0
    capsys.readouterr()
    assert main(["list", "--root", str(tmp_path)]) == 0
    assert "nan" not in capsys.readouterr().out
    assert main(["list", "--root", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["experiment"] is None


def test_list_of_a_folder_without_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--root", str(tmp_path)]) == 0
    assert (
        capsys.readouterr().out
        == f"no runs under {tmp_path} yet; `graddiag pair --root {tmp_path}` records a first pair.\n"
    )
    assert main(["list", "--root", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_list_prints_markup_and_control_characters_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--experiment", "[red]x[/red]\x1b[2J", "--root", str(tmp_path), *SMALL]) == 0
    capsys.readouterr()
    assert main(["list", "--root", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "[red]x[/red]\\x1b[2J" in out
    assert "\x1b" not in out


@pytest.mark.parametrize("command", ["diagnose", "compare"])
def test_an_experiment_stands_for_its_runs(command: str, recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = str(recorded / "text-rnn-norm-0.5")
    assert main([command, experiment]) == 0
    assert capsys.readouterr().out.strip()
    assert main([command, experiment, "--json"]) == 0
    json.loads(capsys.readouterr().out, parse_constant=pytest.fail)


def test_report_writes_one_file(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report.html"
    assert main(["report", str(recorded / "text-rnn-norm-0.5"), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"wrote {out}\n"
    assert out.read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["run", "--task", "txt"],
            r"graddiag: task 'txt' cannot be used: input should be 'text', 'words', .* or 'permuted-digits'\.",
        ),
        (
            ["run", "--model", "cnn"],
            r"graddiag: model 'cnn' cannot be used: input should be 'rnn', 'lstm', .* or 'cornn'\.",
        ),
        (
            ["run", "--clip", "cut:1"],
            r"graddiag: clip 'cut:1': there is no policy 'cut'; use one of none, norm:C, value:C, .*",
        ),
        (
            ["pair", "--clip", "norm:-1"],
            r"graddiag: clip 'norm:-1': threshold must be positive and finite, found -1; .*",
        ),
        (["pair", "--clip", "none"], r"graddiag: clip 'none': a pair compares clipping off and on; give the policy .*"),
        (["run", "--length", "0"], r"graddiag: length 0 cannot be used: input should be greater than or equal to 1\."),
        (
            ["run", "--task", "temporal-order", "--length", "9"],
            r"graddiag: length 9: temporal order .* of 10 or more\.",
        ),
        (["run", "--steps", "0"], r"graddiag: steps 0 cannot be used: input should be greater than or equal to 1\."),
        (["run", "--steps", "x"], r"graddiag: Invalid value for '--steps': .*; `graddiag COMMAND --help` shows .*\."),
        (["run", "--stepz", "1"], r"graddiag: No such option: --stepz .*; `graddiag COMMAND --help` shows .*\."),
        (["run", "--lr", "-1"], r"graddiag: lr -1\.0 cannot be used: input should be greater than 0\."),
        (["pair", "--seeds", "a"], r"graddiag: seeds 'a': write whole numbers with commas between them, .*"),
        (["run", "--text", "TMP/none.txt"], r"graddiag: text .*none\.txt: it cannot be read \(No such file .*"),
        (["run", "--text", "TMP/empty.txt"], r"graddiag: text .*empty\.txt: it is empty; .*"),
        (
            ["run", "--text", "TMP/short.txt"],
            r"graddiag: text .*short\.txt: sequences of 60 characters need .* found 5; .*",
        ),
        (["run", "--text", "TMP/latin.txt"], r"graddiag: text .*latin\.txt: it is not UTF-8 \(byte 1 is 0xe9\); .*"),
        (["run", "--root", "TMP/empty.txt"], r"graddiag: .*empty\.txt cannot be written: .*"),
        (["list", "--root", "TMP/none"], r"graddiag: root .*none: there is no such folder; .*"),
        (["report", "TMP/none", "--out", "TMP/report.html"], r"graddiag: .*none.* is not a run.*"),
        (["diagnose", "TMP"], r"graddiag: .* is not a run.*"),
        (["report", "TMP"], r"graddiag: Missing option '--out'.*"),
        (["dashboard", "--port", "0"], r"graddiag: port 0: a port is from 1 to 65535; leave it out for 8501\."),
        (["repair"], r"graddiag: No such command 'repair'.*"),
    ],
)
def test_what_a_user_can_get_wrong_is_one_sentence_and_leaves_nothing(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").touch()
    (tmp_path / "short.txt").write_text("short")
    (tmp_path / "latin.txt").write_bytes("né".encode("latin-1"))
    before = sorted(tmp_path.rglob("*"))
    assert main([argument.replace("TMP", str(tmp_path)) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(message, captured.err.rstrip("\n"))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_table_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--root", str(tmp_path), *SMALL]) == 0
    capsys.readouterr()
    run = tmp_path / "lstm-none-seed0"
    for part in run.rglob("*.parquet"):
        part.write_bytes(b"PAR1 and no more")
    assert main(["diagnose", str(run)]) == 2
    assert re.fullmatch(r"graddiag: .*lstm-none-seed0.*\n", capsys.readouterr().err)
    assert main(["list", "--root", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0][schema.STATUS] == "damaged"


def test_a_taken_port_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["dashboard", "--port", str(port)]) == 2
    assert re.fullmatch(rf"graddiag: port {port}: it cannot be used \(.*\); give another .*\n", capsys.readouterr().err)


def test_the_dashboard_is_started_for_this_machine_alone() -> None:
    command = streamlit_command(app_script(), Path("some runs"), 8600)
    assert {"--server.address=127.0.0.1", "--server.port=8600", "--browser.gatherUsageStats=false"} < set(command)
    assert [part for part in command if "allowedHosts" in part] == [
        "--server.allowedHosts=localhost",
        "--server.allowedHosts=127.0.0.1",
    ]
    assert command[-3:] == ["--", "--root", "some runs"]


def test_the_dashboard_answers_others_only_when_told_and_under_the_name_told() -> None:
    command = streamlit_command(app_script(), Path("runs"), 8600, "192.0.2.7")
    assert "--server.address=192.0.2.7" in command
    assert allowed_hosts("192.0.2.7") == ("localhost", "127.0.0.1", "192.0.2.7")
    assert allowed_hosts("localhost") == allowed_hosts("127.0.0.1") == ("localhost", "127.0.0.1")
    assert {"localhost", "127.0.0.1", socket.gethostname()} <= set(allowed_hosts("0.0.0.0"))
    assert "0.0.0.0" not in allowed_hosts("0.0.0.0")


def test_answering_others_is_warned_about(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    started: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    monkeypatch.setattr(os, "execve", lambda program, command, given: started.append((command, given)))
    port = str(free_port())
    assert main(["dashboard", "--port", port]) == 0
    assert capsys.readouterr().err == ""
    assert TOKEN_VARIABLE not in started[0][1]
    assert main(["dashboard", "--port", port, "--host", "0.0.0.0"]) == 0
    told = capsys.readouterr()
    assert told.err.startswith("Whoever reaches any address of this machine")
    assert "start trainings" not in told.err
    command, given = started[1]
    assert "--server.address=0.0.0.0" in command
    assert f"http://127.0.0.1:{port}/?token={given[TOKEN_VARIABLE]} " in told.out
    assert given[TOKEN_VARIABLE] not in " ".join(command)  # which every user of the machine can list
    assert main(["dashboard", "--port", port, "--host", "0.0.0.0", "--allow-changes"]) == 0
    assert "start trainings" in capsys.readouterr().err
    assert started[2][0][-1] == "--allow-changes"
    assert started[2][1][TOKEN_VARIABLE] != given[TOKEN_VARIABLE]


def test_a_token_that_is_given_is_kept_unless_it_can_be_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "a-token-of_the-users-own-1")
    assert token() == "a-token-of_the-users-own-1"
    for bad in ("short", "", "with a space in it 123", "with&an=ampersand-1234"):
        monkeypatch.setenv(TOKEN_VARIABLE, bad)
        with pytest.raises(SettingError, match="a token has 16 or more letters"):
            token()


@pytest.mark.parametrize(
    ("host", "local"),
    {"localhost": True, "127.0.0.1": True, "127.1.2.3": True, "::1": True, "0.0.0.0": False, "box": False}.items(),
)
def test_which_addresses_are_this_machines_alone(host: str, local: bool) -> None:
    assert is_local(host) is local


@pytest.mark.parametrize("host", ["192.0.2.7", "no such host", "", "x" * 300])
def test_a_host_that_this_machine_is_not_is_refused(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboard", "--port", str(free_port()), "--host", host]) == 2
    assert "this machine has no such address" in capsys.readouterr().err


def test_help_and_version_import_nothing_heavy() -> None:
    code = (
        "import sys; from graddiag.cli import main; main(['--help']); main(['pair', '--help']); main(['--version']);"
        "heavy = {'torch', 'numpy', 'pandas', 'plotly', 'streamlit'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Train the same network with clipping off and on" in done.stdout


def interrupted(arguments: list[str], recorded: Path) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a command that got SIGINT once there were steps in ``recorded``."""
    code = "import sys; from graddiag.cli import main; sys.exit(main())"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    with interruptible():
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], stdout=pipe, stderr=pipe, text=True, env=environment
        )
    with process:
        try:
            until(lambda: process.poll() is not None or any(recorded.rglob("*.parquet")))
            process.send_signal(signal.SIGINT)
            return process.wait(SECONDS), *process.communicate()
        finally:
            process.kill()


def test_ctrl_c_closes_the_run_as_interrupted(tmp_path: Path) -> None:
    arguments = ["pair", "--model", "rnn", "--steps", "100000", "--root", str(tmp_path), "--experiment", "long"]
    run = tmp_path / "long" / "rnn-none-seed0"
    status, out, err = interrupted(arguments, run)
    assert status == 130, err
    assert out == ""
    assert err == (f"interrupted after 0 of 2 runs; what was recorded is readable: graddiag list --root {tmp_path}\n")
    assert load_run(run).manifest.status == "interrupted"
    assert len(load_run(run).steps) > 0
