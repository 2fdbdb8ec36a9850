"""Jumps of settings of the optimizer's groups are events; learning rates are columns."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import graddiag
from graddiag import schema

STEPS = 12


def events_of(root: Path, optimizer_of: Any, changes: dict[int, dict[str, Any]], every: int = 1) -> list[Any]:
    """The events of a training before whose steps these settings of all groups are changed."""
    model = nn.RNN(2, 3)
    optimizer = optimizer_of(model)
    with graddiag.watch(model, optimizer, run="r", root=root, every=every):
        for step in range(STEPS):
            for group in optimizer.param_groups:
                group.update(changes.get(step, {}))
            optimizer.zero_grad()
            model(torch.randn(3, 2, 2))[0].square().mean().backward()
            optimizer.step()
    events = graddiag.load_run(root / "r").events
    found = events[events[schema.KIND] == schema.EVENT_SETTING_CHANGED]
    return list(zip(found[schema.STEP], found[schema.WHERE], found[schema.VALUE], found[schema.MESSAGE], strict=True))


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.5, weight_decay=0.01)


def adam(model: nn.Module) -> torch.optim.Optimizer:
    halves = list(model.parameters())[:2], list(model.parameters())[2:]
    return torch.optim.Adam([{"params": half} for half in halves], lr=0.01)


@pytest.mark.parametrize("every", [1, 5])
def test_a_jump_of_weight_decay(every: int, tmp_path: Path) -> None:
    found = events_of(tmp_path, sgd, {7: {"weight_decay": 50.0}, 9: {"weight_decay": 0.0}}, every)
    assert [each[:3] for each in found] == [(7, "weight_decay", 50.0), (9, "weight_decay", 0.0)]
    assert found[0][3] == "weight_decay went from 0.01 to 50 at step 7."


def test_of_several_groups_one_event(tmp_path: Path) -> None:
    found = events_of(tmp_path, adam, {4: {"weight_decay": 0.1}, 6: {"betas": (0.99, 0.999)}})
    assert [each[:3] for each in found] == [(4, "weight_decay", 0.1), (6, "momentum", 0.99)]
    assert found[0][3] == "weight_decay of 2 parameter groups went from 0 to 0.1 at step 4."


def test_a_schedule_is_no_jump(tmp_path: Path) -> None:
    """A learning rate is a column; momentum that is cycled and weight decay that is annealed change a little a step."""
    changes = {step: {"momentum": 0.95 - 0.01 * step, "weight_decay": 0.01 * 1.2**step} for step in range(1, STEPS)}
    changes = {step: {**each, "lr": 10.0**-step} for step, each in changes.items()}
    changes[0] = {"momentum": 0.95}
    assert events_of(tmp_path, sgd, changes) == []


def test_settings_that_are_no_numbers_are_left_alone(tmp_path: Path) -> None:
    betas = torch.tensor(0.9), torch.tensor(0.999)
    assert events_of(tmp_path, adam, {3: {"betas": betas}, 5: {"betas": (0.1, 0.999)}}) == []


def test_jumps_at_every_step_are_not_listed_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graddiag.recording.group_settings._MOST_EVENTS", 3)
    changes = {step: {"weight_decay": 10.0 ** (step % 2)} for step in range(STEPS)}
    assert [each[0] for each in events_of(tmp_path, sgd, changes)] == [1, 2, 3]
