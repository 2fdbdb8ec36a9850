"""The rules for a gradient that does not reach far enough back: it vanishes, or back-propagation is cut short."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis.diagnosis.causes.exploding import exploding
from graddiag.analysis.diagnosis.causes.step_size import learning_rate_high, learning_rate_low
from graddiag.analysis.diagnosis.context import DiagnosticContext
from graddiag.analysis.diagnosis.findings import PRACTICE, Advice, Evidence, Finding, Strength, place_in
from graddiag.analysis.diagnosis.success_rates import VANISHING, with_rates
from graddiag.analysis.flow.fading import Fading, arrived_early, began
from graddiag.analysis.flow.truncation import Truncation
from graddiag.analysis.gates.time_constants import RecordedCell
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.words import number, percent, plural, span
from graddiag.kinds import KeepingGate
from graddiag.run import numbers

_UNKNOWN: Final = Advice(
    "Use an LSTM or GRU if this is a plain RNN; else raise the bias of the gate that keeps the state (no gates were "
    "recorded).",
    "Hochreiter & Schmidhuber 1997; Jozefowicz et al. 2015",
    "change-cell",
)
_ORTHOGONAL: Final = Advice(
    "Start with an orthogonal or identity recurrent weight.", "Le, Jaitly & Hinton 2015", "change-initialization"
)
_NEARER: Final = Advice(
    "Shorten the way: shorter sequences, attention, or a loss at more timesteps. Clipping cannot help a "
    "vanishing gradient.",
    "Pascanu et al. 2013",
    "shorten-path",
)
_AWAKE: Final = Advice(
    "Start with a positive bias, or use a leaky activation: a gain of exactly 0 is a timestep at which "
    "all relus are off.",
    "Maas et al. 2013",
    "revive-units",
)


def advice_on(measured: DiagnosticContext, fading: Fading) -> tuple[Advice, ...]:
    """The best fit first: a training that lost what it had is to be slowed, saturated or silent units to be freed;
    else the gate that keeps the state, or without one the initialization, then a cell with such a gate; last what
    changes the task."""
    thresholds, cell = measured.thresholds, measured.cell(fading.reach.selection)
    tries = [measured.rate.lower()] if arrived_early(fading, thresholds) and measured.harm is not None else []
    if cell.saturated is not None and cell.saturated >= thresholds.saturated:
        tries.append(_freed(cell.saturated))
    if fading.reach.zero_gains and cell.is_relu:
        tries.append(_AWAKE)
    tries += _by_cell(measured, fading, cell)
    return with_rates((*tries, _NEARER), VANISHING)


def _by_cell(measured: DiagnosticContext, fading: Fading, cell: RecordedCell) -> list[Advice]:
    thresholds = measured.thresholds
    if cell.type is None:
        return [_UNKNOWN, _ORTHOGONAL]
    if cell.type.keeping is None:
        gated = _gated(fading.reach.length)
        if _began_orthogonal(measured, fading):
            return [gated]
        # a gradient that arrived at first is not lost by the initialization
        return [gated, _ORTHOGONAL] if arrived_early(fading, thresholds) else [_ORTHOGONAL, gated]
    # a gate that is open already is not what forgets
    is_open = cell.carried is not None and cell.carried >= thresholds.gate_open
    return [] if is_open else [_bias(fading, cell.type.keeping, cell.carried, thresholds)]


def _began_orthogonal(measured: DiagnosticContext, fading: Fading) -> bool:
    """Whether the layer's recurrent weight was about orthogonal at the first step that has its spectrum."""
    at = fading.reach.selection
    columns = [schema.PARAMETER, schema.SPECTRAL_RADIUS, schema.SPECTRAL_NORM]
    where = {schema.STEP: [int(step) for step in measured.recorded[:1]]}
    rows = measured.run.read(schema.TABLE_PARAMETERS, columns=columns, where=where)
    own = [f"{at.module}.weight_hh{end}" for end in ("", f"_l{at.layer}{'_reverse' if at.reverse else ''}")]
    rows = rows[rows[schema.PARAMETER].isin(each.removeprefix(".") for each in own)]
    sizes = np.stack([numbers(rows[name])[0] for name in columns[1:]])
    return sizes.size > 0 and bool((np.abs(sizes - 1) < _ORTHOGONAL_WITHIN).all())


