"""Learning rate schedules of the lab, by the texts that name them.

A new schedule is an entry of ``SCHEDULES`` and the class that it names.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from graddiag.errors import SettingError


class Schedule(Protocol):
    """By what the first learning rate is multiplied, at each step; ``str`` is the text that names it."""

    def rate(self, step: int) -> float: ...


@dataclass(frozen=True)
class Constant:
    """A learning rate that stays."""

    def __str__(self) -> str:
        return "constant"

    def rate(self, step: int) -> float:
        return 1.0


@dataclass(frozen=True)
class StepDecay:
    """A learning rate that is multiplied by ``factor`` every ``every`` steps from step ``after`` on."""

    factor: float
    after: int
    every: int

    def __post_init__(self) -> None:
        if not (self.factor > 0 and self.after >= 0 and self.every >= 1):
            raise ValueError("FACTOR is above 0, AFTER at least 0, EVERY at least 1")

    def __str__(self) -> str:
        return f"decay:{self.factor:g}:{self.after}:{self.every}"

    def rate(self, step: int) -> float:
        return float(self.factor ** (0 if step < self.after else (step - self.after) // self.every + 1))


@dataclass(frozen=True)
class Warmup:
    """A learning rate that rises linearly to its value in the first ``steps`` steps: that of step s is (s + 1) / steps.

    Source: Goyal et al. (2017), Accurate, large minibatch SGD, section 2.2, gradual warmup.
    """

    steps: int

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError("STEPS is at least 1")

    def __str__(self) -> str:
        return f"warmup:{self.steps}"

    def rate(self, step: int) -> float:
        return min(1.0, (step + 1) / self.steps)


@dataclass(frozen=True)
class Cosine:
    """A learning rate that falls to 0 at step ``steps`` along half a cosine, after a linear rise in ``warmup`` steps.

    Source: Loshchilov & Hutter (2017), SGDR, equation 5 with a smallest rate of 0 and no restart.
    """

    warmup: int
    steps: int

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < self.steps:
            raise ValueError("WARMUP is at least 0 and below STEPS")

    def __str__(self) -> str:
        return f"cosine:{self.warmup}:{self.steps}"

    def rate(self, step: int) -> float:
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = min(1.0, (step - self.warmup) / (self.steps - self.warmup))
        return (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class ScheduleKind:
    """A schedule: how it is written, what it is, and its class, called with the numbers behind its name."""

    form: str
    help: str
    implementation: Callable[..., Schedule]

    @property
    def name(self) -> str:
        return self.form.partition(":")[0]


SCHEDULES: Final = (
    ScheduleKind("constant", "constant", Constant),
    ScheduleKind(
        "decay:FACTOR:AFTER:EVERY",
        "decay:FACTOR:AFTER:EVERY, multiplied by FACTOR at every EVERY-th step from step AFTER on",
        StepDecay,
    ),
    ScheduleKind("warmup:STEPS", "warmup:STEPS, a linear rise in the first STEPS steps", Warmup),
    ScheduleKind(
        "cosine:WARMUP:STEPS",
        "cosine:WARMUP:STEPS, that rise in WARMUP steps, then half a cosine to 0 at step STEPS",
        Cosine,
    ),
)


def known_schedules() -> str:
    """Every schedule and what it is, with semicolons between them."""
    return "; ".join(kind.help for kind in SCHEDULES)


def parse_schedule(text: str) -> Schedule:
    """The schedule that ``text`` names.

    Raises:
        SettingError: it is of none of the forms, or a number is out of range.
    """
    name, *parts = text.split(":")
    kind = next((kind for kind in SCHEDULES if kind.name == name), None)
    if kind is None or len(parts) != kind.form.count(":"):
        forms = ", ".join(kind.form for kind in SCHEDULES)
        raise SettingError(f"schedule {text!r}: write one of {forms}; for example decay:0.5:400:100.")
    names = kind.form.split(":")[1:]
    try:
        made = kind.implementation(*(_number(*each) for each in zip(names, parts, strict=True)))
    except ValueError as error:
        raise SettingError(f"schedule {text!r}: {error}.") from None
    return Constant() if str(made).startswith("decay:1:") else made


def _number(name: str, text: str) -> float:
    """FACTOR is any number, the others count steps."""
    try:
        return float(text) if name == "FACTOR" else int(text)
    except ValueError:
        what = "a number" if name == "FACTOR" else "a whole number of steps"
        raise ValueError(f"{name} is {what}, and {text!r} was found") from None
