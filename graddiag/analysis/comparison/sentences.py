"""The effect of an arm on the final loss in a sentence."""

import math
from collections.abc import Sequence
from typing import Final

from graddiag.analysis.comparison.effects import Effect, lengths_together, no_interval
from graddiag.analysis.words import number, plural

TWO_MODES: Final = "The outcomes have two modes, so success rates are compared, not mean losses."
_NAMED: Final = 5  # runs of an arm in a sentence


def loss_sentence(loss: Effect) -> str:
    """What the arm does to the final loss, in how many pairs, with the interval or why there is none."""
    if not loss.n:
        return f"{loss.arm} against {loss.baseline_arm}: the final losses cannot be compared ({loss.note})."
    known = [gap for gap in loss.differences if gap is not None]
    if not any(known):
        return _unchanged(loss)
    if loss.holds_zero:
        return (
            f"{loss.arm} against {loss.baseline_arm}: the difference in the final loss is not significantly different "
            f"from 0, {_median(loss)}."
        )
    lower, higher = sum(gap < 0 for gap in known), sum(gap > 0 for gap in known)
    where = "" if loss.interval else f" in {_pairs(max(lower, higher), loss.n)}"
    verb = "lowers" if lower >= higher else "raises"
    return f"Against {loss.baseline_arm}, {loss.arm} {verb} the final loss{where}: {_median(loss)}."


def in_brackets(names: Sequence[str]) -> str:
    """``names`` behind a count, at most five of them; empty for none."""
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f" ({', '.join(names[:_NAMED])}{more})"


def _unchanged(loss: Effect) -> str:
    if all(value is not None and not math.isfinite(value) for value in (*loss.baseline_values, *loss.values)):
        return f"Every run of {loss.baseline_arm} and {loss.arm} ended in NaN or inf: no final loss to compare."
    return f"Against {loss.baseline_arm}, {loss.arm} does not change the final loss in {plural(loss.n, 'pair')}."


def _pairs(count: int, of: int) -> str:
    if count < of:
        return f"{count} of {of} pairs"
    return {1: "1 pair", 2: "both pairs"}.get(of, f"all {of} pairs")


def _median(loss: Effect) -> str:
    """The median difference, its interval or why there is none, and what is counted or taken together."""
    value = "not finite" if loss.difference is None else number(loss.difference)
    named = "difference" if loss.n == 1 else "median difference"
    told = f"{named} {value} {loss.range if loss.interval else ''}".rstrip()
    counted = "NaN or inf counted as the highest loss" if any(loss.broken) else ""
    why = [no_interval(loss.n), counted, lengths_together(loss.lengths)]
    return ", ".join(filter(None, (told, *why)))
