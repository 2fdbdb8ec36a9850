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
