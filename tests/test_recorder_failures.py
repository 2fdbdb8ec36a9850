"""When something goes wrong: in the user's loop, in the numbers, in graddiag itself, on the disk."""

import gc
import math
import os
import subprocess
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag import schema
from graddiag.store import RunWriter
from tests.test_recorder import Model, train
from tests.tracing.models import HOMES, hooks_of

either_home = pytest.mark.parametrize("home", HOMES.values(), ids=HOMES)


def step_of(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    model(torch.randn(7, 4, 3)).square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ValueError("lost the data"), "failed", "ValueError: lost the data"),
        (SystemExit(3), "failed", "SystemExit: 3"),
        (SystemExit(0), "finished", None),
        (KeyboardInterrupt(), "interrupted", None),
    ],
)
def test_an_error_in_the_loop_closes_the_run_and_is_raised_unchanged(
    error: BaseException, status: str, said: str | None, tmp_path: Path
) -> None:
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(type(error)) as caught, graddiag.watch(model, optimizer, run="r", root=tmp_path):
        step_of(model, optimizer)
        raise error

    assert caught.value is error
    assert error.__context__ is error.__cause__ is None
    run = graddiag.load_run(tmp_path / "r")
    assert (run.manifest.status, run.manifest.error) == (status, said)
    assert len(run.steps) == 1
    assert hooks_of(model) == len(optimizer._optimizer_step_pre_hooks) == len(optimizer._optimizer_step_post_hooks) == 0


def test_after_close_nothing_is_recorded_and_closing_twice_is_fine(tmp_path: Path) -> None:
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder = graddiag.watch(model, optimizer, run="r", root=tmp_path)
    step_of(model, optimizer)
    recorder.close("interrupted", "enough")
    recorder.close()
    assert hooks_of(model) == 0
    step_of(model, optimizer)
    run = graddiag.load_run(recorder.path)
    assert (run.manifest.status, run.manifest.error, len(run.steps)) == ("interrupted", "enough", 1)


def test_an_error_in_the_forward_pass_is_survived_by_the_next_step(tmp_path: Path) -> None:
    """Out of memory, a bad batch: loops catch it and go on."""
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path):
        with pytest.raises(RuntimeError, match=r"input.size\(-1\) must be equal"):
            model(torch.zeros(7, 4, 5))
        step_of(model, optimizer)
    run = graddiag.load_run(tmp_path / "r")
    assert run.timesteps[schema.CALL].unique().tolist() == [0]
    assert len(run.timesteps) == 2 * 7
    assert len(run.events) == 0


@either_home
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_bad_number_in_the_gradient_is_located(home: ModuleType, value: float, tmp_path: Path) -> None:
    rnn = home.GRU(3, 4, dtype=torch.float64)
    with graddiag.watch(rnn, run="r", root=tmp_path) as recorder:
        for step in range(4):
            output, _ = rnn(torch.randn(7, 2, 3, dtype=torch.float64))
            weight = torch.ones(7, 2, 4, dtype=torch.float64)
            weight[3, 1] = value if step in (1, 2) else 1
            output.backward(weight)
            recorder.step()
            rnn.zero_grad()
    run = graddiag.load_run(tmp_path / "r")
    (event,) = run.events.to_dict("records")
    assert (event[schema.STEP], event[schema.KIND]) == (1, schema.EVENT_NONFINITE)
    assert event[schema.WHERE] == "(model) layer 0 forward timestep 3"
    assert "where the loss enters" in event[schema.MESSAGE]
    assert (run.steps[schema.NONFINITE] > 0).tolist() == [False, True, True, False]


@either_home
def test_a_bad_number_in_the_forward_pass_is_located(home: ModuleType, tmp_path: Path) -> None:
    model = Model(home, dropout=0.0, bidirectional=True)
    model.head = nn.Linear(12, 1)
    x = torch.randn(7, 4, 3)
    x[5, 2] = math.nan
    with graddiag.watch(model, run="r", root=tmp_path) as recorder:
        loss = model(x).sum()
        loss.backward()
        recorder.log(loss=loss)
        recorder.step()
    (event,) = graddiag.load_run(tmp_path / "r").events.to_dict("records")
    assert event[schema.WHERE] == "rnn layer 0 forward timestep 5"
    assert math.isnan(event[schema.VALUE])
    assert "forward pass from timestep 5 on" in event[schema.MESSAGE]


def broken(*_: object, **__: object) -> None:
    raise ZeroDivisionError("a bug of graddiag's own")


PLACES = {
    "signals": "graddiag.recording.layers.signals",
    "rows": "graddiag.recording.step_rows.timestep_columns",
    "weights": "graddiag.recording.weights.WeightCopy",
    "update": "graddiag.recording.weights.UpdateSizes.columns",
    "spectra": "graddiag.recording.spectrum_meter.recurrent_spectra",
    "scalars": "graddiag.recording.step_rows.scalar_columns",
    "buffer": "graddiag.recording.step_buffer.StepBuffer.add",
    "norms": "graddiag.recording.parameters.norms_of",
    "take": "graddiag.recording.parameters.GradientMeter.take",
    "recover": "graddiag.tracing.fused_layer.recover",
    "observe": "graddiag.tracing.observed_calls.ObservedFusedLayer",
    "own layer": "graddiag.tracing.observed_calls.LayerCall",
    "pending": "graddiag.tracing.layer_call.LayerCall.add",
    "trace": "graddiag.tracing.layer_call.LayerCall.trace",
    "layers": "graddiag.tracing.fused._weights",
    "append": "graddiag.store.writer.make_block",
}


