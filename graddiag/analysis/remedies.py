"""Advice that several findings give, fitted to how the run clips and how large its steps are."""

from typing import Final

from graddiag.analysis.findings import PRACTICE, Advice
from graddiag.analysis.norms import NormHistory
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.words import number

HEURISTIC: Final = "Pascanu et al. 2013, section 3.2"
WALLS: Final = "Pascanu et al. 2013, section 2.3"
RATIO: Final = "update against weight near 1e-3: CS231n, Karpathy"


def clip(history: NormHistory, usual: float | None, why: str = "") -> Advice:
    """Clip by global norm; of a run that does, the threshold that would hold it. usual: a norm to set it by."""
    because = f": {why}" if why else ""
    if not history.source.clipped:
        say = "" if not usual else f", norm:{usual:.2g} say (the usual norm; half to ten times it will do)"
        return Advice(f"clip by global norm{say}{because}.", HEURISTIC)
    if history.threshold is None:
        say = f"norm:{usual:.2g} say" if usual else "at the usual norm"
        return Advice(
            f"clip by global norm, {say}, since {history.source.clip} did not prevent this{because}.", HEURISTIC
        )
    lower = usual if usual and usual < history.threshold else history.threshold / 10
    return Advice(
        f"a lower clip threshold, norm:{lower:.2g} say: at {number(history.threshold)} clipping did not prevent "
        f"this{because and f', and {why}'}.",
        HEURISTIC,
    )


def smaller_rate(why: str, ratio: float | None, source: str = WALLS) -> Advice:
    """A smaller learning rate, with the size of the steps, or that it is not known."""
    return Advice(f"a smaller learning rate{told(ratio)}: {why}.", source)


def told(ratio: float | None) -> str:
    """The size of the median update in brackets, or that it was not recorded."""
    if ratio is None:
        return " (how large an update is against the weights was not recorded)"
    return f" (an update is {number(ratio)} of the weights in the median step)"


def large_steps(ratio: float | None, thresholds: Thresholds) -> bool:
    return ratio is not None and ratio >= thresholds.large_update


BY_HEART: Final = Advice(
    "see whether the model can learn a single batch by heart; if not, look for an error in the data, the targets or "
    "the loss.",
    "Karpathy 2019, a recipe for training neural networks",
)
LONGER: Final = Advice("train longer: tasks with long dependencies stay at chance for many steps, then fall.", PRACTICE)
