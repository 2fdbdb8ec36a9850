"""The rule for NaN and inf: where they began, and whether training went on."""

import numpy as np

from graddiag.analysis.findings import Advice, Evidence, Finding, Place, Severity
from graddiag.analysis.measured import Measured
from graddiag.analysis.numerics import AMP_SCALE
from graddiag.analysis.optional import optional_scalars
from graddiag.analysis.remedies import clip, smaller_rate
from graddiag.analysis.spikes import find_high
from graddiag.analysis.words import number, plural


def nonfinite(measured: Measured) -> Finding | None:
    """Any NaN or inf in the loss, the gradient or its norm."""
    origin, steps, rare = measured.origin, len(measured.history.steps), measured.thresholds.nonfinite_rare
    if not origin.found:
        return None
    where = f", at {origin.where}" if origin.where else ""
    went_on = _went_on(measured)
    severity: Severity = "warning" if went_on else "severe"
    message = f" {origin.message}" if origin.message else ""
    held = f"{plural(origin.steps, 'step')} of {steps:,} held such values."
    place = Place(
        step=origin.step,
        module=origin.module,
        layer=origin.layer,
        direction=origin.direction,
        timestep=origin.timestep,
    )
    count = Evidence("steps with NaN or inf", origin.steps, f"of {steps:,}", f"first at step {origin.step}", place)
    grown = _grown(measured)
    rule = (
        "any NaN or inf in the loss, in the gradient before clipping or in its norm; severe unless it is at less than "
        f"{rare:.0%} of the steps and the last step is free of it."
    )
    return Finding(
        "non-finite",
        severity,
        f"NaN or inf began at step {origin.step}{where}.{message} {held}",
        (count, *grown),
        rule,
        _advice(measured, went_on, bool(grown)),
        ("nonfinite_rare", "spike", "recent", "history"),
        onset=origin.step,
    )


def _went_on(measured: Measured) -> bool:
    """Whether such steps are rare and the last step is free of it."""
    origin, steps = measured.origin, len(measured.history.steps)
    rare = origin.steps < max(1, steps) * measured.thresholds.nonfinite_rare
    return origin.last_step is not None and rare and origin.last_step < steps - 1


def _grown(measured: Measured) -> tuple[Evidence, ...]:
    """The largest norm of the ``recent`` steps before, if it is many times the usual one."""
    origin, history, t = measured.origin, measured.history, measured.thresholds
    high = find_high(history.steps, history.before.values, t)
    assert origin.step is not None
    before = (high.steps < origin.step) & (high.steps >= origin.step - t.recent)
    if not before.any():
        return ()
    at = int(np.where(before, high.ratios, 0.0).argmax())
    place = Place(step=int(high.steps[at]))
    name = "largest norm in the steps before, over the usual one"
    return (Evidence(name, float(high.ratios[at]), "times", f"step {place.step}", place),)


def _advice(measured: Measured, went_on: bool, grown: bool) -> tuple[Advice, ...]:
    """Smaller steps first where the norm grew before; of a loss scaler's rare inf nothing; else where to look."""
    step, usual = measured.origin.step, measured.recommended.safety_net
    look = Advice(
        f"stop at the first such step (graddiag run --on-nonfinite stop) and look at its batch, that of step {step}; "
        "clipping does not help, since one inf makes its own entry NaN and all others 0.",
        "torch.nn.utils.clip_grad_norm_",
    )
    name = Advice(
        f"look for a division, a root or a log at 0 {_where(measured)}; anomaly detection names the operation.",
        "torch.autograd.set_detect_anomaly",
    )
    if went_on and optional_scalars(measured.run, AMP_SCALE) is not None:
        scaler = (
            "leave it: a loss scaler (GradScaler) skips such steps and lowers its scale; see that the scale settles."
        )
        return Advice(scaler, "Micikevicius et al. 2018"), look
    if grown:
        rate = smaller_rate("the norm grew before that step", measured.update_ratio, "Pascanu et al. 2013")
        net = clip(measured.history, usual, "before the first such step, since afterwards it is too late")
        return (rate, net, look) if measured.history.source.clipped else (net, rate, look)
    return look, name


def _where(measured: Measured) -> str:
    during, timestep = measured.origin.during, measured.origin.timestep
    if during is None:
        return "in the loss or outside the recurrent layers"
    return f"in the {during} pass (timestep {number(timestep)})"
