"""What a case is: a training, and what an expert would say of it."""

import hashlib
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from benchmarks.verdicts.training import Training

Split = Literal["tune", "held-out", "fresh", "unseen", "blind", "sealed", "apart", "outside", "plain", "later", "next"]
Span = tuple[float, float]

# raise it when training.py, nets.py or tasks.py change what a training does: cached runs are then trained again
VERSION: Final = 1
ANY: Final = (float("-inf"), float("inf"))


@dataclass(frozen=True)
class Label:
    """What may be said of a training. The first of each tuple is what an expert would say; the others are accepted.

    outcomes, causes, actions: identifiers of the diagnosis; None in ``causes`` is "no cause found in the gradient",
    None in ``actions`` is no advice, and ``"*"`` accepts any advice. failed: it must not be called learned or
    learning. healthy: nothing may be said against it.
    """

    outcomes: tuple[str, ...]
    causes: tuple[str | None, ...] = (None,)
    actions: tuple[str | None, ...] = ()
    failed: bool = True
    healthy: bool = False

    def also(self, *, outcomes: str = "", causes: tuple[str | None, ...] = (), actions: str = "") -> "Label":
        """The same with more that is accepted."""
        return Label(
            (*self.outcomes, *outcomes.split()),
            (*self.causes, *causes),
            (*self.actions, *actions.split()),
            self.failed,
            self.healthy,
        )


@dataclass(frozen=True)
class Expected:
    """What must be true of the numbers of a training, else its label is contradicted by what happened.

    final: range of the mean of the measure over the last tenth. measure: the logged scalar that is meant. growth,
    kept: ranges of the growth of the gradient back through time and of the share that reaches the first timestep,
    medians over the probes, by autograd in float64. nonfinite: whether a loss is NaN or inf; None: either.
    """

    final: Span = ANY
    measure: str = "loss"
    growth: Span | None = None
    kept: Span | None = None
    nonfinite: bool | None = False


@dataclass(frozen=True)
class Case:
    """One judgement: a training, of which the first ``at`` is judged.

    kind: the row of the suite (exploding, clipping, healthy, ...). key: names the recorded run; cases of one training
    share it. build: makes the training, under a seed of its own.
    """

    name: str
    family: str
    kind: str
    split: Split
    label: Label
    build: Callable[[], "Training"] = field(repr=False, compare=False)
    expected: Expected = Expected()
    at: float = 1.0
    training: str = ""
    source: str = ""

    @property
    def key(self) -> str:
        words = re.sub(r"[^a-z0-9.]+", "-", (self.training or self.name).lower()).strip("-")
        return f"{self.split}-{words}-{hashlib.sha1(f'{VERSION}{self.source}'.encode()).hexdigest()[:8]}"

    @property
    def seed(self) -> int:
        return int(hashlib.sha1((self.training or self.name).encode()).hexdigest()[:6], 16)


Made = Callable[[], Iterator[Case]]


@dataclass(frozen=True)
class Family:
    """Trainings of one make; all in one split."""

    name: str
    kind: str
    split: Split
    make: Callable[["Family"], Iterator[Case]] = field(repr=False)

    def case(
        self, name: str, label: Label, build: Callable[[], "Training"], expected: Expected | None = None, **more: object
    ) -> Case:
        """A case of this family; ``more`` are fields of Case."""
        about = {"expected": expected or Expected(), "source": inspect.getsource(self.make), **more}
        return Case(f"{self.name}: {name}", self.name, self.kind, self.split, label, build, **about)

    def cases(self) -> tuple[Case, ...]:
        return tuple(self.make(self))


Maker = Callable[[Family], Iterator[Case]]


class Families:
    """The families of one module, in order."""

    def __init__(self, split: Split) -> None:
        self.split = split
        self.found: list[Family] = []

    def family(self, kind: str) -> Callable[[Maker], Maker]:
        """Registers a generator of cases, named after the function."""

        def register(make: Maker) -> Maker:
            self.found.append(Family(make.__name__.replace("_", "-"), kind, self.split, make))
            return make

        return register
