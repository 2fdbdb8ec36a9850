"""Looking at other thresholds in the lab's loop: recorded where it is asked for, and without a trace in the run."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from graddiag import load_run, schema
from graddiag.analysis import counterfactual
from graddiag.lab import Plan, train, training_spec

SMALL: dict[str, Any] = {"steps": 12, "length": 12, "batch": 4, "hidden": 8, "every": 3, "snapshot_every": 6}
SETTINGS: dict[str, dict[str, Any]] = {
    "dropout and state carried": {"task": "text", "model": "lstm", "dropout": 0.4, "stateful": True, "layers": 2},
    "adam": {"task": "temporal-order", "model": "gru", "optimizer": "adam"},
    "rmsprop and omega": {"task": "adding", "model": "rnn", "optimizer": "rmsprop:0.95", "omega": 1.0},
    "momentum and h-detach": {"task": "recall", "model": "lstm", "optimizer": "sgd:0.9", "h_detach": 0.5},
    "inside": {"task": "recall", "model": "rnn", "clip": "bptt:0.01", "residual": True, "layer_norm": True},
}


@pytest.mark.parametrize("settings", list(SETTINGS.values()), ids=list(SETTINGS))
def test_a_run_that_is_looked_at_is_the_same_run(settings: dict[str, Any], tmp_path: Path) -> None:
    given = {"clip": "norm:0.5", **SMALL, **settings}
    plain = load_run(train(Plan(training_spec(**given), "plain"), tmp_path).path)
    looked = load_run(train(Plan(training_spec(**given, try_thresholds_every=4), "looked"), tmp_path).path)
    for table in schema.TABLES:
        if table != schema.TABLE_COUNTERFACTUALS:
            one, other = (run.read(table).drop(columns=schema.WALL_TIME, errors="ignore") for run in (plain, looked))
            pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert plain.counterfactuals.empty
    rows = looked.counterfactuals
    assert rows[schema.STEP].unique().tolist() == [0, 4, 8]
    assert rows[schema.LOSS_AFTER].notna().all()


def test_with_no_chance_in_it_the_loss_before_is_the_loss_of_the_step(tmp_path: Path) -> None:
    spec = training_spec("text", "rnn", clip="norm:0.5", try_thresholds_every=1, stateful=True, loss="sum", **SMALL)
    run = load_run(train(Plan(spec, "looked"), tmp_path).path)
    rows = run.counterfactuals.groupby(schema.STEP).first()
    assert rows[schema.LOSS_BEFORE].tolist() == run.steps[schema.LOSS].tolist()
    assert rows[schema.GRAD_NORM].tolist() == pytest.approx(run.steps[schema.GRAD_NORM].tolist(), rel=1e-6)
    found = counterfactual(run)
    assert len(found.steps) == 12
    assert {each.judged for each in found.steps} == {0.5}
