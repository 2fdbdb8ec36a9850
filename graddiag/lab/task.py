"""A task: batches of sequences from a generator, and which positions of the sequence are answered."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Generator, Tensor

Answers = Literal["each", "last"]
Kind = Literal["symbols", "numbers"]


@dataclass(frozen=True)
class Shape:
    """Sizes of a task: ``symbols`` that can be read, ``classes`` to choose from, at each timestep or at the last.

    A task that ``reads`` numbers has ``symbols`` of them at a timestep; one that ``says`` a number has one class.
    ``whole``: the answers of a sequence are one answer, which is wrong if one of them is.
    """

    symbols: int
    classes: int
    answers: Answers
    reads: Kind = "symbols"
    says: Kind = "symbols"
    whole: bool = False


class Task(Protocol):
    """Makes batches; all its chance comes from the generator it is handed."""

    @property
    def shape(self) -> Shape: ...

    @property
    def loss_reduction(self) -> str:
        """Over what the cross-entropy is averaged, in words; a clip threshold means nothing without it."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """What a run must keep beside its spec to be understood: a vocabulary, the source of a text."""
        ...

    def batch(self, generator: Generator) -> tuple[Tensor, Tensor]:
        """Symbols [T, N] and target classes, [T, N] if each timestep answers, [N] if the last alone; int64.

        Where nothing is asked the target is ``answers.NOT_ASKED``; something is asked in every batch.

        Numbers that are read are [T, N, symbols], those that are said [N] or [T, N]; float32.
        """
        ...


@dataclass(frozen=True)
class Batch:
    """Inputs and targets as ``Task.batch`` gives them; ``goes_on``: they begin where the last batch ended."""

    inputs: Tensor
    targets: Tensor
    goes_on: bool = False


@runtime_checkable
class Reads(Protocol):
    """A task that reads a text: how often each symbol comes in what it trains on, and what is held out from that,
    to watch the training and to test it at its end, [symbols] each."""

    @property
    def counts(self) -> Sequence[int]: ...

    @property
    def held_out(self) -> Tensor | None: ...

    @property
    def tested_on(self) -> Tensor | None: ...

    @property
    def vocabulary(self) -> Sequence[str]: ...


@runtime_checkable
class Streamed(Protocol):
    """A task whose batches continue where the last one ended, and so come in one order."""

    def stream(self) -> Iterator[Batch]: ...


@runtime_checkable
class HeldOut(Protocol):
    """A task of so many sequences, some of which are not trained on: those, as ``Task.batch`` gives a batch."""

    @property
    def held_out_sequences(self) -> tuple[Tensor, Tensor]: ...


def batches(task: Task, chance: Generator) -> Iterator[Batch]:
    """Batches without end: drawn by ``chance``, or in the order of the text."""
    if isinstance(task, Streamed):
        yield from task.stream()
    while True:
        yield Batch(*task.batch(chance))
