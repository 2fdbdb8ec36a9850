"""When a task counts as solved: the mean share of wrong answers of the last batches is low enough."""

from collections import deque
from collections.abc import Mapping
from typing import Final

BATCHES: Final = 100


class EarlyStopping:
    """Asked after every step; remembers the share of wrong answers of the last ``BATCHES`` batches."""

    def __init__(self, until: float | None) -> None:
        self._until = until
        self._last: deque[float] = deque(maxlen=BATCHES)

    def __call__(self, scores: Mapping[str, float]) -> bool:
        """Whether their mean is at most what was asked for; never where nothing was, or before there are so many."""
        if self._until is None:
            return False
        self._last.append(scores["error"])
        return len(self._last) == BATCHES and sum(self._last) / BATCHES <= self._until
