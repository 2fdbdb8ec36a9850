"""The preset distance: what it trains, what it measures of a run, and what it says of rows typed by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from graddiag import load_run, schema
from graddiag.errors import SettingError
from graddiag.lab import plan_run, train, training_spec
from graddiag.presets import distance_summary as told
from graddiag.presets.distance import PRESETS, Distance, sweeps
from graddiag.presets.preset import settings_of


def rows(*given: tuple[str, int, float, float], task: str = "recall") -> pd.DataFrame:
    """A row for each network, gap, accuracy, horizon at the first step; at the last it is twice that."""
    seeds: dict[tuple[str, int], int] = {}
    found: list[dict[str, Any]] = []
    for network, gap, accuracy, horizon in given:
        seed = seeds[network, gap] = seeds.get((network, gap), -1) + 1
        found.append(
            {
                "task": task,
                "network": network,
                "gap": gap,
                "seed": seed,
                "accuracy": accuracy,
                "learned": accuracy >= told.LEARNED,
                "steps": 100,
                "chance": 0.25,
                told.START: horizon,
                told.END: 2 * horizon,
                told.LEFT: np.exp(-gap / horizon),
            }
        )
    return pd.DataFrame(found)


RNN = (("rnn", 2, 1.0, 4.0), ("rnn", 10, 1.0, 4.0), ("rnn", 50, 0.3, 4.0))
LSTM = (("lstm", 2, 1.0, 20.0), ("lstm", 10, 1.0, 20.0), ("lstm", 50, 0.99, 20.0))


def test_every_network_is_trained_over_every_gap() -> None:
    recall, cloze = sweeps(Distance())
    assert (recall.task, cloze.task) == ("recall", "cloze")
    assert list(recall.arms) == ["rnn", "gru", "lstm"]
    assert recall.lengths == (200, 100, 50, 20, 10, 5, 2)
    assert recall.arms["lstm"] == {"model": "lstm", "forget_bias": 2.0}
    assert recall.arms["rnn"] == {"model": "rnn"}
    assert (recall.seeds, cloze.seeds) == ((0, 1), (0,))


def test_a_task_without_gaps_is_left_out() -> None:
    (only,) = sweeps(settings_of(PRESETS["distance"], {"sentence_gaps": []}))
    assert only.task == "recall"


@pytest.mark.parametrize(("key", "gap"), [("gaps", 0), ("sentence_gaps", 2)])
def test_a_gap_that_a_task_cannot_have_is_refused(key: str, gap: int) -> None:
    with pytest.raises(
        SettingError, match=rf"^{key}\.1 {gap} cannot be used: input should be greater than or equal to"
    ):
        settings_of(PRESETS["distance"], {key: [20, gap]})


def test_outcomes_are_those_of_the_recorded_run(tmp_path: Path) -> None:
    spec = training_spec("recall", "rnn", length=7, steps=5, every=2, hidden=6, batch=4)
    run = load_run(train(plan_run(spec), tmp_path).path)
    (row,) = told.outcomes([run]).to_dict("records")
    gains = run.read(schema.TABLE_TIMESTEPS).query("step == 0")[schema.TRANSPORT_GAIN].dropna()
    horizon = -1 / np.log(gains.to_numpy(dtype=float)[-7:]).mean()  # 7 of 8 lead to a timestep, one to the first state
    assert row[told.START] == pytest.approx(horizon, rel=1e-5)
    assert row[told.LEFT] == pytest.approx(np.exp(-7 / horizon), rel=1e-4)
    assert row["accuracy"] == pytest.approx(1 - run.steps["error"].mean())
    assert (row["gap"], row["network"], row["chance"], row["steps"]) == (7, "clip off", 0.25, 5)


def test_a_network_reaches_as_far_as_every_gap_is_learned_by_most_seeds() -> None:
    assert told.reached(rows(*RNN)) == (10, 50)
    assert told.reached(rows(*LSTM)) == (50, None)
    assert told.reached(rows(("rnn", 2, 0.5, 4.0), ("rnn", 10, 1.0, 4.0))) == (None, 2)
    split = rows(("rnn", 2, 1.0, 4.0), ("rnn", 5, 1.0, 4.0), ("rnn", 5, 0.2, 4.0), ("rnn", 9, 1.0, 4.0))
    assert told.reached(split) == (2, 5)


def test_the_horizon_is_that_of_the_longest_gap_its_rates_averaged() -> None:
    found = rows(("rnn", 2, 1.0, 1.0), ("rnn", 50, 1.0, 4.0), ("rnn", 50, 1.0, 12.0))
    assert told.first_horizon(found) == pytest.approx(6.0)
    assert told.first_horizon(rows(("rnn", 5, 1.0, np.inf))) == np.inf
    assert np.isnan(told.first_horizon(rows(("rnn", 5, 1.0, np.nan))))


def test_sentences_by_value() -> None:
    found = rows(*RNN, *LSTM)
    assert told.farthest(found, "recall") == (
        "Recall: rnn learns gaps up to 10 and stops at 50 (no seed learns it); "
        "lstm learns every gap up to 50, the longest tried."
    )
    assert told.limits(found, "recall") == (
        "The horizon of recall at the first step: rnn 4 timesteps (a gap of 2.5 horizons is learned, a gap of 12.5 "
        "horizons is not learned); lstm 20 timesteps (a gap of 2.5 horizons is learned)."
    )
    half = rows(("rnn", 2, 0.5, 4.0), ("rnn", 2, 1.0, 4.0))
    assert told.farthest(half, "cloze") == "Cloze: rnn learns not even a gap of 2 (1 of 2 seeds learns it)."
    assert "rnn without end" in told.limits(rows(("rnn", 2, 1.0, np.inf)), "recall")
    assert "rnn not measured" in told.limits(rows(("rnn", 2, 1.0, np.nan)), "recall")


def test_whether_the_horizon_predicted_it_is_counted_not_claimed() -> None:
    right = rows(*RNN, *LSTM)
    assert "longer gap in 1, over the shorter one in 0; 0 came" in told.predicted_order({"recall": right})
    assert "in 100% of 3 pairs" in told.predicted_pairs(right)
    wrong = right.assign(**{told.START: [20.0] * 3 + [4.0] * 3})
    wrong[told.LEFT] = np.exp(-wrong["gap"] / wrong[told.START])
    assert "longer gap in 0, over the shorter one in 1; 0 came" in told.predicted_order({"recall": wrong})
    assert "in 50% of 3 pairs" in told.predicted_pairs(wrong)  # one more, one less, and one tie at e^-2.5
    alone = rows(*LSTM)
    assert told.predicted_order({"recall": alone}).startswith("With one kind of network")
    assert "No two trainings can show" in told.predicted_pairs(alone)


def test_what_training_made_of_the_horizon() -> None:
    assert told.training(rows(*RNN, *LSTM)) == (
        "From the first to the last step the horizon grew where the gap was learned in 5 of 5, and covers the gap in "
        "3; where the gap was not learned in 1 of 1, and covers the gap in 0."
    )


def test_table_and_charts() -> None:
    found = rows(*reversed(RNN), *LSTM)
    table = told.table(found)
    assert list(table["network"]) == ["rnn"] * 3 + ["lstm"] * 3
    assert list(table["gap"]) == [2, 10, 50] * 2
    assert list(table["learned"]) == ["1 of 1", "1 of 1", "0 of 1", "1 of 1", "1 of 1", "1 of 1"]
    chart = told.over_gap(found)
    assert [curve.name for curve in chart.curves] == ["rnn", "rnn: horizon 4", "lstm", "lstm: horizon 20"]
    assert list(np.asarray(chart.curves[0].y)) == [1.0, 1.0, 0.3]
    assert chart.levels == ((0.25, "chance"),)
    assert told.over_left(found).curves[0].texts[0] == "recall, gap 50, seed 0"
