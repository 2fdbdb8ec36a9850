from datetime import UTC, datetime
from typing import Any

import pytest

from graddiag.report.words import listed, question, scope, title
from graddiag.run import Run
from tests.store.runs import manifest


def runs(*changes: dict[str, Any]) -> list[Run]:
    return [Run.from_frames(manifest(**{"name": f"run {n}"} | each)) for n, each in enumerate(changes)]


LSTM = {"model": "lstm", "task": "text", "experiment": "pair"}
PAIR = runs(LSTM | {"clip": "none", "arm": "off", "seed": 0}, LSTM | {"clip": "norm:1.0", "arm": "on", "seed": 0})


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (PAIR, "Does clipping the gradient (norm:1.0) change how lstm on text trains, against no clipping?"),
        (
            PAIR[:1],
            "How does the gradient of lstm on text flow back through time, with no clipping?",
        ),
        (
            PAIR[1:],
            "How does the gradient of lstm on text flow back through time, with the gradient clipped (norm:1.0)?",
        ),
        (runs({}), "How does the gradient of the model flow back through time?"),
        (runs({"model": "rnn"}, {"model": "gru"}), "How do these 2 runs of rnn and gru differ?"),
    ],
)
def test_the_question_follows_from_the_runs(asked: list[Run], expected: str) -> None:
    assert question(asked) == expected


def test_the_scope_counts_arms_and_seeds() -> None:
    assert scope(PAIR) == "2 runs; 2 arms (off, on); seed 0. Recorded on 2024-05-17."
    later = runs({}, {"created": datetime(2024, 6, 1, tzinfo=UTC), "seed": 3})
    assert scope(later) == "2 runs; seed 3. Recorded from 2024-05-17 to 2024-06-01."


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (PAIR, "pair"),
        (PAIR[:1], "pair / run 0"),
        (runs({}), "run 0"),
        (runs({}, {}), "2 runs"),
        (runs({"experiment": "a"}, {"experiment": "b"}), "2 experiments"),
    ],
)
def test_the_title_is_what_the_runs_have_in_common(asked: list[Run], expected: str) -> None:
    assert title(asked) == expected


def test_a_list_reads_as_english() -> None:
    assert [listed(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
