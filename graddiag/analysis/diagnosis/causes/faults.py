"""Rules about faults of the training loop: they are certain, whatever the loss does."""

import re
from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis.diagnosis.context import DiagnosticContext
from graddiag.analysis.diagnosis.findings import PRACTICE, Advice, Evidence, Finding, Place, Severity
from graddiag.analysis.diagnosis.outcome.untrained import in_float16, underflowed
from graddiag.analysis.optimization.numerics import AMP_SCALE
from graddiag.analysis.values import Ints
from graddiag.analysis.words import number, percent, plural
from graddiag.run import numbers

# at so many of the steps a fault is one of the whole training
_MOST: Final = 0.5
_ROUNDS: Final = 1e-5  # an update of less than this share of the weights may round to nothing in float32
_ENTRIES: Final = 1e3  # root of the number of entries of a large parameter, between its norm and an entry
_HALF: Final = ("float16", "bfloat16")
_NAMED: Final = 3  # parameters named in a sentence
_RECURRENT: Final = re.compile(r"(^|\.)weight_hh(_l\d+(_reverse)?)?$")  # as torch.nn and graddiag.nn name them


def no_gradient(measured: DiagnosticContext) -> Finding | None:
    """A recurrent layer ran at most steps and no gradient reached it."""
    steps, unreached = measured.scalar(schema.UNREACHED_MODULES)
    without = unreached > 0
    norms = measured.history.before.values
    nothing = len(norms) > 0 and bool(
        (norms[np.isfinite(norms)] == 0).mean() > _MOST if np.isfinite(norms).any() else False
    )
    if in_float16(measured.run) and (nothing or not len(steps) or without.mean() < _MOST):
        return _underflow(measured, nothing=nothing)
    nothing = nothing and not measured.outcome.fine  # at a loss of exactly 0 there is no gradient either
    if not len(steps) or (without.mean() < _MOST and not nothing):
        return None
    where = _where(measured, schema.EVENT_NO_GRADIENT)
    what = "any parameter" if nothing or where == schema.ALL_PARAMETERS else where or "a recurrent layer"
    count = int(without.sum()) if without.any() else len(norms)
    sentence = f"No gradient reaches {what}: at {count:,} of {plural(len(steps), 'step')} it ran and got none."
    advice = Advice(
        "Connect the loss to the layer: look for detach(), .data, .item() or torch.no_grad() between them.",
        PRACTICE,
        "connect-loss",
    )
    found = (Evidence("steps without a gradient", count, f"of {len(steps):,}", "the run", Place(step=int(steps[0]))),)
    rule = (
        f"at {_MOST:.0%} of the steps or more a recurrent module ran in training mode and its parameters got "
        "no gradient."
    )
    return Finding(
        "no-gradient", _certain(measured, severe=True), sentence, found, rule, (advice,), (), int(steps[0]), "strong"
    )


def _underflow(measured: DiagnosticContext, *, nothing: bool) -> Finding | None:
    """Gradients that are too small for float16, all of them or most entries of a recurrent matrix."""
    found = (1.0, schema.ALL_PARAMETERS) if nothing else underflowed(measured.run)
    if found is None or any((each.share or 0.0) >= _MOST for each in measured.dead):
        return None
    share, where = found
    sentence = (
        f"The gradient underflows in float16: {percent(share)} of its entries are exactly 0 ({where}, median of the "
        "recorded steps)."
    )
    scales = measured.scalar(AMP_SCALE)[1] if AMP_SCALE in measured.run.steps else np.zeros(0)
    text = (
        f"Raise the scale of the GradScaler (now {number(float(scales[-1]))}; its default starts at 65,536)."
        if len(scales)
        else "Scale the loss with torch.amp.GradScaler, or use bfloat16, which has the range of float32."
    )
    rule = (
        f"of a model that computes in float16 the gradient is exactly 0, or {_MOST:.0%} of the entries of a recurrent "
        "matrix are, in the median recorded step."
    )
    advice = Advice(text, "Micikevicius et al. 2018, section 3.2", "scale-loss")
    evidence = (Evidence("entries of the gradient that are exactly 0", 100 * share, "%", where),)
    severity = _certain(measured) if not measured.outcome.fine else "info"
    return Finding(
        "no-gradient", severity, sentence, evidence, rule, (advice,), (), 0, "strong", "gradient underflows in float16"
    )


