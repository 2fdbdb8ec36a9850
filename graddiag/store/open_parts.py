"""Rows of a run that no file holds yet: gathered until a part of their table is full, or old."""

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

import numpy as np

from graddiag.store.blocks import Block

PART_BYTES: Final = 8 << 20  # of rows in memory from which on a part is full, however few steps it has

ClosedBlocks = dict[str, list[Block]]
"""Blocks by table, those of one table being one part."""


class OpenParts:
    """The open part of each table. The thread of the training and the one that writes may both add to them.

    part_steps: steps that a part holds at least before the next step begins another, unless it has ``PART_BYTES``;
    part_seconds: the age at which it is closed by the next ``add``.
    """

    def __init__(self, part_steps: int, part_seconds: float) -> None:
        self._part_steps = part_steps
        self._part_seconds = part_seconds
        self._parts: defaultdict[str, _OpenPart] = defaultdict(_OpenPart)
        self._lock = Lock()
        self.last_step = 0  # of all rows that were added

    def add(self, table: str, block: Block) -> ClosedBlocks:
        """Adds the rows of ``block``; the parts that are closed by that, or are old."""
        if not block.rows:
            return {}
        with self._lock:
            full = [table] if self._parts[table].is_full_for(block, self._part_steps) else []
            closed = {name: self._parts.pop(name).blocks for name in full}
            self._parts[table].add(block)
            self.last_step = max(self.last_step, int(block.steps[-1]))
            oldest = time.monotonic() - self._part_seconds
            for name in [name for name, part in self._parts.items() if part.since <= oldest]:
                closed.setdefault(name, []).extend(self._parts.pop(name).blocks)
        return closed

    def take(self) -> Mapping[str, list[Block]]:
        """All that is open, which is closed by that."""
        with self._lock:
            parts, self._parts = self._parts, defaultdict(_OpenPart)
        return {table: part.blocks for table, part in parts.items()}


@dataclass
class _OpenPart:
    blocks: list[Block] = field(default_factory=list)
    steps: int = 0
    nbytes: int = 0
    last_step: int | None = None
    since: float = field(default_factory=time.monotonic)

    def add(self, block: Block) -> None:
        self.steps += self._new_steps(block)
        self.last_step = int(block.steps[-1])
        self.nbytes += block.nbytes
        self.blocks.append(block)

    def is_full_for(self, block: Block, part_steps: int) -> bool:
        """Whether ``block`` begins a step that belongs to the next part; a step is not torn apart."""
        return (self.steps >= part_steps or self.nbytes >= PART_BYTES) and self._new_steps(block) > 0

    def _new_steps(self, block: Block) -> int:
        changes = int(np.count_nonzero(block.steps[1:] != block.steps[:-1]))
        return changes + (self.last_step != block.steps[0])
