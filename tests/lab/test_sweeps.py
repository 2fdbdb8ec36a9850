"""An experiment from its spec: which trainings it is, what is not trained twice, and what an error says."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from graddiag import list_runs, load_run
from graddiag.cli import main
from graddiag.errors import InputError, SettingError
from graddiag.lab import train
from graddiag.lab.pool import outcomes
from graddiag.lab.sweeps import clear, plan_sweep, read_sweep, standing, sweep_spec
from graddiag.lab.toml_lines import line_of
from graddiag.store import trashed_runs
from tests.waiting import SECONDS, interruptible, until

SMALL: dict[str, Any] = {"steps": 3, "batch": 3, "hidden": 4}
SPEC: dict[str, Any] = {
    "name": "Reach of two",
    "task": "recall",
    "model": "rnn",
    "settings": SMALL,
    "arms": {"baseline": {}, "lstm, open": {"model": "lstm", "forget-bias": 2.0}},
    "seeds": [0, 1],
    "lengths": [5, 9],
}
TOML = """
name = "mine"
task = "recall"
model = "rnn"
seeds = [0, 1]
lengths = [5]
settings = { steps = 3, batch = 3, hidden = 4 }

[arms.baseline]
[arms.clipped]
clip = "norm:1"
"""


def write(folder: Path, text: str = TOML) -> Path:
    path = folder / "spec.toml"
    path.write_text(text)
    return path


def test_every_arm_at_every_length_with_every_seed() -> None:
    plans = plan_sweep(sweep_spec(SPEC))
    found = [(p.arm, p.spec.model, p.spec.length, p.spec.seed, p.spec.forget_bias) for p in plans]
    expected = [
        (*arm[:2], length, seed, arm[2])
        for length in (5, 9)
        for seed in (0, 1)
        for arm in (("baseline", "rnn", None), ("lstm, open", "lstm", 2.0))
    ]
    assert found == expected
    assert {p.experiment for p in plans} == {"Reach of two"}
    assert plans[1].name == "lstm, open-length5-seed0"
    assert plans[0].spec.init_std == 0.1  # each model has the defaults that suit it
    assert plans[1].spec.init_std is None


def test_what_is_finished_is_not_trained_again_whatever_else_changes(tmp_path: Path) -> None:
    spec = sweep_spec(SPEC)
    plans = plan_sweep(spec)
    for plan in plans[:3]:
        train(plan, tmp_path)
    stand = standing(plans, tmp_path)
    assert (len(stand.finished), stand.failed, stand.waiting) == (3, (), plans[3:])
    more = plan_sweep(spec.model_copy(update={"seeds": (1, 0, 2)}))
    assert len(standing(more, tmp_path).waiting) == 12 - 3
    other = plan_sweep(spec.model_copy(update={"settings": {**SMALL, "lr": 0.5}}))
    assert len(standing(other, tmp_path).waiting) == 8


def test_another_text_is_another_training_and_a_moved_one_is_not(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("to be or not to be")
    given = {"name": "t", "task": "text", "model": "rnn", "arms": {"one": {}}, "lengths": [5]}
    given["settings"] = {**SMALL, "text": str(text)}
    (plan,) = plan_sweep(sweep_spec(given))
    train(plan, tmp_path)
    assert standing([plan], tmp_path).waiting == ()
    moved = text.rename(tmp_path / "b.txt")
    given["settings"]["text"] = str(moved)
    (plan,) = plan_sweep(sweep_spec(given))
    assert standing([plan], tmp_path).waiting == ()
    moved.write_text("to be or not to see")
    assert standing([plan], tmp_path).waiting == (plan,)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"arms": {}}, r"sweep: arms \{\} cannot be used: dictionary should have at least 1 item"),
        ({"modell": "rnn"}, r"sweep: modell: no setting of a sweep; these are: name, task, model,"),
        ({"model": "cnn"}, r"sweep: arm 'baseline': model 'cnn' cannot be used"),
        (
            {"arms": {"a": {"learning": 1}}},
            r"sweep: arm 'a': learning: no setting of a training; these are: task, ",
        ),
        (
            {"arms": {"a": {"seed": 1}}},
            r"sweep: arm 'a': seed is not set here but as seeds = \[\.\.\.\] of the sweep",
        ),
        ({"arms": {"a b": {}, "a-b": {}}}, r"sweep: arms \['a b', 'a-b'\]: two of them are alike"),
        ({"seeds": [1, 1]}, r"sweep: seeds \[1, 1\]: give each once"),
        ({"seeds": ["x"]}, r"sweep: seeds\.0 'x' cannot be used: input should be a valid integer"),
    ],
)
def test_an_error_names_the_key(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        sweep_spec({**SPEC, **changed})


MANY_LINES = """# an experiment
name = "mine"
task = "recall"
model = "rnn"
seeds = [
    0,
    1,
]
lengths = [5]

