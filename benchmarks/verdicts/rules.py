"""The rules that are compared: graddiag's own verdict, and two that read what any tracker shows.

The two are given the best thresholds that this very suite has for them; graddiag's are those it comes with.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from benchmarks.verdicts.training import ALARMS, Outcome, Seen

LABELS: Final = ("healthy", "exploding", "vanishing", "non-finite")
PART: Final = "a part of it"  # the worst alarm was given, and another that is clearly due was not
ANSWERS: Final = (*LABELS, PART)
NORMS: Final = tuple(10.0 ** np.arange(-12, 5.01, 0.5))
RADII: Final = tuple(np.round(np.arange(0.0, 3.01, 0.05), 2))

Answer = frozenset[str]
Figures = Callable[[Seen], tuple[float, float]]


@dataclass(frozen=True)
class Rule:
    """Calls a training vanishing below ``low`` and exploding above ``high``; non-finite where ``figures`` are.

    figures: the number compared with ``low`` and the one compared with ``high``.
    """

    name: str
    figures: Figures
    low: float
    high: float

    def __call__(self, outcome: Outcome) -> Answer:
        return self.answer(*self.figures(outcome.seen))

    def answer(self, small: float, large: float) -> Answer:
        if not (math.isfinite(small) and math.isfinite(large)):
            return frozenset({"non-finite", "exploding"})
        alarms = {"vanishing": small < self.low, "exploding": large > self.high}
        return frozenset(name for name, on in alarms.items() if on)


def graddiag_says(outcome: Outcome) -> Answer:
    """The findings of at least a warning, of those that the suite judges."""
    return outcome.alarms


def global_norm(seen: Seen) -> tuple[float, float]:
    """The norm over all parameters: its median, and its largest value."""
    return float(np.median(seen.norms)), float(np.max(seen.norms))


def recurrent_norm(seen: Seen) -> tuple[float, float]:
    """The norm of the gradient of W_hh alone: its median, and its largest value."""
    return float(np.median(seen.recurrent_norms)), float(np.max(seen.recurrent_norms))


def norm_and_jump(seen: Seen) -> tuple[float, float]:
    """The norm over all parameters: its median, and its largest value over its median."""
    median = float(np.median(seen.norms))
    return median, float(np.max(seen.norms)) / median if median else float("inf")


def spectral_radius(seen: Seen) -> tuple[float, float]:
    """The spectral radius of W_hh (of a gated cell the largest of its blocks), the median over training, twice."""
    radius = float(np.median(seen.radii)) if np.isfinite(seen.radii).all() else float("nan")
    return radius, radius


def tuned(name: str, figures: Figures, grid: Sequence[float], found: Sequence[Outcome]) -> Rule:
    """The rule with the thresholds of ``grid`` that answer most of ``found`` rightly."""
    read = [(one, figures(one.seen)) for one in found]
    rules = (Rule(name, figures, low, high) for low, high in product(grid, grid) if low <= high)
    return max(rules, key=lambda rule: sum(right(one, rule.answer(*numbers)) for one, numbers in read))


def rivals(found: Sequence[Outcome]) -> tuple[Rule, ...]:
    """The rules that read what any tracker shows, each at its best on ``found``."""
    return (
        tuned("norm of all gradients", global_norm, NORMS, found),
        tuned("norm of dL/dW_hh", recurrent_norm, NORMS, found),
        tuned("norm of all gradients, and its jumps", norm_and_jump, NORMS, found),
        tuned("spectral radius of W_hh", spectral_radius, RADII, found),
    )


def right(outcome: Outcome, answer: Answer) -> bool:
    """Whether every alarm that is clearly so was given, and none that is clearly not so."""
    return all((name in answer) == so for name, so in clear(outcome).items() if so is not None)


def clear(outcome: Outcome) -> dict[str, bool | None]:
    """By alarm, the worst first, whether it is clearly due, clearly not, or (None) in the band."""
    truth = outcome.truth
    return dict(zip(ALARMS, (truth.nonfinite, truth.exploding, truth.vanishing), strict=True))


def label(outcome: Outcome, answer: Answer) -> str:
    """``answer`` in one word, the true label if and only if the answer is right: else the worst alarm that it gives
    wrongly; where all that it gives are due, PART if the worst one is among them, or the worst of those given."""
    if right(outcome, answer):
        return str(outcome.truth.label)
    false = [name for name, so in clear(outcome).items() if name in answer and so is False]
    if not false and outcome.truth.label in answer:
        return PART
    return next((name for name in (*false, *ALARMS) if name in answer), "healthy")


def confusion(found: Iterable[Outcome], rule: Callable[[Outcome], Answer]) -> dict[str, dict[str, int]]:
    """How often each true label (row) was answered with each (column)."""
    table = {true: dict.fromkeys(ANSWERS, 0) for true in LABELS}
    for one in found:
        if one.truth.label is not None:
            table[one.truth.label][label(one, rule(one))] += 1
    return table
