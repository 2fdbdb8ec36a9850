"""What the tests of every library ask: the same bits with and without graddiag, and a plausible recording."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

import graddiag

Train = Callable[[Path | None], tuple[nn.Module, Path | None]]
"""Trains a model, recorded under the root unless it is None; gives the model and the folder of the run."""


def recorded(train: Train, root: Path) -> graddiag.Run:
    """The run of a training that has the same bits as one without graddiag, after what every run must hold."""
    bare, _ = train(None)
    watched, folder = train(root)
    pairs = zip(bare.state_dict().values(), watched.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in watched.modules())
    assert folder is not None
    run = graddiag.load_run(folder)
    assert run.manifest.status == "finished"
    assert len(run.steps) > 0
    assert run.steps.grad_norm.notna().all()
    assert not (run.events.kind == "recording_stopped").any()
    diagnosis = graddiag.diagnose(run)
    assert diagnosis.outcome.name not in ("broken", "diverged"), str(diagnosis)
    accused = {each.name for each in diagnosis.causes}
    assert not accused & {"non-finite", "exploding", "no-gradient", "parameters-not-updated"}, str(diagnosis)
    return run


def reaches_every_timestep(run: graddiag.Run, timesteps: int) -> None:
    """The gradient was measured at each of so many timesteps, and is finite and above 0."""
    rows = run.timesteps[run.timesteps.step == 0]
    assert rows.timestep.nunique() == timesteps
    assert (rows.grad_h > 0).all()
    assert (rows.grad_h < float("inf")).all()