[settings]
hidden = 4
# the steps of each
steps = 3

[arms.baseline]

[arms."lstm, open"]
model = "lstm"
forget-bias = 2
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "lengths = [5]",
            "length = 5",
            r", line 9: length: no setting of a sweep; these are: .* Did you mean lengths\?",
        ),
        ("    1,", "    'one',", r", line 5: seeds\.1 'one' cannot be used: input should be a valid integer"),
        ("    1,", "    0,", r", line 5: seeds \[0, 0\]: give each once"),
        ("lengths = [5]", "lengths = 5", r", line 9: lengths 5 cannot be used: it has to be a list\."),
        ("hidden = 4", "hiden = 4", r", line 12: settings: hiden: no setting of a training; .* Did you mean hidden\?"),
        ("steps = 3", "steps = 0", r", line 14: settings: steps 0 cannot be used: .*greater than or equal to 1"),
        ("forget-bias = 2", "forget-bias = 'much'", r", line 20: arm 'lstm, open': forget_bias 'much' cannot be used"),
        ("forget-bias = 2", "residual = true", r", line 20: arm 'lstm, open': residual: it is for a model 'rnn'"),
        ("forget-bias = 2", "seed = 2", r", line 20: arm 'lstm, open': seed is not set here"),
        ("forget-bias = 2", "clip = 'norm'", r", line 20: arm 'lstm, open': clip"),
        ('"lstm"', '"cnn"', r", line 19: arm 'lstm, open': model 'cnn' cannot be used: .*'rnn', 'lstm'"),
        ('model = "rnn"', 'model = "cnn"', r", line 4: arm 'baseline': model 'cnn' cannot be used"),
        ('task = "recall"', 'task = "recal"', r", line 3: arm 'baseline': task 'recal' cannot be used: .*'recall'"),
        (
            "[arms.baseline]",
            "[arms]\nbaseline = 3",
            r", line 17: arms\.baseline 3 cannot be used: it has to be a table",
        ),
        ("[arms.baseline]", "[arms.'LSTM OPEN']", r", line 18: arms .*: two of them are alike"),
        ('name = "mine"', "", r"spec\.toml: name: it is missing; a sweep needs it"),
    ],
)
def test_an_error_of_a_file_names_the_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in MANY_LINES
    with pytest.raises(SettingError, match=rf"^sweep .*spec\.toml{said}" if said[0] == "," else said):
        read_sweep(write(tmp_path, MANY_LINES.replace(old, new)))


def test_the_line_of_a_key_is_where_its_statement_begins() -> None:
    text = 'a = 1\nb = """\nc = 2\n"""\n\n# d\nd.e = [\n  3,\n]\n[[f]]\n[g.h]\ni = { j = 4 }\n'
    found = {"a": 1, "b": 2, "c": None, "d": 7, "d.e": 7, "d.e.0": 7, "g": 11, "g.h": 11, "g.h.i": 12, "g.h.i.j": 12}
    assert {key: line_of(text, key.split(".")) for key in found} == found
    assert line_of(text, ()) is None


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"sweep .*nowhere\.toml: it cannot be read .*; give a TOML file\."):
        read_sweep(tmp_path / "nowhere.toml")
    with pytest.raises(InputError, match=r"sweep .*spec\.toml: it is not TOML \(.*line 1.*\)\."):
        read_sweep(write(tmp_path, "name = mine"))


def test_the_command_trains_what_is_missing_and_then_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "runs"
    arguments = ["sweep", str(write(tmp_path)), "--root", str(root)]
    assert main(arguments) == 0
    out = capsys.readouterr().out.splitlines()
    assert out == ["4 runs: 4 trained, 0 there already.", f"Next: graddiag compare {root}/mine"]
    first = list_runs(root)
    assert sorted(first.run) == [f"mine/{arm}-seed{seed}" for arm in ("baseline", "clipped") for seed in (0, 1)]
    losses = [load_run(root / run).steps.loss.tolist() for run in first.run]

    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("4 runs: 0 trained, 4 there already.")
    assert [load_run(root / run).steps.loss.tolist() for run in list_runs(root).run] == losses


