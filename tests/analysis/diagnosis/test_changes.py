"""What changed when the loss got worse: settings of the optimizer, the length of the sequences, the batch size."""

from typing import Any

import numpy as np
import pytest

from graddiag import schema
from graddiag.analysis import Diagnosis, diagnose
from tests.analysis.diagnosis.trainings import S
from tests.analysis.runs import CHANCE, FALLING, NOISE, event, run_of

WORSE = [*FALLING[:200], *(2.5 + NOISE[200:])]


def judged(loss: list[float] = WORSE, *, tables: Any = None, norm: Any = (), **columns: Any) -> Diagnosis:
    return diagnose(run_of(loss, norm, config=CHANCE, columns={schema.LR: [0.01] * S, **columns}, tables=tables))


def sizes(before: float, after: float, at: int = 199, every: int = 1, spread: float = 0.0) -> list[float | None]:
    """A size of each step that changes at ``at``, known at every ``every``-th."""
    values = np.where(np.arange(S) < at, before, after) * (1 + spread * np.sin(np.arange(S)))
    return [float(value) if step % every == 0 else None for step, value in enumerate(values)]


@pytest.mark.parametrize("every", [1, 10])
@pytest.mark.parametrize(("before", "after"), [(20, 60), (60, 20)])
def test_the_length_of_the_sequences(before: int, after: int, every: int) -> None:
    found = judged(**{schema.SEQUENCE_LENGTH: sizes(before, after, every=every)})
    assert (found.outcome.name, found.cause) == ("diverged", "changed-during-training")
    assert found.do_first.action == "shorten-path"
    assert f"from {before} to {after} timesteps" in found.causes[0].sentence
    assert 195 <= found.causes[0].onset <= 210


def test_the_batch_size() -> None:
    found = judged(**{schema.BATCH_SIZE: sizes(64, 4)})
    assert (found.cause, found.do_first.action) == ("changed-during-training", "lower-learning-rate")
    assert "from 64 to 4 samples" in found.causes[0].sentence


@pytest.mark.parametrize(
    "values",
    [
        sizes(20, 24),
        sizes(20, 60, at=100),
        sizes(20, 20, spread=0.5),
        [60.0 if step == 199 else 20.0 for step in range(S)],
    ],
    ids=["too little", "long before", "of each batch another", "of one batch alone"],
)
def test_sizes_that_do_not_explain_it(values: list[float]) -> None:
    found = judged(**{schema.SEQUENCE_LENGTH: values})
    assert "timesteps at step" not in found.causes[0].sentence


def test_a_change_that_did_no_harm_is_not_named() -> None:
    found = judged([*FALLING], **{schema.SEQUENCE_LENGTH: sizes(20, 60)})
    assert found.verdict == "healthy"
    assert found.finding("changed-during-training") is None


def test_another_setting_of_the_optimizer() -> None:
    found = judged(tables={"events": event(schema.EVENT_SETTING_CHANGED, 198, "weight_decay", 50.0)})
    assert (found.cause, found.do_first.action) == ("changed-during-training", "undo-change")
    assert found.causes[0].onset == 198
    assert "The loss got worse then." in found.causes[0].sentence
    early = judged(tables={"events": event(schema.EVENT_SETTING_CHANGED, 20, "weight_decay", 50.0)})
    assert early.do_first.action == "check-data"
