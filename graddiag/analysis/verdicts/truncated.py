"""The rule for back-propagation that is cut short, or whose window is shorter than what the task looks back."""

from graddiag.analysis.findings import PRACTICE, Advice, Evidence, Finding, place_in
from graddiag.analysis.measured import Measured
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.truncation import Truncation
from graddiag.analysis.words import number, plural, span


def truncated(measured: Measured) -> Finding | None:
    """The layer that is cut nearest to the loss; else one whose window is too short for the task's distance; else, as
    information, one that begins from a state that was carried over: truncated back-propagation, meant or not."""
    if measured.cuts:
        return _cut(min(measured.cuts, key=_reached), measured.thresholds)
    short = [each for each in measured.truncations if each.window_short]
    if short:
        return _short(short[0], measured.thresholds)
    carried = [each for each in measured.truncations if each.carried]
    return _carried(carried[0], measured.thresholds) if carried else None


def _reached(found: Truncation) -> int:
    """Timesteps that still get a gradient."""
    assert found.cut_timestep is not None
    return found.cut_timestep + 1 if found.selection.reverse else found.window - found.cut_timestep


def _cut(found: Truncation, thresholds: Thresholds) -> Finding:
    assert found.cut_timestep is not None
    assert found.cut_share is not None
    beyond, label = found.window - _reached(found), found.selection.label
    sentence = (
        f"In {label} back-propagation stops at timestep {found.cut_timestep}: the {plural(beyond, 'timestep')} beyond "
        f"it get no gradient at all, of {plural(found.window, 'timestep')} in the sequence."
    )
    first, last = int(found.steps[0]), int(found.steps[-1])
    where, place = f"{label}, {span(first, last)}", place_in(found.selection, first, last)
    evidence = (
        Evidence("timesteps without any gradient", beyond, f"of {found.window}", where, place),
        Evidence("recorded steps that are cut so", 100 * found.cut_share, "%", where, place),
    )
    advice = (
        Advice(
            "look for detach(), .data, torch.no_grad() or a state taken out as numbers between these timesteps.",
            PRACTICE,
        ),
        _LONGER,
    )
    used = ("arriving", "usual_share")
    return Finding("truncated-reach", "warning", sentence, evidence, _rule(thresholds), advice, used, first)


def _short(found: Truncation, thresholds: Thresholds) -> Finding:
    assert found.distance is not None
    label = found.selection.label
    sentence = (
        f"The window of {label} has {plural(found.window, 'timestep')} and the task looks back {found.distance}: what "
        "lies beyond the window cannot be learned."
    )
    place = place_in(found.selection)
    evidence = (
        Evidence("timesteps in a window", found.window, "", label, place),
        Evidence("distance of the task", found.distance, "timesteps", "the run's configuration"),
    )
    return Finding("truncated-reach", "warning", sentence, evidence, _rule(thresholds), (_LONGER,))


def _carried(found: Truncation, thresholds: Thresholds) -> Finding:
    assert found.carried_share is not None
    label, first, last = found.selection.label, int(found.steps[0]), int(found.steps[-1])
    sentence = (
        f"The sequences of {label} begin from a state that was carried over (or given, or learned), and no gradient "
        f"was seen to go through it: each of {plural(found.window, 'timestep')} is learned by itself."
    )
    where, place = f"{label}, {span(first, last)}", place_in(found.selection, first, last)
    evidence = (
        Evidence("recorded steps that begin so", 100 * found.carried_share, "%", where, place),
        Evidence("timesteps that a gradient goes back", found.window, "at most", where, place),
    )
    meant = Advice(
        "leave it if it is meant; if not, look for detach(), .data or torch.no_grad() where the state is handed on.",
        "Williams & Peng 1990",
    )
    return Finding("truncated-reach", "info", sentence, evidence, _rule(thresholds), (meant, _LONGER), ("usual_share",))


_LONGER = Advice(
    "make the window longer than the distance that the task has to bridge: nothing beyond it can be learned.",
    "Williams & Peng 1990",
)


def _rule(thresholds: Thresholds) -> str:
    return (
        f"at {thresholds.usual_share:.0%} of the recorded steps or more: the gradient is exactly 0 at the timesteps "
        f"farthest from the loss, and still {number(thresholds.arriving)} of its largest or more one timestep nearer; "
        "or the window is shorter than the distance in the configuration; or, as information, the sequence begins from "
        "a state that is not 0."
    )
