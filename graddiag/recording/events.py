"""Events of one step, as rows of the table ``events``."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from graddiag import schema
from graddiag.clipping.registry import read
from graddiag.recording.nonfinite import Origin
from graddiag.recording.scaling import AMP_SCALE, BEFORE_UNSCALE

Event = dict[str, Any]

_EQUAL: Final = 1e-3  # two norms are the same threshold when they are no further apart, relative to it
_DIFFERENT: Final = 1e-2  # two norms before clipping are different ones
EVERYWHERE: Final = schema.ALL_PARAMETERS
LEFT_OUT: Final = "on_nonfinite"
_MODEL: Final = "(model)"


@dataclass(frozen=True)
class Reported:
    """What has been reported: that the gradient was clipped, that the step before was not finite, that a gradient above
    the declared threshold was not clipped, and that one was clipped while scaled. ``scaled_norms``: of the last step
    whose scaled gradient was changed, after that and before."""

    clipped: bool = False
    nonfinite: bool = False
    unclipped: bool = False
    before_unscale: bool = False
    scaled_norms: tuple[float, float] | None = None


def step_events(
    step: Mapping[str, Any], began: Origin | None, reported: Reported, policy: str | None = None
) -> tuple[list[Event], Reported]:
    """The events of one row of the steps table, and what has been reported after it.

    ``began``: where NaN or inf arose, if this step's timesteps were recorded. Consecutive such steps are one event.
    ``policy``: the clip policy that the run declares.
    """
    clipped, nonfinite = _clipped(step), began is not None or _has_nonfinite(step)
    events = []
    if clipped and not reported.clipped:
        events.append(_first_clip(step))
    if nonfinite and not reported.nonfinite:
        events.append(_nonfinite(step, began))
    unclipped = _above_declared(step, policy)
    if unclipped and not reported.unclipped:
        events.append(_unclipped(step, policy))
    norms = _scaled_norms(step)
    scaled = norms is not None and _clipped_while_scaled(norms, reported.scaled_norms, policy)
    if scaled and norms is not None and not reported.before_unscale:
        events.append(before_unscale_event(step[schema.STEP], norms[0]))
    return events, Reported(
        reported.clipped or clipped,
        nonfinite,
        reported.unclipped or unclipped,
        reported.before_unscale or scaled,
        norms or reported.scaled_norms,
    )


def stopped_event(step: int, where: str, message: str) -> Event:
    """graddiag met an internal error, or something it cannot measure, and records ``where`` no longer."""
    return _event(step, schema.EVENT_RECORDING_STOPPED, where, None, message)


def misplaced_event(step: int) -> Event:
    """The gradient was changed between an update and the next backward pass."""
    message = (
        "The gradient was changed after the update that used it, which has no effect. "
        "Clip between backward() and optimizer.step()."
    )
    return _event(step, schema.EVENT_CLIP_MISPLACED, EVERYWHERE, None, message)


def skipped_event(step: int, count: int) -> Event:
    """A GradScaler left updates out, because the scaled gradient held inf or NaN."""
    updates = "an update" if count == 1 else f"{count} updates"
    message = (
        f"The GradScaler skipped {updates} before this step and lowered its scale: the scaled gradient overflowed."
    )
    return _event(step, schema.EVENT_UPDATE_SKIPPED, "the GradScaler", count, message)


def left_out_event(step: int, count: int, began: str) -> Event:
    """Updates were left out, because their gradient held NaN or inf."""
    updates = "an update" if count == 1 else f"{count} updates"
    message = f"{updates.capitalize()} before this step left out: the gradient holds NaN or inf. {began}"
    return _event(step, schema.EVENT_UPDATE_SKIPPED, LEFT_OUT, count, message)


def not_zeroed_event(step: int, where: str, count: int) -> Event:
    """The backward pass added to the gradients that the update before had used."""
    message = (
        "The gradient was added to the one that the update before had used. "
        "Call optimizer.zero_grad() before backward()."
    )
    return _event(step, schema.EVENT_GRADIENTS_NOT_ZEROED, where, count, message)


def no_gradient_event(step: int, where: str, steps: int, ran: int) -> Event:
    """An update came although no gradient had reached ``where``: so far in ``steps`` of ``ran`` steps."""
    subject = "No parameter got a gradient" if where == EVERYWHERE else "The module ran and no gradient reached it"
    times = "at this step" if steps == 1 else f"in {steps} of {ran} steps"
    message = f"{subject} {times}. Look for detach(), .data, .item() or no_grad() between it and the loss."
    return _event(step, schema.EVENT_NO_GRADIENT, where, steps, message)


def detached_event(step: int, where: str, cuts: int) -> Event:
    """The state was cut off its graph between two calls of a module within one step."""
    places = "once" if cuts == 1 else f"{cuts} times"
    message = (
        f"Back-propagation is cut inside a step: {where or '(model)'} was given its own earlier state "
        "without its graph, "
        f"{places} in step {step}. No gradient passes there."
    )
    return _event(step, schema.EVENT_STATE_DETACHED, where or "(model)", cuts, message)


def replaced_event(step: int, old: str, new: str) -> Event:
    """Another optimizer has updated the parameters of a watched one, and is followed from here on."""
    message = (
        f"An optimizer that watch() was not given ({new}) updated the parameters of {old}. Each of its steps ends a "
        "step of the run from here on; of this one the size of the update is missing."
    )
    return _event(step, schema.EVENT_OPTIMIZER_REPLACED, new, None, message)


def setting_event(step: int, name: str, before: float, after: float, groups: int) -> Event:
    """A setting of an optimizer, other than its learning rate, jumped between two steps."""
    where = f" of {groups} parameter groups" if groups > 1 else ""
    message = f"{name}{where} went from {before:.3g} to {after:.3g} at step {step:,}."
    return _event(step, schema.EVENT_SETTING_CHANGED, name, after, message)


def no_update_event(step: int, passes: int, optimizers: str, *, compiled: bool = False) -> Event:
    """Backward passes came, and the watched optimizers made no update. compiled: torch.compile is in use."""
    plural = "es" if passes != 1 else ""
    way_out = "An update in code that torch.compile compiled is not seen: call optimizer.step() outside of it. "
    way_out = way_out if compiled else ""
    message = (
        f"{passes:,} backward pass{plural} came and optimizer.step() was never called on {optimizers}, so no "
        f"step ended and nothing is kept of them. {way_out}Pass the optimizer whose step() updates the model to "
        "watch(), or none and call recorder.step() after each update."
    )
    return _event(step, schema.EVENT_NO_UPDATE, optimizers, passes, message)


def gradient_changed_event(step: int) -> Event:
    """The accumulated gradient was changed between two backward passes of one step."""
    message = (
        "The gradient was changed between two backward passes of one step (clipped, for example), so its norm before "
        "clipping is not known. Clip once, after the last backward() and before optimizer.step()."
    )
    return _event(step, schema.EVENT_GRADIENT_CHANGED, EVERYWHERE, None, message)


def nothing_followed_event(step: int, message: str) -> Event:
    """Neither a layer, a cell nor a tap ran in the first recorded step."""
    return _event(step, schema.EVENT_NOTHING_FOLLOWED, _MODEL, None, message)


def not_followed_event(step: int, where: str, message: str) -> Event:
    """A module that looks recurrent is not followed."""
    return _event(step, schema.EVENT_NOT_FOLLOWED, where or _MODEL, None, message)


def layer_added_event(step: int, where: str) -> Event:
    """The model has got a recurrent layer since it was watched."""
    message = f"{where or _MODEL} was added to the model after watch(), and is recorded from step {step} on."
    return _event(step, schema.EVENT_LAYER_ADDED, where or _MODEL, None, message)


def gain_missing_event(step: int, where: str, reason: str) -> Event:
    """What a followed cell sends back could not be measured."""
    message = f"The transport gain of {where or _MODEL} is missing at some timesteps: {reason}."
    return _event(step, schema.EVENT_GAIN_MISSING, where or _MODEL, None, message)


def resumed_event(step: int, replaced: int, elsewhere: str | None) -> Event:
    """The training continues from a checkpoint. elsewhere: where its steps before are; None where they are here."""
    if elsewhere is not None:
        message = f"The training continues at step {step:,}. Its steps before are in {elsewhere}."
    else:
        steps = "1 step" if replaced == 1 else f"{replaced:,} steps"
        after = f" {steps} that had been recorded from there on {'is' if replaced == 1 else 'are'} replaced."
        message = f"The training continues at step {step:,}.{after if replaced else ''}"
    return _event(step, schema.EVENT_RESUMED, _MODEL, replaced, message)


def before_unscale_event(step: int, norm: float) -> Event:
    """The gradient was clipped while it still carried a GradScaler's scale."""
    message = (
        f"The gradient was clipped to norm {norm:.4g} while it was still scaled by the GradScaler. "
        "Call scaler.unscale_(optimizer) before clipping."
    )
    return _event(step, schema.EVENT_CLIP_BEFORE_UNSCALE, EVERYWHERE, norm, message)


