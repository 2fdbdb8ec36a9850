"""The bench: sweeps go on where they stopped, own trainings replace themselves, and what is told meanwhile."""

from pathlib import Path

import pytest
import torch

import graddiag
from graddiag import list_runs
from graddiag.errors import GraddiagError
from graddiag.lab.experiments import plan_run
from graddiag.lab.spec import training_spec
from graddiag.lab.sweeps import SweepSpec, sweep_spec
from graddiag.lab.training import Plan
from graddiag.presets.bench import Bench, Progress


def small(name: str = "small", **settings: object) -> SweepSpec:
    given = {"steps": 3, "batch": 2, "hidden": 3, **settings}
    arms = {"baseline": {}, "clipped": {"clip": "norm:1"}}
    return sweep_spec({"name": name, "task": "recall", "model": "rnn", "settings": given, "arms": arms, "lengths": [4]})


@pytest.mark.slow
def test_a_sweep_is_trained_once_and_told(tmp_path: Path) -> None:
    told: list[Progress] = []
    bench = Bench(tmp_path, "lab", workers=2, report_progress=told.append)
    runs = bench.sweep([small(), small("other", steps=2)])
    assert [(run.manifest.experiment, run.manifest.arm) for run in runs] == [
        (name, arm) for name in ("small", "other") for arm in ("baseline", "clipped")
    ]
    assert [each.done for each in told] == [0, 1, 2, 3, 4]
    assert {each.total for each in told} == {4}
    made = [run.manifest.created for run in runs]
    again = bench.sweep([small(), small("other", steps=2)])
    assert [run.manifest.created for run in again] == made
    assert len(told) == 5


@pytest.mark.slow
def test_a_training_that_fails_is_told_by_name(tmp_path: Path) -> None:
    text = tmp_path / "short.txt"
    text.write_text("abc")
    given = {"steps": 2, "text": str(text), "batch": 2, "hidden": 3}
    arms: dict[str, dict[str, object]] = {"baseline": {}}
    broken = SweepSpec(name="short", task="text", model="rnn", settings=given, arms=arms, lengths=(9,))
    with pytest.raises(GraddiagError, match=r"need a text of 10 or more"):
        Bench(tmp_path / "runs", "lab").sweep([broken])


def test_a_training_in_this_process_hands_over_its_network(tmp_path: Path) -> None:
    spec = training_spec("recall", "gru", steps=3, batch=2, hidden=3, length=4)
    seen: list[int] = []
    bench = Bench(tmp_path, "lab", report_progress=lambda progress: seen.append(progress.done))
    units: list[int] = []
    for _ in range(2):
        plan = Plan(spec, plan_run(spec).name, "lab", "gru")
        bench.train(plan, lambda model, task: units.append(model.head.in_features))
    assert units == [3, 3]
    assert seen == [1, 2, 3] * 2
    assert len(list_runs(tmp_path)) == 1


def test_a_run_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    bench, model = Bench(tmp_path, "lab"), torch.nn.RNN(2, 3)
    with graddiag.watch(model, None, **bench.watched("one")) as first:
        with graddiag.watch(model, None, **bench.watched("one")) as second:
            assert first.path.is_dir()
        assert second.path != first.path
    assert list(list_runs(tmp_path)["status"]) == ["finished"] * 2
    bench.watched("one")
    assert not len(list_runs(tmp_path))