@either_home
@pytest.mark.parametrize("place", PLACES)
def test_an_error_inside_graddiag_never_stops_the_training(
    home: ModuleType, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    alone = train(Model(home), None, steps=3)
    torch.manual_seed(0)
    model = Model(home)
    monkeypatch.setattr(PLACES[place], broken)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        watched = train(model, tmp_path, steps=3)
    monkeypatch.undo()

    assert torch.equal(alone, watched)
    assert hooks_of(model) == 0
    messages = [str(each.message) for each in caught if "graddiag stopped recording" in str(each.message)]
    touched = place not in {True: ("own layer",), False: ("observe", "recover", "layers")}[home is torch.nn]
    assert len(messages) == touched
    assert all("ZeroDivisionError: a bug of graddiag's own" in message for message in messages)
    run = graddiag.load_run(tmp_path / "r")
    assert run.manifest.status == "finished"
    if place != "append":
        assert run.events[run.events[schema.KIND] == schema.EVENT_RECORDING_STOPPED].shape[0] == touched


def test_warnings_as_errors_do_not_stop_it_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event is on the disk before the warning is raised; the user asked for warnings to be errors."""
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    monkeypatch.setattr(PLACES["signals"], broken)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path):
        with pytest.raises(RuntimeWarning, match="graddiag stopped recording the timesteps"):
            step_of(model, optimizer)
        step_of(model, optimizer)
    assert graddiag.load_run(tmp_path / "r").events[schema.KIND].tolist() == [schema.EVENT_RECORDING_STOPPED]


def test_an_error_while_the_run_is_closed_does_not_hide_the_users_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    error = ValueError("the user's own")
    original = RunWriter.close

    def close(writer: RunWriter, *args: object) -> None:
        original(writer, *args)
        raise RuntimeError("an error of its own")

    monkeypatch.setattr(RunWriter, "close", close)
    with warnings.catch_warnings(), pytest.raises(ValueError, match="the user's own") as caught:
        warnings.simplefilter("ignore", RuntimeWarning)
        with graddiag.watch(model, optimizer, run="r", root=tmp_path):
            step_of(model, optimizer)
            raise error
    assert caught.value is error
    assert hooks_of(model) == 0


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_disk_that_goes_while_a_model_trains_changes_nothing_of_the_training(
    comes_back: bool, tmp_path: Path
) -> None:
    def trained(root: Path | None) -> list[Tensor]:
        torch.manual_seed(0)
        model = Model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with graddiag.watch(model, optimizer, run="r", root=root) if root else nullcontext():
            for step in range(9):
                if root and step == 3:
                    (root / "r").rename(root / "gone")
                if root and step == 6 and comes_back:
                    (root / "gone").rename(root / "r")
                step_of(model, optimizer)
        return [*model.parameters(), torch.get_rng_state()]

    alone = trained(None)
    with warnings.catch_warnings(
        record=True, action="always"
    ) as caught:  # none where nothing was due to be written meanwhile
        watched = trained(tmp_path)
    assert comes_back or "The training continues unchanged" in str(caught[-1].message)
    assert all(torch.equal(one, other) for one, other in zip(alone, watched, strict=True))
    if comes_back:
        assert graddiag.load_run(tmp_path / "r").steps[schema.STEP].tolist() == list(range(9))


FORKED = """
import os, sys, torch, graddiag
model = torch.nn.GRU(2, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
def steps(count):
    for _ in range(count):
        optimizer.zero_grad()
        model(torch.randn(4, 2, 2))[0].square().mean().backward()
        optimizer.step()
with graddiag.watch(model, optimizer, run="r", root=sys.argv[1]) as recorder:
    steps(3)
    child = os.fork()
    if not child:
        steps(300)
        recorder.log(loss=1.0)
        sys.exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4
    steps(2)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.timeout(240)
def test_a_forked_child_trains_on_and_leaves_the_run_alone(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FORKED, str(tmp_path)], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    run = graddiag.load_run(tmp_path / "r")
    assert run.steps[schema.STEP].tolist() == list(range(5))
    assert (run.manifest.status, run.manifest.error) == ("finished", None)


@either_home
def test_memory_is_flat(home: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two runs of the cyclic collector too: reference counts alone hold the tensors down."""
    monkeypatch.setattr("graddiag.recording.step_buffer._STEPS", 1)  # no step waits for others
    model, x = nn.Sequential(home.GRU(2, 3)), torch.randn(3, 2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def steps(count: int) -> int:
        for _ in range(count):
            optimizer.zero_grad()
            model[0](x)[0].square().sum().backward()
            optimizer.step()
        recorder._writer.flush()
        return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, every=2) as recorder:
        counts = [steps(4) for _ in range(3)]
        objects = []
        for _ in range(2):
            steps(40)
            gc.collect()
            objects.append(len(gc.get_objects()))
    gc.enable()
    assert len(set(counts)) == 1, counts
    # rows that wait for their part to be written are all that may grow
    assert objects[1] - objects[0] < 40 * 60, objects
