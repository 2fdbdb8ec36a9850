"""The updates that make up a step, of one optimizer or of several."""

from typing import Final

# of several optimizers: updates of one in a step, after which the others are not waited for until they make one again
_MOST: Final = 10


class UpdateRound:
    """Counts the updates of a step; it is complete when each optimizer that is awaited has made one.

    made: how many updates each optimizer has made in this step. awaited: the optimizers whose updates end it.
    """

    def __init__(self, optimizers: int) -> None:
        self.made: dict[int, int] = {}
        self.awaited = set(range(optimizers))

    @property
    def is_complete(self) -> bool:
        return self.awaited <= self.made.keys()

    def add(self, index: int) -> None:
        """The optimizer at ``index`` has made an update."""
        self.made[index] = self.made.get(index, 0) + 1
        self.awaited.add(index)
        if self.made[index] >= _MOST:
            self.awaited &= self.made.keys()

    def with_update(self, index: int | None) -> set[int]:
        """Those that have made one once the optimizer at ``index`` has; None: those that have."""
        return {*self.made} if index is None else {*self.made, index}

    def clear(self) -> None:
        """The next step begins."""
        self.made = {}

    def columns(self, optimizers: int) -> dict[str, int]:
        """Columns of the steps table, of several optimizers."""
        return {f"updates_{i}": self.made.get(i, 0) for i in range(optimizers)} if optimizers > 1 else {}