def _gated(length: int) -> Advice:
    """Of an LSTM that begins with time constants shorter than the sequence the same is found again."""
    bias = max(1.0, math.log(max(1, length - 1)))
    return Advice(
        f"Use an LSTM or GRU whose gate f (of a GRU z) is open from the start: a bias of up to ln(T - 1) = {bias:.2g}.",
        "Hochreiter & Schmidhuber 1997; Tallec & Ollivier 2018",
        "change-cell",
    )


def _bias(fading: Fading, gate: KeepingGate, carried: float | None, thresholds: Thresholds) -> Advice:
    """A bias with which the gate alone lets enough of a state through the whole sequence, 1 at the least."""
    needed = thresholds.arriving ** (1 / max(1, fading.reach.length - 1))
    bias = max(1.0, math.log(needed / (1 - needed)))
    now = "" if carried is None else f"; it is open to {percent(carried)} now"
    text = f"Raise {gate.bias} to {bias:.2g} or more{gate.note}{now}."
    return Advice(text, gate.source, "raise-forget-bias")


def _freed(share: float) -> Advice:
    return Advice(
        f"Scale the inputs down or start with smaller weights: {percent(share)} of the activations are saturated.",
        "Glorot & Bengio 2010",
        "scale-inputs",
    )


_ORTHOGONAL_WITHIN: Final = 0.05  # of 1: spectral radius and norm of a weight that is about orthogonal
_SHORT_WINDOW: Final = 20  # timesteps
_USED: Final = (
    *("touched_floor", "arriving", "arriving_severe", "fresh_gain", "dense_share", "judged_share"),
    *("gate_open", "saturated"),
)


def vanishing(measured: DiagnosticContext) -> Finding | None:
    """The finding about the layer in which the smallest share is left, or None; layers whose back-propagation is cut
    short are left out."""
    cut = [each.selection for each in measured.cuts]
    found = [each for each in measured.faded if each.reach.selection not in cut]
    starved = [each for each in found if each.arriving < measured.thresholds.arriving]
    if starved:
        return _starved(measured, min(starved, key=lambda each: each.arriving))
    return _dense(measured, found)


def _starved(measured: DiagnosticContext, fading: Fading) -> Finding:
    reach, share, t = fading.reach, fading.arriving, measured.thresholds
    amount = percent(share) if share > 0 else "nothing"
    sentence = (
        f"The gradient vanishes: {amount} of it reaches the timesteps farthest from the loss ({reach.selection.label}, "
        f"{plural(reach.length, 'timestep')}, median of {span(*fading.judged)}). What happens there is not learned."
    )
    inside = reach.inside
    if inside is not None and inside.makes_vanishing:
        sentence += f" {inside.sentence}"
    since = began(fading, t)
    thrown = measured.thrown_first
    late = arrived_early(fading, t) or (thrown is not None and since > thrown)
    if late and since > fading.reach.steps[0]:
        sentence += f" Until step {since:,} it did reach them."
    severe = share < t.arriving_severe
    strength: Strength = "weak" if late or not _explains(measured) else "strong" if severe else "moderate"
    severe = severe and not late
    advice = advice_on(measured, fading)
    if inside is not None and inside.makes_vanishing:
        loosen = Advice(
            f"Loosen or remove {inside.policy}: it makes the gradient vanish.", PRACTICE, "raise-clip-threshold"
        )
        advice = (loosen, *advice)
    return Finding(
        "vanishing",
        measured.severity(severe=severe),
        sentence,
        evidence_of(fading),
        _vanishing_rule(t),
        advice,
        _USED,
        since,
        strength,
    )


def _explains(measured: DiagnosticContext) -> bool:
    """Whether a gradient that vanishes may be why the training is where it is: it explains what is not learned, neither
    a loss that gets worse, nor one far above a constant prediction, nor weights that hardly moved."""
    return not (measured.outcome.name == "diverged" or measured.unmoved or measured.far_above)


