"""Steps that wait for each other become the same rows, however many of them are made at once and wherever they are."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

import graddiag
from graddiag import schema
from graddiag.recording import step_buffer
from graddiag.run import Run
from graddiag.store import RunWriter
from tests.store.runs import manifest

LENGTHS = (4, 4, 6, 4, 5, 5, 4)


def run_of(root: Path, name: str) -> Run:
    """A run of sequences of several lengths, two layers in two directions, with a snapshot at every third step."""
    torch.manual_seed(2)
    model = nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with graddiag.watch(model, optimizer, run=name, root=root, snapshot_every=3) as recorder:
        for T in LENGTHS:
            optimizer.zero_grad()
            loss = model(torch.randn(T, 2, 3))[0].square().mean()
            loss.backward()
            recorder.log(loss=loss)
            optimizer.step()
    return graddiag.load_run(root / name)


@pytest.mark.parametrize("limits", [{"_STEPS": 1}, {"_STEPS": 3}, {"_BYTES": 1}, {"_SECONDS": 0.0}])
@pytest.mark.parametrize("on_host", [True, False])
def test_the_rows_are_those_of_one_step_after_another(
    on_host: bool, limits: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run_of(tmp_path, "together")
    for name, limit in limits.items():
        monkeypatch.setattr(step_buffer, name, limit)
    if not on_host:
        original = step_buffer.StepBuffer.__init__
        monkeypatch.setattr(
            step_buffer.StepBuffer, "__init__", lambda self, writer, **_: original(self, writer, on_host=False)
        )
    found = run_of(tmp_path, "apart")
    assert not found.snapshots.empty
    for table in schema.TABLES:
        alike = [name for name in expected.read(table).columns if name != schema.WALL_TIME]
        keys = list(schema.TABLES[table].keys)
        frames = [run.read(table, columns=alike).sort_values(keys, ignore_index=True) for run in (found, expected)]
        pd.testing.assert_frame_equal(*frames)


def test_each_step_has_the_timesteps_of_its_sequence(tmp_path: Path) -> None:
    timesteps = run_of(tmp_path, "r").timesteps
    assert timesteps[schema.STEP].is_monotonic_increasing
    one = timesteps[(timesteps[schema.LAYER] == 1) & (timesteps[schema.DIRECTION] == "reverse")]
    assert one.groupby(schema.STEP)[schema.TIMESTEP].apply(list).tolist() == [list(range(T)) for T in LENGTHS]


def test_a_step_that_is_old_is_handed_over_with_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(step_buffer.time, "monotonic", lambda: clock[0])
    with RunWriter(tmp_path, manifest()) as writer:
        buffer = step_buffer.StepBuffer(writer, on_host=True)
        for clock[0], step in ((0.0, 0), (0.1, 1), (0.2, 2)):
            buffer.add(step_buffer.StepMeasures(step, {schema.STEP: step}))
        assert len(buffer._waiting) == 3
        clock[0] = 1.0
        buffer.add(step_buffer.StepMeasures(3, {schema.STEP: 3}))
        assert not buffer._waiting
        buffer.finish()
        writer.flush()
        assert graddiag.load_run(writer.path).steps[schema.STEP].tolist() == [0, 1, 2, 3]
