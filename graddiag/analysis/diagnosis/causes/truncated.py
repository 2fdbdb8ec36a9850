"""The rule for truncated back-propagation: cut inside a step, or with a window shorter than what the task needs."""

from graddiag import schema
from graddiag.analysis.diagnosis.context import DiagnosticContext
from graddiag.analysis.diagnosis.findings import PRACTICE, Advice, Evidence, Finding, place_in
from graddiag.analysis.flow.truncation import Truncation
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.words import number, plural, span


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
        "truncated-reach", measured.severity(), sentence, evidence, _rule(thresholds), advice, used, first, "strong"
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
        _rule(measured.thresholds),
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
        "truncated-reach", measured.severity(), sentence, evidence, _rule(thresholds), (_LONGER,), (), None, "strong"
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
    return Finding("truncated-reach", "info", sentence, evidence, _rule(thresholds), (meant, _LONGER), ("usual_share",))


_LONGER = Advice(
    "Make the window longer than the distance that the task has to bridge.", "Williams & Peng 1990", "lengthen-window"
)


def _rule(thresholds: Thresholds) -> str:
    return (
        f"at {thresholds.usual_share:.0%} of the recorded steps or more: the gradient is exactly 0 at the timesteps "
        f"farthest from the loss, and still {number(thresholds.arriving)} of its largest or more one timestep nearer; "
        "or the window is shorter than the distance in the configuration; or, as information, the sequence begins from "
        "a state that is not 0."
    )
