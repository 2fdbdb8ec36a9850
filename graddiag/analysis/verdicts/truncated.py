"""The rule for back-propagation that is cut short, or whose window is shorter than what the task looks back."""

from graddiag.analysis.findings import Advice, Evidence, Finding, place_in
from graddiag.analysis.measured import Measured
from graddiag.analysis.truncation import Truncation
from graddiag.analysis.words import plural, span


def truncated(measured: Measured) -> Finding | None:
    """The layer that is cut nearest to the loss; else one whose window is too short for the task's distance; else, as
    information, one that begins from a state that was carried over: truncated back-propagation, meant or not."""
    if measured.cuts:
        return _cut(min(measured.cuts, key=_reached))
    short = [each for each in measured.truncations if each.window_short]
    if short:
        return _short(short[0])
    carried = [each for each in measured.truncations if each.carried]
    return _carried(carried[0]) if carried else None


def _reached(found: Truncation) -> int:
    """Timesteps that still get a gradient."""
    assert found.cut_timestep is not None
    return found.cut_timestep + 1 if found.selection.reverse else found.window - found.cut_timestep


def _cut(found: Truncation) -> Finding:
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
        Advice("look for detach(), .data, torch.no_grad() or a state taken out as numbers between these timesteps."),
        _LONGER,
    )
    return Finding("truncated-reach", "warning", sentence, evidence, _RULE, advice, ("arriving",), first)


def _short(found: Truncation) -> Finding:
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
    return Finding("truncated-reach", "warning", sentence, evidence, _RULE, (_LONGER,), ("arriving",))


def _carried(found: Truncation) -> Finding:
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
    return Finding("truncated-reach", "info", sentence, evidence, _RULE, (meant, _LONGER), ())


_LONGER = Advice(
    "make the window longer than the distance that the task has to bridge: nothing beyond it can be learned.",
    "Williams & Peng 1990",
)
_RULE = (
    "at half of the recorded steps or more: the gradient is exactly 0 at the timesteps farthest from the loss, and "
    "still of a usual size one timestep nearer; or the window is shorter than the distance in the configuration; "
    "or, as information, the sequence begins from a state that is not 0."
)
