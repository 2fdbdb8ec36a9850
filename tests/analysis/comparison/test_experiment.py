"""What the runs of an experiment are held to, and what is the same in all of them."""

from typing import Any

import pytest

from graddiag import analysis, schema
from graddiag.run import Run
from tests.analysis.runs import manifest, steps_frame


def logged(name: str = "a", **config: Any) -> Run:
    frame = steps_frame([1.0, 1.0], **{schema.LOSS: [4.0, 2.0], "error": [1.0, 0.5]})
    return Run.from_frames(manifest(name, config=config), steps=frame)


@pytest.mark.parametrize(
    ("config", "below"),
    [({"distance": 20}, 0.05), ({"until_error": 0.01}, 0.05), ({"chance_error": 0.75, "until_error": 0.2}, 0.2)],
)
def test_a_task_that_can_be_solved_is_held_to_its_error(config: dict[str, Any], below: float) -> None:
    assert analysis.goals([logged(**config)]) == (analysis.Goal("error", below), analysis.Goal("loss", 2.0))


def test_a_task_that_cannot_is_held_to_half_of_its_loss() -> None:
    assert analysis.goals([logged(until_error=None)]) == (analysis.Goal("loss", 2.0), analysis.Goal("error", 0.5))


def test_what_is_the_same_in_all_runs_is_told() -> None:
    runs = [logged("a", length=20), logged("b", length=30)]
    assert set(analysis.experiment(runs, analysis.Goal("loss", 1.0)).shared) == {"arm", "seed"}
    assert analysis.experiment(runs[:1], analysis.Goal("loss", 1.0)).shared["length"] == "20"


ACCURACY = {"goal": "acc", "better": "higher", "chance": 0.25}


def with_accuracy(name: str, values: list[float], **config: Any) -> Run:
    return Run.from_frames(manifest(name, config=config), steps=steps_frame([1.0] * len(values), acc=values))


def test_a_goal_and_its_chance_come_first_and_lie_halfway_to_a_perfect_score() -> None:
    assert analysis.goals([with_accuracy("a", [0.2, 0.9], **ACCURACY)])[0] == analysis.Goal("acc", 0.625, "higher")
    unsaid = {name: value for name, value in ACCURACY.items() if name != "better"}
    assert analysis.goals([with_accuracy("a", [0.2, 0.9], **unsaid)])[0].better == "higher"
    error = with_accuracy("a", [0.7, 0.1], goal="acc", better="lower", chance=0.75)
    assert analysis.goals([error])[0] == analysis.Goal("acc", 0.375)


@pytest.mark.parametrize(
    "config", [{"goal": "reward", "chance": 0.1}, {"goal": "acc", "chance": -5.0}, {"goal": "acc"}]
)
def test_a_goal_without_a_logged_scalar_or_a_usable_chance_is_none(config: dict[str, Any]) -> None:
    found = analysis.goals([with_accuracy("a", [0.2, 0.9], **config)])
    assert found == (analysis.Goal("acc", 0.1),)


def test_what_is_better_when_higher_succeeds_above_and_nan_never_does() -> None:
    runs = [with_accuracy(str(n), [0.2, value]) for n, value in enumerate([0.9, 0.5, float("nan"), float("inf")])]
    found = analysis.experiment(runs, analysis.Goal("acc", 0.625, "higher"))
    assert [each.success for each in found.members] == [True, False, False, False]
    assert found.caption == (
        "Runs that succeeded (acc at least 0.625 over the last 5% of the steps): clip off 1 of 4. "
        "Ended in NaN or inf, counted as failed: 2 of clip off."
    )
