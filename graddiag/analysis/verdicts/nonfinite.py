"""The rule for NaN and inf: where they began, and whether training went on."""

from graddiag.analysis.findings import Advice, Evidence, Finding, Place, Severity
from graddiag.analysis.measured import Measured
from graddiag.analysis.words import plural

_RARE = 0.01


def nonfinite(measured: Measured) -> Finding | None:
    """Any NaN or inf in the loss, the gradient or its norm."""
    origin, steps = measured.origin, len(measured.history.steps)
    if not origin.found:
        return None
    where = f", at {origin.where}" if origin.where else ""
    went_on = origin.last_step is not None and origin.steps < max(1, steps) * _RARE and origin.last_step < steps - 1
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
    return Finding(
        "non-finite",
        severity,
        f"NaN or inf began at step {origin.step}{where}.{message} {held}",
        (Evidence("steps with NaN or inf", origin.steps, f"of {steps:,}", f"first at step {origin.step}", place),),
        "any NaN or inf in the loss, in the gradient before clipping or in its norm; severe unless it is at less than "
        f"{_RARE:.0%} of the steps and the last step is free of it.",
        (
            Advice(
                "stop at the first such step (graddiag run --on-nonfinite stop) and look at its batch; clipping does "
                "not help, since one inf makes its own entry NaN and all others 0.",
                "torch.nn.utils.clip_grad_norm_",
            ),
            Advice(
                "a smaller learning rate, or clipping from the start, if the norm grew before that step.",
                "Pascanu et al. 2013",
            ),
        ),
        onset=origin.step,
    )