def _scaled_norms(step: Mapping[str, Any]) -> tuple[float, float] | None:
    """Norms of the scaled gradient, after it was changed and before; None where it was not changed while scaled, or
    not made smaller."""
    after, before, scale = (step.get(name) for name in (BEFORE_UNSCALE, schema.GRAD_NORM, AMP_SCALE))
    if after is None or before is None or scale is None or not math.isfinite(before * scale):
        return None
    return (after, before * scale) if 0 < after < before * scale * (1 - _EQUAL) else None


def _clipped_while_scaled(norms: tuple[float, float], last: tuple[float, float] | None, policy: str | None) -> bool:
    """Whether the norm came down to the declared threshold, or twice to the same value from different ones."""
    threshold = _threshold(policy)
    if threshold is not None and math.isclose(norms[0], threshold, rel_tol=_EQUAL):
        return True
    if last is None or not math.isclose(norms[0], last[0], rel_tol=_EQUAL):
        return False
    return not math.isclose(norms[1], last[1], rel_tol=_DIFFERENT)


def _threshold(policy: str | None) -> float | None:
    """C of ``norm:C``; None where nothing is declared of the L2 norm, in free text for example."""
    declared = read(policy)
    return None if declared is None or declared.options else declared.norm_threshold


def _above_declared(step: Mapping[str, Any], policy: str | None) -> bool:
    """Whether the update used a larger norm than a declared ``norm:C`` lets through."""
    after, threshold = step.get(schema.GRAD_NORM_CLIPPED), _threshold(policy)
    if threshold is None or after is None:
        return False
    return math.isfinite(after) and after > threshold * (1 + _EQUAL)


