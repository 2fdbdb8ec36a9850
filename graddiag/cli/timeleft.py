"""Time left of work whose parts take long, estimated from all that are done.

rich tells it from the last half a minute, which holds none where a part is a training of minutes.
"""

from datetime import timedelta
from math import ceil
from typing import Final

from rich.progress import ProgressColumn, Task
from rich.text import Text

UNKNOWN: Final = "-:--:--"


class TimeLeft(ProgressColumn):
    """The mean time that a part took, times those that are left, less what went by since the last one was done."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[int, tuple[float, float]] = {}

    def render(self, task: Task) -> Text:
        seconds = self.seconds(task)
        return Text(UNKNOWN if seconds is None else str(timedelta(seconds=ceil(seconds))), style="progress.remaining")

    def seconds(self, task: Task) -> float | None:
        """Seconds left of ``task``; None before the first part is done, or where it is not known how many there are."""
        elapsed, remaining = task.elapsed, task.remaining
        if not task.completed or elapsed is None or remaining is None:
            return None
        done, at = self._last.get(task.id, (0.0, 0.0))
        if done != task.completed:
            at = elapsed
            self._last[task.id] = task.completed, at
        return max(0.0, at / task.completed * remaining - (elapsed - at))
