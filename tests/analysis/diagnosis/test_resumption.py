"""What the diagnosis says of a training that was resumed from a checkpoint."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from graddiag import schema
from graddiag.analysis import diagnose
from graddiag.run import EarlierProcess, Run
from tests.analysis.diagnosis.trainings import S
from tests.analysis.runs import CHANCE, FALLING, NOISE, manifest, run_of


def resumed_at(*steps: int) -> dict[str, pd.DataFrame]:
    rows = [(step, schema.EVENT_RESUMED, "(model)", 0.0, "resumed") for step in steps]
    return {"events": pd.DataFrame(rows, columns=list(schema.TABLES["events"].names))}


def process(first_step: int = 0, **fields: Any) -> EarlierProcess:
    known = manifest()
    return EarlierProcess(
        first_step=first_step, graddiag_version="0.1.0", status="interrupted", started=known.created, **fields
    )


def note(run: Run) -> str | None:
    return next((each.sentence for each in diagnose(run).notes if each.name == "resumed"), None)


@pytest.mark.parametrize("after", [1.0, 5.0])
def test_a_loss_that_jumps_where_the_training_was_resumed_is_a_state_that_was_not_restored(after: float) -> None:
    """Whether or not the norm jumps with it, as it does where the optimizer begins anew."""
    loss = [*FALLING[:200], *(2.5 + NOISE[200:])]
    norms = [1.0] * 200 + [after] * (S - 200)
    found = diagnose(run_of(loss, norms, config=CHANCE, columns={schema.LR: [0.01] * S}, tables=resumed_at(40, 200)))
    assert (found.outcome.name, found.cause) == ("diverged", "changed-during-training")
    assert (found.do_first.action, found.causes[0].onset) == ("restore-state", 200)
    assert "resumed at step 200" in found.causes[0].sentence


def test_a_jump_elsewhere_is_none_of_the_resumption() -> None:
    loss = [*FALLING[:200], *(2.5 + NOISE[200:])]
    found = diagnose(run_of(loss, config=CHANCE, columns={schema.LR: [0.01] * S}, tables=resumed_at(100)))
    assert found.do_first.action == "check-data"


def test_a_resumption_that_changed_nothing_is_a_note() -> None:
    found = diagnose(run_of(FALLING, config=CHANCE, tables=resumed_at(100)))
    assert found.outcome.fine
    assert found.finding("changed-during-training") is None
    assert note(run_of(FALLING, tables=resumed_at(100, 150))) == "The training was resumed at step 100, 150."
    assert note(run_of(FALLING)) is None


def test_what_differs_between_the_processes_is_said() -> None:
    before = process(environment={"device": "cpu", "dtype": "float32"}, versions={"torch": "2.6"})
    now = {"environment": {"device": "cuda", "dtype": "float32"}, "versions": {"torch": "2.7"}}
    run = run_of(FALLING, tables=resumed_at(100), earlier=(before,), first_step=100, **now)
    assert note(run) == (
        "The training was resumed at step 100. Since then it differs: device cpu before, cuda now, torch 2.6 before, "
        "2.7 now."
    )


def test_a_run_whose_steps_before_are_elsewhere_need_not_improve() -> None:
    """Fine-tuning at the floor: a goal without a reference does not move, and that is no failure."""
    level = 0.2 + 0.02 * np.random.default_rng(0).normal(size=S)
    settings: dict[str, Any] = {"config": {"goal": "val_loss"}, "columns": {"val_loss": list(level)}}
    assert diagnose(run_of(level, **settings)).outcome.name == "stuck"
    run = run_of(level, **settings, first_step=1200, tables=resumed_at(1200))
    assert (diagnose(run).outcome.name, diagnose(run).outcome.detail) == ("unknown", "floor-unknown")
    assert note(run) == (
        "The run begins at step 1,200, where the training was resumed: its steps before are in another run."
    )


def test_where_a_run_began_is_the_first_step_of_its_first_process() -> None:
    assert manifest().began_at == 0
    assert manifest(first_step=12).began_at == 12
    assert manifest(first_step=30, earlier=(process(12), process(20))).began_at == 12
