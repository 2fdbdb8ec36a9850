"""What the update of one step would have come to under several clip thresholds: the loss on the same batch after it."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from graddiag.clipping.outcome import EPSILON
from graddiag.clipping.registry import read
from graddiag.errors import SettingError

Loss = Callable[[], Tensor | float]

# the thresholds that are tried where none are given, in parts of the norm at hand
LADDER: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


class Trial(NamedTuple):
    """One update: its threshold, None without clipping; norm after / norm before; the loss on the same batch after."""

    threshold: float | None
    coefficient: float
    loss_after: float


@dataclass(frozen=True)
class ThresholdSweep:
    """What was tried at one step, by ascending threshold and without clipping last.

    norm: L2 over all of the model's gradients, as they are at hand. loss_before: on the same batch, before an update.
    NaN and inf are kept.
    """

    norm: float
    loss_before: float
    tried: tuple[Trial, ...]


def counterfactual(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    thresholds: Sequence[float] | None = None,
    *,
    own: float | None = None,
) -> ThresholdSweep:
    """The loss after the optimizer's update with each of ``thresholds`` and without clipping, from its present state.

    Call it after ``backward()``, before clipping. The update is the optimizer's own, momentum and all, made by a copy
    of it from the gradient at hand, clipped as ``clip_grad_norm_`` does it. Nothing is changed by looking:
    parameters, gradients, buffers, the optimizer's state and torch's generators are the same bits afterwards.

    Args:
        loss: gives the loss on the batch at hand: ``lambda: loss_fn(model(x), y)``. It is called without gradients,
            once for each threshold and twice more, each time with the same draws from torch's generators (dropout), of
            which there is one set more than the training used. What else it changes is up to it.
        thresholds: on the L2 norm of all the model's gradients together, above 0; .01 to .5 times the norm at hand by
            default.
        own: a threshold that is tried beside them, e.g. that of the run's policy.

    Raises:
        SettingError: no gradient is there, a threshold that is not positive and finite, or LBFGS.
    """
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    if not gradients:
        raise SettingError("counterfactual: no parameter of the model has a gradient; call it after loss.backward().")
    if isinstance(optimizer, torch.optim.LBFGS):
        raise SettingError("counterfactual: LBFGS makes many passes in one step, so no single update can be tried.")
    norm = get_total_norm(gradients)
    given = _ladder(float(norm)) if thresholds is None else thresholds
    wanted = _checked([*given, *(() if own is None else (own,))])
    before = _evaluated(model, loss)
    tried = []
    for threshold in (*wanted, None):
        factor = torch.ones_like(norm) if threshold is None else (threshold / (norm + EPSILON)).clamp(max=1.0)
        with _updated(model, optimizer, None if threshold is None else factor):
            tried.append(Trial(threshold, float(factor), _evaluated(model, loss)))
    return ThresholdSweep(float(norm), before, tuple(tried))


def own_threshold(clip: str | None) -> float | None:
    """C of the policy ``norm:C`` on the L2 norm; None for any other, or a text that names none."""
    policy = read(clip)
    return None if policy is None or policy.options else policy.norm_threshold


def _ladder(norm: float) -> tuple[float, ...]:
    return tuple(part * norm for part in LADDER) if math.isfinite(norm) and norm > 0 else ()


def _checked(thresholds: Sequence[float]) -> tuple[float, ...]:
    for threshold in thresholds:
        if not (math.isfinite(threshold) and threshold > 0):
            raise SettingError(
                f"counterfactual: threshold {threshold!r}: it must be positive and finite; without clipping is tried "
                "in any case."
            )
    return tuple(sorted(set(map(float, thresholds))))


@contextmanager
def _updated(model: nn.Module, optimizer: torch.optim.Optimizer, factor: Tensor | None) -> Iterator[None]:
    """Within it the parameters are what a copy of the optimizer makes of them with gradients times ``factor``.

    Values are written through ``.data``, which counts as no change to autograd, and into the same memory, which a
    flattened RNN on a GPU relies on.
    """
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    twins: dict[int, Any] = {}
    twin = copy.deepcopy(optimizer, twins)
    scaled = {id(parameter) for parameter in model.parameters()} if factor is not None else set()
    for parameter in held:
        if parameter.grad is not None:
            grad = parameter.grad
            own = factor is not None and id(parameter) in scaled
            twins[id(parameter)].grad = grad * factor.to(grad.device, grad.dtype) if own else grad.clone()  # type: ignore[union-attr]
    with _same_chance(model):
        twin.step()
    kept = [parameter.detach().clone() for parameter in held]
    try:
        for parameter in held:
            parameter.data.copy_(twins[id(parameter)].data)
        yield
    finally:
        for parameter, values in zip(held, kept, strict=True):
            parameter.data.copy_(values)


@torch.no_grad()
def _evaluated(model: nn.Module, loss: Loss) -> float:
    with _same_chance(model), _own_buffers(model):
        return float(loss())


@contextmanager
def _same_chance(model: nn.Module) -> Iterator[None]:
    """torch's generators are afterwards as they were: every passage through it starts from the same state."""
    devices = {p.device.index for p in model.parameters() if p.is_cuda}
    with torch.random.fork_rng(devices=[index for index in devices if index is not None]):
        yield


@contextmanager
def _own_buffers(model: nn.Module) -> Iterator[None]:
    """Within it every buffer is a copy, so that what a forward pass notes in it (batch norm) is not kept."""
    held = [(module, dict(module._buffers)) for module in model.modules()]
    copies: dict[int, Tensor] = {}
    try:
        for module, buffers in held:
            for name, buffer in buffers.items():
                if buffer is not None:
                    module._buffers[name] = copies.setdefault(id(buffer), buffer.clone())
        yield
    finally:
        for module, buffers in held:
            module._buffers.clear()
            module._buffers.update(buffers)