def test_one_that_fails_is_told_and_stops_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wild = TOML.replace('clip = "norm:1"', 'lr = 1e38\non-nonfinite = "stop"\nsteps = 30')
    root = tmp_path / "runs"
    arguments = ["sweep", str(write(tmp_path, wild)), "--root", str(root), "--workers", "1"]
    assert main(arguments) == 1
    told = capsys.readouterr()
    assert told.out.startswith("4 runs: 2 trained, 0 there already.")
    assert "failed: clipped-seed0: step " in told.err
    assert main(arguments) == 1
    told = capsys.readouterr()
    assert told.out.startswith("4 runs: 0 trained, 2 there already.")
    assert "clipped-seed0; --retry trains it again" in told.err
    assert main([*arguments, "--retry"]) == 1
    assert capsys.readouterr().err.count("failed: clipped") == 2
    assert len(list_runs(root)) == 4


def test_an_error_of_one_training_is_its_outcome(tmp_path: Path) -> None:
    text = tmp_path / "gone.txt"
    text.write_text("it was here")
    given = {**SPEC, "task": "text", "lengths": [3], "seeds": [0], "arms": {"a": {}, "b": {"text": str(text)}}}
    plans = plan_sweep(sweep_spec(given))
    text.unlink()
    good, bad = sorted(outcomes(plans, tmp_path, workers=1), key=lambda outcome: outcome.plan.arm)
    assert good.trained is not None
    assert isinstance(bad.error, InputError)


def stopped_by(sent: signal.Signals, spec: Path, root: Path) -> tuple[int, str]:
    """Exit status and stderr of a sweep of which all processes got a signal once both runs were at work."""
    with interruptible():
        process = subprocess.Popen(
            [sys.executable, "-m", "graddiag", "sweep", str(spec), "--root", str(root)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    try:
        until(lambda: process.poll() is not None or both_at_work(root))
        os.killpg(process.pid, sent)
        _, err = process.communicate(timeout=SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode, err


def both_at_work(root: Path) -> bool:
    return len({path.parent for path in root.glob("mine/*/steps/*.parquet")}) == 2


ENDLESS = TOML.replace("steps = 3", "steps = 100000").replace("seeds = [0, 1]", "seeds = [0]")


@pytest.mark.slow
def test_ctrl_c_loses_nothing(tmp_path: Path) -> None:
    """As a terminal does it: the signal reaches the workers too. What is finished stays, what was at work is readable,
    and the same command continues."""
    root, spec = tmp_path / "runs", write(tmp_path, ENDLESS)
    status, err = stopped_by(signal.SIGINT, spec, root)
    assert status == 130, err
    assert err == "interrupted after 0 of 2 runs; the same command continues.\n"
    assert set(list_runs(root).status) == {"interrupted"}
    assert all(len(load_run(root / run).steps) for run in list_runs(root).run)

    again = standing(plan_sweep(read_sweep(spec)), root)
    assert [plan.arm for plan in again.waiting] == ["baseline", "clipped"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="a system without /proc")
def test_what_a_killed_sweep_left_makes_room_for_the_runs_that_are_trained_again(tmp_path: Path) -> None:
    root, spec = tmp_path / "runs", write(tmp_path, ENDLESS)
    stopped_by(signal.SIGKILL, spec, root)
    until(lambda: set(list_runs(root).status) == {"interrupted"})  # a process that was killed takes a moment to go
    plans = plan_sweep(read_sweep(spec))
    waiting = standing(plans, root).waiting
    assert waiting == plans
    clear(waiting, root)
    assert list_runs(root).empty
    assert len(trashed_runs(root)) == 2


def test_runs_of_several_lengths_are_compared_a_length_at_a_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, spec = tmp_path / "runs", write(tmp_path, TOML.replace("lengths = [5]", "lengths = [5, 9]"))
    assert main(["sweep", str(spec), "--root", str(root)]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == f"Next: graddiag compare {root}/mine --length 5"
    assert [line[:6] for line in told.err.splitlines()] == [f"{done} of 8" for done in range(1, 9)]
    assert main(["compare", str(root / "mine"), "--length", "9", "--json"]) == 0
    pairs = json.loads(capsys.readouterr().out)["pairs"]
    assert [(pair["length"], pair["seed"]) for pair in pairs] == [(9, 0), (9, 1)]
    assert main(["compare", str(root / "mine"), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["pairs"]) == 4
    assert main(["compare", str(root / "mine"), "--length", "7"]) == 2
    assert capsys.readouterr().err == "graddiag: length 7: none of the runs has it; they have 5, 9.\n"
