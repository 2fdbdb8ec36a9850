"""Where NaN and inf began, read off the signals of one step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from graddiag import schema
from graddiag.schema import TraceKey
from graddiag.tracing.signals import Signals


@dataclass(frozen=True)
class Origin:
    """The first non-finite number of a step: in which pass, where, and what it was."""

    during: Literal["forward", "backward"]
    key: TraceKey
    timestep: int
    value: float
    immediate: bool

    @property
    def where(self) -> str:
        return f"{self.key.module or '(model)'} layer {self.key.layer} {self.key.direction} timestep {self.timestep}"

    @property
    def message(self) -> str:
        if self.during == "forward":
            return f"The state h is {self.value} in the forward pass from timestep {self.timestep} on."
        if self.immediate:
            return f"The gradient is {self.value} already where the loss enters the layer, at timestep {self.timestep}."
        return f"The gradient becomes {self.value} on its way back through time, at timestep {self.timestep}."


def origin(signals: Sequence[Signals]) -> Origin | None:
    """Where the first NaN or inf arose, following the computation; None when all is finite.

    ``signals``: of one step, on the host, in the order in which the layers ran. The forward pass is searched first,
    along time; then the backward pass, from the last layer that ran to the first, against time.
    """
    for each in signals:
        found = _first(each, schema.H_RMS, backward=False)
        if found is not None:
            return _origin("forward", each, found, each.timesteps[schema.H_RMS], immediate=False)
    for each in reversed(signals):
        if schema.GRAD_H not in each.timesteps:
            continue
        found = _first(each, schema.GRAD_H, backward=True)
        if found is not None:
            immediate = not bool(each.timesteps[schema.GRAD_H_DIRECT][found].isfinite())
            return _origin("backward", each, found, each.timesteps[schema.GRAD_H], immediate=immediate)
    return None


def _first(signals: Signals, column: str, *, backward: bool) -> int | None:
    bad = torch.nonzero(~signals.timesteps[column].isfinite()).flatten()
    if not len(bad):
        return None
    along_time = (signals.key.direction == "forward") is not backward
    return int(bad[0] if along_time else bad[-1])


def _origin(
    during: Literal["forward", "backward"], signals: Signals, t: int, column: Tensor, *, immediate: bool
) -> Origin:
    return Origin(during, signals.key, t, float(column[t]), immediate)