def _unclipped(step: Mapping[str, Any], policy: str | None) -> Event:
    after = step[schema.GRAD_NORM_CLIPPED]
    message = (
        f"The run says that it clips with {policy}, and the update used a gradient of norm {after:.4g}. "
        "Clip between backward() and optimizer.step(): earlier or later it has no effect."
    )
    return _event(step[schema.STEP], schema.EVENT_CLIP_MISPLACED, EVERYWHERE, after, message)


def _clipped(step: Mapping[str, Any]) -> bool:
    coefficient = step.get(schema.CLIP_COEFFICIENT)
    return coefficient is not None and coefficient < 1


def _has_nonfinite(step: Mapping[str, Any]) -> bool:
    loss = step.get(schema.LOSS)
    return bool(step.get(schema.NONFINITE)) or (loss is not None and not math.isfinite(loss))


def _first_clip(step: Mapping[str, Any]) -> Event:
    before, after = step[schema.GRAD_NORM], step[schema.GRAD_NORM_CLIPPED]
    message = f"The gradient was clipped for the first time, from norm {before:.4g} to {after:.4g}."
    return _event(step[schema.STEP], schema.EVENT_FIRST_CLIP, EVERYWHERE, before, message)


def _nonfinite(step: Mapping[str, Any], began: Origin | None) -> Event:
    where, value, message = _where_it_began(step, began)
    return _event(step[schema.STEP], schema.EVENT_NONFINITE, where, value, message)


def _where_it_began(step: Mapping[str, Any], began: Origin | None) -> tuple[str, float | None, str]:
    """The first of the states of the forward pass, the loss and the backward pass; the value there, and a sentence."""
    loss, bad_gradient = step.get(schema.LOSS), bool(step.get(schema.NONFINITE))
    if began is not None and began.during == "forward":
        return began.where, began.value, f"It began in the forward pass. {began.message}"
    if loss is not None and not math.isfinite(loss):
        return "the loss", loss, _in_the_loss(loss, began, bad_gradient)
    known = "The loss was not logged." if loss is None else f"The loss is finite ({loss:.4g})."
    if began is not None:
        during = "" if loss is None else "It began in the backward pass. "
        return began.where, began.value, f"{known} {during}{began.message}"
    message = f"{known} The gradient holds NaN or inf; no recorded timestep of this step shows where it began."
    return EVERYWHERE, step.get(schema.GRAD_NORM), message


def _in_the_loss(loss: float, began: Origin | None, bad_gradient: bool) -> str:
    if not bad_gradient:
        return f"The loss is {loss}, although the gradient is finite."
    if began is None:
        return f"The loss is {loss}, and the gradient holds NaN or inf; no recorded state of this step does."
    return f"The loss is {loss}; the states of the recurrent layers are finite. It began after them, in the loss."


def _event(step: int, kind: str, where: str, value: float | None, message: str) -> Event:
    return {
        schema.STEP: int(step),
        schema.KIND: kind,
        schema.WHERE: where,
        schema.VALUE: value,
        schema.MESSAGE: message,
    }
