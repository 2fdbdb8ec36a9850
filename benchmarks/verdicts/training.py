"""One training under ``graddiag.watch``, and what else is kept: its numbers, and probes by autograd in float64."""

import json
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

import graddiag
from benchmarks.verdicts.nets import Tapped
from benchmarks.verdicts.tasks import Batch, ce
from benchmarks.verdicts.unrolled import growth_and_share

Scalars = dict[str, float]
Forward = Callable[[nn.Module, Tensor, Tensor, int], Tensor | tuple[Tensor, Scalars]]
PROBES = (0.0, 0.1, 0.5, 0.75, 0.99)  # of the steps


class StopTrainingError(RuntimeError):
    """A training that gives up, as a user's own check would."""


@dataclass(frozen=True)
class Training:
    """A training loop, as data.

    clip: ``norm:C`` or ``value:C``; clip_at: where it is called; declared: whether ``watch`` is told. before: called
    with (step, net, optimizer) at the start of a step, for schedules and faults. forward: the loss, and scalars to log;
    by default ``loss(net(x), y)``. gradient: called with (net, step) after the backward pass, before clipping. after:
    called like ``before`` at the end of a step. metrics: scalars to log beside. logged: what is logged of the loss.
    unscale: the scaler's gradients are unscaled before clipping. watch: further settings of ``graddiag.watch``.
    """

    net: nn.Module
    batch: Batch
    optimizer: Optimizer
    loss: Callable[[Tensor, Tensor], Tensor] = ce
    steps: int = 300
    every: int = 10
    clip: str | None = None
    clip_at: Literal["before-update", "before-backward", "after-update"] = "before-update"
    declared: bool = True
    zero: bool = True
    accumulate: int = 1
    scaler: Any = None
    unscale: bool = True
    before: Callable[[int, nn.Module, Optimizer], None] | None = None
    forward: Forward | None = None
    gradient: Callable[[nn.Module, int], None] | None = None
    after: Callable[[int, nn.Module, Optimizer], None] | None = None
    metrics: Callable[[nn.Module, int], Scalars] | None = None
    logged: Callable[[Tensor], Tensor] = lambda loss: loss
    config: Mapping[str, Any] = field(default_factory=dict)
    watch: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Numbers:
    """What a tracker would show of a training, and the probes; a value a step, but where a list of steps is beside.

    norms: of the gradient of all parameters, before clipping; recurrent_norms: the largest of a recurrent matrix.
    radii: the spectral radius of a recurrent matrix, the largest, at the probes. growth, kept: see
    ``unrolled.growth_and_share``. scalars: by name the pairs of step and value. seconds: of the processor.
    """

    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    recurrent_norms: list[float] = field(default_factory=list)
    probed: list[int] = field(default_factory=list)
    radii: list[float] = field(default_factory=list)
    growth: list[float] = field(default_factory=list)
    kept: list[float] = field(default_factory=list)
    scalars: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    seconds: float = 0.0
    run: str = ""

    @classmethod
    def read(cls, path: Path) -> "Numbers":
        return cls(**json.loads(path.read_text()))

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    def keep(self, step: int, scalars: Scalars) -> None:
        for name, value in scalars.items():
            self.scalars.setdefault(name, []).append((step, float(value)))


