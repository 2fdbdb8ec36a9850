"""Whether a label agrees with what happened: numbers of the training alone, none of graddiag."""

import math

import numpy as np

from benchmarks.verdicts.case import Case, Span
from benchmarks.verdicts.training import Numbers


def contradictions(case: Case, numbers: Numbers) -> list[str]:
    """What of ``case.expected`` did not come true, in words; empty if its label stands."""
    expected, found = case.expected, []
    upto = max(1, round(case.at * len(numbers.losses)))
    losses = np.array(numbers.losses[:upto])
    bad = bool((~np.isfinite(losses)).any())
    if expected.nonfinite is not None and bad != expected.nonfinite:
        found.append(f"a loss is NaN or inf: {bad}")
    if not bad or expected.measure != "loss":
        found += _outside(f"final {expected.measure}", final(numbers, expected.measure, upto), expected.final)
    for name in ("growth", "kept"):
        span = getattr(expected, name)
        if span is not None:
            found += _outside(name, probed(numbers, name, upto), span)
    return found


def final(numbers: Numbers, measure: str, upto: int) -> float:
    """Mean of the measure over the last tenth of the first ``upto`` steps."""
    if measure == "loss":
        values = numbers.losses[:upto]
    else:
        values = [value for step, value in numbers.scalars.get(measure, []) if step < upto]
    return float(np.mean(values[-max(3, len(values) // 10) :])) if values else math.nan


def probed(numbers: Numbers, name: str, upto: int) -> float:
    """Median over the probes before step ``upto`` that found a finite number."""
    values = [value for step, value in zip(numbers.probed, getattr(numbers, name), strict=False) if step < upto]
    finite = [value for value in values if math.isfinite(value)]
    return float(np.median(finite)) if finite else math.nan


def _outside(name: str, value: float, span: Span) -> list[str]:
    low, high = span
    return (
        []
        if low <= value <= high or (math.isnan(value) and low == -math.inf)
        else [f"{name} {value:.4g} not in {span}"]
    )
