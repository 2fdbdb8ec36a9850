"""The preset pascanu: what it trains, and what it says of experiments typed by hand."""

from pathlib import Path

import pytest

from graddiag import Run, load_run
from graddiag.analysis import Experiment, experiment
from graddiag.analysis.comparison.experiment import Rate
from graddiag.errors import SettingError
from graddiag.lab import plan_run, train, training_spec
from graddiag.lab.training import Plan
from graddiag.presets import pascanu_summary as told
from graddiag.presets.pascanu import CLIPPED, GOAL, OMEGA, PRESETS, SGD, Pascanu, sweeps
from graddiag.presets.preset import settings_of


def found(*rates: tuple[str, int, int, int]) -> Experiment:
    """An experiment of which the rates alone are known: arm, length, successes, runs."""
    listed = tuple(Rate(arm, length, successes, runs, (0.0, 1.0)) for arm, length, successes, runs in rates)
    return Experiment(GOAL, (), (SGD, CLIPPED, OMEGA), tuple(dict.fromkeys(rate.length for rate in listed)), listed)


def arms(length: int, *successes: int, runs: int = 8) -> Experiment:
    return found(*((arm, length, count, runs) for arm, count in zip((SGD, CLIPPED, OMEGA), successes, strict=False)))


def recorded(root: Path, arm: str, task: str = "temporal-order", **settings: object) -> Run:
    given = {"length": 10, "steps": 4, "every": 1, "hidden": 6, "batch": 4, "lr": 0.1, **settings}
    spec = training_spec(task, "rnn", **given)
    return load_run(train(Plan(spec, plan_run(spec).name, "by hand", arm), root).path)


def test_the_main_experiment_is_that_of_the_field() -> None:
    """Temporal order, L = 30, 50 tanh units, N(0, .1^2), SGD lr .1, batch 20, up to 4,000 steps, norm 1, 8 seeds."""
    main, lengths, low, *others = sweeps(Pascanu())
    wanted = {"hidden": 50, "init_std": 0.1, "batch": 20, "lr": 0.1, "steps": 4000, "until_error": 0.01}
    assert {key: main.settings[key] for key in wanted} == wanted
    assert (main.task, main.model, main.lengths, main.seeds) == ("temporal-order", "rnn", (30,), tuple(range(8)))
    assert main.arms == {SGD: {}, CLIPPED: {"clip": "norm:1.0"}, OMEGA: {"clip": "norm:1.0", "omega": 2.0}}
    assert lengths.lengths == (10, 50)
    assert (low.settings["lr"], list(low.arms)) == (0.01, [SGD, CLIPPED])
    assert [each.task for each in others] == [
        "temporal-order-3bit",
        "adding",
        "multiplication",
        "permutation",
        "memorisation",
    ]
    assert all(list(each.arms) == [SGD, CLIPPED, OMEGA] for each in others)


def test_size_and_rate_of_the_other_tasks_can_be_set() -> None:
    chosen = settings_of(PRESETS["pascanu"], {"tasks": ["adding"], "task_length": 20, "task_lr": 0.05})
    *_, adding = sweeps(chosen)
    assert (adding.task, adding.lengths, adding.settings["lr"]) == ("adding", (20,), 0.05)


def test_the_main_length_is_not_trained_twice() -> None:
    names = [spec.name for spec in sweeps(settings_of(PRESETS["pascanu"], {"other_lengths": [30], "tasks": []}))]
    assert names == ["lab-pascanu-main", "lab-pascanu-low-rate"]


def test_a_length_the_task_cannot_have_is_refused() -> None:
    with pytest.raises(SettingError, match=r"^other_lengths\.1 9 cannot be used: input should be greater than"):
        settings_of(PRESETS["pascanu"], {"other_lengths": [10, 9]})


@pytest.mark.parametrize(
    ("successes", "words"),
    [
        ((0, 7, 8), "Clipping wins 7 runs; Omega beside it wins 1 run."),
        ((3, 3, 1), "Clipping changes nothing; Omega beside it loses 2 runs."),
    ],
)
def test_what_is_said_of_the_main_length(successes: tuple[int, int, int], words: str) -> None:
    a, b, c = successes
    assert told.of_main(arms(30, *successes), 30) == (
        f"Temporal order over 30 timesteps is solved by {a} of 8 with SGD alone, {b} of 8 with clipping and "
        f"{c} of 8 with clipping and Omega. {words}"
    )


def test_at_another_length_it_says_whether_clipping_helps_and_why_not(tmp_path: Path) -> None:
    assert told.at_length(arms(20, 1, 3, 3), [], 20).endswith("Clipping wins 2 runs.")
    assert told.at_length(arms(10, 8, 8, 8), [], 10).endswith("There is nothing for clipping to help with.")
    never = recorded(tmp_path, CLIPPED, clip="norm:1000")
    said = told.at_length(arms(10, 0, 0, 0), [recorded(tmp_path, SGD), never], 10)
    assert "Clipping does not help: it hardly ever acted, and " in said
    assert "of the gradient at the last timestep reached the first" in said
    always = recorded(tmp_path, CLIPPED, clip="norm:1e-9", seed=1)
    assert "it acted at 100% of the steps" in told.at_low_rate(arms(10, 0, 0), [always], 0.01)


def test_a_loss_that_is_not_finite_is_told(tmp_path: Path) -> None:
    lost = recorded(tmp_path, SGD, "adding", lr=1e18, steps=8)
    fine = recorded(tmp_path, CLIPPED, "adding", clip="norm:1")
    said = told.of_task("adding", arms(10, 0, 0, 0), [lost, fine])
    assert said.endswith("In NaN or inf ended 1 with SGD alone.")
    assert "NaN" not in told.of_task("adding", arms(10, 0, 0, 0), [fine])


def test_tables(tmp_path: Path) -> None:
    runs = [recorded(tmp_path, arm, clip=clip, evaluate_every=2) for arm, clip in ((SGD, "none"), (CLIPPED, "norm:1"))]
    each = {"temporal-order": experiment(runs, GOAL)}
    solved = told.solved_table(each)
    assert list(solved["arm"]) == [SGD, CLIPPED]
    assert list(solved["runs"]) == [1, 1]
    table = told.task_table(each, {"temporal-order": runs})
    assert list(table["steps"]) == [4.0, 4.0]
    assert table["validation error"].iloc[0] == runs[0].steps["validation_error"].iloc[-1]
    assert table["loss by chance"].iloc[0] == pytest.approx(1.3862943611)
