"""The command that a run names as its own repetition, taken at its word."""

import shlex
from pathlib import Path

import pandas as pd
import pytest

from graddiag.cli import main
from graddiag.lab import plan_pair, train, training_spec
from graddiag.lab.repeat import repeat_command
from graddiag.store import load_run

SMALL = {"steps": 4, "length": 12, "batch": 3, "hidden": 5}


@pytest.mark.parametrize(
    ("task", "model", "settings"),
    [
        ("text", "rnn", {"clip": "norm:0.5", "layers": 2, "threads": 1}),
        ("recall", "lstm", {"clip": "bptt:0.1", "init": "chrono", "h_detach": 0.5}),
        ("recall", "rnn", {"clip": "tbptt:5", "init": "identity", "nonlinearity": "relu"}),
        ("temporal-order", "gru", {"clip": "agc:0.01", "forget_bias": -1.5, "on_nonfinite": "stop"}),
    ],
)
def test_it_gives_the_same_run_again(task: str, model: str, settings: dict[str, object], tmp_path: Path) -> None:
    *_, plan = plan_pair(training_spec(task, model, seed=7, **SMALL, **settings), [7], "pair")
    first = load_run(train(plan, tmp_path / "first").path)
    program, *arguments = shlex.split(first.manifest.config["command"])
    assert program == "graddiag"
    assert main([*arguments, "--root", str(tmp_path / "again")]) == 0
    (path,) = (tmp_path / "again").iterdir()
    again = load_run(path)
    assert again.manifest.config == first.manifest.config
    clock = ["wall_time"]
    pd.testing.assert_frame_equal(again.steps.drop(columns=clock), first.steps.drop(columns=clock), check_exact=True)
    pd.testing.assert_frame_equal(again.timesteps, first.timesteps, check_exact=True)


def test_a_file_of_any_name_is_one_argument(tmp_path: Path) -> None:
    text = tmp_path / "my $(text).txt"
    assert shlex.split(repeat_command(training_spec("text", "lstm", text=text))).count(str(text)) == 1
