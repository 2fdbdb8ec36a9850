"""Closed parts of a run on their way to the disk, in the writer's thread: kept while the disk cannot be written."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pyarrow as pa

from graddiag.run import MissingRows
from graddiag.store.blocks import Block
from graddiag.store.compaction import compacted
from graddiag.store.index import Index, write_index
from graddiag.store.parts import write_part
from graddiag.store.resumption import last_numbers

KEPT_BYTES: Final = 64 * 2**20  # of rows that wait for a disk that cannot be written
MAX_RANGES: Final = 100  # of missing rows that are named one by one


@dataclass(frozen=True)
class ClosedPart:
    """Rows of one table that are to become one part file."""

    table: str
    blocks: Sequence[Block]

    @property
    def nbytes(self) -> int:
        return sum(block.nbytes for block in self.blocks)

    def missing(self, reason: str) -> MissingRows:
        steps = [int(step) for block in self.blocks for step in (block.steps.min(), block.steps.max())]
        rows = sum(block.rows for block in self.blocks)
        return MissingRows(table=self.table, first_step=min(steps), last_step=max(steps), rows=rows, reason=reason)


class PartWriter:
    """Writes parts and the index that names them; the only one to touch either while a run is written.

    An error of the disk is never raised: parts that cannot be written are kept, up to ``KEPT_BYTES``, and tried again
    with the next ones. Beyond that the oldest are dropped and become ``missing``.

    index, missing: what the run holds and lacks already; numbers: of parts by table that were used, the highest ones.
    """

    def __init__(
        self,
        folder: Path,
        index: Index,
        missing: tuple[MissingRows, ...] = (),
        numbers: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._folder = folder
        self._index = index
        self._numbers = Counter(last_numbers(folder)) | Counter(numbers)
        self._kept: deque[ClosedPart] = deque()
        self._joining = True
        self.error: str | None = None  # why the last attempt failed
        self.missing = missing

    def write(self, closed: Mapping[str, Sequence[Block]]) -> None:
        """Writes the parts that were kept, then these, then the index."""
        self._kept.extend(ClosedPart(table, blocks) for table, blocks in closed.items())
        try:
            refused = self._place_kept()
            self._publish()
        except OSError as error:
            refused = error
        self.error = None if refused is None else refused.strerror or str(refused)
        self._limit(KEPT_BYTES)

    def give_up(self) -> None:
        """Counts what is still kept as missing."""
        self._limit(0)

    def _place_kept(self) -> OSError | None:
        """Writes what is kept, each table up to the first part that is refused; returns why one was."""
        waiting, self._kept = self._kept, deque()
        refused: dict[str, OSError] = {}
        for part in waiting:
            if part.table not in refused:
                try:
                    self._place(part)
                    continue
                except OSError as error:
                    refused[part.table] = error
                except Exception as error:  # rows that no file can hold: the others are written all the same
                    self.missing = _with(self.missing, part.missing(f"{type(error).__name__}: {error}"))
                    continue
            self._kept.append(part)
        return next(iter(refused.values()), None)

    def _place(self, part: ClosedPart) -> None:
        number = self._numbers[part.table] + 1
        placed = write_part(self._folder, part.table, number, part.blocks)
        self._numbers[part.table] = number
        self._index = self._index.with_parts({part.table: placed})

    def _publish(self) -> None:
        obsolete = self._join()
        write_index(self._folder, self._index)
        for path in obsolete:
            with suppress(OSError):  # it is named by no index, and in nobody's way
                path.unlink()

    def _join(self) -> tuple[Path, ...]:
        """Joins small parts where there are enough; one that cannot be read any more ends that for this run."""
        if not self._joining:
            return ()
        try:
            self._index, obsolete = compacted(self._folder, self._index)
        except (FileNotFoundError, pa.ArrowException):
            self._joining = False
            return ()
        return obsolete

    def _limit(self, limit: int) -> None:
        """Drops the oldest parts beyond ``limit`` bytes."""
        size = sum(part.nbytes for part in self._kept)
        while size > limit:
            dropped = self._kept.popleft()
            size -= dropped.nbytes
            self.missing = _with(self.missing, dropped.missing(self.error or "the run was closed"))


def _with(known: tuple[MissingRows, ...], new: MissingRows) -> tuple[MissingRows, ...]:
    """``known`` with ``new``; a range that follows one of its table is added to it."""
    place = max((place for place, each in enumerate(known) if each.table == new.table), default=None)
    if place is None or (len(known) < MAX_RANGES and new.first_step > known[place].last_step + 1):
        return (*known, new)
    before = known[place]
    first, last = min(before.first_step, new.first_step), max(before.last_step, new.last_step)
    joined = new.model_copy(update={"first_step": first, "last_step": last, "rows": before.rows + new.rows})
    return (*known[:place], joined, *known[place + 1 :])