def _dense(measured: DiagnosticContext, found: Sequence[Fading]) -> Finding | None:
    """With a loss at most timesteps: how much of what one loss sends back is left one timestep earlier."""
    t = measured.thresholds
    short = [each for each in found if each.fresh_gain is not None and each.fresh_gain < t.fresh_gain]
    if not short:
        return None
    fading = min(short, key=lambda each: each.fresh_gain or 0.0)
    reach = fading.reach
    sentence = (
        f"What a loss sends back vanishes: {percent(fading.fresh_gain or 0.0)} of it is left after one timestep "
        f"({reach.selection.label}). Each timestep learns from its own loss alone."
    )
    advice = advice_on(measured, fading)
    rule, evidence = _vanishing_rule(t), evidence_of(fading)
    strength: Strength = "moderate" if _explains(measured) else "weak"
    return Finding(
        "vanishing", measured.severity(), sentence, evidence, rule, advice, _USED, fading.judged[0], strength
    )


def evidence_of(fading: Fading) -> tuple[Evidence, ...]:
    """The numbers about the gradient's way back through time in one layer."""
    reach = fading.reach
    judged, all_steps = (
        f"{reach.selection.label}, {span(*steps)}"
        for steps in (fading.judged, (int(reach.steps[0]), int(reach.steps[-1])))
    )
    place, everywhere = (
        place_in(reach.selection, *steps) for steps in (fading.judged, (int(reach.steps[0]), int(reach.steps[-1])))
    )
    share = "share of the gradient that reaches the farthest timestep, median"
    found = [Evidence(share, fading.arriving, "", judged, place)]
    if reach.exponent is not None and reach.horizon is not None:
        found.append(Evidence("growth rate of the gradient", reach.exponent, "per timestep", all_steps, everywhere))
        unit = "(it does not fade)" if math.isinf(reach.horizon) else f"of {plural(reach.length, 'timestep')}"
        found.append(Evidence("memory horizon", reach.horizon, unit, all_steps, everywhere))
    if reach.ratio is not None:
        name = "‖dL/dh‖ at the first timestep over the last, median"
        found.append(Evidence(name, reach.ratio, "", all_steps, everywhere))
    if reach.zero_gains:
        found.append(Evidence("transport gains that are exactly 0", reach.zero_gains, "", all_steps, everywhere))
    return tuple(found)


def _vanishing_rule(thresholds: Thresholds) -> str:
    return (
        f"over the last {thresholds.judged_share:.0%} of the recorded steps the median share that reaches the "
        f"farthest timestep is below {number(thresholds.arriving)} (severe below "
        f"{number(thresholds.arriving_severe)}, the resolution of float32); or, with a loss at most timesteps, a mean "
        f"transport gain below {number(thresholds.fresh_gain)}."
    )


def truncated(measured: DiagnosticContext) -> Finding | None:
    """The layer that is cut nearest to the loss; one whose state is cut between its calls within a step; one whose
    window is too short for the task's distance; else, as information, one that begins from a carried state."""
    if measured.cuts:
        return _cut(measured, min(measured.cuts, key=_reached))
    inside = measured.events.get(schema.EVENT_STATE_DETACHED)
    if inside is not None:
        return _inside(measured, inside)
    short = [each for each in measured.truncations if each.window_short]
    if short:
        return _short(measured, short[0])
    carried = [each for each in measured.truncations if each.carried]
    return _carried(measured, carried[0]) if carried else None


def _reached(found: Truncation) -> int:
    """Timesteps that still get a gradient."""
    assert found.cut_timestep is not None
    return found.cut_timestep + 1 if found.selection.reverse else found.window - found.cut_timestep


def _cut(measured: DiagnosticContext, found: Truncation) -> Finding:
    thresholds = measured.thresholds
    assert found.cut_timestep is not None
    assert found.cut_share is not None
    beyond, label = found.window - _reached(found), found.selection.label
    sentence = (
        f"Back-propagation stops at timestep {found.cut_timestep} of {label}: {beyond} of "
        f"{plural(found.window, 'timestep')} get no gradient."
    )
    sentence += f" The policy {found.cut_by} cuts it." if found.cut_by is not None else ""
    first, last = int(found.steps[0]), int(found.steps[-1])
    where, place = f"{label}, {span(first, last)}", place_in(found.selection, first, last)
    evidence = (
        Evidence("timesteps without any gradient", beyond, f"of {found.window}", where, place),
        Evidence("recorded steps that are cut so", 100 * found.cut_share, "%", where, place),
    )
    uncut = Advice(
        f"Remove the detach() before timestep {found.cut_timestep} (or .data, torch.no_grad()).",
        PRACTICE,
        "remove-detach",
    )
    advice = (uncut, _LONGER) if found.cut_by is None else (_LONGER,)
    used = ("arriving", "usual_share")
    return Finding(
        "truncated-reach",
        measured.severity(),
        sentence,
        evidence,
        _truncation_rule(thresholds),
        advice,
        used,
        first,
        "strong",
    )


