"""A task is solved when the last hundred batches are, and not before there are so many."""

from pathlib import Path

from graddiag import load_run
from graddiag.lab import plan_run, train, training_spec
from graddiag.lab.early_stopping import BATCHES, EarlyStopping


def test_the_mean_of_the_last_hundred_counts() -> None:
    reached = EarlyStopping(0.1)
    assert not any(reached({"error": 0.0}) for _ in range(BATCHES - 1))
    assert reached({"error": 0.0})
    wrong = [reached({"error": 1.0}) for _ in range(11)]
    assert wrong == [True] * 10 + [False]


def test_without_a_goal_it_never_is() -> None:
    reached = EarlyStopping(None)
    assert not any(reached({}) for _ in range(3 * BATCHES))


def test_a_training_ends_when_its_task_is_solved(tmp_path: Path) -> None:
    settings = {"length": 10, "steps": 3000, "lr": 0.3, "clip": "norm:1", "every": 100, "hidden": 30}
    spec = training_spec("temporal-order", "rnn", until_error=0.2, criterion="batches", **settings)
    run = load_run(train(plan_run(spec), tmp_path).path)
    assert BATCHES <= len(run.steps) < 3000
    assert run.manifest.status == "finished"
    assert run.steps["error"].tail(BATCHES).mean() <= 0.2
