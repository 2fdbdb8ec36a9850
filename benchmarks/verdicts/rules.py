"""What is compared with graddiag: rules that read what any tracker shows, and how an answer is counted.

The rivals are given the best thresholds that the tune part of the suite has for them; graddiag's are those it comes
with.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from benchmarks.verdicts.case import Label
from benchmarks.verdicts.judge import Answer
from benchmarks.verdicts.suite import Judged
from benchmarks.verdicts.training import Numbers

NORMS: Final = tuple(10.0 ** np.arange(-12, 5.01, 0.5))
RADII: Final = tuple(np.round(np.arange(0.0, 3.01, 0.1), 2))
FINE: Final = ("learned", "learning")

Figures = Callable[[Numbers], tuple[float, float]]
Said = Callable[[Judged], Answer]


@dataclass(frozen=True)
class Rule:
    """Calls a training vanishing below ``low``, exploding above ``high``, broken where a loss or a figure is NaN or
    inf, and learned else.

    figures: the number compared with ``low`` and the one compared with ``high``.
    """

    name: str
    figures: Figures
    low: float
    high: float

    def __call__(self, one: Judged) -> Answer:
        return self.answer(np.isfinite(one.numbers.losses).all(), *self.figures(one.numbers))

    def answer(self, finite: bool, small: float, large: float) -> Answer:
        if not (finite and math.isfinite(small) and math.isfinite(large)):
            return Answer("broken", "non-finite", "guard-operation")
        if large > self.high:
            return Answer("diverged", "exploding", "clip")
        if small < self.low:
            return Answer("stuck", "vanishing", "change-initialization")
        return Answer("learned", None, "continue")


def graddiag_says(one: Judged) -> Answer:
    return one.answer


def global_norm(numbers: Numbers) -> tuple[float, float]:
    """The norm over all parameters: its median, and its largest value."""
    return float(np.median(numbers.norms)), float(np.max(numbers.norms))


def recurrent_norm(numbers: Numbers) -> tuple[float, float]:
    """The norm of the gradient of W_hh alone: its median, and its largest value."""
    return float(np.median(numbers.recurrent_norms)), float(np.max(numbers.recurrent_norms))


def norm_and_jump(numbers: Numbers) -> tuple[float, float]:
    """The norm over all parameters: its median, and its largest value over its median."""
    median = float(np.median(numbers.norms))
    return median, float(np.max(numbers.norms)) / median if median else float("inf")


def spectral_radius(numbers: Numbers) -> tuple[float, float]:
    """The spectral radius of W_hh (of a gated cell the largest of its blocks), the median over training, twice."""
    found = [each for each in numbers.radii if math.isfinite(each)]
    radius = float(np.median(found)) if found else 1.0
    return radius, radius


def tuned(name: str, figures: Figures, grid: Sequence[float], found: Sequence[Judged]) -> Rule:
    """The rule with the thresholds of ``grid`` that give most outcomes and causes of ``found`` rightly."""
    read = [(one, bool(np.isfinite(one.numbers.losses).all()), figures(one.numbers)) for one in found]
    rules = (Rule(name, figures, low, high) for low, high in product(grid, grid) if low <= high)

    def score(rule: Rule) -> int:
        answers = ((one.case.label, rule.answer(finite, *numbers)) for one, finite, numbers in read)
        return sum(outcome_right(label, said) + cause_right(label, said) for label, said in answers)

    return max(rules, key=score)


def rivals(found: Sequence[Judged]) -> tuple[Rule, ...]:
    """The rules that read what any tracker shows, each at its best on ``found``."""
    return (
        tuned("norm of all gradients", global_norm, NORMS, found),
        tuned("norm of dL/dW_hh", recurrent_norm, NORMS, found),
        tuned("norm of all gradients, and its jumps", norm_and_jump, NORMS, found),
        tuned("spectral radius of W_hh", spectral_radius, RADII, found),
    )


def outcome_right(label: Label, said: Answer) -> bool:
    return said.outcome in label.outcomes


def cause_right(label: Label, said: Answer) -> bool:
    return said.cause in label.causes


def action_right(label: Label, said: Answer) -> bool:
    return said.action in label.actions or "*" in label.actions


def falsely_healthy(label: Label, said: Answer) -> bool:
    """A failed training that is said to have learned or to be learning."""
    return label.failed and said.outcome in FINE


def accused(label: Label, said: Answer) -> bool:
    """A healthy training of which a failure or a cause that is not accepted is said."""
    return label.healthy and not (outcome_right(label, said) and cause_right(label, said))
