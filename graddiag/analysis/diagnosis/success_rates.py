"""How often advice helped where it was tried: rows of the tables of docs/presets/remedies.md, which a test compares.

The table is of one task for each cause, so it orders advice and promises nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from graddiag.analysis.diagnosis.findings import Advice

PAGE: Final = "docs/presets/remedies.md"


@dataclass(frozen=True)
class SuccessRate:
    """A row of a table of the page: the remedy, and how many of its runs succeeded."""

    remedy: str
    successes: int
    runs: int

    def __str__(self) -> str:
        return f"{PAGE}: {self.remedy}, {self.successes} of {self.runs} runs"


# by the advice's action
VANISHING: Final[Mapping[str, SuccessRate]] = {
    "change-initialization": SuccessRate("orthogonal initialization", 5, 5),
    "change-cell": SuccessRate("LSTM, chrono", 5, 5),
    "raise-forget-bias": SuccessRate("LSTM, chrono", 5, 5),
}
EXPLODING: Final[Mapping[str, SuccessRate]] = {
    "clip": SuccessRate("clip=norm:0.5", 5, 5),
    "lower-learning-rate": SuccessRate("a tenth of the rate", 5, 5),
}


def with_rates(advice: Sequence[Advice], rates: Mapping[str, SuccessRate]) -> tuple[Advice, ...]:
    """``advice`` in its order, each with where it was measured, where it was."""
    return tuple(replace(each, see=str(rates[each.action])) if each.action in rates else each for each in advice)
