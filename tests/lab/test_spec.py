"""Specs: defaults by task and model, and one sentence for whatever cannot be meant."""

from typing import Any, get_args

import pytest

from graddiag.errors import SettingError
from graddiag.lab.settings.declared import declared
from graddiag.lab.spec import ModelKind, TrainingSpec, training_spec
from graddiag.lab.tasks import TASKS


@pytest.mark.parametrize("task", [kind.name for kind in TASKS])
@pytest.mark.parametrize("model", get_args(ModelKind))
def test_task_and_model_are_enough(task: str, model: str) -> None:
    spec = training_spec(task, model)
    assert (spec.task, spec.model, spec.clip, spec.seed) == (task, model, "none", 0)
    assert spec.steps // spec.every in range(200, 600)


def test_what_is_given_wins_and_none_takes_the_default() -> None:
    spec = training_spec("temporal-order", "rnn", lr=0.01, hidden=None, steps=7)
    assert (spec.lr, spec.hidden, spec.init_std, spec.steps, spec.every) == (0.01, 50, 0.1, 7, 1)


def test_a_clip_policy_is_kept_in_one_spelling() -> None:
    assert training_spec("text", "rnn", clip=" norm:1").clip == "norm:1.0"


def test_a_spec_comes_back_from_json() -> None:
    spec = training_spec("text", "lstm", clip="value:5", forget_bias=1.0)
    assert TrainingSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "txt"}, r"^task 'txt' cannot be used: input should be 'text', 'words', .* or 'permuted-digits'\.$"),
        (
            {"model": "transformer"},
            r"^model 'transformer' cannot be used: input should be 'rnn', 'lstm', .* or 'cornn'\.$",
        ),
        ({"clip": "norm:-1"}, r"^clip 'norm:-1': threshold must be positive and finite, found -1;"),
        (
            {"clip": "cut:1"},
            r"^clip 'cut:1': there is no policy 'cut'; use one of none, norm:C, value:C, bptt:C, .*, spam\.$",
        ),
        ({"length": 0}, r"^length 0 cannot be used: input should be greater than or equal to 1\.$"),
        ({"steps": 0}, r"^steps 0 cannot be used: input should be greater than or equal to 1\.$"),
        ({"steps": 2.5}, r"^steps 2\.5 cannot be used: input should be a valid integer"),
        ({"lr": float("nan")}, r"^lr nan cannot be used: input should be a finite number\.$"),
        ({"lr": -1.0}, r"^lr -1\.0 cannot be used: input should be greater than 0\.$"),
        ({"seed": -1}, r"^seed -1 cannot be used: input should be greater than or equal to 0\.$"),
        (
            {"on_nonfinite": "ignore"},
            r"^on_nonfinite 'ignore' cannot be used: input should be 'continue', 'stop' or 'skip'\.$",
        ),
        (
            {"speed": 3},
            r"^speed: no setting of a training; these are: task, seed, steps, .*, threads\. Did you mean seed\?$",
        ),
        (
            {"model": "rnn", "forget_bias": 1.0},
            r"^forget_bias 1: a model 'rnn' has no gate that forgets; leave it out\.$",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_sentence(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        training_spec(**{"task": "text", "model": "lstm", **settings})


def test_snapshots_are_taken_at_steps_that_are_recorded() -> None:
    spec = training_spec("temporal-order", "rnn", snapshot_every=100)
    assert (spec.every, spec.snapshot_every) == (5, 100)  # 2500 // 300 is 8, and 8 does not divide 100
    assert training_spec("text", "lstm").snapshot_every is None
    assert training_spec("text", "lstm", snapshot_every=7, every=7).every == 7


def test_a_uniform_start_takes_the_place_of_the_normal_one_that_suits_the_task() -> None:
    for task in ("temporal-order", "adding"):
        spec = training_spec(task, "rnn", init_uniform=0.2)
        assert (spec.init_std, spec.init_uniform) == (None, 0.2)
        assert training_spec(task, "rnn").init_std == 0.1
    with pytest.raises(SettingError, match="leave one out"):
        training_spec("adding", "rnn", init_uniform=0.2, init_std=0.1)


def test_a_former_name_is_read_and_says_the_present_one() -> None:
    with pytest.warns(DeprecationWarning, match="the setting carry is now called stateful"):
        spec = training_spec("words", "lstm", carry=False)
    assert spec == training_spec("words", "lstm", stateful=False)
    with pytest.warns(DeprecationWarning, match="TrainingSpec.look_every is now called try_thresholds_every"):
        assert spec.look_every is None


def test_each_setting_is_described_in_a_sentence() -> None:
    for setting in declared(TrainingSpec):
        assert setting.help.endswith(".")
        assert setting.field.is_required() or setting.default
