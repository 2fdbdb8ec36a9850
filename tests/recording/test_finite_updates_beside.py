"""``on_nonfinite`` beside scalers, schedules and copies, and what it refuses."""

import copy
import math
import warnings
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

import graddiag
from graddiag import schema
from graddiag.errors import SettingError, StopTraining
from graddiag.recording.finite_updates import CheckedStep, has_finite_gradient
from tests.recording.finite import BAD, SGD, Training, same, spoil, steps_of
from tests.recording.optimizers import Parts, batch, parts


@pytest.mark.parametrize("on_nonfinite", ["skip", "stop"])
def test_a_grad_scaler_leaves_updates_out_by_itself(on_nonfinite: str, tmp_path: Path) -> None:
    def trained(root: Path | None) -> Parts:
        model, scaler = parts(), torch.amp.GradScaler("cpu", init_scale=8.0)
        optimizer = SGD(model)
        watched = nullcontext()
        if root is not None:
            watched = graddiag.watch(
                model, optimizer, run="r", root=root, on_nonfinite=on_nonfinite, scaler=scaler, cells=()
            )
        with watched:
            for step in range(6):
                optimizer.zero_grad()
                scaler.scale(model(batch(step)).square().mean()).backward()
                if step == 2:
                    spoil(model, math.inf)
                scaler.step(optimizer)
                scaler.update()
        return model

    assert same(trained(tmp_path).state_dict(), trained(None).state_dict())
    assert steps_of(tmp_path).steps[schema.UPDATES_SKIPPED].tolist() == [0, 0, 1, 0, 0]
    assert steps_of(tmp_path).events[schema.WHERE].tolist() == ["the GradScaler"]


@pytest.mark.parametrize("first", ["schedule", "watch"])
def test_schedules_keep_their_order(first: str, tmp_path: Path) -> None:
    """A schedule wraps ``step`` too; it warns where it thinks that no step was made before it."""

    def trained(root: Path | None) -> tuple[Parts, float]:
        model = parts()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        make = lambda: torch.optim.lr_scheduler.StepLR(optimizer, 2)  # noqa: E731
        schedule = make() if first == "schedule" else None
        watched = nullcontext()
        if root is not None:
            watched = graddiag.watch(model, optimizer, run="r", root=root, on_nonfinite="skip", cells=())
        with watched, warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*holds NaN or inf")
            schedule = schedule or make()
            for step in range(6):
                optimizer.zero_grad()
                model(batch(step)).square().mean().backward()
                if step == 0 and root is not None:
                    spoil(model, math.nan)
                if step or root is not None:
                    optimizer.step()
                else:
                    optimizer._opt_called = True
                schedule.step()
        optimizer.step()
        return model, optimizer.param_groups[0]["lr"]

    (found, rate), (wanted, expected) = trained(tmp_path), trained(None)
    assert same(found.state_dict(), wanted.state_dict())
    assert rate == expected


def test_copies_of_a_checked_optimizer_are_plain(tmp_path: Path) -> None:
    model = parts()
    optimizer = SGD(model)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, on_nonfinite="stop", cells=()):
        other = copy.deepcopy(optimizer)
        for group in other.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.full_like(parameter, math.nan)
        other.step()
    assert "step" not in vars(other)


def test_what_cannot_be_checked_ends_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Optimizer) -> bool:
        raise ValueError("no norm of this")

    monkeypatch.setattr("graddiag.recording.shares.has_finite_gradient", broken)
    with pytest.warns(RuntimeWarning, match="stopped recording the updates that are left out"):
        found = Training(SGD).run(tmp_path, on_nonfinite="skip")
    assert same(found, Training(SGD).run(None))


def test_other_choices_are_refused(tmp_path: Path) -> None:
    model = parts()
    with pytest.raises(SettingError, match=r"^watch\(on_nonfinite='ignore'\): choose one of continue, stop, skip\.$"):
        graddiag.watch(model, SGD(model), run="r", root=tmp_path, on_nonfinite="ignore")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="without an optimizer nothing can be left out"):
        graddiag.watch(model, run="r", root=tmp_path, on_nonfinite="skip")
    assert not (tmp_path / "r").exists()


def test_a_handler_takes_the_stop_and_the_update_is_left_out(tmp_path: Path) -> None:
    training, stops = Training(SGD, bad=((3, 0),)), list[StopTraining]()
    with graddiag.watch(
        training.model, training.optimizer, run="r", root=tmp_path, on_nonfinite="stop", cells=()
    ) as recorder:
        recorder.stop_by(stops.append)
        for step in range(5):
            training.step(step)
    assert len(stops) == 1
    wanted = Training(SGD)
    for step in (0, 1, 2, 4):
        wanted.step(step)
    assert same(training.state(), wanted.state())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64])
def test_large_gradients_are_finite(dtype: torch.dtype) -> None:
    weight = nn.Parameter(torch.zeros(3, dtype=dtype))
    optimizer = torch.optim.SGD([weight, nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(0))], lr=0.1)
    assert has_finite_gradient(optimizer)
    largest = torch.finfo(dtype).max
    weight.grad = torch.full((3,), largest, dtype=dtype)
    if dtype.is_complex:
        weight.grad = torch.full((3,), complex(largest, largest), dtype=dtype)  # its absolute value overflows
    optimizer.param_groups[0]["params"][2].grad = torch.zeros(0)
    assert has_finite_gradient(optimizer)
    for value in BAD.values():
        weight.grad[1] = value
        assert not has_finite_gradient(optimizer)


def test_a_sparse_gradient_counts_as_its_entries() -> None:
    embedding = nn.Embedding(5, 2, sparse=True)
    optimizer = torch.optim.SGD(embedding.parameters(), lr=0.1)
    embedding(torch.tensor([1, 1])).sum().backward()
    assert has_finite_gradient(optimizer)
    optimizer.zero_grad()
    (embedding(torch.tensor([1, 2])) * torch.tensor(math.inf)).sum().backward()
    assert not has_finite_gradient(optimizer)


def test_taken_off_it_only_passes_on() -> None:
    weight = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    refused = list[int]()
    checked = CheckedStep(optimizer, (optimizer,), has_finite_gradient, lambda: refused.append(1), [])
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 10)
    weight.grad = torch.tensor([math.inf])
    optimizer.step()
    assert (refused, weight.item()) == ([1], 1.0)
    checked.remove()  # the schedule has wrapped it
    optimizer.step()
    assert (refused, weight.item()) == ([1], -math.inf)
    with suppress(StopIteration):
        schedule.step()
