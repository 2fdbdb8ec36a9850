"""What ``watch`` refuses, and an attach that fails, leave nothing behind: no file, no hook, no thread, no memory."""

import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD

import graddiag
from graddiag.errors import GraddiagError
from tests.recording.optimizers import Parts, is_clean, parts


class Replaced(nn.Module):
    """A cell whose forward was replaced on the object."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Linear(3, 3)
        self.forward = lambda x, h: torch.tanh(self.w(x) + h)


def with_cell(net: nn.Module) -> nn.Module:
    """``net`` and a cell, which torch.compile would take."""
    return nn.Sequential(net, nn.GRUCell(3, 3))


def unused(*_: Any, **__: Any) -> None:
    raise AssertionError("it is refused before it can be called")


Arguments = Callable[[Parts], tuple[nn.Module, dict[str, Any]]]
"""What ``watch`` is given for a model: the model, or what holds it, and further arguments."""
REFUSED: dict[str, tuple[Arguments, str]] = {
    "every": (lambda net: (net, {"every": 0}), "every=0"),
    "snapshots": (lambda net: (net, {"every": 10, "snapshot_every": 15}), "snapshot_every=15"),
    "seed": (lambda net: (net, {"seed": 2**64}), "seed"),
    "goal": (lambda net: (net, {"goal": "loss", "config": {"goal": "accuracy"}}), "goal"),
    "better": (lambda net: (net, {"goal": "loss", "better": "less"}), "better='less'"),
    "chance": (lambda net: (net, {"chance": float("nan")}), "chance"),
    "chance_loss": (lambda net: (net, {"chance_loss": "ln of four"}), "chance_loss"),
    "optimizer": (lambda net: (net, {"optimizer": SGD(parts().parameters(), 0.1)}), "none of the model's"),
    "no optimizer": (lambda net: (net, {"optimizer": "SGD"}), "no torch.optim.Optimizer"),
    "twice": (lambda net: (net, {"optimizer": [SGD(net.parameters(), 0.1)] * 2}), "same parameter"),
    "nonfinite": (lambda net: (net, {"on_nonfinite": "ignore"}), "on_nonfinite='ignore'"),
    "nonfinite alone": (lambda net: (net, {"on_nonfinite": "skip"}), "on_nonfinite"),
    "check": (lambda net: (net, {"on_finding": unused, "check_every": 0}), "check_every=0"),
    "callback": (lambda net: (net, {"on_finding": "print"}), "on_finding"),
    "cells": (lambda net: (net, {"cells": "cell"}), "holds no such module"),
    "cell": (lambda net: (nn.Sequential(net, Replaced()), {"cells": Replaced}), "forward"),
    "resume": (lambda net: (net, {"resume": "last"}), "resume"),
    "resume nothing": (lambda net: (net, {"resume": -1}), "resume"),
    "replicas": (lambda net: (nn.DataParallel(net), {}), "DataParallel.* it runs copies of its modules"),
    "replicas inside": (lambda net: (nn.Sequential(nn.DataParallel(net)), {}), "module '0' .*DataParallel"),
    "compiled": (lambda net: (torch.compile(with_cell(net), backend="eager"), {}), "torch.compile"),
    "compiled part": (lambda net: (nn.Sequential(torch.compile(with_cell(net), backend="eager")), {}), "torch.compile"),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_leaves_nothing(arguments: Arguments, message: str, tmp_path: Path) -> None:
    net = parts()
    optimizer = SGD(net.parameters(), 0.1)
    model, settings = arguments(net)
    threads = threading.active_count()
    with pytest.raises(GraddiagError, match=message):
        graddiag.watch(model, run="r", root=tmp_path / "runs", **settings)
    assert not list(tmp_path.iterdir())
    assert is_clean(net, optimizer)
    assert threading.active_count() == threads


def test_a_compiled_model_is_refused_however_it_was_compiled(tmp_path: Path) -> None:
    net = with_cell(parts())
    net.compile(backend="eager")
    with pytest.raises(GraddiagError, match=r"torch\.compile"):
        graddiag.watch(net, run="r", root=tmp_path / "runs")
    assert not list(tmp_path.iterdir())
    assert is_clean(net)


@pytest.mark.parametrize("kind", ["refused", "failed", "no folder"])
def test_attaches_that_come_to_nothing_keep_nothing(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search over settings may try a hundred: neither models nor recorders of those that failed stay in memory."""
    net, settings = parts(), {"every": 0} if kind == "refused" else {}
    root = tmp_path / "runs"
    if kind == "failed":
        monkeypatch.setattr("graddiag.recording.step_recorder.OutputMeter", unused)
    if kind == "no folder":
        root.write_text("a file")

    def attach() -> "weakref.ref[nn.Module]":
        model = nn.Sequential(parts())
        optimizer = SGD(model.parameters(), 0.1)
        with pytest.raises((GraddiagError, AssertionError)):
            graddiag.watch(model, optimizer, run="r", root=root, **settings)
        return weakref.ref(model)

    attach()
    gc.collect()
    before, threads = len(gc.get_objects()), threading.active_count()
    models = [attach() for _ in range(40)]
    gc.collect()
    assert not any(model() for model in models)
    assert len(gc.get_objects()) - before < 40 * 5
    assert threading.active_count() == threads
    assert is_clean(net)
    assert not list(tmp_path.rglob("*.json"))