def parameters_not_updated(measured: DiagnosticContext) -> Finding | None:
    """Parameters that get a gradient at every recorded step and are never changed by an update."""
    still = _never_updated(measured)
    if not still:
        return _frozen(measured)
    outside = set(measured.run.manifest.not_in_optimizer or ())
    names = sorted(still)
    told = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    missing = bool(outside) and set(names) <= outside
    half = not missing and _half_weights(measured)
    why = "the optimizer does not hold them" if missing else "the optimizer leaves them as they are (learning rate 0?)"
    why = f"updates of this size round to nothing in {half}" if half else why
    sentence = f"{plural(len(names), 'parameter')} got a gradient at every recorded step and no update: {told}. "
    sentence += f"{why[0].upper()}{why[1:]}."
    text = (
        "Pass all parameters to the optimizer: `Optimizer(model.parameters(), ...)`."
        if missing
        else "Keep the weights in float32 with torch.autocast for the forward pass, or raise the learning rate."
        if half
        else (
            "Give these parameters a learning rate above 0, or freeze them with requires_grad_(False) if that is meant."
        )
    )
    found = (Evidence("parameters without any update", len(names), f"of {_parameters(measured)}", "recorded steps"),)
    rule = "at every recorded step the gradient of the parameter is not 0 and its update is exactly 0."
    advice = (
        (Advice(text, "Micikevicius et al. 2018, section 3.1", "keep-float32-weights"),)
        if half
        else (Advice(text, PRACTICE, "update-parameters"),)
    )
    return Finding("parameters-not-updated", _certain(measured), sentence, found, rule, advice, (), 0, "strong")


def _frozen(measured: DiagnosticContext) -> Finding | None:
    """Every recurrent weight is frozen, in a training that is stuck: as it should be where only a head is trained, and
    then the features that it gets are not enough."""
    frozen = measured.run.manifest.frozen or ()
    names = sorted(name for name in frozen if _RECURRENT.search(name))
    if not names or measured.outcome.name != "stuck" or any(_RECURRENT.search(name) for name in _trained(measured)):
        return None
    sentence = (
        f"Every recurrent weight is frozen (requires_grad=False): {', '.join(names[:_NAMED])}"
        f"{f' and {len(names) - _NAMED} more' if len(names) > _NAMED else ''}. Nothing is learned through time."
    )
    found = (Evidence("parameters that are frozen", len(frozen), "", "the run"),)
    rule = "in a training that is stuck every recurrent weight has requires_grad=False."
    text = "Call requires_grad_(True) on the recurrent layer and pass its parameters to the optimizer."
    advice = Advice(text, PRACTICE, "update-parameters")
    return Finding(
        "parameters-not-updated", measured.severity(), sentence, found, rule, (advice,), (), 0, "moderate",
        "recurrent weights are frozen",
    )  # fmt: skip


def _trained(measured: DiagnosticContext) -> set[str]:
    """The names of the parameters with requires_grad, whether the optimizer holds them or not."""
    rows = measured.run.read(
        schema.TABLE_PARAMETERS, columns=[schema.PARAMETER], where={schema.STEP: _some(measured.history.steps)}
    )
    return {str(name) for name in rows[schema.PARAMETER]} | set(measured.run.manifest.not_in_optimizer or ())


def _half_weights(measured: DiagnosticContext) -> str:
    """float16 or bfloat16 where the parameters are of that type and the learning rate is above 0; else empty."""
    kinds = measured.run.manifest.environment.get("dtype", "").split(",")
    rates = measured.scalar(schema.LR)[1]
    return next((kind.strip() for kind in kinds if kind.strip() in _HALF), "") if (rates > 0).any() else ""


def _never_updated(measured: DiagnosticContext) -> set[str]:
    columns = [schema.STEP, schema.PARAMETER, schema.GRAD_NORM_CLIPPED, schema.WEIGHT_NORM, schema.UPDATE_RATIO]
    rows = measured.run.read(schema.TABLE_PARAMETERS, columns=columns, where={schema.STEP: _some(measured.recorded)})
    if not len(rows):
        return set()
    names = rows[schema.PARAMETER].to_numpy(dtype=object)
    grads, weights, ratios = (numbers(rows[name])[0] for name in columns[2:])
    rates = measured.scalar(schema.LR)[1]
    rate = float(rates.max()) if len(rates) else 0.0
    outside = measured.run.manifest.not_in_optimizer or ()
    # of parameters that the optimizer holds an update that rounds to 0 is none of its faults
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        sizes = 1 / (1 + _ENTRIES * _epsilon(measured) / grads) if measured.rate.adaptive else grads
        felt = rate * sizes > _ROUNDS * weights
    found = set()
    for name in dict.fromkeys(names):
        own = names == name
        # one that another optimizer updates changes between the steps of this one
        unchanged = (ratios[own] == 0) | (np.isnan(ratios[own]) & (name in outside))
        still = own.sum() >= 2 and bool((grads[own] > 0).all()) and bool(unchanged.all())
        still = still and bool((weights[own] == weights[own][0]).all())
        if still and (name in outside or bool(felt[own].all())):
            found.add(str(name))
    return found


