"""A training that is interrupted and continued from a checkpoint is, row by row, the one that was not interrupted."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

import graddiag
from graddiag import schema
from graddiag.errors import SettingError
from graddiag.recorder import Resume
from graddiag.run import Run

STEPS, SAVED = 20, 12


class Classifier(nn.Module):
    """A layer that clips and one whose module runs without a gradient, so that events come early and at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.idle = nn.LSTM(3, 6), nn.GRU(3, 2)
        self.head = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.idle(x)[0].detach()
        return self.head(self.lstm(x)[0][-1])


def batches(first: int, last: int) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """Those of a step are the same in whatever process it runs."""
    for step in range(first, last):
        drawn = torch.Generator().manual_seed(step)
        yield step, torch.randn(7, 5, 3, generator=drawn), torch.randint(4, (5,), generator=drawn)


def train(
    root: Path,
    *,
    last: int = STEPS,
    checkpoint: dict[str, Any] | None = None,
    save: Path | None = None,
    resume: Resume = None,
    loss_of: Any = nn.functional.cross_entropy,
    **about: Any,
) -> graddiag.Recorder:
    """Trains up to the step ``last``, from a checkpoint or from the start; saves one after the step ``SAVED``."""
    torch.manual_seed(0)
    model = Classifier()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    if checkpoint is not None:
        model.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        resume = checkpoint["recorder"] if resume is None else resume
    first = 0 if checkpoint is None else checkpoint["step"]
    settings = {"run": "r", "every": 2, "snapshot_every": 8, "clip": "norm:0.3"} | about
    with graddiag.watch(model, optimizer, root=root, resume=resume, **settings) as recorder:
        for step, x, y in batches(first, last):
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.3)
            recorder.log(loss=loss)
            optimizer.step()
            if step % 5 == 0:
                recorder.log(val_loss=float(step))  # belongs to the next step: a checkpoint may lie between
            if step == SAVED - 1 and save is not None:
                whole = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
                torch.save({**whole, "recorder": recorder.state_dict()}, save)
    return recorder


