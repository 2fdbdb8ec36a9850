"""What follows from the outcome where no rule explains it: overfitting, diverging, plateau; healthy; not measured."""

import math
from typing import Final

from graddiag import schema
from graddiag.analysis.diagnosis.causes.reach import evidence_of
from graddiag.analysis.diagnosis.context import DiagnosticContext
from graddiag.analysis.diagnosis.decisions import CHECK_DATA, LONGER, OVERFIT_ONE_BATCH
from graddiag.analysis.diagnosis.findings import PRACTICE, Advice, Evidence, Finding, FindingName, Severity
from graddiag.analysis.flow.fading import Fading
from graddiag.analysis.flow.reach import Reach
from graddiag.analysis.words import number, percent, plural


def not_measured(measured: DiagnosticContext) -> Finding:
    """The way through time was measured in no layer; why, and what it takes."""
    reach = next(iter(measured.reaches), None)
    steps, recorded, layers = len(measured.history.steps), len(measured.recorded), len(measured.selections)
    reason, advice = _why_nothing(measured, steps) if reach is None else _why_not(measured, reach)
    evidence = (
        Evidence("steps", steps, "", "the run"),
        Evidence("steps with timesteps of a recurrent layer", recorded, "", "the run"),
        Evidence("recurrent layers", layers, "", "the run"),
    )
    rule = (
        "in no recurrent layer, at no recorded step, was the way of a finite gradient above 0 from one timestep to the "
        "one before measured."
    )
    sentence = f"The gradient's way back through time was not measured: {reason[0].lower()}{reason[1:]}"
    return Finding(
        "not-measured",
        "info",
        sentence,
        evidence,
        rule,
        (Advice(advice, PRACTICE, "connect-loss"),),
        ("touched_floor",),
    )


def _why_nothing(measured: DiagnosticContext, steps: int) -> tuple[str, str]:
    if not steps and schema.EVENT_NO_UPDATE in measured.events:
        return f"The run holds no step. {measured.events[schema.EVENT_NO_UPDATE]}", (
            "pass the optimizer that updates the model to graddiag.watch: optimizer.step() was never called on the one "
            "that it has."
        )
    if not steps:
        return "The run holds no step.", (
            "record a few steps of training with graddiag.watch, and let backward() run through the recurrent layer."
        )
    return "The run holds no timestep of any recurrent layer.", _FOLLOWED


def _why_not(measured: DiagnosticContext, reach: Reach) -> tuple[str, str]:
    """Of the first layer: the reason, and what to do about it."""
    label = reach.selection.label
    not_followed = measured.events.get(schema.EVENT_GAIN_MISSING)
    if not_followed is not None and not reach.n_gains:
        return not_followed, _FOLLOW_IT
    if len(reach.timesteps) == 1 and any(each.attached for each in measured.truncations):
        return (
            f"The sequences of {label} have one timestep, and a gradient goes through the state that they begin from: "
            "how far is not known."
        ), _FOLLOW_IT
    if not reach.missing:
        return f"At no step did a finite gradient above 0 reach {label}.", _REACH_IT
    if not len(reach.steps):
        return reach.missing, _FOLLOWED
    if len(reach.timesteps) == 1:
        return reach.missing, (
            "hand the layer sequences of at least two timesteps; called once per timestep, its calls are joined only "
            "if the state is handed on without detach()."
        )
    if not reach.n_gains and not reach.zero_gains and not reach.nonfinite_gains:
        return reach.missing, (
            "hand the layer sequences of at least two timesteps. Of rows from another tool, and of a state that goes "
            "through a custom autograd function or a checkpoint, the transport gain is not known."
        )
    return reach.missing, _REACH_IT


_FOLLOWED: Final = (
    "see that the model has a layer that graddiag follows (torch.nn.RNN, LSTM, GRU or their cells, a cell named with "
    "watch(cells=...), or recorder.tap in a custom loop), and that it runs forward and backward at a recorded step."
)
_FOLLOW_IT: Final = (
    "hand the state on through torch's own operations, or give it to recorder.tap at each timestep: its total gradient "
    "is recorded whatever lies between."
)
_REACH_IT: Final = (
    "see whether the loss depends on this layer, and whether it is finite: look for a detach(), for dead units, or for "
    "the first NaN or inf."
)