def train(build: Callable[[], Training], seed: int, folder: Path) -> Numbers:
    """Trains under ``seed`` into ``folder``; torch's own generator is left as it was."""
    begun, numbers = time.process_time(), Numbers()
    with torch.random.fork_rng(devices=()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        training = build()
        training.net.train()
        clip = training.clip if training.declared else None
        about = {"clip": clip, "every": training.every, "config": dict(training.config), **training.watch}
        about["scaler"] = training.scaler
        try:
            with graddiag.watch(
                training.net, training.optimizer, run="run", root=folder, cells=(), **about
            ) as recorder:
                numbers.run = str(recorder.path.relative_to(folder))
                _loop(training, recorder, numbers)
        except StopTrainingError:
            pass
    numbers.seconds = time.process_time() - begun
    numbers.write(folder / "numbers.json")
    return numbers


def _loop(training: Training, recorder: graddiag.Recorder, numbers: Numbers) -> None:
    for module in training.net.modules():
        if isinstance(module, Tapped):
            module.tap = recorder.tap
    probes = {int(part * training.steps) for part in PROBES}
    for step in range(training.steps):
        if training.before:
            training.before(step, training.net, training.optimizer)
        if training.zero:
            training.optimizer.zero_grad()
        with _probe(training.net, numbers, step, on=step in probes):
            loss, scalars = _backward(training, step)
        _before_update(training, step, numbers)
        numbers.losses.append(float(loss.detach()))
        if training.metrics:
            scalars |= training.metrics(training.net, step)
        numbers.keep(step, scalars)
        recorder.log(loss=training.logged(loss), **scalars)
        _update(training)
        if training.after:
            training.after(step, training.net, training.optimizer)


def _backward(training: Training, step: int) -> tuple[Tensor, Scalars]:
    for part in range(training.accumulate):
        x, y = training.batch(step * training.accumulate + part)
        found = training.forward(training.net, x, y, step) if training.forward else training.loss(training.net(x), y)
        loss, scalars = found if isinstance(found, tuple) else (found, {})
        if training.clip_at == "before-backward":
            _clip(training)
        whole = loss / training.accumulate
        (training.scaler.scale(whole) if training.scaler else whole).backward()
    return loss, scalars


def _before_update(training: Training, step: int, numbers: Numbers) -> None:
    if training.scaler and training.unscale and training.clip:
        training.scaler.unscale_(training.optimizer)
    if training.gradient:
        training.gradient(training.net, step)
    numbers.norms.append(_norm(training.net.parameters()))
    recurrent = [p for name, p in training.net.named_parameters() if is_recurrent(name)]
    numbers.recurrent_norms.append(max((_norm([p]) for p in recurrent), default=0.0))
    if training.clip_at == "before-update":
        _clip(training)


def _update(training: Training) -> None:
    if training.scaler:
        training.scaler.step(training.optimizer)
        training.scaler.update()
    else:
        training.optimizer.step()
    if training.clip_at == "after-update":
        _clip(training)


def _clip(training: Training) -> None:
    if training.clip:
        kind, _, threshold = training.clip.partition(":")
        clip = nn.utils.clip_grad_norm_ if kind == "norm" else nn.utils.clip_grad_value_
        clip(training.net.parameters(), float(threshold))


def is_recurrent(name: str) -> bool:
    """Whether a parameter of that name is a recurrent matrix of ``nets``."""
    return "weight_hh" in name or name.endswith("recurrent.weight")


@contextmanager
def _probe(net: nn.Module, numbers: Numbers, step: int, on: bool) -> Iterator[None]:
    """Measures the way back through the last one-directional torch.nn layer of the net, and its spectral radius."""
    if not on:
        yield
        return
    numbers.probed.append(step)
    matrices = [p for name, p in net.named_parameters() if is_recurrent(name)]
    numbers.radii.append(max((radius(b) for p in matrices for b in p.split(p.shape[1])), default=math.nan))
    layers = [each for each in net.modules() if isinstance(each, nn.RNNBase) and not each.bidirectional]
    seen: list[tuple[Tensor, Tensor]] = []
    hooks = [layer.register_forward_hook(lambda _, x, y: _follow(x, y, seen)) for layer in layers[-1:]]
    yield
    for hook in hooks:
        hook.remove()
    growth, kept = math.nan, math.nan
    if seen and seen[0][1].grad is not None:
        growth, kept = growth_and_share(layers[-1], seen[0][0], seen[0][1].grad[-1])
    numbers.growth.append(growth)
    numbers.kept.append(kept)


def _follow(x: tuple[Tensor, ...], y: tuple[Tensor, object], seen: list[tuple[Tensor, Tensor]]) -> None:
    if y[0].requires_grad and x[0].dim() == 3:
        y[0].retain_grad()
        seen.append((x[0], y[0]))


def radius(weight: Tensor) -> float:
    """Spectral radius of a square matrix; NaN where it holds NaN or inf."""
    if not bool(weight.isfinite().all()):
        return math.nan
    return float(np.abs(np.linalg.eigvals(weight.detach().double().numpy())).max())


def _norm(parameters: Any) -> float:
    norms = [p.grad.norm() for p in parameters if p.grad is not None]
    return float(torch.stack(norms).double().norm()) if norms else 0.0
