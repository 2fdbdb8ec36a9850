"""Pairs: what their arms share, and what they are called."""

from pathlib import Path

import pytest

from graddiag.errors import SettingError
from graddiag.lab import plan_arms, plan_pair, plan_run, training_spec, unused_experiment


def test_the_arms_of_a_pair_differ_in_the_clip_policy_alone() -> None:
    plans = plan_pair(training_spec("text", "rnn", clip="norm:0.5"), [0, 3], "mine")
    assert [(p.arm, p.spec.seed, p.spec.clip, p.name) for p in plans] == [
        ("clip off", 0, "none", "rnn-none-seed0"),
        ("clip on", 0, "norm:0.5", "rnn-norm-0.5-seed0"),
        ("clip off", 3, "none", "rnn-none-seed3"),
        ("clip on", 3, "norm:0.5", "rnn-norm-0.5-seed3"),
    ]
    assert {p.experiment for p in plans} == {"mine"}
    assert len({p.spec.model_copy(update={"clip": "", "seed": 0}) for p in plans}) == 1


def test_a_single_run_stands_for_an_arm_too() -> None:
    plan = plan_run(training_spec("text", "gru", clip="value:1"))
    assert (plan.arm, plan.experiment, plan.name) == ("clip on", None, "gru-value-1.0-seed0")


def test_a_pair_without_clipping_is_refused() -> None:
    with pytest.raises(
        SettingError, match=r"clip 'none': a pair compares clipping off and on; give the policy of its second"
    ):
        plan_pair(training_spec("text", "rnn"), [0], "mine")


def test_arms_of_any_setting_share_their_seeds() -> None:
    spec = training_spec("temporal-order", "rnn")
    arms = {"baseline": spec, "lr=0.05": training_spec("temporal-order", "rnn", lr=0.05)}
    plans = plan_arms(arms, [0, 1], "mine")
    assert [(p.arm, p.spec.seed, p.spec.lr, p.name) for p in plans] == [
        ("baseline", 0, 0.2, "baseline-seed0"),
        ("lr=0.05", 0, 0.05, "lr=0.05-seed0"),
        ("baseline", 1, 0.2, "baseline-seed1"),
        ("lr=0.05", 1, 0.05, "lr=0.05-seed1"),
    ]
    with pytest.raises(SettingError, match=r"arms \['baseline'\]: an experiment compares two or more"):
        plan_arms({"baseline": spec}, [0], "mine")
    with pytest.raises(SettingError, match=r"seeds \[\]: give one or more"):
        plan_arms(arms, [], "mine")


@pytest.mark.parametrize("seeds", [[], [0, 0]])
def test_seeds_must_differ(seeds: list[int]) -> None:
    with pytest.raises(SettingError, match=r"seeds \[.*\]: give one or more, each once, for example 0,1,2\.$"):
        plan_pair(training_spec("text", "rnn", clip="norm:1"), seeds, "mine")


def test_an_experiment_gets_a_readable_name_that_is_not_taken(tmp_path: Path) -> None:
    spec = training_spec("temporal-order", "lstm", clip="norm:1")
    assert unused_experiment(spec, tmp_path) == "temporal-order-lstm-norm-1.0"
    (tmp_path / "temporal-order-lstm-norm-1.0").mkdir()
    assert unused_experiment(spec, tmp_path) == "temporal-order-lstm-norm-1.0-2"
