"""Events of one step, as rows of the table ``events``."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graddiag import schema
from graddiag.tracing.nonfinite import Origin

Event = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """What has been reported: that the gradient was clipped, that the step before was not finite, and that a gradient
    above the declared threshold was not clipped."""

    clipped: bool = False
    nonfinite: bool = False
    unclipped: bool = False


def step_events(
    step: Mapping[str, Any], began: Origin | None, seen: Seen, policy: str | None = None
) -> tuple[list[Event], Seen]:
    """The events of one row of the steps table, and what has been seen after it.

    ``began``: where NaN or inf arose, if this step's timesteps were recorded. A stretch of such steps is one event.
    ``policy``: the clip policy that the run was said to follow.
    """
    clipped, nonfinite = _clipped(step), began is not None or _has_nonfinite(step)
    events = []
    if clipped and not seen.clipped:
        events.append(_first_clip(step))
    if nonfinite and not seen.nonfinite:
        events.append(_nonfinite(step, began))
    unclipped = _above_declared(step, policy)
    if unclipped and not seen.unclipped:
        events.append(_unclipped(step, policy))
    return events, Seen(seen.clipped or clipped, nonfinite, seen.unclipped or unclipped)


def stopped_event(step: int, where: str, message: str) -> Event:
    """graddiag met an error of its own, or something it cannot measure, and records ``where`` no longer."""
    return _event(step, schema.EVENT_RECORDING_STOPPED, where, None, message)


def misplaced_event(step: int) -> Event:
    """The gradient was changed between an update and the next backward pass."""
    message = (
        "The gradient was changed after the update that used it, which has no effect. "
        "Clip between backward() and optimizer.step()."
    )
    return _event(step, schema.EVENT_CLIP_MISPLACED, "all parameters", None, message)


def skipped_event(step: int) -> Event:
    """A GradScaler left an update out, because the scaled gradient held inf or NaN."""
    message = "The GradScaler skipped an update before this step: the scaled gradient held inf or NaN."
    return _event(step, schema.EVENT_NONFINITE, "the GradScaler", None, message)


def _above_declared(step: Mapping[str, Any], policy: str | None) -> bool:
    """Whether the update used a larger norm than a declared ``norm:C`` lets through."""
    after = step.get(schema.GRAD_NORM_CLIPPED)
    if policy is None or not policy.startswith("norm:") or policy.count(":") > 1 or after is None:
        return False  # nothing is declared of the L2 norm
    return math.isfinite(after) and after > float(policy.removeprefix("norm:")) * (1 + 1e-3)


def _unclipped(step: Mapping[str, Any], policy: str | None) -> Event:
    after = step[schema.GRAD_NORM_CLIPPED]
    message = (
        f"The run says that it clips with {policy}, and the update used a gradient of norm {after:.4g}. "
        "Clip between backward() and optimizer.step(): earlier or later it has no effect."
    )
    return _event(step[schema.STEP], schema.EVENT_CLIP_MISPLACED, "all parameters", after, message)


def _clipped(step: Mapping[str, Any]) -> bool:
    coefficient = step.get(schema.CLIP_COEFFICIENT)
    return coefficient is not None and coefficient < 1


def _has_nonfinite(step: Mapping[str, Any]) -> bool:
    loss = step.get(schema.LOSS)
    return bool(step.get(schema.NONFINITE)) or (loss is not None and not math.isfinite(loss))


def _first_clip(step: Mapping[str, Any]) -> Event:
    before, after = step[schema.GRAD_NORM], step[schema.GRAD_NORM_CLIPPED]
    message = f"The gradient was clipped for the first time, from norm {before:.4g} to {after:.4g}."
    return _event(step[schema.STEP], schema.EVENT_FIRST_CLIP, "all parameters", before, message)


def _nonfinite(step: Mapping[str, Any], began: Origin | None) -> Event:
    if began is not None:
        return _event(step[schema.STEP], schema.EVENT_NONFINITE, began.where, began.value, began.message)
    if not step.get(schema.NONFINITE):
        message = "The loss is not finite, although the gradient is."
        return _event(step[schema.STEP], schema.EVENT_NONFINITE, "the loss", step[schema.LOSS], message)
    message = "The gradient holds NaN or inf; no recorded timestep of this step shows where it began."
    return _event(step[schema.STEP], schema.EVENT_NONFINITE, "all parameters", step.get(schema.GRAD_NORM), message)


def _event(step: int, kind: str, where: str, value: float | None, message: str) -> Event:
    return {
        schema.STEP: int(step),
        schema.KIND: kind,
        schema.WHERE: where,
        schema.VALUE: value,
        schema.MESSAGE: message,
    }