def _inside(measured: DiagnosticContext, message: str) -> Finding:
    advice = (
        Advice("Remove the detach() of the state between the calls of one step (or .data).", PRACTICE, "remove-detach"),
        _LONGER,
    )
    return Finding(
        "truncated-reach",
        measured.severity(),
        message,
        (),
        _truncation_rule(measured.thresholds),
        advice,
        ("usual_share",),
        0,
        "strong",
    )


def _short(measured: DiagnosticContext, found: Truncation) -> Finding:
    thresholds = measured.thresholds
    assert found.distance is not None
    label = found.selection.label
    sentence = (
        f"The window has {plural(found.longest, 'timestep')} and the task looks back {found.distance} ({label}): no "
        "gradient links what lies farther apart."
    )
    place = place_in(found.selection)
    evidence = (
        Evidence("timesteps in a window", found.longest, "", label, place),
        Evidence("distance of the task", found.distance, "timesteps", "the run's configuration"),
    )
    return Finding(
        "truncated-reach",
        measured.severity(),
        sentence,
        evidence,
        _truncation_rule(thresholds),
        (_LONGER,),
        (),
        None,
        "strong",
    )


def _carried(measured: DiagnosticContext, found: Truncation) -> Finding:
    thresholds = measured.thresholds
    assert found.carried_share is not None
    label, first, last = found.selection.label, int(found.steps[0]), int(found.steps[-1])
    sentence = (
        f"The sequences of {label} begin from a state that is not 0. graddiag saw no gradient go through it: at most "
        f"{plural(found.window, 'timestep')} are linked by a gradient."
    )
    where, place = f"{label}, {span(first, last)}", place_in(found.selection, first, last)
    evidence = (
        Evidence("recorded steps that begin so", 100 * found.carried_share, "%", where, place),
        Evidence("timesteps that a gradient goes back", found.window, "at most", where, place),
    )
    meant = Advice(
        "Leave it if truncated back-propagation is meant; else remove the detach() where the state is handed on.",
        "Williams & Peng 1990",
        "continue",
    )
    rule = _truncation_rule(thresholds)
    if not _short_for_a_stuck_training(measured, found):
        return Finding("truncated-reach", "info", sentence, evidence, rule, (meant, _LONGER), ("usual_share",))
    sentence += " What the task needs from farther back is not learned."
    return Finding(
        "truncated-reach", measured.severity(), sentence, evidence, rule, (_LONGER, meant), ("usual_share",), first,
        "moderate",
    )  # fmt: skip


def _short_for_a_stuck_training(measured: DiagnosticContext, found: Truncation) -> bool:
    """Whether the training stays at a constant prediction, its windows are short, and nothing else explains it."""
    if not (measured.outcome.name == "stuck" and measured.at_reference and found.window <= _SHORT_WINDOW):
        return False
    others = (learning_rate_low, learning_rate_high, exploding, vanishing)
    return not any(each is not None and each.alarming for each in (rule(measured) for rule in others))


_LONGER = Advice(
    "Make the window longer than the distance that the task has to bridge.", "Williams & Peng 1990", "lengthen-window"
)


def _truncation_rule(thresholds: Thresholds) -> str:
    return (
        f"at {thresholds.usual_share:.0%} of the recorded steps or more: the gradient is exactly 0 at the timesteps "
        f"farthest from the loss, and still {number(thresholds.arriving)} of its largest or more one timestep nearer; "
        "or the window is shorter than the distance in the configuration; or, as information, the sequence begins from "
        f"a state that is not 0: a cause where its windows have at most {_SHORT_WINDOW} timesteps, the training stays "
        "at a constant prediction and nothing else explains that."
    )
