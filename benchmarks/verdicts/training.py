"""One case: trained under ``graddiag.watch``, measured cell by cell, judged by graddiag; nothing of it is kept."""

import tempfile
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

import graddiag
from benchmarks.verdicts.cases import Case
from benchmarks.verdicts.nets import Net, batch, losses
from benchmarks.verdicts.truth import Measured, Truth, truth
from benchmarks.verdicts.unrolled import Unrolled
from graddiag.analysis import Diagnosis

ALARMS = ("non-finite", "exploding", "vanishing")


@dataclass(frozen=True)
class Seen:
    """What a tracker shows of a training: the gradient norm of all parameters and the largest of a recurrent weight, a
    value a step, before clipping; and the spectral radius of W_hh (the largest of its blocks, at a few steps)."""

    norms: tuple[float, ...]
    recurrent_norms: tuple[float, ...]
    radii: tuple[float, ...]


@dataclass(frozen=True)
class Outcome:
    """A case, what is true of it, what graddiag said, and what a tracker would have shown."""

    case: Case
    truth: Truth
    alarms: frozenset[str]
    diagnosis: Diagnosis
    seen: Seen


def outcome(case: Case) -> Outcome:
    """Trains ``case`` and judges it. torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=()), tempfile.TemporaryDirectory() as root:
        torch.manual_seed(case.seed)
        measured, seen, diagnosis = _train(case, root)
    loud = frozenset(each.name for each in diagnosis.findings if each.severity != "info" and each.name in ALARMS)
    return Outcome(case, truth(measured, each=case.task in ("echo", "text")), loud, diagnosis, seen)


def _train(case: Case, root: str) -> tuple[list[Measured], Seen, Diagnosis]:
    net = Net(case)
    unrolled, chance = Unrolled(net), torch.Generator().manual_seed(case.seed)
    optimizer = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[case.optimizer](net.parameters(), lr=case.lr)
    clip = "none" if case.clip is None else f"norm:{case.clip}"
    measured, norms, recurrent, radii = [], [], [], []
    about = {"every": case.every, "clip": clip, "model": case.kind}
    with graddiag.watch(net, optimizer, run="case", root=root, **about) as recorder:
        for step in range(case.steps):
            x, targets = batch(case, chance)
            unrolled.copy(net)
            measured.append(unrolled.measure(x, targets, case.clip))
            if step % 10 == 0:
                radii.append(max(radius(block) for block in _blocks(net)))
            loss = losses(net(x), targets).sum()
            optimizer.zero_grad()
            loss.backward()
            norms.append(_norm(net.parameters()))
            recurrent.append(max(_norm([p]) for name, p in net.named_parameters() if "weight_hh" in name))
            if case.clip is not None:
                nn.utils.clip_grad_norm_(net.parameters(), case.clip)
            recorder.log(loss=loss)
            optimizer.step()
    diagnosis = graddiag.diagnose(graddiag.load_run(recorder.path))
    return measured, Seen(tuple(norms), tuple(recurrent), tuple(radii)), diagnosis


def radius(weight: Tensor) -> float:
    """Spectral radius of a square matrix; NaN where it holds NaN or inf."""
    if not bool(weight.isfinite().all()):
        return float("nan")
    return float(np.abs(np.linalg.eigvals(weight.detach().double().numpy())).max())


def _blocks(net: Net) -> list[Tensor]:
    weights = [p for name, p in net.named_parameters() if "weight_hh" in name]
    return [block for weight in weights for block in weight.split(net.recurrent.hidden_size)]


def _norm(parameters) -> float:
    return float(torch.stack([p.grad.double().norm() for p in parameters]).norm())
