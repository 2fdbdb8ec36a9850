"""What is declared of tasks and settings: the manual, the options and the former names come from it."""

from pathlib import Path

import pytest
from typer.main import get_command

from graddiag.cli import app
from graddiag.cli.options import arm_of, default_of
from graddiag.lab.initializations import INITIALIZATIONS, InitializationKind
from graddiag.lab.settings.declared import declared
from graddiag.lab.spec import TrainingSpec, training_spec
from graddiag.lab.sweeps import SweepSpec, content_hash
from graddiag.lab.tasks import TASKS, TaskKind, make_task
from tests.needs import needs

MANUAL = (Path(__file__).parent.parent.parent / "docs" / "lab.md").read_text()
OPTIONS = {name for parameter in get_command(app).commands["run"].params for name in parameter.opts}  # type: ignore[attr-defined]


def rows(head: str) -> list[str]:
    return MANUAL.partition(f"{head}\n")[2].partition("\n\n")[0].splitlines()[1:]


def test_the_tasks_of_the_manual_are_those_that_are_declared() -> None:
    told = [f"| `{kind.name}` | {kind.asks} | {kind.chance} |" for kind in TASKS]
    assert rows("| `--task` | what is asked | by chance |") == told


def test_the_settings_of_the_manual_are_those_that_are_declared() -> None:
    settings = [each for each in declared(TrainingSpec) if each.name not in ("task", "clip")]
    told = [f"| `{each.option}` | {default_of(each)} | {each.help} |" for each in settings]
    assert rows("| option | by default | what it is |") == told


def test_the_keys_of_a_sweep_are_those_that_are_declared() -> None:
    assert rows("| key | what it is |") == [f"| `{each.name}` | {each.help} |" for each in declared(SweepSpec)]


def test_every_setting_is_an_option() -> None:
    assert {each.option for each in declared(TrainingSpec)} <= OPTIONS


@pytest.mark.parametrize("kind", TASKS, ids=lambda kind: kind.name)
def test_a_task_says_what_the_loss_of_guessing_is(kind: TaskKind) -> None:
    if kind.implementation.startswith("digits:"):
        needs("sklearn", "digits")
    config = make_task(training_spec(kind.name, "lstm")).config
    assert "chance_loss" in config


@pytest.mark.parametrize("kind", INITIALIZATIONS, ids=lambda kind: kind.name)
def test_an_initialization_is_for_the_models_that_it_names(kind: InitializationKind) -> None:
    model = "lstm" if kind.gated else "rnn"
    assert training_spec("recall", model, init=kind.name).init == kind.name


def test_former_names_are_options_that_the_help_leaves_out() -> None:
    run = get_command(app).commands["run"]  # type: ignore[attr-defined]
    hidden = {name for each in run.params if each.hidden for name in each.opts}
    assert hidden == {"--carry", "--look-every"}
    assert arm_of("look-every=5,carry=true") == {"try_thresholds_every": "5", "stateful": "true"}


def test_a_run_under_a_former_name_is_the_same_training() -> None:
    now = training_spec("words", "lstm").model_dump(mode="json")
    before = {("carry" if name == "stateful" else name): value for name, value in now.items()}
    assert content_hash(now) == content_hash(before)