def squared(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """A squared error that is no mean of the usual kind, so that its scale is found from several steps."""
    return 0.37 * (outputs[:, :2] - targets[:, None].float() / 2).square().sum() + 0.01


def rows(run: Run, table: str) -> pd.DataFrame:
    """What is the same in each process: all but the time, and the cosine with the gradient before a checkpoint."""
    found = run.read(table)
    if table == schema.TABLE_STEPS:
        found.loc[found[schema.STEP] == SAVED, schema.GRAD_COSINE] = None
        return found.drop(columns=[schema.WALL_TIME])
    if table == schema.TABLE_EVENTS:
        return found[found[schema.KIND] != schema.EVENT_RESUMED].reset_index(drop=True)
    return found


def assert_same(one: Run, other: Run) -> None:
    for table in schema.TABLES:
        pd.testing.assert_frame_equal(rows(one, table), rows(other, table), obj=table, check_exact=True)


@pytest.mark.parametrize("loss_of", [nn.functional.cross_entropy, squared])
@pytest.mark.parametrize("stopped", [SAVED, SAVED + 3, STEPS])
def test_a_training_that_is_continued_equals_the_one_that_was_not_interrupted(
    stopped: int, loss_of: Any, tmp_path: Path
) -> None:
    whole = train(tmp_path / "whole", loss_of=loss_of)
    first = train(tmp_path / "parts", last=stopped, save=tmp_path / "c.pt", loss_of=loss_of)
    second = train(tmp_path / "parts", checkpoint=torch.load(tmp_path / "c.pt"), loss_of=loss_of)
    assert second.path == first.path
    run = graddiag.load_run(second.path)
    assert_same(graddiag.load_run(whole.path), run)
    (event,) = run.events[run.events[schema.KIND] == schema.EVENT_RESUMED].to_dict("records")
    assert (event[schema.STEP], event[schema.VALUE]) == (SAVED, stopped - SAVED)
    assert run.steps[schema.EXPLAINED].notna().any()
    assert run.steps[schema.WALL_TIME].is_monotonic_increasing
    assert run.manifest.status == "finished"
    assert [each.first_step for each in run.manifest.earlier] == [0]
    assert len(list((tmp_path / "parts").iterdir())) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.test_recorder_resume import *
step_of = torch.optim.Adam.step
calls = iter(range(1000))
def step(self, *args, **kwargs):
    result = step_of(self, *args, **kwargs)
    if next(calls) == SAVED + 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
torch.optim.Adam.step = step
train(Path(sys.argv[1]), save=Path(sys.argv[2]))
"""


@pytest.mark.timeout(400)
def test_one_that_was_killed_loses_nothing_before_its_checkpoint_and_doubles_nothing_after(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "parts"), str(tmp_path / "c.pt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == -9, done.stderr
    assert graddiag.load_run(tmp_path / "parts" / "r").manifest.status == "interrupted"
    train(tmp_path / "parts", checkpoint=torch.load(tmp_path / "c.pt"))
    run = graddiag.load_run(tmp_path / "parts" / "r")
    assert_same(graddiag.load_run(train(tmp_path / "whole").path), run)
    assert [each.status for each in run.manifest.earlier] == ["interrupted"]


def test_a_checkpoint_may_be_used_any_number_of_times(tmp_path: Path) -> None:
    train(tmp_path, save=tmp_path / "c.pt")
    for last in (SAVED, SAVED + 4, STEPS, SAVED + 1):
        train(tmp_path, last=last, checkpoint=torch.load(tmp_path / "c.pt"))
        run = graddiag.load_run(tmp_path / "r")
        assert run.steps[schema.STEP].tolist() == list(range(last))
        assert run.events[schema.KIND].tolist().count(schema.EVENT_RESUMED) == 1
        assert len(run.manifest.earlier) == 1


def test_true_continues_after_the_last_step_and_begins_where_there_is_none(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        recorder = train(tmp_path, last=4, resume=True)
        run = graddiag.load_run(recorder.path)
        assert run.steps[schema.STEP].tolist() == list(range(4 * number))
    assert run.events[run.events[schema.KIND] == schema.EVENT_RESUMED][schema.STEP].tolist() == [4, 8]
    assert [each.first_step for each in run.manifest.earlier] == [0, 4]


def states() -> dict[str, Any]:
    model = Classifier()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict()}


def test_a_step_continues_from_there(tmp_path: Path) -> None:
    train(tmp_path, last=9)
    train(tmp_path, last=8, resume=6, checkpoint={"step": 6, **states()})
    assert graddiag.load_run(tmp_path / "r").steps[schema.STEP].tolist() == list(range(8))


def test_a_name_that_is_taken_says_so_and_what_to_do(tmp_path: Path) -> None:
    train(tmp_path, last=2)
    with pytest.warns(RuntimeWarning, match=r"There is a run 'r' already .*recorder.state_dict\(\) in the checkpoint"):
        other = train(tmp_path, last=2)
    assert other.path.name == "r-2"
    assert train(tmp_path, last=2, resume=False).path.name == "r-3"


def test_a_run_that_is_not_there_begins_anew_at_its_step_with_a_warning(tmp_path: Path) -> None:
    train(tmp_path / "lost", last=SAVED, save=tmp_path / "c.pt")
    with pytest.warns(RuntimeWarning, match=r"Run 'r' cannot be continued: there is no such run in .* from step 12 on"):
        recorder = train(tmp_path / "here", checkpoint=torch.load(tmp_path / "c.pt"))
    run = graddiag.load_run(recorder.path)
    assert run.steps[schema.STEP].tolist() == list(range(SAVED, STEPS))
    (event,) = run.events[run.events[schema.KIND] == schema.EVENT_RESUMED].to_dict("records")
    assert event[schema.STEP] == SAVED
    assert event[schema.MESSAGE].startswith("The training continues at step 12. Its steps before are in another run")


def test_another_name_is_a_run_beside_that_of_the_checkpoint(tmp_path: Path) -> None:
    first = train(tmp_path, save=tmp_path / "c.pt")
    other = train(tmp_path, checkpoint=torch.load(tmp_path / "c.pt"), run="fine-tuned")
    assert other.path.name == "fine-tuned"
    run = graddiag.load_run(other.path)
    assert run.steps[schema.STEP].tolist() == list(range(SAVED, STEPS))
    message = run.events[run.events[schema.KIND] == schema.EVENT_RESUMED][schema.MESSAGE].item()
    assert message == "The training continues at step 12. Its steps before are in the run r."
    assert len(graddiag.load_run(first.path).steps) == STEPS


def test_a_run_that_is_still_recorded_is_not_taken_over(tmp_path: Path) -> None:
    model = Classifier()
    with graddiag.watch(model, run="r", root=tmp_path):
        with pytest.warns(RuntimeWarning, match="another recorder is writing it"):
            other = train(tmp_path, last=2, resume=True)
        assert other.path.name == "r-2"


@pytest.mark.parametrize(
    ("resume", "said"),
    [
        ({"model": 1, "optimizer": 2}, r"found a mapping with 'model', 'optimizer'. Pass what recorder.state_dict\(\)"),
        ({}, "found a mapping with nothing"),
        (-1, r"watch\(resume=-1\): expected what recorder"),
        ("checkpoint.pt", "expected what recorder"),
        (2**40, "the number of steps made so far"),
    ],
)
def test_what_is_no_state_is_refused_before_a_folder_is_made(resume: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=said):
        train(tmp_path / "runs", resume=resume)
    assert not (tmp_path / "runs").exists()


def test_counts_that_cannot_be_read_begin_anew_and_never_stop_the_training(tmp_path: Path) -> None:
    train(tmp_path, save=tmp_path / "c.pt")
    checkpoint = torch.load(tmp_path / "c.pt")
    checkpoint["recorder"]["counts"] = {"logged": {}}
    with pytest.warns(RuntimeWarning, match="graddiag stopped recording what had been counted before"):
        recorder = train(tmp_path, checkpoint=checkpoint)
    assert graddiag.load_run(recorder.path).steps[schema.STEP].tolist() == list(range(STEPS))


def test_the_state_of_a_recorder_changes_nothing_of_the_training_or_the_run(tmp_path: Path) -> None:
    train(tmp_path / "saved", save=tmp_path / "c.pt")
    train(tmp_path / "plain")
    assert_same(graddiag.load_run(tmp_path / "saved" / "r"), graddiag.load_run(tmp_path / "plain" / "r"))


def test_the_state_of_a_closed_recorder_continues_at_its_end(tmp_path: Path) -> None:
    recorder = train(tmp_path, last=6)
    checkpoint = {"step": 6, "recorder": recorder.state_dict(), **states()}
    train(tmp_path, last=8, checkpoint=checkpoint)
    assert graddiag.load_run(recorder.path).steps[schema.STEP].tolist() == list(range(8))