def _epsilon(measured: DiagnosticContext) -> float:
    """What Adam and its kin add to the root of the second moment: an entry of the gradient below it moves less."""
    value = (measured.run.manifest.optimizer or {}).get("eps")
    return float(value) if isinstance(value, int | float) else 1e-8


def _some(steps: Ints) -> list[int]:
    """Up to 64 of the recorded steps, evenly spaced: enough to see that an update never comes."""
    return [int(step) for step in steps[np.unique(np.linspace(0, len(steps) - 1, min(64, len(steps))).astype(int))]]


def _parameters(measured: DiagnosticContext) -> int:
    rows = measured.run.read(
        schema.TABLE_PARAMETERS, columns=[schema.PARAMETER], where={schema.STEP: _some(measured.recorded[:1])}
    )
    return int(rows[schema.PARAMETER].nunique())


def gradients_not_zeroed(measured: DiagnosticContext) -> Finding | None:
    """The backward pass adds to gradients that an update has used already, at most steps."""
    steps, counts = measured.scalar(schema.GRADIENTS_NOT_ZEROED)
    if len(steps) < 2 or (counts[1:] > 0).mean() < _MOST:
        return None
    share = float((counts[1:] > 0).mean())
    some = _where(measured, schema.EVENT_GRADIENTS_NOT_ZEROED) or f"{number(float(counts.max()))} parameters"
    sentence = (
        f"Gradients are not zeroed: at {percent(share)} of the steps the backward pass adds to the "
        "gradient that the update "
        f"before had used ({some})."
    )
    advice = Advice("Call optimizer.zero_grad() before each backward().", PRACTICE, "zero-gradients")
    found = (Evidence("steps whose gradient was added to an old one", 100 * share, "%", "the run"),)
    rule = f"at {_MOST:.0%} of the steps or more a gradient that an update has used is added to."
    outside = bool(measured.run.manifest.not_in_optimizer)
    severity = "info" if outside and parameters_not_updated(measured) is not None else _certain(measured)
    return Finding("gradients-not-zeroed", severity, sentence, found, rule, (advice,), (), int(steps[0]), "strong")


def clip_before_unscale(measured: DiagnosticContext) -> Finding | None:
    """Clipping acts on gradients that still carry the scale of a GradScaler."""
    message = measured.events.get(schema.EVENT_CLIP_BEFORE_UNSCALE)
    if message is None:
        return None
    advice = Advice(
        "Call scaler.unscale_(optimizer) before clipping.",
        "torch.amp examples: gradient clipping",
        "unscale-before-clipping",
    )
    rule = "the gradient was made smaller while it was still scaled."
    onset = _onset(measured, schema.EVENT_CLIP_BEFORE_UNSCALE)
    return Finding("clip-before-unscale", _certain(measured), message, (), rule, (advice,), (), onset, "strong")


def clip_misplaced(measured: DiagnosticContext) -> Finding | None:
    """Clipping that comes too late or too early to act on the update."""
    message = measured.events.get(schema.EVENT_CLIP_MISPLACED)
    if message is None:
        return None
    advice = Advice("Clip between backward() and optimizer.step().", PRACTICE, "move-clipping")
    rule = (
        "the gradient was changed after the update that used it; or the run says norm:C and an update used a "
        "larger norm."
    )
    onset = _onset(measured, schema.EVENT_CLIP_MISPLACED)
    return Finding("clip-misplaced", _certain(measured), message, (), rule, (advice,), (), onset, "strong")


def _certain(measured: DiagnosticContext, *, severe: bool = False) -> Severity:
    return measured.severity(severe=severe, certain=True)


def _onset(measured: DiagnosticContext, kind: str) -> int | None:
    rows = measured.run.read(schema.TABLE_EVENTS, columns=[schema.STEP], where={schema.KIND: kind})
    return int(rows[schema.STEP].min()) if len(rows) else None


def _where(measured: DiagnosticContext, kind: str) -> str | None:
    rows = measured.run.read(schema.TABLE_EVENTS, columns=[schema.WHERE], where={schema.KIND: kind})
    return str(rows[schema.WHERE].iloc[0]) if len(rows) else None