def of_outcome(measured: DiagnosticContext) -> Finding | None:
    """The finding that an outcome which is not fine is listed by, for want of a cause or beside one."""
    o = measured.outcome
    if o.name == "overfits":
        stop = Advice(
            f"Stop early: keep the weights of about step {o.best_step:,}.",
            "Prechelt 1998, early stopping: but when?",
            "stop-early",
        )
        more = Advice("Add dropout or weight decay, or more data.", "Zaremba et al. 2014", "stop-early")
        return _outcome(
            "overfitting",
            "warning",
            measured,
            (stop, more),
            "the held-out goal got worse for good while the training loss did not.",
        )
    if o.name == "diverged":
        stop = Advice(
            f"Keep the weights of about step {o.best_step:,}, before the loss got worse.", "Prechelt 1998", "stop-early"
        )
        return _outcome(
            "diverging",
            "warning",
            measured,
            (_changed(o.since), measured.rate.lower(), *((stop,) if o.best_step else ())),
            "the measure of success got worse for good.",
        )
    if o.name == "stuck":
        return _outcome(
            "plateau",
            "warning",
            measured,
            _stuck(measured),
            "the measure of success is not better than a constant prediction, or than at the start.",
        )
    return None


def _changed(since: int | None) -> Advice:
    """Of a training that got worse, in which no step was too large: what else was other than before."""
    at = f" at about step {since:,}" if since else ""
    text = f"Check what changed{at}: inputs, targets, the sign and the weights of the loss."
    return Advice(text, PRACTICE, "check-data")


def _stuck(measured: DiagnosticContext) -> tuple[Advice, ...]:
    if measured.outcome.detail == "constant-prediction":
        return CHECK_DATA, OVERFIT_ONE_BATCH, LONGER
    return OVERFIT_ONE_BATCH, CHECK_DATA, LONGER


def _outcome(
    name: str, severity: Severity, measured: DiagnosticContext, advice: tuple[Advice, ...], rule: str
) -> Finding:
    o = measured.outcome
    found = [
        Evidence(f"{o.measure}, {what}", value, "", where)
        for what, value, where in (
            ("start", o.start, "first value"),
            ("best", o.best, f"step {o.best_step}"),
            ("end", o.last, "last level"),
        )
        if value is not None
    ]
    if o.reference is not None:
        found.append(Evidence(f"{o.measure} of {o.reference_name or 'guessing'}", o.reference, "", "the same units"))
    used = ("loss_steps", "loss_noise", "loss_rise", "near_chance")
    return Finding(name, severity, o.sentence, tuple(found), rule, advice, used, o.since)


def healthy(measured: DiagnosticContext) -> Finding:
    """A training that demonstrably learned or is learning, of which no rule gave more than information."""
    advice = Advice("Nothing to do about the gradient. Compare seeds with `graddiag compare`.", PRACTICE, "continue")
    if not measured.faded:
        return Finding("healthy", "info", measured.outcome.sentence, (), _HEALTHY, (advice,))
    weakest = min(measured.faded, key=lambda each: each.arriving)
    sentence = f"{measured.outcome.sentence} {_how_it_is(weakest)}"
    return Finding("healthy", "info", sentence, evidence_of(weakest), _HEALTHY, (advice,))


_HEALTHY: Final = "the training learned or is learning, and no other rule gave a warning or worse."


def unknown(measured: DiagnosticContext) -> Finding:
    """Success was not measured, or too few steps of it; the gradient's way was, as far as there is one."""
    o = measured.outcome
    advice = Advice("Log a validation metric: `recorder.log(val_loss=...)`.", PRACTICE, "log-metric")
    evidence = evidence_of(min(measured.faded, key=lambda each: each.arriving)) if measured.faded else ()
    name: FindingName = "not-judged" if measured.faded else "not-measured"
    return Finding(name, "info", o.sentence, evidence, "no measure of success is known.", (advice,))


def _how_it_is(fading: Fading) -> str:
    reach = fading.reach
    if not reach.dense:
        return (
            f"{percent(fading.arriving)} of the gradient reaches the farthest of {plural(reach.length, 'timestep')} "
            f"({reach.selection.short})."
        )
    if reach.horizon is None or math.isinf(reach.horizon):
        return "Each timestep has its own loss, and the gradient of later ones does not fade."
    return (
        f"Each timestep has its own loss; what one loss sends back falls to 1/e within {number(reach.horizon)} of "
        f"{plural(reach.length, 'timestep')} ({reach.selection.short})."
    )
